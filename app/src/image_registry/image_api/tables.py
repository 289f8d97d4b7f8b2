"""What ``kubectl get`` prints: columns and rows made of documents (parity reference 1.11)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from image_registry.image_api.documents import Document, metadata_only
from image_registry.image_api.negotiation import META_GROUP
from image_registry.image_api.resources import (
    IMAGE_TAGS,
    IMAGES,
    IMPORTS,
    STREAM_IMAGES,
    STREAM_TAGS,
    STREAMS,
    Resource,
)
from image_registry.image_api.status import BadRequest

TAGS_WIDTH = 40
"""Characters of tag names in a row; the rest is counted."""

INCLUDE = ("None", "Metadata", "Object")
"""What a row may carry of its object."""

Cell = Callable[[Mapping[str, Any], datetime], str]


@dataclass(frozen=True, slots=True)
class Column:
    """One column; those of a priority above 0 are for ``-o wide``."""

    name: str
    description: str
    cell: Cell
    form: str = ""
    priority: int = 0

    def definition(self) -> Document:
        """A ``TableColumnDefinition``."""
        return {
            "name": self.name,
            "type": "string",
            "format": self.form,
            "description": self.description,
            "priority": self.priority,
        }


def table(
    resource: Resource,
    items: Sequence[Mapping[str, Any]],
    metadata: Mapping[str, str],
    *,
    version: str,
    include: str,
    now: datetime,
) -> Document:
    """A ``Table`` of the documents."""
    columns = COLUMNS.get(resource.plural if resource.managed else resource.name, _PLAIN)
    return {
        "kind": "Table",
        "apiVersion": f"{META_GROUP}/{version}",
        "metadata": dict(metadata),
        "columnDefinitions": [column.definition() for column in columns],
        "rows": [
            {"cells": [column.cell(item, now) for column in columns], **_object(item, version, include)}
            for item in items
        ],
    }


def included(text: str | None) -> str:
    """Read ``includeObject``. Raises :class:`BadRequest`."""
    if not text:
        return "Metadata"
    if text not in INCLUDE:
        raise BadRequest(f"unrecognized includeObject value: {text[:100]!r} (one of {', '.join(INCLUDE)})")
    return text


def ago(moment: str, now: datetime) -> str:
    """``5 minutes ago``; a clock that is behind reads as now."""
    if not moment:
        return ""
    seconds = max(0, int((now - datetime.fromisoformat(moment).astimezone(UTC)).total_seconds()))
    for unit, length, enough in _UNITS:
        if seconds < enough * length:
            count = seconds // length
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return f"{seconds // _YEAR} years ago"


def shortened(tags: Collection[str]) -> str:
    """As many names as fit, then how many more there are; at least one name."""
    names = sorted(tags)
    shown = 0
    width = 0
    for name in names:
        width += len(name) + 1
        if shown and width > TAGS_WIDTH:
            break
        shown += 1
    more = len(names) - shown
    return ",".join(names[:shown]) + (f" + {more} more..." if more else "")


_YEAR = 365 * 86400

_UNITS = (
    ("second", 1, 60),
    ("minute", 60, 60),
    ("hour", 3600, 48),
    ("day", 86400, 14),
    ("week", 604800, 9),
    ("month", 30 * 86400, 24),
)
"""Name, seconds, and how many of them are told before the next unit is clearer."""


def _object(item: Mapping[str, Any], version: str, include: str) -> Document:
    if include == "None":
        return {}
    return {"object": dict(item) if include == "Object" else metadata_only(item, version)}


def _name(item: Mapping[str, Any], _now: datetime) -> str:
    return str(item["metadata"]["name"])


def _reference(item: Mapping[str, Any], _now: datetime) -> str:
    return str(item.get("dockerImageReference", ""))


def _repository(item: Mapping[str, Any], _now: datetime) -> str:
    status = item["status"]
    return str(status.get("publicDockerImageRepository") or status["dockerImageRepository"])


def _tags(item: Mapping[str, Any], _now: datetime) -> str:
    names = {history["tag"] for history in item["status"].get("tags", ())}
    return shortened(names | {tag["name"] for tag in item["spec"].get("tags", ())})


def _stream_updated(item: Mapping[str, Any], now: datetime) -> str:
    newest = max(
        (event["created"] for history in item["status"].get("tags", ()) for event in history["items"][:1]), default=""
    )
    return ago(newest, now)


def _tag_reference(item: Mapping[str, Any], now: datetime) -> str:
    return _reference(item["image"], now)


def _tag_updated(item: Mapping[str, Any], now: datetime) -> str:
    return ago(item["metadata"]["creationTimestamp"], now)


def _tag_image(item: Mapping[str, Any], _now: datetime) -> str:
    return str(item["image"]["metadata"]["name"])


def _image_name(item: Mapping[str, Any], _now: datetime) -> str:
    return str(item["image"]["metadata"]["name"])


def _image_reference(item: Mapping[str, Any], _now: datetime) -> str:
    return str(item["image"].get("dockerImageReference", ""))


def _wanted(item: Mapping[str, Any], _now: datetime) -> str:
    """In one word where a tag gets its image from."""
    spec = item.get("spec")
    pushed = _newest(item)
    if spec is None or (pushed is not None and pushed["generation"] > spec.get("generation", 0)):
        return "Push"
    source = spec.get("from")
    if source is None:
        return "Tag"
    if spec.get("reference"):
        return "Ref"
    if spec.get("importPolicy", {}).get("scheduled"):
        return "Scheduled"
    if source["kind"] == "ImageStreamTag" and ":" not in source["name"] and "namespace" not in source:
        return "Track"
    return "Tag"


def _tag_state(item: Mapping[str, Any], _now: datetime) -> str:
    newest = _newest(item)
    for condition in item.get("status", {}).get("conditions", ()):
        if condition["status"] == "False":
            return f"ImportFailed ({condition.get('reason', '')})"
    if newest is not None:
        return f"image/{newest['image']}" if newest["image"] else str(newest["dockerImageReference"])
    source = item.get("spec", {}).get("from")
    if source is None:
        return ""
    return str(source["name"]) if item["spec"].get("reference") else "Importing"


def _history(item: Mapping[str, Any], _now: datetime) -> str:
    return str(len(item.get("status", {}).get("items", ())))


def _last_event(item: Mapping[str, Any], now: datetime) -> str:
    newest = _newest(item)
    return ago(newest["created"], now) if newest is not None else ""


def _newest(item: Mapping[str, Any]) -> Mapping[str, Any] | None:
    events = item.get("status", {}).get("items", ())
    return events[0] if events else None


_NAME = "Name of the object; unique in its namespace."

_PLAIN = (Column("Name", _NAME, _name, "name"),)
"""Of what nobody lists."""

COLUMNS: Mapping[str, tuple[Column, ...]] = {
    IMAGES.name: (
        Column("Name", "Name of the object: the digest of the manifest.", _name, "name"),
        Column("Image Reference", "Pull specification that the image was first known by.", _reference),
    ),
    STREAMS.name: (
        Column("Name", _NAME, _name, "name"),
        Column(
            "Image Repository", "Where the images are pulled from; the public address if there is one.", _repository
        ),
        Column("Tags", "Names of the tags.", _tags),
        Column("Updated", "When a tag last changed.", _stream_updated),
    ),
    IMPORTS.name: (Column("Name", f"{_NAME} That of the stream.", _name, "name"),),
    STREAM_TAGS.name: (
        Column("Name", f"{_NAME} Stream and tag with a colon between them.", _name, "name"),
        Column("Image Reference", "Pull specification that the tag means now.", _tag_reference),
        Column("Updated", "When the tag last changed.", _tag_updated),
        Column("Image Name", "Digest that the tag means now.", _tag_image, priority=1),
    ),
    IMAGE_TAGS.name: (
        Column("Name", f"{_NAME} Stream and tag with a colon between them.", _name, "name"),
        Column("Spec", "Where the tag gets its image from: Push, Tag, Ref, Scheduled or Track.", _wanted),
        Column("Status", "What the tag means now, or why it means nothing.", _tag_state),
        Column("History", "How many events are remembered.", _history),
        Column("Updated", "When the tag last changed.", _last_event),
    ),
    STREAM_IMAGES.name: (
        Column("Name", f"{_NAME} Stream and digest with an @ between them.", _name, "name"),
        Column("Updated", "Since when the stream has the image.", _tag_updated),
        Column(
            "Image Reference", "Pull specification that the image was first known by.", _image_reference, priority=1
        ),
        Column("Image Name", "Digest of the image.", _image_name, priority=1),
    ),
}
