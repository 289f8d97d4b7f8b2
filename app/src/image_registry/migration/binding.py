"""The same volume for a claim of this registry, by a second volume object; the first and its claim stay as they are.

A volume object belongs to one claim, so a static one with the same place is made, with its claim named in it and
``Retain`` as its policy: deleting it never deletes bytes. Whether both may be mounted at a time is the plan's concern;
where it says that they may not, nothing is bound while a Pod has the old claim. Nobody writes through both: pushes to
the old registry have ended by then, and this one is read-only until the cutover is done.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from image_registry.kube.client import object_path
from image_registry.kube.listing import items
from image_registry.migration.actions import Context, Outcome, Saved, StepFailed
from image_registry.migration.cluster_objects import ClusterObjects, Document
from image_registry.migration.facts import ObjectName
from image_registry.migration.object_actions import object_of
from image_registry.migration.plan import Step
from image_registry.migration.reading import at, objects
from image_registry.migration.secret_actions import make_namespace
from image_registry.migration.spelling import Said
from image_registry.migration.volume_sharing import BY_ATTRIBUTES, SOURCES

VOLUME = "image-registry-migrated"
"""Of the static volume; there is one registry in a cluster."""

BOUND_SECONDS = 120.0
_KEPT = ("accessModes", "capacity", "mountOptions", "nodeAffinity", "volumeMode")


class Bind:
    """Volume first, then the claim that names it."""

    def foresee(self, step: Step, context: Context) -> str:
        self.before(step, context)
        current = ClusterObjects(context.client).find(object_of(step))
        if current is not None and current["spec"].get("volumeName") == VOLUME:
            return ""
        place = step.parameters.get("volume") or step.parameters.get("path")
        return f"makes PersistentVolume {VOLUME} for what {place} is, and {step.object}"

    def before(self, step: Step, context: Context) -> Saved:
        if why := claim_in_the_way(step, context):
            raise StepFailed(why)
        return {"made": VOLUME}

    def do(self, step: Step, saved: Saved, context: Context) -> Outcome:  # noqa: ARG002
        found, claim = ClusterObjects(context.client), object_of(step)
        volume = ObjectName("PersistentVolume", VOLUME)
        _see_that_nobody_has_it(step, context)
        wanted = self._volume(step, found, claim)
        current = found.find(volume)
        if current is not None and not _same_place(current, wanted):
            raise StepFailed(f"{volume} is there and is of another place: remove it")
        if current is None:
            found.create(volume, wanted)
        elif (current.get("status") or {}).get("phase") == "Released":
            # a claim that a rollback removed has left its mark; a name without an identity is a free place
            found.change(volume, lambda stands: {**stands, "spec": {**stands["spec"], "claimRef": _reference(claim)}})
        make_namespace(context, claim.namespace)
        if found.find(claim) is None:
            found.create(claim, _claim(step, wanted))
        self._wait(found, claim, context)
        return Outcome(f"{claim} has the bytes of {step.parameters.get('volume') or step.parameters.get('path')}")

    def undo(self, step: Step, saved: Saved, context: Context) -> Outcome:  # noqa: ARG002
        found, claim, volume = ClusterObjects(context.client), object_of(step), ObjectName("PersistentVolume", VOLUME)
        current = found.find(claim)
        if current is not None and current["spec"].get("volumeName") == VOLUME:
            self._remove(found, claim, context)
        stands = found.find(volume)
        if stands is not None:
            if stands["spec"].get("persistentVolumeReclaimPolicy") != "Retain":
                raise StepFailed(
                    f"{volume} is not on Retain any more, so it is not deleted: set it, and roll back again"
                )
            self._remove(found, volume, context)
        return Outcome(f"{claim} and its static volume are removed; no byte is")

    def _volume(self, step: Step, found: ClusterObjects, claim: ObjectName) -> Document:
        parameters = step.parameters
        if parameters.get("volume"):
            old = ObjectName("PersistentVolume", str(parameters["volume"]))
            document = found.find(old)
            if document is None:
                raise StepFailed(f"{old} is not there any more: discover and plan anew")
            if document["spec"].get("persistentVolumeReclaimPolicy") != "Retain":
                raise StepFailed(f"{old} is not on Retain, so its bytes would go with its claim: something set it back")
            spec = {key: document["spec"][key] for key in _KEPT if key in document["spec"]}
            kind = next((kind for kind in SOURCES if kind in document["spec"]), "")
            if not kind:
                raise StepFailed(f"{old} is of a kind that cannot be bound a second time: plan a copy")
            spec[kind] = _source(kind, document["spec"][kind])
        else:
            spec = _of_a_node(parameters)
        spec |= {
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "",
            "claimRef": _reference(claim),
        }
        labels = {"app.kubernetes.io/part-of": "image-registry"}
        return {"metadata": {"name": VOLUME, "labels": labels}, "spec": spec}

    def _wait(self, found: ClusterObjects, claim: ObjectName, context: Context) -> None:
        deadline = context.clock() + BOUND_SECONDS
        while True:
            current = found.find(claim) or {}
            if (current.get("status") or {}).get("phase") == "Bound":
                return
            if context.clock() > deadline:
                raise StepFailed(
                    f"{claim} is not bound: `kubectl describe pvc -n {claim.namespace} {claim.name}` says why"
                )
            context.sleep(1)

    def _remove(self, found: ClusterObjects, name: ObjectName, context: Context) -> None:
        found.remove(name)
        deadline = context.clock() + BOUND_SECONDS
        while found.find(name) is not None:
            if context.clock() > deadline:
                raise StepFailed(f"{name} is deleted and still used: look which Pod mounts it, and roll back again")
            context.sleep(1)


def claim_in_the_way(step: Step, context: Context) -> str:
    """Why the claim cannot be made: another one has its name, as when somebody installed this registry since the plan.

    Empty for nothing. Raises KubeError.
    """
    name = object_of(step)
    current = ClusterObjects(context.client).find(name)
    if current is None or current["spec"].get("volumeName") == VOLUME:
        return ""
    return f"{name} is there already, for another volume: remove it, if nothing is in it, or plan a copy"


def _see_that_nobody_has_it(step: Step, context: Context) -> None:
    old, namespace = step.parameters.get("alone"), context.plan.source_namespace
    if not old:
        return
    for pod in items(context.client, object_path("v1", "pods", namespace=namespace), limit=200):
        claims = (at(volume, "persistentVolumeClaim", "claimName") for volume in objects(at(pod, "spec", "volumes")))
        if at(pod, "status", "phase") not in ("Succeeded", "Failed") and old in claims:
            raise StepFailed(
                f"Pod {namespace}/{pod['metadata']['name']} has the volume of claim {old}, which only one may have: "
                "stop it (kubectl scale --replicas=0, and see that the platform leaves it so); pulls pause from "
                f"then to the end of the cutover. Or roll back, and plan a copy ({context.spelling(Said.WAY, 'copy')})"
            )


def _claim(step: Step, volume: Mapping[str, Any]) -> Document:
    spec = volume["spec"]
    return {
        "metadata": {"name": object_of(step).name, "labels": volume["metadata"]["labels"]},
        "spec": {
            "accessModes": list(spec["accessModes"]),
            "resources": {"requests": {"storage": spec["capacity"]["storage"]}},
            "storageClassName": "",
            "volumeName": VOLUME,
        },
    }


def _reference(claim: ObjectName) -> dict[str, str]:
    return {"apiVersion": "v1", "kind": claim.kind, "name": claim.name, "namespace": claim.namespace}


def _source(kind: str, source: Mapping[str, Any]) -> dict[str, Any]:
    if kind == "csi" and source.get("driver") in BY_ATTRIBUTES:
        return {**source, "volumeHandle": f"{source['volumeHandle']}#{VOLUME}"}
    return dict(source)


def _of_a_node(parameters: Mapping[str, Any]) -> dict[str, Any]:
    nodes, path = [str(node) for node in parameters.get("nodes") or ()], str(parameters["path"])
    if not nodes:
        raise StepFailed(
            f"the node of the folder {path} is not known: plan anew while the legacy registry runs, or copy"
        )
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": nodes}
    return {
        "accessModes": [str(mode) for mode in parameters.get("accessModes") or ()] or ["ReadWriteOnce"],
        "capacity": {"storage": str(parameters.get("size") or "1Gi") or "1Gi"},
        "local": {"path": path},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}},
    }


def _same_place(current: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(
        current["spec"].get(kind) == wanted["spec"].get(kind)
        for kind in ("csi", "nfs", "local", "hostPath")
        if kind in wanted["spec"]
    )
