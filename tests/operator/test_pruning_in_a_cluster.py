"""Pruning by the schedule's Job in a real cluster: what runs stays, what nothing uses goes, and its bytes with it.

One walk in the order of this file, in an empty lab; it leaves the lab as it was.
"""

from __future__ import annotations

import json
import os
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from tests.clients.programs import Crane
from tests.cluster.kubernetes import NAMESPACE, SERVICE, Team
from tests.operator.test_in_a_cluster import PRUNER_KIND, Operated, config, crane, lab, operated, team
from tests.serve.conftest import CACHE

pytestmark = pytest.mark.lab
__all__ = ["crane", "lab", "operated", "team"]

LAYER = 1 << 20
JOB_SECONDS = 120
BLOBS = "/registry/docker/registry/v2/blobs/sha256"


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
    script = f"import os; print(os.path.exists('{BLOBS}/{name[:2]}/{name}/data'))"
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
    assert [stored(operated, layer) for _, layer in (used, unused, newest)] == [True, False, True]
    assert "deleted 1 image object(s)" in run["message"]
    assert run["freedBytes"] >= LAYER
    assert said(operated)["Failed"] == "False Complete"
    assert crane.run("digest", crane.at(f"{team.namespace}/app@{used[0]}")).strip() == used[0]
    row = operated.kubectl("get", PRUNER_KIND, "cluster", "-o", "wide")
    assert str(run["freedBytes"]) in row


def test_without_anything_to_do_a_run_does_well(operated: Operated) -> None:
    assert "deleted 0 objects" in run_job(operated, "prune-2")["message"]


def test_a_registry_that_was_removed_is_no_failure(operated: Operated) -> None:
    operated.patch(managementState="Removed")
    operated.until(lambda: operated.said().get("Progressing") == "False Removed", "removed")
    assert operated.there("cronjob/image-pruner")
    assert "there is no registry in this cluster" in run_job(operated, "prune-3")["message"]
    operated.patch(managementState="Managed")
    operated.ready()


def test_a_suspended_pruner_says_so(operated: Operated) -> None:
    operated.kubectl("patch", PRUNER_KIND, "cluster", "--type=merge", "-p", '{"spec": {"suspend": true}}')
    operated.until(lambda: said(operated)["Scheduled"] == "False Suspended", "suspended", 60)
