"""Which images the objects of a cluster name, and which images run.

One kind at a time and page by page. An object that cannot be understood stops nobody: it is given as
:class:`Unreadable` with every text that it holds, for whoever must be sure that none of them names an image of theirs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.errors import KubeError
from image_registry.kube.field_paths import FieldPath
from image_registry.kube.listing import items
from image_registry.kube.pod_templates import CONTAINERS, VOLUMES, WORKLOADS, Workload, image_fields, pod_of

PAGE = 100
"""Objects read at once; a Pod may have a hundred kilobytes."""

STATUSES = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")

OVER = ("Succeeded", "Failed")
"""Phases of a Pod that runs no more."""

DEEPEST = 64
"""Levels of an unreadable object that are searched for texts."""


@dataclass(frozen=True, slots=True)
class CustomField:
    """Where objects of a custom resource name an image."""

    group_version: str
    resource: str
    path: FieldPath

    def __str__(self) -> str:
        return f"{self.group_version}/{self.resource}={self.path.text}"

    @staticmethod
    def parse(text: str) -> CustomField:
        """Read ``<group>/<version>/<resource>=<path>``. Raises ValueError."""
        where, equals, path = text.partition("=")
        parts = where.split("/")
        if not equals or len(parts) not in (2, 3) or not all(parts):
            raise ValueError(
                f"{text[:200]!r} names no field: write <group>/<version>/<resource>=<path>, "
                "as in serving.knative.dev/v1/services=spec.template.spec.containers[*].image"
            )
        return CustomField("/".join(parts[:-1]), parts[-1], FieldPath.parse(path))

    @property
    def group(self) -> str:
        """Its API group; empty for the core."""
        return self.group_version.partition("/")[0] if "/" in self.group_version else ""


@dataclass(frozen=True, slots=True)
class ImageReference:
    """Somebody names an image, or runs one."""

    owner: str
    """``Deployment team/web``."""
    text: str
    """As it stands in the object."""
    names: tuple[str, ...] = ()
    """For an image that runs (``imageID``): what the container is said to run, in the words of the Pod."""
    running: bool = False
    over_since: datetime | None = None
    """When the Pod was made, if it runs no more."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An object, or a part of one, that has not the shape it should have."""

    owner: str
    why: str
    texts: tuple[str, ...]
    """Everything in it that could name an image."""


class UnknownResource(Exception):
    """A custom resource that the cluster does not have; the text says what to do."""


def references_in(known: Workload, document: object) -> Iterator[ImageReference | Unreadable]:
    """What one object of Kubernetes names and runs."""
    owner = owner_of(known.kind, document)
    why = _misshapen(known, document)
    if why or not isinstance(document, dict):
        yield Unreadable(owner, why or "it is no object", tuple(texts_in(document)))
        return
    status = document.get("status") if known.kind == "Pod" else None
    status = status if isinstance(status, dict) else {}
    over = _created(document) if status.get("phase") in OVER else None
    named: dict[tuple[str, str], str] = {}
    for field in image_fields(known, document):
        named[field.section, field.name] = field.image
        if field.image:
            yield ImageReference(owner, field.image, over_since=over)
    for section, statuses in zip(CONTAINERS, STATUSES, strict=True):
        for entry in _objects(status.get(statuses)):
            names = (named.get((section, str(entry.get("name"))), ""), entry.get("image"))
            identifier = entry.get("imageID")
            if isinstance(identifier, str) and identifier:
                said = tuple(name for name in names if isinstance(name, str) and name)
                yield ImageReference(owner, identifier, said, running=True, over_since=over)


def references_at(field: CustomField, document: object) -> Iterator[ImageReference | Unreadable]:
    """What one object of a custom resource names."""
    kind = document.get("kind") if isinstance(document, dict) else None
    owner = owner_of(kind if isinstance(kind, str) else field.resource, document)
    for value in field.path.values(document):
        if isinstance(value, str):
            if value:
                yield ImageReference(owner, value)
        else:
            yield Unreadable(owner, f"{field.path.text} is no text", tuple(texts_in(value)))


def list_references(
    client: ClusterClient, fields: Sequence[CustomField] = (), *, namespace: str = ""
) -> Iterator[ImageReference | Unreadable]:
    """What all objects of the cluster, or of one namespace, name and run; kinds that it does not have name nothing.

    Raises KubeError, ClusterUnreachable, and :class:`UnknownResource` for a custom resource that is not there.
    """
    for known in WORKLOADS:
        try:
            for item in items(
                client, object_path(known.group_version, known.resource, namespace=namespace), limit=PAGE
            ):
                yield from references_in(known, item)
        except KubeError as error:
            if not error.not_found:
                raise
    for field in fields:
        try:
            for item in items(
                client, object_path(field.group_version, field.resource, namespace=namespace), limit=PAGE
            ):
                yield from references_at(field, item)
        except KubeError as error:
            if error.not_found:
                raise UnknownResource(
                    f"the cluster has no {field.resource} of {field.group_version}, where {field} says that images are "
                    "named; correct it or leave it out"
                ) from None
            raise


def owner_of(kind: str, document: object) -> str:
    """``Deployment team/web``, as far as it can be told."""
    metadata = document.get("metadata") if isinstance(document, dict) else None
    metadata = metadata if isinstance(metadata, dict) else {}
    name, namespace = (metadata.get(key) for key in ("name", "namespace"))
    place = f"{namespace}/{name}" if isinstance(namespace, str) and namespace else f"{name}"
    return f"{kind} {place}" if isinstance(name, str) and name else f"{kind} without a name"


def texts_in(value: object, depth: int = DEEPEST) -> Iterator[str]:
    """Every text of a document, keys included."""
    if isinstance(value, str):
        yield value
    elif depth and isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from texts_in(inner, depth - 1)
    elif depth and isinstance(value, list):
        for inner in value:
            yield from texts_in(inner, depth - 1)


def _misshapen(known: Workload, document: object) -> str:
    """Why an object's images cannot be read; empty if they can."""
    if not isinstance(document, dict):
        return "it is no object"
    spec = pod_of(known, document).get("spec")
    if not isinstance(spec, dict):
        return "it has no Pod specification"
    for section in (*CONTAINERS, VOLUMES):
        entries = spec.get(section)
        if entries is None:
            continue
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            return f"its {section} are no list of objects"
        for entry in entries:
            image = entry.get("image")
            if section == VOLUMES and isinstance(image, dict):
                image = image.get("reference")
            if image is not None and not isinstance(image, str):
                return f"an image among its {section} is no text"
    return ""


def _created(document: Mapping[str, Any]) -> datetime | None:
    metadata = document.get("metadata")
    text = metadata.get("creationTimestamp") if isinstance(metadata, dict) else None
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None


def _objects(value: object) -> Iterator[dict[str, Any]]:
    for item in value if isinstance(value, list) else ():
        if isinstance(item, dict):
            yield item
