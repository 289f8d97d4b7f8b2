# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of an installation is not ready, and why: a Pod's own reason instead of "timed out waiting for the condition".

Private to this collection. Reading (:func:`look`) and judging (:func:`problems`) are apart, so that judging is a pure
function of what was read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.alauda.registry.plugins.module_utils._cluster import Cluster, ClusterError
from ansible_collections.alauda.registry.plugins.module_utils._findings import Finding
from ansible_collections.alauda.registry.plugins.module_utils._objects import PATH_OF_APISERVICE, collection

WORKLOADS = {"Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets"}

CURES = {
    "ErrImagePull": "check that the node reaches the image's registry, that name and tag exist, and the pull Secret "
    "(registry_image, registry_operator_image, registry_postgresql_image, global.imageRegistry, "
    "global.imagePullSecrets)",
    "ErrImageNeverPull": "load the image on every node, or let it be pulled (image.pullPolicy: IfNotPresent)",
    "InvalidImageName": "correct registry_image or registry_postgresql_image",
    "CreateContainerConfigError": "make the Secret or ConfigMap that it names, or take the reference out of the values",
    "CreateContainerError": "look at the container runtime of the node",
    "RunContainerError": "look at the container runtime of the node",
    "CrashLoopBackOff": "the last lines of its log say why it ends",
    "OOMKilled": "give it more memory (config.resources, apiServer.resources or "
    "config.metadata.postgresql.managed.resources)",
    "Unschedulable": "add a node that fits, or change requests, node selector, tolerations or affinity in the values",
    "FailedMount": "check that the volume, Secret or ConfigMap exists and that the storage answers from that node",
    "FailedAttachVolume": "the volume is held by another node: wait for its Pod to end, or check the storage driver",
    "FailedCreate": "an admission rule refuses the Pod: Pod Security labels of the namespace, a quota, or a webhook",
    "ProvisioningFailed": "check the StorageClass and its provisioner, or name another class "
    "(config.storage.pvc.storageClassName, config.metadata.postgresql.managed.storageClassName)",
    "Unhealthy": "its log says what it waits for: usually the database or the storage",
}
ALIASES = {"ImagePullBackOff": "ErrImagePull", "FailedScheduling": "Unschedulable"}

HOPELESS = {"InvalidImageName", "ErrImageNeverPull", "FailedCreate", "ErrImagePull", "CreateContainerConfigError"}
"""Reasons that waiting does not cure: a person must change something."""


STARTING = 5
"""Startup probes that may fail before it is worth a word: a container that begins does not listen yet."""


@dataclass
class View:
    """What was read in one look."""

    workloads: list[dict[str, Any]] = field(default_factory=list)
    pods: list[dict[str, Any]] = field(default_factory=list)
    claims: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    logs: dict[str, str] = field(default_factory=dict)
    api_service: dict[str, Any] | None = None


def look(cluster: Cluster, namespace: str, release: str, *, logs: bool = True) -> View:
    """Read workloads, Pods, claims, events and the APIService of a release."""
    selector = {"labelSelector": f"app.kubernetes.io/instance={release}"}
    view = View()
    for kind, resource in WORKLOADS.items():
        for item in cluster.items(collection("apps/v1", resource, namespace), **selector):
            view.workloads.append({**item, "kind": kind})
    view.pods = cluster.items(collection("v1", "pods", namespace), **selector)
    view.claims = cluster.items(collection("v1", "persistentvolumeclaims", namespace))
    view.events = cluster.items(collection("v1", "events", namespace), fieldSelector="type!=Normal")
    view.api_service = cluster.find(PATH_OF_APISERVICE)
    if logs:
        for pod in view.pods:
            for status in _statuses(pod):
                if status.get("restartCount") and not status.get("ready") and len(view.logs) < 6:
                    name = pod["metadata"]["name"]
                    view.logs[f"{name}/{status['name']}"] = _log(cluster, namespace, name, status["name"])
    return view


def workload(view: View, kind: str, name: str) -> dict[str, Any] | None:
    """Desired and ready Pods of one workload."""
    for item in view.workloads:
        if item["kind"] == kind and item["metadata"]["name"] == name:
            return counted(item)
    return None


