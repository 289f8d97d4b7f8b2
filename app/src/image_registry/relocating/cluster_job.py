"""The Job that copies the storage of a registry in a cluster, made from the Pods of that registry.

What they are is what the Job is: image, user, node selection, and how the source is reached. The source is mounted so
that it cannot be written to. Pure: nothing is asked and nothing is sent.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from image_registry.relocating.settings import chosen, variables

NAME = "image-registry-storage-copy"
"""Of the Job, and of the Secret beside it."""

OWN_CLAIM = "image-registry-storage"
"""The claim that the chart makes when none is named."""

INPUT = "registry.alauda.io/input"
"""Annotation: a digest of what the Job was made from, so that who comes back knows his own."""

INTO = "registry.alauda.io/target"
"""Annotation: a digest of what is copied where, without how: passes of the same copy have the same."""

MOUNTED, TARGET = "/etc/image-registry/copy", "/target"
PIECES = "/tmp"  # noqa: S108 - a volume of the Pod's own
SOURCES = ("storage", "storage-credentials", "storage-ca", "proxy")
"""Volumes of the registry's Pods by which they reach their storage, and the credentials of proxies."""

TOLD = ("REGISTRY_STORAGE", "REGISTRY_PROXY")
OF_READERS = "REGISTRY_STORAGE_S3_CLOUDFRONT"
"""Signs addresses for readers, with a key that the Job does not mount."""

KEPT = (
    *("nodeSelector", "tolerations", "imagePullSecrets", "securityContext", "priorityClassName", "enableServiceLinks"),
    "serviceAccountName",  # a cloud may know who reads its storage by it
)
TRIES = 6

Object = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be copied where: ``storage`` is the target as ``config.storage`` has it."""

    storage: Mapping[str, Any]
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca: str = ""
    name: str
    """What the source is called in the note of the copy."""
    confirm: bool = False
    complete: bool = False
    replace: bool = False
    check: str = "written"
    parallel: int = 8
    rate: float = 0
    """MiB in a second."""
    accept: tuple[str, ...] = ()


def secret(order: Order, namespace: str) -> Object:
    """Settings, credentials and CA of the target."""
    data = dict(order.credentials)
    if chosen(order.storage)[0] != "pvc":
        told = variables(order.storage, credentials=MOUNTED, ca=f"{MOUNTED}/ca-bundle.crt" if order.ca else "")
        data["storage.env"] = "".join(f"{name}={value}\n" for name, value in told.items())
    if order.ca:
        data["ca-bundle.crt"] = order.ca
    meta = {"name": NAME, "namespace": namespace, "labels": _labels()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": "Opaque", "stringData": data}


def claim(order: Order) -> str:
    """Name of the claim that is copied to; empty for an object store."""
    kind, given = chosen(order.storage)
    return str(given.get("claim") or OWN_CLAIM) if kind == "pvc" else ""


def job(order: Order, deployment: Mapping[str, Any], *, source_on_one_node: bool) -> Object:
    """``source_on_one_node``: the source is a claim that only the node of the registry's Pod can mount."""
    template = deployment["spec"]["template"]
    pod, registry = template["spec"], template["spec"]["containers"][0]
    mounts = [{**mount, "readOnly": True} for mount in registry["volumeMounts"] if mount["name"] in SOURCES]
    volumes = [volume for volume in pod["volumes"] if volume["name"] in SOURCES]
    mounts += [{"name": "copy", "mountPath": MOUNTED, "readOnly": True}, {"name": "tmp", "mountPath": PIECES}]
    volumes += [{"name": "copy", "secret": {"secretName": NAME, "defaultMode": 0o440}}, {"name": "tmp", "emptyDir": {}}]
    if target := claim(order):
        mounts.append({"name": "target", "mountPath": TARGET})
        volumes.append({"name": "target", "persistentVolumeClaim": {"claimName": target}})
    container = {
        "name": "copy",
        "image": registry["image"],
        "imagePullPolicy": registry.get("imagePullPolicy", "IfNotPresent"),
        "args": arguments(order),
        "env": [entry for entry in registry.get("env", []) if _told(entry["name"])],
        "volumeMounts": mounts,
        "securityContext": registry.get("securityContext", {}),
    }
    spec = {key: pod[key] for key in KEPT if key in pod}
    spec |= {"restartPolicy": "Never", "automountServiceAccountToken": False}
    spec |= {"containers": [container], "volumes": volumes}
    if source_on_one_node:
        spec["affinity"] = _beside(deployment)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": NAME,
            "namespace": deployment["metadata"]["namespace"],
            "labels": _labels(),
            "annotations": {INPUT: digest(order), INTO: into(order)},
        },
        "spec": {
            "backoffLimit": TRIES,
            "podFailurePolicy": {
                "rules": [
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                    # what was found wrong is wrong the next time too; who was killed is tried again
                    {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [1, 2]}},
                ]
            },
            "template": {"metadata": {"labels": _labels()}, "spec": spec},
        },
    }


def arguments(order: Order) -> list[str]:
    """Of ``image-registry``."""
    target = TARGET if claim(order) else f"{MOUNTED}/storage.env"
    found = ["storage", "copy", "--from", "environment", "--to", target, "--name", order.name]
    switches = {"--confirm": order.confirm, "--complete": order.complete, "--replace": order.replace}
    found += [switch for switch, wanted in switches.items() if wanted]
    found += ["--check", order.check, "--parallel", str(order.parallel), "--rate", str(order.rate)]
    for digest_ in order.accept:
        found += ["--accept", digest_]
    return [*found, "--report", "/dev/termination-log"]


def digest(order: Order) -> str:
    """Of what a pass is made from, without showing any of it."""
    said = json.dumps([arguments(order), secret(order, "")["stringData"]], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def into(order: Order) -> str:
    """Of source and target alone."""
    said = json.dumps([order.name, claim(order), secret(order, "")["stringData"]], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def report(pods: Sequence[Mapping[str, Any]]) -> Object | None:
    """What the newest Pod of the Job that ended has said; ``None`` if none has said anything."""
    told: list[tuple[str, Object]] = []
    for pod in pods:
        for status in (pod.get("status") or {}).get("containerStatuses") or []:
            ended = (status.get("state") or {}).get("terminated") or {}
            try:
                found = json.loads(ended.get("message") or "")
            except ValueError:
                continue
            if isinstance(found, dict):
                told.append((str(ended.get("finishedAt") or ""), found))
    return max(told, key=lambda each: each[0])[1] if told else None


def _told(name: str) -> bool:
    return name.startswith(TOLD) and not name.startswith(OF_READERS)


def _labels() -> dict[str, str]:
    return {"app.kubernetes.io/name": NAME, "app.kubernetes.io/part-of": "image-registry"}


def _beside(deployment: Mapping[str, Any]) -> Object:
    """On the node of the registry's Pod."""
    term = {"labelSelector": deployment["spec"]["selector"], "topologyKey": "kubernetes.io/hostname"}
    return {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
