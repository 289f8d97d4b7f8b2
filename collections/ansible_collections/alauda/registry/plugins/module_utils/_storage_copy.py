# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A pass of a copy of the storage: a Job beside the registry, begun or found at work, and followed to its end.

Private to this collection. What the Job is and does is said by the Python package; here is when it is made anew.
"""

from __future__ import annotations

import base64
import time
import traceback
from collections.abc import Callable
from typing import Any

from ansible_collections.alauda.registry.plugins.module_utils import _object_plan, _objects, _storage
from ansible_collections.alauda.registry.plugins.module_utils._cluster import Cluster, ClusterError

IMPORT_ERROR: str | None = None
try:
    from image_registry.relocating import cluster_job
    from image_registry.relocating.cluster_job import NAME, Order
    from image_registry.relocating.places import bucket
    from image_registry.relocating.settings import chosen
except ImportError:
    IMPORT_ERROR = traceback.format_exc()

Document = dict[str, Any]
KEEP = "helm.sh/resource-policy"
READ_ONLY = "readOnly"
"""Of the ConfigMap beside the Job: whether the registry was read-only before the role made it so."""

PAUSE = 2.0
"""Seconds between two looks at the Job."""

GOING = 120.0
"""Seconds that an old Job may take to go."""


class CopyError(Exception):
    """What keeps the images from being copied, and what to do about it."""


def deployment(cluster: Cluster, namespace: str) -> Document:
    """The registry's own; the Job is made from it."""
    found = cluster.find(f"{_objects.collection('apps/v1', 'deployments', namespace)}/image-registry")
    if found is None:
        raise CopyError(
            f"there is no Deployment image-registry in namespace {namespace}: let the registry run (managementState: "
            "Managed) before its storage is copied"
        )
    return found


def called(source: Document, namespace: str) -> str:
    """What the source is called in the note of the copy, as ``_storage.facts`` has found it."""
    if source["kind"] == "claim":
        return f"claim {namespace}/{source['name']}"
    return str(bucket(source["kind"], source["settings"]))


def at_work(cluster: Cluster, namespace: str, order: Order) -> str:
    """The Job that is at work: ``same`` pass, ``other`` pass of the same copy, or empty. A stranger's is an error."""
    there = cluster.find(f"{_objects.collection('batch/v1', 'jobs', namespace)}/{NAME}")
    if there is None or ended(there) is not None:
        return ""
    notes = there["metadata"].get("annotations") or {}
    if notes.get(cluster_job.INPUT) == cluster_job.digest(order):
        return "same"
    if notes.get(cluster_job.INTO) == cluster_job.into(order):
        return "other"
    raise CopyError(
        f"another copy is at work, to another place or with other credentials: wait for the end of Job "
        f"{namespace}/{NAME}, or delete it. What it has copied stays"
    )


def begin(cluster: Cluster, namespace: str, release: str, order: Order) -> None:
    """Let a new pass be at work, unless one of the same copy is."""
    if at_work(cluster, namespace, order):
        return
    registry = deployment(cluster, namespace)
    source = _storage.facts(cluster, namespace, release)
    path = f"{_objects.collection('batch/v1', 'jobs', namespace)}/{NAME}"
    if cluster.find(path) is not None:
        cluster.delete(path, "Foreground")
        if not cluster.wait_for_absence(path, GOING):
            raise CopyError(f"Job {namespace}/{NAME} of the last pass does not go: look why, then run again")
    _give(cluster, cluster_job.secret(order, namespace))
    _claim(cluster, namespace, release, order)
    _keep(cluster, namespace, source)
    alone = source["kind"] == "claim" and "ReadWriteMany" not in (source["claim"].get("access_modes") or [])
    cluster.create(path.rpartition("/")[0], cluster_job.job(order, registry, source_on_one_node=alone))


def follow(cluster: Cluster, namespace: str, seconds: float, say: Callable[[str], None]) -> Document:
    """The report of the pass when it has ended."""
    return _told(*_end(cluster, namespace, seconds, say), namespace)


def outlast(cluster: Cluster, namespace: str, order: Order, seconds: float, say: Callable[[str], None]) -> None:
    """Wait for the end of another pass of this copy, if one is at work, however it ends."""
    if at_work(cluster, namespace, order) == "other":
        _end(cluster, namespace, seconds, say)


def _end(cluster: Cluster, namespace: str, seconds: float, say: Callable[[str], None]) -> tuple[str, Document | None]:
    path = f"{_objects.collection('batch/v1', 'jobs', namespace)}/{NAME}"
    deadline = time.monotonic() + seconds
    said = ""
    while True:
        job = cluster.find(path)
        if job is None:
            raise CopyError(f"Job {namespace}/{NAME} was deleted on its way: run again, what was copied stays")
        pods = _pods(cluster, namespace)
        how = ended(job)
        if how is not None:
            return how, cluster_job.report(pods)
        if (now := _waits(pods) or _last_word(cluster, namespace, pods)) and now != said:
            said = now
            say(now)
        if time.monotonic() > deadline:
            raise CopyError(
                f"the copy has not ended after {seconds:.0f} s; Job {namespace}/{NAME} goes on, and the same task "
                f"follows it again{f'. It said last: {said}' if said else ''}"
            )
        time.sleep(PAUSE)


