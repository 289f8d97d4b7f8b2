"""Manifests and indexes: what the bytes mean, checked once, kept unchanged.

The registry stores and serves the pushed bytes; this module only reads out what the rules need: which blobs and child
manifests must exist, the subject of a referrer, and the facts an Image object shows. A document that could be read
both as manifest and as index is refused (image-spec advisory CVE-2021-41190).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from image_registry.oci import media_types
from image_registry.oci.digest import Digest, InvalidDigest

MAX_SIZE = 2**63 - 1
"""Bytes; the specification's ``size`` is an int64."""


class InvalidManifest(ValueError):
    """The document is not a manifest or index of a supported type."""


@dataclass(frozen=True, slots=True)
class Platform:
    """The platform an index entry is for; empty strings where the index does not say."""

    architecture: str = ""
    os: str = ""
    variant: str = ""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A reference to content: media type, digest and size in bytes (image-spec, "Descriptor")."""

    media_type: str
    digest: Digest
    size: int
    platform: Platform | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)
    artifact_type: str = ""
    urls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Manifest:
    """One parsed manifest or index together with the bytes it was read from.

    ``config`` and ``layers`` are empty for an index, ``manifests`` is empty for an image manifest.
    """

    digest: Digest
    media_type: str
    raw: bytes
    config: Descriptor | None
    layers: tuple[Descriptor, ...]
    manifests: tuple[Descriptor, ...]
    subject: Descriptor | None
    artifact_type: str
    annotations: Mapping[str, str]

    @property
    def is_index(self) -> bool:
        """True for an OCI index or a Docker manifest list."""
        return self.media_type in media_types.INDEX_TYPES

    @property
    def required_blobs(self) -> tuple[Descriptor, ...]:
        """Blobs that must be in the repository before this manifest is accepted."""
        blobs = (*((self.config,) if self.config else ()), *self.layers)
        return tuple(b for b in blobs if not media_types.is_non_distributable(b.media_type))

    @property
    def content_size(self) -> int:
        """Bytes of the configuration and of every distinct layer (parity reference 1.3), at most :data:`MAX_SIZE`."""
        sizes = {d.digest: d.size for d in (*((self.config,) if self.config else ()), *self.layers)}
        total: int = sum(sizes.values())
        return min(total, MAX_SIZE)


def parse_manifest(raw: bytes, content_type: str, *, digest: Digest | None = None) -> Manifest:
    """Read a pushed or stored document.

    ``content_type`` is the type it was pushed with; parameters such as ``; charset`` are ignored, an empty value means
    "see the document's own ``mediaType``". ``digest`` is the digest the caller asked for; by default the sha256 of
    ``raw``. Raises :class:`InvalidManifest` with the reason.
    """
    try:
        document = json.loads(raw, object_pairs_hook=_members, parse_constant=_no_constant)
    except InvalidManifest:
        raise
    except (ValueError, RecursionError) as error:
        raise InvalidManifest(f"the manifest is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise InvalidManifest("the manifest is not a JSON object")
    media_type = _media_type(document, content_type)
    if document.get("schemaVersion") != 2:
        raise InvalidManifest("schemaVersion must be 2; Docker schema 1 is not accepted")
    is_index = media_type in media_types.INDEX_TYPES
    foreign = [key for key in (("layers", "config") if is_index else ("manifests",)) if key in document]
    if foreign:
        raise InvalidManifest(f"a document of type {media_type} must not have the member {foreign[0]!r}")
    if not is_index and not isinstance(document.get("config"), dict):
        raise InvalidManifest("an image manifest needs a config descriptor")
    return Manifest(
        digest=digest or Digest.of(raw),
        media_type=media_type,
        raw=raw,
        config=None if is_index else _descriptor(document["config"], "config"),
        layers=() if is_index else _descriptors(document, "layers"),
        manifests=_descriptors(document, "manifests") if is_index else (),
        subject=_descriptor(document["subject"], "subject") if document.get("subject") is not None else None,
        artifact_type=_text(document, "artifactType", "manifest"),
        annotations=_annotations(document, "manifest"),
    )


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; a name that comes twice means one thing to one reader and another to the next."""
    members = dict(pairs)
    if len(members) != len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise InvalidManifest(f"the member {twice[:80]!r} comes twice")
    return members


def _no_constant(name: str) -> NoReturn:
    """Python reads NaN and Infinity, which JSON does not have."""
    raise InvalidManifest(f"{name} is not JSON")


def _media_type(document: dict[str, Any], content_type: str) -> str:
    declared = _text(document, "mediaType", "manifest")
    pushed = content_type.partition(";")[0].strip()
    if pushed and declared and pushed != declared:
        raise InvalidManifest(f"Content-Type is {pushed} but the document's mediaType is {declared}")
    media_type = pushed or declared or (media_types.OCI_INDEX if "manifests" in document else media_types.OCI_MANIFEST)
    if media_type not in media_types.SUPPORTED_TYPES:
        supported = ", ".join(sorted(media_types.SUPPORTED_TYPES))
        raise InvalidManifest(f"manifest type {media_type!r} is not supported; use one of {supported}")
    return media_type


def _descriptors(document: dict[str, Any], key: str) -> tuple[Descriptor, ...]:
    entries = document.get(key)
    if entries is None:
        entries = []
    if not isinstance(entries, list):
        raise InvalidManifest(f"{key} must be a list of descriptors")
    return tuple(_descriptor(entry, f"{key}[{index}]") for index, entry in enumerate(entries))


def _descriptor(entry: Any, where: str) -> Descriptor:
    if not isinstance(entry, dict):
        raise InvalidManifest(f"{where} must be a descriptor object")
    size = entry.get("size")
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= MAX_SIZE:
        raise InvalidManifest(f"{where}.size must be a number of bytes")
    try:
        digest = Digest.parse(str(entry.get("digest", "")))
    except InvalidDigest as error:
        raise InvalidManifest(f"{where}.digest: {error}") from None
    urls = entry.get("urls") or []
    if not isinstance(urls, list):
        raise InvalidManifest(f"{where}.urls must be a list of addresses")
    return Descriptor(
        media_type=_text(entry, "mediaType", where),
        digest=digest,
        size=size,
        platform=_platform(entry.get("platform"), where),
        annotations=_annotations(entry, where),
        artifact_type=_text(entry, "artifactType", where),
        urls=tuple(str(url) for url in urls),
    )


def _platform(entry: Any, where: str) -> Platform | None:
    if entry is None:
        return None
    if not isinstance(entry, dict):
        raise InvalidManifest(f"{where}.platform must be an object")
    return Platform(
        architecture=_text(entry, "architecture", f"{where}.platform"),
        os=_text(entry, "os", f"{where}.platform"),
        variant=_text(entry, "variant", f"{where}.platform"),
    )


def _text(entry: dict[str, Any], key: str, where: str) -> str:
    value = entry.get(key, "")
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidManifest(f"{where}.{key} must be text")
    return value


def _annotations(entry: dict[str, Any], where: str) -> Mapping[str, str]:
    value = entry.get("annotations") or {}
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise InvalidManifest(f"{where}.annotations must map names to text")
    return value