def counted(item: dict[str, Any]) -> dict[str, Any]:
    """Kind, name, and how many Pods are wanted, current and ready."""
    status, spec = item.get("status") or {}, item.get("spec") or {}
    if item["kind"] == "DaemonSet":
        desired = status.get("desiredNumberScheduled", 0)
        updated, ready = status.get("updatedNumberScheduled", 0), status.get("numberReady", 0)
    else:
        desired = 1 if spec.get("replicas") is None else spec["replicas"]
        updated, ready = status.get("updatedReplicas", 0), status.get("readyReplicas", 0)
    seen = status.get("observedGeneration", 0) >= item["metadata"].get("generation", 0)
    return {
        "kind": item["kind"],
        "name": item["metadata"]["name"],
        "desired": desired,
        "updated": updated,
        "ready": ready,
        "is_ready": bool(seen and updated >= desired and ready >= desired),
    }


def problems(view: View) -> list[Finding]:
    """Everything that is not ready, most telling first; empty if all is well."""
    found = [
        *_claims(view),
        *(problem for pod in view.pods if not _renews(pod) for problem in _pod(view, pod)),
        *_refusals(view),
        *_workloads(view),
        *_api_service(view),
        *_renewal(view),
    ]
    return list(dict.fromkeys(found))


def hopeless(found: list[Finding]) -> list[Finding]:
    """Those for which waiting is in vain."""
    return [finding for finding in found if ALIASES.get(finding.need, finding.need) in HOPELESS]


def unavailable(service: dict[str, Any] | None) -> str:
    """Why the API server does not use the APIService; empty if it does."""
    if service is None:
        return "it does not exist"
    for condition in (service.get("status") or {}).get("conditions") or []:
        if condition.get("type") == "Available":
            return "" if condition.get("status") == "True" else f"{condition.get('reason')}: {condition.get('message')}"
    return "the API server has not looked at it yet"


def _claims(view: View) -> Iterator[Finding]:
    used = {
        volume["persistentVolumeClaim"]["claimName"]
        for pod in view.pods
        for volume in (pod.get("spec") or {}).get("volumes") or []
        if volume.get("persistentVolumeClaim")
    }
    for claim in view.claims:
        name = claim["metadata"]["name"]
        if name not in used or (claim.get("status") or {}).get("phase") == "Bound":
            continue
        event = _newest(view, "PersistentVolumeClaim", name)
        if event:
            yield _finding(event["reason"], f"claim {name} is not bound: {event['message']}", "ProvisioningFailed")
        elif not (claim.get("spec") or {}).get("storageClassName"):
            yield Finding(
                "ProvisioningFailed",
                f"claim {name} is not bound: it names no StorageClass and the cluster has no default one",
                "make a StorageClass the default, or name one (config.storage.pvc.storageClassName, "
                "config.metadata.postgresql.managed.storageClassName)",
            )


def _pod(view: View, pod: dict[str, Any]) -> Iterator[Finding]:
    name = pod["metadata"]["name"]
    status = pod.get("status") or {}
    if status.get("phase") == "Succeeded" or pod["metadata"].get("deletionTimestamp"):
        return
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            yield _finding(condition.get("reason") or "Unschedulable", f"Pod {name}: {condition.get('message')}")
            return
    waiting = [each for each in _statuses(pod) if not _well(each)]
    said = False
    for each in waiting:
        reason, message = _reason(each)
        log = view.logs.get(f"{name}/{each['name']}", "")
        if reason in ("ContainerCreating", "PodInitializing", ""):
            continue
        said = True
        tail = f"; its log ends: {log}" if log else ""
        yield _finding(reason, f"Pod {name}, container {each['name']}: {reason}{message}{tail}")
    if not said and (waiting or status.get("phase") == "Pending"):
        event = _newest(view, "Pod", name)
        if event and not _only_starts(event):
            yield _finding(event["reason"], f"Pod {name}: {event['reason']}: {event['message']}")


def _reason(status: dict[str, Any]) -> tuple[str, str]:
    """(reason, what follows it) of a container that is not well."""
    state = status.get("state") or {}
    last = ((status.get("lastState") or {}).get("terminated")) or {}
    if "waiting" in state:
        reason = str(state["waiting"].get("reason", ""))
        if reason == "CrashLoopBackOff" and last.get("reason") == "OOMKilled":
            return "OOMKilled", ", it needs more memory than its limit"
        if reason == "CrashLoopBackOff":
            return reason, f", it ended with status {last.get('exitCode')}"
        message = str(state["waiting"].get("message") or "")
        return reason, f": {message}" if message else ""
    if "terminated" in state:
        ended = state["terminated"]
        if ended.get("reason") == "OOMKilled":
            return "OOMKilled", ", it needs more memory than its limit"
        return "CrashLoopBackOff", f", it ended with status {ended.get('exitCode')} ({ended.get('reason')})"
    return "", ""


