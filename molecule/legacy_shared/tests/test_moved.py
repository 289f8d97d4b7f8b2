"""What a migration is to everybody but who runs it: no pull fails, no digest changes, workloads start again from v2."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from testinfra.host import Host

ROOT = Path(__file__).resolve().parents[3]
WORK = Path(os.environ.get("MOLECULE_EPHEMERAL_DIRECTORY", "/nonexistent"))
SYSTEM = "image-registry-system"
SERVICE = f"image-registry.{SYSTEM}.svc:5000"
BACK = os.environ.get("MOLECULE_SCENARIO_NAME") == "rollback"
COPIED = os.environ.get("MOLECULE_SCENARIO_NAME") == "migrate_copy"

moved = pytest.mark.skipif(BACK, reason="it was taken back")
back = pytest.mark.skipif(not BACK, reason="it was not taken back")
Kubectl = Callable[..., str]


@pytest.fixture(scope="module")
def pushed(host: Host) -> dict[str, str]:
    """What lay in the legacy registry before: digests by name and tag."""
    lines = host.check_output("%s legacy pushed", str(ROOT / "lab/lab")).splitlines()
    found = dict(line.split() for line in lines)
    # pushed when the first copy had begun (push_meanwhile.py): only the second one, behind the freeze, has to have it
    return found | ({"team-a/app:meanwhile": found["team-a/app:v1"]} if COPIED else {})


def digests(host: Host, lab: dict[str, str], kubectl: Kubectl, place: str, names: list[str], folder: Path) -> list[str]:
    token = kubectl("-n cpaas-system create token migrator").strip()
    (folder / "config.json").write_text(json.dumps({"auths": {place: {"username": "<token>", "password": token}}}))
    (folder / "config.json").chmod(0o600)
    crane = f"DOCKER_CONFIG={folder} {lab['CRANE']} --insecure digest {place}"
    return [host.check_output(f"{crane}/{name}").strip() for name in names]


def test_no_pull_failed() -> None:
    before = json.loads((WORK / "pulled.json").read_text())
    deadline = time.monotonic() + 60
    while (found := json.loads((WORK / "pulled.json").read_text()))["pulls"] == before["pulls"]:
        assert time.monotonic() < deadline, "nobody pulls any more"
        time.sleep(1)
    # whoever began at one registry and asks for a token at the other, when the host is led back, has to pull again
    failed = [line for line in found["failed"] if not (BACK and "/v2/token" in line)]
    assert failed == [], f"of {found['pulls']} pulls"
    assert len(found["failed"]) <= 2
    assert found["pulls"] > 50


@moved
def test_every_tag_means_what_it_meant(
    host: Host, lab: dict[str, str], kubectl: Kubectl, pushed: dict[str, str], tmp_path: Path
) -> None:
    address = kubectl(f"-n {SYSTEM} get service image-registry -o jsonpath={{.spec.clusterIP}}")
    names = [name.replace("tools/report", "tools-report") for name in pushed]
    assert digests(host, lab, kubectl, f"{address}:5000", names, tmp_path) == list(pushed.values())


@moved
def test_workloads_name_the_new_registry_and_start_again_from_it(kubectl: Kubectl) -> None:
    for name in ("web", "api"):
        found: dict[str, Any] = json.loads(kubectl(f"-n team-a get deployment {name} -o json"))
        [container] = found["spec"]["template"]["spec"]["containers"]
        assert container["image"].startswith(f"{SERVICE}/team-a/app")
    kubectl("-n team-a delete pods --all --wait=true")
    for name in ("web", "api"):
        kubectl(f"-n team-a rollout status deployment/{name} --timeout=120s")


@moved
def test_nothing_is_left_of_a_registry_that_was_given_up(kubectl: Kubectl) -> None:
    journal = [json.loads(line) for line in (WORK / "migration/journal.jsonl").read_text().splitlines()]
    if not any(entry["step"].startswith("finalize/") for entry in journal):
        pytest.skip("it can still come back")
    assert "NotFound" in kubectl("-n cpaas-system get deployment image-registry", may_fail=True)
    for name in ("system:image-puller", "system:image-pusher"):
        role: dict[str, Any] = json.loads(kubectl(f"get clusterrole {name} -o json"))
        assert {group for rule in role["rules"] for group in rule["apiGroups"]} == {"image.alauda.io"}
        assert role["metadata"]["annotations"]["meta.helm.sh/release-namespace"] == SYSTEM
    assert kubectl("get clusterplugininstances.cluster.alauda.io -o name") == ""


@back
def test_every_object_is_what_it_was(host: Host, lab: dict[str, str]) -> None:
    program = ROOT / "molecule/legacy_shared/files/objects.py"
    host.check_output(f"python3 {program} {lab['KUBECONFIG_FILE']} {lab['KUBECTL']} {WORK}/after.json")
    before, after = (json.loads((WORK / f"{name}.json").read_text()) for name in ("before", "after"))
    assert set(before) == set(after)
    assert {name: after[name] for name in after if after[name] != before[name]} == {}


@back
def test_the_legacy_registry_serves_and_takes_pushes(
    host: Host, lab: dict[str, str], kubectl: Kubectl, pushed: dict[str, str], tmp_path: Path
) -> None:
    place = lab["LEGACY_URL"].removeprefix("http://")
    assert digests(host, lab, kubectl, place, list(pushed), tmp_path) == list(pushed.values())
    token = kubectl("-n team-a create token builder").strip()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {place: {"username": "<token>", "password": token}}}))
    crane = f"DOCKER_CONFIG={tmp_path} {lab['CRANE']} --insecure"
    host.check_output(f"{crane} tag {place}/team-a/app:v2 after")
    assert host.check_output(f"{crane} digest {place}/team-a/app:after").strip() == pushed["team-a/app:v2"]
