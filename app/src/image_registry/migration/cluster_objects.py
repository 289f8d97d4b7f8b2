"""Objects of any kind by their names: where they are, as they are, and as they can be written again.

Kinds are asked of the API server, so that custom resources need no table. A write says which version it was made from:
what somebody else wrote in between is never overwritten unseen.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.errors import KubeError
from image_registry.migration.actions import StepFailed
from image_registry.migration.facts import ObjectName

OWNER = "image-registry-migration"
"""Field manager of what is applied."""

TIMES = 5
"""How often a change is made anew because somebody else wrote meanwhile."""

_OF_THE_SERVER = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
)
_OF_CONTROLLERS = ("pv.kubernetes.io/bind-completed", "pv.kubernetes.io/bound-by-controller")

Document = dict[str, Any]


class ClusterObjects:
    """Of one cluster."""

    def __init__(self, client: ClusterClient) -> None:
        self.client = client
        self._resources: dict[tuple[str, str], tuple[str, bool]] = {}

    def find(self, name: ObjectName) -> Document | None:
        """The object; ``None`` if it, its namespace or its kind does not exist."""
        if self._resource(name) is None:
            return None
        return self.client.find(self.path(name))

    def path(self, name: ObjectName) -> str:
        """Raises :class:`StepFailed` for a kind that the cluster does not have."""
        found = self._resource(name)
        if found is None:
            raise StepFailed(f"the cluster has no {name.kind} of {name.api_version}, so {name} cannot be written")
        resource, namespaced = found
        return object_path(name.api_version, resource, name.name, namespace=name.namespace if namespaced else "")

    def resource(self, name: ObjectName) -> str:
        """What requests call its kind; empty for a kind that the cluster does not have."""
        found = self._resource(name)
        return found[0] if found else ""

    def create(self, name: ObjectName, document: Mapping[str, Any]) -> Document:
        """Make it as it was saved, for owners that are still there: with others it would be collected as garbage."""
        body = {**restorable(document), "apiVersion": name.api_version, "kind": name.kind}
        owners = body["metadata"].pop("ownerReferences", None) or []
        if living := [owner for owner in owners if self._lives(owner, name.namespace)]:
            body["metadata"]["ownerReferences"] = living
        return self.client.create(self.path(name).rpartition("/")[0], body)

    def apply(self, name: ObjectName, document: Mapping[str, Any], *, dry_run: bool = False) -> Document:
        """Let these fields be so, and leave the others. Returns what is there then."""
        query = {"fieldManager": OWNER, "force": "true"} | ({"dryRun": "All"} if dry_run else {})
        content_type = "application/apply-patch+yaml"
        return self.client.request("PATCH", self.path(name), document, query=query, content_type=content_type)

    def change(self, name: ObjectName, change: Callable[[Document], Document], *, dry_run: bool = False) -> Document:
        """``change`` gets the object as it is and returns what it shall be; the same object: nothing is written.

        With ``dry_run`` the API server and whoever it asks say what would become of it.

        Raises :class:`StepFailed` if there is none, and what ``change`` raises.
        """
        options = {"query": {"dryRun": "All"}} if dry_run else {}
        for attempt in range(TIMES):
            before = self.find(name)
            if before is None:
                raise StepFailed(f"{name} is not there: it was when the plan was made, so discover and plan anew")
            after = change(copy.deepcopy(before))
            if after == before:
                return before
            try:
                return self.client.replace(self.path(name), after, **options)
            except KubeError as error:
                if not error.conflict or attempt + 1 == TIMES:
                    raise
        raise StepFailed(f"{name} is written by somebody else all the time: find out by whom, and run again")

    def remove(self, name: ObjectName, *, dry_run: bool = False) -> bool:
        """Whether there was one. With ``dry_run`` it stays: whoever decides about that says whether it may go."""
        if self._resource(name) is None:
            return False
        query = {"propagationPolicy": "Background"} | ({"dryRun": "All"} if dry_run else {})
        try:
            self.client.delete(self.path(name), query=query)
        except KubeError as error:
            if not error.not_found:
                raise
            return False
        return True

    def _lives(self, owner: Mapping[str, Any], namespace: str) -> bool:
        """Another object of that name is another owner."""
        found = self.find(ObjectName(str(owner["kind"]), str(owner["name"]), namespace, str(owner["apiVersion"])))
        return found is not None and found["metadata"].get("uid") == owner.get("uid")

    def _resource(self, name: ObjectName) -> tuple[str, bool] | None:
        key = (name.api_version, name.kind)
        if key not in self._resources:
            root = "/apis" if "/" in name.api_version else "/api"
            listed = self.client.find(f"{root}/{name.api_version}")
            for entry in (listed or {}).get("resources") or ():
                if "/" not in entry["name"]:
                    known = (name.api_version, entry["kind"])
                    self._resources.setdefault(known, (entry["name"], bool(entry.get("namespaced"))))
        return self._resources.get(key)


def restorable(document: Mapping[str, Any]) -> Document:
    """An object without what the API server and controllers write: two that mean the same are equal."""
    found = copy.deepcopy(
        {key: value for key, value in document.items() if key not in ("status", "apiVersion", "kind")}
    )
    metadata = {key: value for key, value in found.get("metadata", {}).items() if key not in _OF_THE_SERVER}
    annotations = metadata.get("annotations") or {}
    kept = {key: value for key, value in annotations.items() if key not in _OF_CONTROLLERS}
    metadata.pop("annotations", None)
    found["metadata"] = metadata | ({"annotations": kept} if kept else {})
    return found


def as_saved(current: Mapping[str, Any], saved: Mapping[str, Any]) -> Document:
    """``current`` with everything that :func:`restorable` had saved of it, and nothing else that people write."""
    metadata, said = current["metadata"], saved.get("metadata") or {}
    kept = {key: value for key, value in metadata.items() if key in _OF_THE_SERVER}
    notes = {k: v for k, v in (metadata.get("annotations") or {}).items() if k in _OF_CONTROLLERS}
    notes |= said.get("annotations") or {}
    whole = {key: value for key, value in current.items() if key in ("status", "apiVersion", "kind")}
    body = {key: value for key, value in saved.items() if key != "metadata"}
    return {**whole, **body, "metadata": {**said, **kept, **({"annotations": notes} if notes else {})}}