def clear(cluster: Cluster, namespace: str, *, check: bool) -> bool:
    """Take the Job, its Secret and the note away; the copy stays. True if there was something."""
    paths = [
        f"{_objects.collection('batch/v1', 'jobs', namespace)}/{NAME}",
        f"{_objects.collection('v1', 'secrets', namespace)}/{NAME}",
        _note(namespace),
    ]
    there = [path for path in paths if cluster.find(path) is not None]
    if not check:
        for path in there:
            cluster.delete(path)
    return bool(there)


def read_only_before(cluster: Cluster, namespace: str) -> bool | None:
    """Whether the registry was read-only when it was made so for the copy; None if it was not made so."""
    said = ((cluster.find(_note(namespace)) or {}).get("data") or {}).get(READ_ONLY)
    return None if said is None else said == "true"


def _note(namespace: str) -> str:
    return f"{_objects.collection('v1', 'configmaps', namespace)}/{NAME}"


def ended(job: Document) -> str | None:
    """``Complete``, why it failed, or None."""
    for condition in (job.get("status") or {}).get("conditions") or []:
        if condition.get("status") == "True" and condition.get("type") in ("Complete", "Failed"):
            return "Complete" if condition["type"] == "Complete" else str(condition.get("reason") or "Failed")
    return None


def _told(how: str, report: Document | None, namespace: str) -> Document:
    if report is None:
        raise CopyError(
            f"the copy ended ({how}) and has said nothing: kubectl -n {namespace} logs job/{NAME} may tell more. "
            "Run again, what was copied stays"
        )
    if report.get("state") == "failed":
        raise CopyError(f"the copy failed: {report.get('why')}. Run again when that is cured, what was copied stays")
    return report


def _give(cluster: Cluster, secret: Document) -> None:
    data = {key: base64.b64encode(text.encode()).decode() for key, text in secret.pop("stringData").items()}
    path = _objects.path(secret, secret["metadata"]["namespace"])
    _object_plan.settle(cluster, path, lambda _current: {**secret, "data": data}, check=False)


def _claim(cluster: Cluster, namespace: str, release: str, order: Order) -> None:
    """Make the claim that is copied to, in such a way that the release takes it over."""
    name = cluster_job.claim(order)
    path = f"{_objects.collection('v1', 'persistentvolumeclaims', namespace)}/{name}"
    if not name or cluster.find(path) is not None:
        return
    given = chosen(order.storage)[1]
    if given.get("claim"):
        raise CopyError(f"there is no claim {namespace}/{name} to copy to: make it, or correct its name")
    if not given.get("size"):
        raise CopyError("how large shall the new claim be? Name storage.pvc.size")
    spec: Document = {
        "accessModes": [given.get("accessMode") or "ReadWriteOnce"],
        "resources": {"requests": {"storage": given["size"]}},
    }
    if given.get("storageClassName"):
        spec["storageClassName"] = given["storageClassName"]
    notes = {_objects.RELEASE_NAME: release, _objects.RELEASE_NAMESPACE: namespace, KEEP: "keep"}
    labels = {"app.kubernetes.io/managed-by": "Helm"}
    metadata = {"name": name, "namespace": namespace, "annotations": notes, "labels": labels}
    body = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}
    cluster.create(path.rpartition("/")[0], body)


def _keep(cluster: Cluster, namespace: str, source: Document) -> None:
    """The claim that is copied from outlives the release's interest in it: it is the way back."""
    if source["kind"] != "claim" or source["claim"].get("phase") == "missing":
        return
    path = f"{_objects.collection('v1', 'persistentvolumeclaims', namespace)}/{source['name']}"
    notes = ((cluster.find(path) or {}).get("metadata") or {}).get("annotations") or {}
    if notes.get(KEEP) != "keep":
        cluster.merge(path, {"metadata": {"annotations": {KEEP: "keep"}}})


def _pods(cluster: Cluster, namespace: str) -> list[Document]:
    return cluster.items(
        _objects.collection("v1", "pods", namespace), labelSelector=f"batch.kubernetes.io/job-name={NAME}"
    )


def _last_word(cluster: Cluster, namespace: str, pods: list[Document]) -> str:
    """How far a running pass has come, as it says itself; empty if that cannot be read."""
    for pod in pods:
        if (pod.get("status") or {}).get("phase") == "Running":
            path = f"{_objects.collection('v1', 'pods', namespace)}/{pod['metadata']['name']}/log"
            try:
                return cluster.text("get", path, query={"tailLines": "1"}).strip()[:200]
            except ClusterError:
                return ""  # the copy goes on, seen or not
    return ""


def _waits(pods: list[Document]) -> str:
    """Why the Pod does not run, if it does not."""
    for pod in pods:
        status = pod.get("status") or {}
        for container in status.get("containerStatuses") or []:
            waiting = (container.get("state") or {}).get("waiting") or {}
            if waiting.get("message"):
                return f"{waiting.get('reason')}: {waiting['message']}"
        for condition in status.get("conditions") or []:
            if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
                return str(condition.get("message") or condition.get("reason") or "")
    return ""
