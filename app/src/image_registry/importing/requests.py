"""What somebody wants to have imported, and what became of it: values between a door and the importer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from image_registry.imagestreams.imports import Failure, RemoteImage
from image_registry.imagestreams.model import Image, ImageStream
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository


@dataclass(frozen=True, slots=True)
class Policy:
    """How one item is imported; the names are those of ``importPolicy`` and ``referencePolicy``."""

    insecure: bool = False
    scheduled: bool = False
    mode: str = "Legacy"
    reference: str = "Source"


@dataclass(frozen=True, slots=True)
class ImageWish:
    """One image: ``source`` as it was written; ``tag`` is where it goes, empty for the tag in ``source``."""

    source: str
    tag: str = ""
    policy: Policy = Policy()


@dataclass(frozen=True, slots=True)
class RepositoryWish:
    """The most important tags of a repository."""

    source: str
    policy: Policy = Policy()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportWish:
    """``write`` false only looks. ``confirm_create`` as for a push; without it no stream is made."""

    repository: Repository
    images: tuple[ImageWish, ...] = ()
    whole: RepositoryWish | None = None
    write: bool = True
    imported_by: str = ""
    confirm_create: Callable[[], None] | None = None
    uid: str | None = None
    resource_version: int | None = None
    dry_run: bool = False
    architecture: str = ""
    os: str = ""
    """Which platform ``Legacy`` picks from an index, if the caller says so."""


@dataclass(frozen=True, slots=True)
class Item:
    """What became of one image: ``images`` begins with what the tag means; ``failure`` says why it means nothing."""

    tag: str
    images: tuple[RemoteImage, ...] = ()
    failure: Failure | None = None
    status: int = 200
    """HTTP status of the failure, as a Status carries it."""
    retry_after: float = 0.0


@dataclass(frozen=True, slots=True)
class ImportResult:
    """``stream`` is ``None`` if nothing was to be written; ``written`` are the Images by digest."""

    images: tuple[Item, ...] = ()
    whole: tuple[Item, ...] = ()
    whole_failure: Item | None = None
    additional_tags: tuple[str, ...] = ()
    stream: ImageStream | None = None
    written: dict[Digest, Image] = field(default_factory=dict)
