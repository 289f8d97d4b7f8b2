"""Pruning by the schedule's Job in a real cluster: what runs stays, what nothing uses goes, and its bytes with it.

One walk in the order of this file, in an empty lab; it leaves the lab as it was.
"""

from __future__ import annotations

import json
import os
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from tests.clients.programs import Crane
from tests.cluster.kubernetes import NAMESPACE, SERVICE, Team
from tests.operator.everything_that_runs import KIND, Images, Pushing, Workloads, ac, clean_node, in_volume
from tests.operator.operated import PRUNER_KIND, Operated, config, crane, lab, operated, team
from tests.serve.conftest import CACHE

pytestmark = pytest.mark.lab
__all__ = ["crane", "lab", "operated", "team"]

LAYER = 1 << 20
JOB_SECONDS = 120
BLOBS = "/registry/docker/registry/v2/blobs/sha256"
REPOSITORIES = "/registry/docker/registry/v2/repositories"


def pruner(operated: Operated) -> dict[str, Any]:
    return operated.kubectl.json("get", PRUNER_KIND, "cluster")


def said(operated: Operated) -> dict[str, str]:
    return {item["type"]: f"{item['status']} {item['reason']}" for item in pruner(operated)["status"]["conditions"]}


def run_job(operated: Operated, name: str, *more: str) -> dict[str, Any]:
    """A Job from the CronJob, with options of garbage collection for a registry of a minute; returns ``lastRun``."""
    job = json.loads(
        operated.kubectl(
            *("-n", NAMESPACE, "create", "job", name, "--from=cronjob/image-pruner", "--dry-run=client", "-o", "json")
        )
    )
    (container,) = job["spec"]["template"]["spec"]["containers"]
    before = container["args"].index("--")
    container["args"][before:before] = more
    operated.kubectl("-n", NAMESPACE, "create", "-f", "-", stdin=json.dumps(job))

    def ended() -> bool:
        run = (pruner(operated).get("status") or {}).get("lastRun") or {}
        return run.get("job") == name and run.get("state") != "Running"

    operated.until(ended, f"an end of Job {name}", JOB_SECONDS)
    found: dict[str, Any] = pruner(operated)["status"]["lastRun"]
    log = operated.kubectl("-n", NAMESPACE, "logs", f"job/{name}")
    assert found["state"] == "Complete", f"{found}\n{log}"
    return found


def grown(crane: Crane, base: str, target: str, tmp_path: Path) -> tuple[str, str]:
    """Push an image with a layer of its own; returns the digests of the image and of that layer."""
    content, archive = tmp_path / "content", tmp_path / "layer.tar"
    content.write_bytes(os.urandom(LAYER))
    with tarfile.open(archive, "w") as tar:
        tar.add(content, "content")
    crane.run("append", "--base", crane.at(base), "--new_layer", str(archive), "--new_tag", crane.at(target))
    manifest = json.loads(crane.run("manifest", crane.at(target)))
    return crane.run("digest", crane.at(target)).strip(), manifest["layers"][-1]["digest"]


def stored(operated: Operated, digest: str) -> bool:
    """Whether the bytes of a blob are in the volume."""
    name = digest.removeprefix("sha256:")
    return _in_the_volume(operated, f"{BLOBS}/{name[:2]}/{name}/data")


def linked(operated: Operated, repository: str, digest: str) -> bool:
    """Whether the volume still says that a repository holds a manifest."""
    folder = f"{REPOSITORIES}/{repository}/_manifests/revisions/sha256"
    return _in_the_volume(operated, f"{folder}/{digest.removeprefix('sha256:')}/link")


def _in_the_volume(operated: Operated, path: str) -> bool:
    script = f"import os; print(os.path.exists('{path}'))"
    command = ["exec", "deployment/image-registry", "-c", "registry", "--", "python3", "-c", script]
    return operated.kubectl("-n", NAMESPACE, *command).strip() == "True"


def test_a_registry_has_a_pruner_from_the_first_day(operated: Operated) -> None:
    operated.kubectl.apply(config(managementState="Managed", storage={"pvc": {"size": "2Gi"}}))
    operated.ready()
    operated.until(lambda: "status" in pruner(operated), "a pruner", 60)
    assert said(operated) == {
        "Available": "True AsExpected",
        "Scheduled": "True Scheduled",
        "Failed": "False NeverRun",
        "Degraded": "False AsExpected",
    }


