"""What the rules speak about: streams, tags, their history, and images.

These are values, not rows and not wire objects: ``metadata`` stores them, ``image_api`` shows them as Kubernetes
objects, ``distribution_api`` as tags and digests. Field names follow parity reference sections 1.3 and 1.5.
All times are timezone-aware UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ObjectMeta:
    """What every stored Kubernetes object carries; ``resource_version`` is the revision of its last change (D7)."""

    uid: str
    created: datetime
    resource_version: int
    generation: int = 1
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    owner_references: tuple[Mapping[str, Any], ...] = ()
    finalizers: tuple[str, ...] = ()
    managed_fields: tuple[Mapping[str, Any], ...] = ()
    deleted: datetime | None = None
    """Since when the object waits for its finalizers."""
    generate_name: str = ""
    """What a client wanted to have completed to a name."""


@dataclass(frozen=True, slots=True)
class TagSource:
    """What a tag is to mean: a ``DockerImage``, an ``ImageStreamTag`` or an ``ImageStreamImage``."""

    kind: str
    name: str
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class TagSpec:
    """What is wanted of one tag (parity reference 1.5); ``generation`` 0 asks for a new import."""

    name: str
    source: TagSource | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)
    reference: bool = False
    """Only point there; never import."""
    generation: int | None = None
    insecure: bool = False
    scheduled: bool = False
    import_mode: str = "Legacy"
    reference_policy: str = "Source"


@dataclass(frozen=True, slots=True)
class TagCondition:
    """What hinders a tag from meaning what is wanted; ``ImportSuccess`` is the one type there is."""

    type: str
    status: str
    transitioned: datetime
    reason: str
    message: str
    generation: int


@dataclass(frozen=True, slots=True)
class TagEvent:
    """One thing that happened to a tag: from ``created`` on it meant ``image``, or only pointed to ``reference``."""

    created: datetime
    image: Digest | None
    """``None`` for a pointer (``spec.tags[].reference``): nobody looked what is there."""
    reference: str
    """Pull specification the image was known by, ``<host>/<namespace>/<name>@<digest>``."""
    generation: int

    @property
    def digest(self) -> str:
        """The image as text; empty for a pointer."""
        return str(self.image) if self.image is not None else ""


@dataclass(frozen=True, slots=True)
class TagHistory:
    """All events of one tag, the newest first; never empty."""

    tag: str
    events: tuple[TagEvent, ...]

    @property
    def newest(self) -> TagEvent:
        """The event that decides what the tag means now."""
        return self.events[0]


@dataclass(frozen=True, slots=True)
class ImageStream:
    """One repository as an object: its settings and the history of its tags, sorted by tag name."""

    repository: Repository
    meta: ObjectMeta
    lookup_local: bool = False
    tags: tuple[TagHistory, ...] = ()
    source_repository: str = ""
    """``spec.dockerImageRepository``: another registry's repository that this stream mirrors."""
    specs: tuple[TagSpec, ...] = ()
    """By name."""
    conditions: Mapping[str, tuple[TagCondition, ...]] = field(default_factory=dict)
    """By tag."""

    def spec(self, tag: str) -> TagSpec | None:
        """What is wanted of a tag."""
        return next((spec for spec in self.specs if spec.name == tag), None)

    def history(self, tag: str) -> TagHistory | None:
        """What a tag meant."""
        return next((history for history in self.tags if history.tag == tag), None)


@dataclass(frozen=True, slots=True)
class StreamSummary:
    """What a line about a stream shows, however much happened in it."""

    stream: ImageStream
    """Without its tags."""
    tags: tuple[str, ...]
    """Their names, sorted."""
    updated: datetime | None
    """When something last happened to one of them."""


@dataclass(frozen=True, slots=True)
class ImageLayer:
    """One layer of an image, in manifest order (ascending)."""

    digest: Digest
    size: int
    media_type: str


@dataclass(frozen=True, slots=True)
class SubManifest:
    """One entry of an index."""

    digest: Digest
    size: int
    media_type: str
    architecture: str
    os: str
    variant: str = ""


@dataclass(frozen=True, slots=True)
class Image:
    """The metadata of one digest, cluster-scoped; its name is the digest."""

    digest: Digest
    meta: ObjectMeta
    reference: str
    media_type: str
    manifest_size: int
    config: Digest | None
    content_size: int
    """Bytes of the configuration and of every distinct layer."""
    layers: tuple[ImageLayer, ...] = ()
    manifests: tuple[SubManifest, ...] = ()
    docker_metadata: Mapping[str, Any] = field(default_factory=dict)
    """The ``DockerImage`` document: Created, Architecture, Os, Config, … as read from the image configuration."""
    artifact_type: str = ""
    subject: Digest | None = None


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """A manifest that a repository holds: enough to answer HEAD without reading the bytes."""

    digest: Digest
    media_type: str
    size: int


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of an ordered list.

    ``next`` continues after the last item (``None`` at the end); ``revision`` is the newest revision that the page is
    certain to include, the ``resourceVersion`` of a list.
    """

    items: tuple[T, ...]
    next: str | None
    revision: int
