"""What a cluster needs beyond Kubernetes itself: names, volumes, a way in. Applied when something of it changed."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable
from typing import Any

from image_registry_lab import manifests
from image_registry_lab.api import Api
from image_registry_lab.places import Places
from image_registry_lab.process import clean_environment, run
from image_registry_lab.report import LabError

DEPLOYMENTS = {
    "kube-system": "coredns",
    "local-path-storage": "local-path-provisioner",
    manifests.INGRESS_NAMESPACE: "traefik",
}
"""One in each namespace."""

READY_SECONDS = 120.0


def apply(places: Places, api: Api, say: Callable[[str], None]) -> bool:
    """Apply everything unless it is there as it was applied last; true if it was applied."""
    texts = manifests.texts(places.manifests)
    wanted = hashlib.sha256("\0".join(texts).encode()).hexdigest()
    stamp = places.state / "addons.applied"
    if stamp.exists() and stamp.read_text(encoding="ascii") == wanted and not _missing(api):
        return False
    command = [places.program("kubectl"), "--kubeconfig", str(places.kubeconfig)]
    command += ["--cache-dir", str(places.state / "kubectl"), "apply", "--server-side", "--force-conflicts"]
    run([*command, "--field-manager", "lab", "-f", "-"], text="\n---\n".join(texts), environment=clean_environment())
    stamp.write_text(wanted, encoding="ascii")
    say("applied cluster DNS, default StorageClass and Ingress controller")
    return True


def await_ready(api: Api, started: dict[str, str], check: Callable[[], None]) -> None:
    """Wait until each of them answers from a container that was started after its node was.

    A Deployment still says Available from before when its node was cut off and started again.
    """
    deadline = time.monotonic() + READY_SECONDS
    while True:
        waiting = [
            f"{namespace}/{name}"
            for namespace, name in DEPLOYMENTS.items()
            if not any(fresh(pod, started) for pod in _pods(api, namespace, name))
        ]
        if not waiting:
            return
        check()
        if time.monotonic() > deadline:
            raise LabError(
                f"{', '.join(waiting)} not ready after {READY_SECONDS:.0f} s:\n"
                + "\n".join(f"    {line}" for line in _reasons(api, waiting))
                + "\nsee `lab/lab kubectl get events -A`"
            )
        time.sleep(0.2)


def fresh(pod: dict[str, Any], started: dict[str, str]) -> bool:
    """Whether the Pod is Ready, with containers younger than the start of the node they run on."""
    status = pod.get("status") or {}
    since = started.get((pod.get("spec") or {}).get("nodeName") or "")
    conditions = {condition["type"]: condition["status"] for condition in status.get("conditions") or []}
    begun = [
        ((container.get("state") or {}).get("running") or {}).get("startedAt", "")
        for container in status.get("containerStatuses") or []
    ]
    return (
        since is not None
        and conditions.get("Ready") == "True"
        and "deletionTimestamp" not in (pod.get("metadata") or {})
        and bool(begun)
        and all(moment >= since for moment in begun)
    )


def _pods(api: Api, namespace: str, name: str) -> Iterable[dict[str, Any]]:
    pods = api.items(f"/api/v1/namespaces/{namespace}/pods")
    return [pod for pod in pods if pod["metadata"]["name"].startswith(f"{name}-")]


def _missing(api: Api) -> bool:
    return any(
        api.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}") is None
        for namespace, name in DEPLOYMENTS.items()
    )


def _reasons(api: Api, waiting: list[str]) -> list[str]:
    """What the Pods and their events say."""
    lines: list[str] = []
    for entry in waiting:
        namespace, name = entry.split("/")
        lines += [
            f"{entry}: {pod['metadata']['name']} is {(pod.get('status') or {}).get('phase')}"
            for pod in _pods(api, namespace, name)
        ]
        lines += [
            f"{entry}: {event.get('reason')}: {str(event.get('message'))[:300]}"
            for event in api.items(f"/api/v1/namespaces/{namespace}/events")
            if event.get("type") == "Warning"
        ]
    return lines[:20]