@pytest.mark.parity(19)
def test_what_runs_stays_and_what_nothing_uses_goes_with_its_bytes(
    operated: Operated, crane: Crane, team: Team, tmp_path: Path
) -> None:
    base, app = f"{team.namespace}/base:1", f"{team.namespace}/app:1"
    crane.run("push", str(CACHE / "images/bb.tar"), crane.at(base))
    used, unused, newest = (grown(crane, base, app, tmp_path) for _ in range(3))
    team.pull_secret("pull", "builder")
    team.run("server", f"{SERVICE}/{team.namespace}/app@{used[0]}", secret="pull")
    operated.kubectl("-n", team.namespace, "wait", "pod/server", "--for=condition=Ready", "--timeout=120s")
    change = {"spec": {"keepTagRevisions": 1, "keepYoungerThanDuration": "0"}}
    operated.kubectl("patch", PRUNER_KIND, "cluster", "--type=merge", "-p", json.dumps(change))

    def followed() -> bool:
        cron_job = operated.kubectl("-n", NAMESPACE, "get", "cronjob", "image-pruner", "-o", "yaml")
        return "--keep-younger-than=0" in cron_job and "--keep-tag-revisions=1" in cron_job

    operated.until(followed, "the CronJob following", 60)
    operated.ready()
    assert stored(operated, unused[1])
    time.sleep(4)  # older than the grace below
    run = run_job(operated, "prune-1", "--grace=2s", "--trash=0s")
    images = operated.kubectl.names("images.image.alauda.io")
    assert {used[0], newest[0]} <= images
    assert unused[0] not in images
    assert "deleted 1 image object(s)" in run["message"]
    freed = run["freedBytes"]
    if stored(operated, unused[1]):
        # links of what is deleted are cleaned in the background, and garbage is what no link leads to: then the next
        # run takes it
        operated.until(lambda: not linked(operated, f"{team.namespace}/app", unused[0]), "links being cleaned", 60)
        run = run_job(operated, "prune-1-again", "--grace=2s", "--trash=0s")
        freed += run["freedBytes"]
    assert [stored(operated, layer) for _, layer in (used, unused, newest)] == [True, False, True]
    assert freed >= LAYER
    assert said(operated)["Failed"] == "False Complete"
    assert crane.run("digest", crane.at(f"{team.namespace}/app@{used[0]}")).strip() == used[0]
    row = operated.kubectl("get", PRUNER_KIND, "cluster", "-o", "wide")
    assert str(run["freedBytes"]) in row