def _refusals(view: View) -> Iterator[Finding]:
    """Pods that could not even be made say so in an event of what wanted to make them."""
    for event in view.events:
        if event.get("reason") == "FailedCreate":
            involved = event.get("involvedObject") or {}
            alive = any(_same(involved, item) for item in view.workloads) or involved.get("kind") in (
                "ReplicaSet",
                "Job",
            )
            if alive and not _since_ready(view, involved):
                yield _finding("FailedCreate", f"{involved.get('kind')} {involved.get('name')}: {event.get('message')}")


def _since_ready(view: View, involved: dict[str, Any]) -> bool:
    """Whether the workload behind an old event is complete by now."""
    for item in view.workloads:
        owner = item["metadata"]["name"]
        if involved.get("name") == owner or str(involved.get("name", "")).startswith(f"{owner}-"):
            return bool(counted(item)["is_ready"])
    return False


def _workloads(view: View) -> Iterator[Finding]:
    for item in view.workloads:
        count = counted(item)
        if not count["is_ready"]:
            yield Finding(
                "NotReady",
                f"{count['kind']} {count['name']} has {count['ready']} of {count['desired']} Pods ready",
                "see the reasons above, or wait" if view.pods else "look at its events: kubectl describe",
            )


def _api_service(view: View) -> Iterator[Finding]:
    if view.api_service is None:
        return
    why = unavailable(view.api_service)
    if why:
        yield Finding(
            "APIServiceUnavailable",
            f"APIService v1.image.alauda.io is not available: {why}",
            "the Pods of Deployment image-api-server must be ready and reachable from the API server "
            "on port 8443; until "
            "then no namespace of the cluster can be deleted",
        )


def _renews(pod: dict[str, Any]) -> bool:
    """Whether this is a run of the CronJob that renews certificates: past ones stay, and serve nobody."""
    return (pod["metadata"].get("labels") or {}).get("app.kubernetes.io/component") == "certificates"


def _renewal(view: View) -> Iterator[Finding]:
    newest = max(
        filter(_renews, view.pods), key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")), default=None
    )
    if newest and (newest.get("status") or {}).get("phase") == "Failed":
        yield Finding(
            "RenewalFailed",
            f"the last renewal of certificates failed (Pod {newest['metadata']['name']})",
            "read its log; there are months before the first certificate ends",
            "warning",
        )


def _finding(reason: str, found: str, fallback: str = "") -> Finding:
    known = ALIASES.get(reason, reason)
    return Finding(reason, found, CURES.get(known) or CURES.get(fallback, ""))


def _statuses(pod: dict[str, Any]) -> list[dict[str, Any]]:
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def _well(status: dict[str, Any]) -> bool:
    ended = (status.get("state") or {}).get("terminated") or {}
    return bool(status.get("ready") or ended.get("exitCode") == 0)


def _same(involved: dict[str, Any], item: dict[str, Any]) -> bool:
    return bool(involved.get("kind") == item["kind"] and involved.get("name") == item["metadata"]["name"])


def _newest(view: View, kind: str, name: str) -> dict[str, Any] | None:
    mine = [
        event
        for event in view.events
        if (event.get("involvedObject") or {}).get("kind") == kind and event["involvedObject"].get("name") == name
    ]
    return max(mine, key=_when, default=None)


def _only_starts(event: dict[str, Any]) -> bool:
    """Whether this is the first few failures of a startup probe."""
    times = (event.get("series") or {}).get("count") or event.get("count") or 1
    return str(event.get("message", "")).startswith("Startup probe failed") and times < STARTING


def _when(event: dict[str, Any]) -> str:
    series = (event.get("series") or {}).get("lastObservedTime")
    return str(series or event.get("lastTimestamp") or event.get("eventTime") or "")


def _log(cluster: Cluster, namespace: str, pod: str, container: str) -> str:
    path = f"{collection('v1', 'pods', namespace)}/{pod}/log"
    for previous in ("false", "true"):
        try:
            text = cluster.text("get", path, query={"container": container, "tailLines": "4", "previous": previous})
        except ClusterError:
            continue
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if lines:
            return " | ".join(lines)[-600:]
    return ""
