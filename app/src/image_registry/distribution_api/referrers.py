"""What refers to a manifest: signatures, bills of materials, attestations (distribution-spec, "Listing referrers").

Most of them the database knows by their subject. Those that came with an adopted storage, before it knew anything, were
listed by their clients in an index under the tag of the subject; they are listed here as well, because nobody looks at
that index once a registry answers here (distribution-spec, "Enabling the Referrers API").
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from flask import Blueprint, Response, request

from image_registry.auth import trail
from image_registry.distribution_api import answers, callers
from image_registry.distribution_api.parts import MANIFEST_LIMIT, Parts
from image_registry.imagestreams.model import StoredManifest
from image_registry.oci import media_types
from image_registry.oci.digest import Digest
from image_registry.oci.manifest import InvalidManifest, Manifest, parse_manifest
from image_registry.oci.reference import Repository, referrers_tag
from image_registry.storage.blob_store import BlobMissing, BlobStore

PATH = "/v2/<namespace>/<name>/referrers/<digest>"

PAGE = 500
"""Manifests looked at for one answer; the rest is behind its ``Link``."""

LONGEST = MANIFEST_LIMIT
"""Bytes of one answer: no client need take a longer index."""

REMEMBERED, SHORT = 2000, 1000
"""Referrers whose entries a process remembers, and bytes of each at most."""

NOTED = 2000
"""Entries of an index under the subject's tag that are looked at."""


def blueprint(parts: Parts) -> Blueprint:
    routes = Blueprint("referrers", __name__)

    entries = Entries(parts.store)

    @routes.get(PATH)
    def referrers(namespace: str, name: str, digest: str) -> Response:
        repository = answers.repository(namespace, name)
        subject = answers.digest(digest)
        callers.require(parts, repository, "pull")
        _, after = answers.page()
        with answers.translated():
            page = parts.streams.referrers(repository, subject, limit=PAGE, after=after)
        noted = list(_noted(parts.store, repository, subject, after=after or "", to=page.next))
        stored = {str(manifest.digest): manifest for manifest in (*noted, *page.items)}
        wanted = request.args.get("artifactType")
        shown = _shown(entries, [stored[name] for name in sorted(stored)], wanted)
        body = b'{"schemaVersion":2,"mediaType":"%s","manifests":[%s]}'
        answer = Response(
            body % (media_types.OCI_INDEX.encode(), b",".join(shown.entries)), content_type=media_types.OCI_INDEX
        )
        if wanted is not None:
            answer.headers["OCI-Filters-Applied"] = "artifactType"
        following = shown.next or page.next
        if following is not None:
            answer.headers["Link"] = answers.next_link(PAGE, following, artifactType=wanted)
        if not noted:
            keep = trail.Keep("pull", str(repository), untagged=referrers_tag(subject))
            trail.of(request.environ).keep = keep
        return answer

    return routes


class Entry(NamedTuple):
    """How a list shows one referrer."""

    kind: str
    text: bytes


class Entries:
    """Remembers how referrers are shown: that follows from their bytes, which never change."""

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        self._known: dict[StoredManifest, Entry] = {}

    def of(self, stored: StoredManifest) -> Entry | None:
        """``None`` for one whose bytes are lost."""
        entry = self._known.get(stored)
        if entry is None:
            entry = _descriptor(self._store, stored)
            if entry is not None and len(entry.text) <= SHORT:
                if len(self._known) >= REMEMBERED:
                    self._known.clear()
                self._known[stored] = entry
        return entry


@dataclass(frozen=True, slots=True)
class _Shown:
    """The entries of one answer, and the digest behind which the next begins if they are not all."""

    entries: list[bytes]
    next: str | None


def _shown(known: Entries, stored: Iterable[StoredManifest], wanted: str | None) -> _Shown:
    """As many of these as one answer may hold, at least one."""
    entries: list[bytes] = []
    length, last = 0, None
    for manifest in stored:
        entry = known.of(manifest)
        if entry is not None and (wanted is None or (entry.kind or None) == wanted):
            length += len(entry.text) + 1
            if length > LONGEST and entries:
                return _Shown(entries, last)
            entries.append(entry.text)
        last = str(manifest.digest)
    return _Shown(entries, None)


def _noted(
    store: BlobStore, repository: Repository, subject: Digest, *, after: str, to: str | None
) -> Iterator[StoredManifest]:
    """Referrers behind ``after`` and up to ``to`` that an index under the subject's tag lists and that are here."""
    listed = store.read_tag(repository, referrers_tag(subject))
    index = _parsed(store, listed) if listed is not None and store.manifest_linked(repository, listed) else None
    for entry in index.manifests[:NOTED] if index is not None else ():
        name = str(entry.digest)
        if name <= after or (to is not None and name > to) or not store.manifest_linked(repository, entry.digest):
            continue
        manifest = _parsed(store, entry.digest)
        if manifest is not None and manifest.subject is not None and manifest.subject.digest == subject:
            yield StoredManifest(manifest.digest, manifest.media_type, len(manifest.raw))


def _parsed(store: BlobStore, digest: Digest) -> Manifest | None:
    """A manifest as the storage has it; nothing if it is lost, too long or no manifest."""
    try:
        size = store.stat(digest)
        if size is None or size > MANIFEST_LIMIT:
            return None
        return parse_manifest(store.read(digest), "", digest=digest)
    except (BlobMissing, InvalidManifest):
        return None


def _descriptor(store: BlobStore, stored: StoredManifest) -> Entry | None:
    """The entry of one referrer; ``None`` when its bytes are lost, which must not hide the others."""
    try:
        manifest = parse_manifest(store.read(stored.digest), stored.media_type, digest=stored.digest)
    except (BlobMissing, InvalidManifest):
        return None
    entry: dict[str, Any] = {
        "mediaType": stored.media_type,
        "digest": str(stored.digest),
        "size": stored.size,
    }
    kind = manifest.artifact_type or (manifest.config.media_type if manifest.config else "")
    if kind:
        entry["artifactType"] = kind
    if manifest.annotations:
        entry["annotations"] = dict(manifest.annotations)
    return Entry(kind, json.dumps(entry).encode())