def test_everything_that_runs_starts_again_on_a_cleaned_node(
    operated: Operated,
    crane: Crane,
    team: Team,
    lab_kubeconfig: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Pruned and collected by ``ac`` while others push images of the same layers."""
    base = f"{team.namespace}/base:1"
    crane.run("push", str(CACHE / "images/bb.tar"), crane.at(base))
    images, workloads = Images(crane, team, base, tmp_path), Workloads(team)
    own = operated.kubectl.json("get", "nodes")["items"][0]["status"]["nodeInfo"]["architecture"]
    used = {name: images.push(name) for name in ("web", "once", "nightly", "thing", "pinned", "signed")}
    used["child"] = images.push("many", "own")
    other = images.push("many", "other")
    index = images.push_index("many", {"riscv64": other, own: used["child"]})
    signatures = images.sign(used["signed"], "signed")
    unused = [images.push("signed", "old"), images.push("idle"), other, index]
    unused += images.sign(unused[0], "signed")
    newest = [images.push(name, tag) for name, tag in (("idle", "1"), ("pinned", "1"), ("signed", "1"))]
    newest += [images.push("many", tag) for tag in ("own", "other", "1")]
    operated.kubectl("-n", team.namespace, "delete", "imagestreamtag", "signed:old")
    workloads.deployment("web", f"{used['web'].repository}:1")
    workloads.deployment("signed", used["signed"].named)
    workloads.job("once", f"{used['once'].repository}:1")
    workloads.cron_job("nightly", f"{used['nightly'].repository}:1")
    workloads.thing("one", used["thing"].named)
    workloads.pod("pinned", used["pinned"].named)
    workloads.pod("child", used["child"].named)
    images.push("thing")  # its tag moves on, too
    workloads.ready()

    token = tmp_path / "token"
    account = ("create", "serviceaccount", "keeper")
    operated.kubectl("-n", team.namespace, *account)
    binding = ("create", "clusterrolebinding", "keeper", "--clusterrole=system:image-pruner")
    operated.kubectl(*binding, f"--serviceaccount={team.namespace}:keeper")
    token.touch(mode=0o600)
    token.write_text(team.token("keeper"), encoding="ascii")
    field = f"--image-field={KIND.partition('.')[2]}/v1/things=spec.server.image"
    prune = ("adm", "prune", "images", "--keep-tag-revisions=1", "--keep-younger-than=0", field, "-o", "json")
    where = (f"--registry-url=https://{crane.registry.address}", f"--certificate-authority={crane.registry.ca}")
    collect = ("adm", "registry", "gc", "--grace=20s", "--trash=0s", f"--token-file={token}", *where, "-o", "json")
    layers = {image.layer for image in (*used.values(), *unused, *newest) if image.layer}
    _, before = in_volume(team)
    try:
        with Pushing(images) as pushing:
            plan = json.loads(ac(lab_kubeconfig, tmp_path, *prune))
            pruned = json.loads(ac(lab_kubeconfig, tmp_path, *prune, "--confirm"))
            time.sleep(20)  # the grace below
            freed = json.loads(ac(lab_kubeconfig, tmp_path, *collect, "--confirm"))["report"]
    finally:
        operated.kubectl("delete", "clusterrolebinding", "keeper")
    there, after = in_volume(team, *layers)
    known = operated.kubectl.names("images.image.alauda.io")

    goes = {image.digest for image in unused}
    assert goes <= {one["name"] for one in plan["images"] if one["action"] == "delete"}
    assert pruned["totals"]["deleted_images"] >= len(goes)
    assert not goes & known
    assert {image.digest for image in (*used.values(), *signatures, *newest)} <= known
    assert not {image.layer for image in unused if image.layer} & there
    assert {image.layer for image in (*used.values(), *newest)} <= there
    assert pushing.failed == []
    assert len(pushing.pushed) > 3

    pulled = workloads.pulled()
    workloads.end()
    names = clean_node(team.namespace)
    assert names >= 4  # those of the Deployments and of the Pods
    workloads.pod("of-a-thing", used["thing"].named)
    workloads.start_again()
    assert workloads.pulled() - pulled >= len(used)
    for image in pushing.pushed:  # whole, layer by layer
        crane.run("validate", "--remote", crane.at(image.named))
    went, removed = pruned["totals"]["deleted_images"], freed["totals"]["removed"]
    with capsys.disabled():
        sys.stdout.write(
            f"\n{len(known)} images stay, {went} went; {before} bytes of blobs became {after}, {removed['bytes']} of "
            f"them freed with {removed['blobs']} blobs; {len(pushing.pushed)} images pushed meanwhile; {names} taken "
            f"out of the node, {workloads.pulled() - pulled} pulled again\n"
        )


def test_a_run_right_after_another_finds_nothing_to_do_and_does_well(operated: Operated) -> None:
    run_job(operated, "prune-2")  # takes what ran in the test before and runs no longer
    assert "deleted 0 objects" in run_job(operated, "prune-3")["message"]


def test_a_registry_that_was_removed_is_no_failure(operated: Operated) -> None:
    operated.patch(managementState="Removed")
    operated.until(lambda: operated.said().get("Progressing") == "False Removed", "removed")
    assert operated.there("cronjob/image-pruner")
    assert "there is no registry in this cluster" in run_job(operated, "prune-4")["message"]
    operated.patch(managementState="Managed")
    operated.ready()


def test_a_suspended_pruner_says_so(operated: Operated) -> None:
    operated.kubectl("patch", PRUNER_KIND, "cluster", "--type=merge", "-p", '{"spec": {"suspend": true}}')
    operated.until(lambda: said(operated)["Scheduled"] == "False Suspended", "suspended", 60)
