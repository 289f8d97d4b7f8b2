"""What the annotation of a workload asks for when tags move, and what is to be changed for it: pure (parity 1.8).

The annotation is a JSON list of ``{"from": {"kind": "ImageStreamTag", "name": "app:1"}, "fieldPath": "…"}``. A field
path is that of a container's image by its name or index, in the spelling of JSONPath:
``spec.template.spec.containers[?(@.name=="web")].image``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from image_registry.kube.pod_templates import WORKLOADS, ImageField, Workload, image_fields
from image_registry.oci.reference import InvalidName, InvalidTag, Repository, parse_tag

ANNOTATION = "image.alauda.io/triggers"

FOLLOWING = tuple(known for known in WORKLOADS if known.kind in {"Deployment", "StatefulSet", "DaemonSet", "CronJob"})
"""Kinds whose Pod template may change, and that nobody else makes: Jobs and Pods cannot be changed so."""

MOST = 100
"""Triggers of one workload."""

_STEP = re.compile(
    r"""\[(?:(?P<index>\d{1,4})|\?\(\s*@\.name\s*==\s*(?P<quote>["'])(?P<name>[^"']{1,253})(?P=quote)\s*\))\]""",
    re.ASCII,
)


@dataclass(frozen=True, slots=True, order=True)
class Tag:
    """An ImageStreamTag."""

    namespace: str
    stream: str
    tag: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.stream}:{self.tag}"


@dataclass(frozen=True, slots=True)
class Trigger:
    """When this tag means another image, that field is to name it."""

    tag: Tag
    field_path: str
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """Another image in one place."""

    field: ImageField
    image: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be written, and what somebody has to correct."""

    changes: tuple[Change, ...] = ()
    faults: tuple[str, ...] = ()


def read(text: str, namespace: str) -> tuple[tuple[Trigger, ...], tuple[str, ...]]:
    """The triggers of an annotation, and what is wrong with it; a wrong one does not hinder the others."""
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError):
        entries = None
    if not isinstance(entries, list):
        return (), (f"annotation {ANNOTATION} is no JSON list of triggers",)
    triggers: list[Trigger] = []
    faults: list[str] = []
    for index, entry in enumerate(entries[:MOST]):
        found = _trigger(entry, namespace)
        if isinstance(found, Trigger):
            triggers.append(found)
        else:
            faults.append(f"annotation {ANNOTATION}[{index}]{found}")
    if len(entries) > MOST:
        faults.append(f"annotation {ANNOTATION} has {len(entries)} triggers; the first {MOST} are followed")
    return tuple(triggers), tuple(faults)


def plan(
    known: Workload, document: Mapping[str, Any], triggers: tuple[Trigger, ...], meanings: Mapping[Tag, str]
) -> Plan:
    """``meanings`` are the references of tags that mean something; of others nothing is said until they do."""
    fields = tuple(image_fields(known, document))
    changes: dict[tuple[str | int, ...], Change] = {}
    faults: list[str] = []
    followed: dict[tuple[str | int, ...], Tag] = {}
    for trigger in triggers:
        field = place(known, fields, trigger.field_path)
        if isinstance(field, str):
            faults.append(f"{trigger.tag}: {field}")
            continue
        if trigger.paused:
            continue
        if followed.setdefault(field.path, trigger.tag) != trigger.tag:
            faults.append(
                f"{field.words} follows {followed[field.path]} already, so it cannot follow {trigger.tag} too"
            )
            continue
        image = meanings.get(trigger.tag, "")
        if image and image != field.image:
            changes[field.path] = Change(field, image)
    return Plan(tuple(changes.values()), tuple(faults))


def place(known: Workload, fields: tuple[ImageField, ...], text: str) -> ImageField | str:
    """The field that a path means, or why there is none."""
    shown, step = text[:200], _STEP.search(text)
    if step is None:
        return f'field path {shown!r} does not choose a container: write [0] or [?(@.name=="<name>")]'
    way, ending = text[: step.start()], text[step.end() :]
    here = [field for field in fields if (_way(known, field), _ending(known, field)) == (way, ending)]
    for field in here:
        if step["name"] == field.name if step["name"] else int(step["index"]) == field.path[len(known.pod) + 2]:
            return field
    if here:
        return f"field path {shown!r}: there is no such container"
    begin = ".".join((*known.pod, "spec", "containers"))
    return f"field path {shown!r} is no image of this {known.kind}: write {begin}{step[0]}.image"


def patch(known: Workload, document: Mapping[str, Any], changes: tuple[Change, ...]) -> dict[str, Any]:
    """A strategic merge patch of these fields alone, good only for the object as it was read."""
    spec: dict[str, Any] = {}
    for change in changes:
        image: Any = change.image
        for key in reversed(change.field.path[len(known.pod) + 3 :]):
            image = {key: image}
        spec.setdefault(change.field.section, []).append({"name": change.field.name, **image})
    body: dict[str, Any] = {"spec": spec}
    for key in reversed(known.pod):
        body = {key: body}
    metadata = document["metadata"]
    return {**body, "metadata": {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}}


def _way(known: Workload, field: ImageField) -> str:
    """As a field path begins, up to the choice of a container."""
    return ".".join((*known.pod, "spec", field.section))


def _ending(known: Workload, field: ImageField) -> str:
    """As it ends after that: ``.image``, and ``.image.reference`` of a volume."""
    return "".join(f".{key}" for key in field.path[len(known.pod) + 3 :])


def _trigger(entry: Any, namespace: str) -> Trigger | str:
    """A trigger, or what is wrong with it."""
    if not isinstance(entry, dict):
        return " is no object"
    source = entry.get("from")
    if not isinstance(source, dict) or source.get("kind") != "ImageStreamTag":
        return ".from.kind is not ImageStreamTag, the only kind that can be followed"
    stream, _, tag = str(source.get("name") or "").partition(":")
    if not stream or not tag or "/" in f"{stream}{tag}":
        return ".from.name is not <stream>:<tag>"
    path, paused, elsewhere = entry.get("fieldPath"), entry.get("paused", False), source.get("namespace") or namespace
    if not isinstance(path, str) or not path:
        return ".fieldPath is missing"
    if paused not in (True, False, "true", "false"):
        return ".paused is neither true nor false"
    if not isinstance(elsewhere, str):
        return ".from.namespace is no text"
    try:  # names become paths of requests: what no stream can be called goes no further
        repository = Repository.of(elsewhere, stream)
        return Trigger(Tag(repository.namespace, repository.name, parse_tag(tag)), path, paused in (True, "true"))
    except (InvalidName, InvalidTag) as error:
        return f".from: {error}"
