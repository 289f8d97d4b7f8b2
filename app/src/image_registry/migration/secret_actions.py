"""A Secret in another place. Its values go from the API server to the API server, and nowhere else."""

from __future__ import annotations

from typing import Any

from image_registry.kube.client import object_path
from image_registry.kube.errors import KubeError
from image_registry.migration.actions import Context, Outcome, Saved, StepFailed
from image_registry.migration.cluster_objects import ClusterObjects, restorable
from image_registry.migration.facts import ObjectName
from image_registry.migration.object_actions import ABSENT, object_of
from image_registry.migration.plan import Step

COPIED_BY = "imageregistry.alauda.io/copied-from"
"""Annotation of a Secret that was made here: no other is written over, and no other removed."""


class CopySecret:
    """``keys`` name the new keys by the old ones; a key that is not there goes over under its own name."""

    def foresee(self, step: Step, context: Context) -> str:
        there = ClusterObjects(context.client).find(object_of(step)) is not None
        return "" if there else f"makes {step.object} from {step.parameters['from']}"

    def before(self, step: Step, context: Context) -> Saved:
        current = ClusterObjects(context.client).find(object_of(step))
        return ABSENT if current is None or _source(current) == step.parameters["from"] else {"kept": True}

    def do(self, step: Step, saved: Saved, context: Context) -> Outcome:
        name = object_of(step)
        if "kept" in saved:
            return Outcome(f"{name} was there before and is left as it is", skipped=True)
        parameters = step.parameters
        old = ObjectName("Secret", str(parameters["fromName"]), str(parameters["fromNamespace"]))
        found = ClusterObjects(context.client)
        document = found.find(old)
        if document is None:
            raise StepFailed(f"{old} is not there: without it this registry cannot start, so make it again")
        keys = dict(parameters["keys"])
        new_names = _renamed(keys)
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name.name, "annotations": {COPIED_BY: str(parameters["from"])}},
            "type": "Opaque" if keys else document.get("type", "Opaque"),
            "data": {new_names.get(key, key): value for key, value in (document.get("data") or {}).items()},
        }
        missing = sorted(set(keys.values()) - set(body["data"]))
        if keys and missing:
            raise StepFailed(f"{old} does not have what becomes {', '.join(missing)}: look at its keys")
        make_namespace(context, name.namespace)
        current = found.find(name)
        made = found.apply(name, body)
        return Outcome(f"{name} is made", skipped=current is not None and restorable(made) == restorable(current))

    def undo(self, step: Step, saved: Saved, context: Context) -> Outcome:
        name, found = object_of(step), ClusterObjects(context.client)
        current = found.find(name)
        if current is None or "kept" in saved or _source(current) != step.parameters["from"]:
            return Outcome(f"{name} is none that was made here", skipped=True)
        found.remove(name)
        return Outcome(f"{name} is removed")


def make_namespace(context: Context, name: str) -> None:
    """Unless it is there. A rollback leaves it: copied images and names of images may lie in it."""
    path = object_path("v1", "namespaces", name)
    if context.client.find(path) is None:
        try:
            context.client.create(path.rpartition("/")[0], {"metadata": {"name": name}})
        except KubeError as error:
            if not error.conflict:
                raise


def _source(document: dict[str, Any]) -> str:
    annotations = document["metadata"].get("annotations") or {}
    return str(annotations.get(COPIED_BY, ""))


def _renamed(keys: dict[str, str]) -> dict[str, str]:
    return {str(old): str(new) for old, new in keys.items()}
