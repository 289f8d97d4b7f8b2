"""The content of a legacy registry as its storage has it: links and manifests, by the same look as a rebuild takes.

It needs no registry that runs. Damage is seen here that a registry does not tell: empty links, wrong bytes, blobs
that nobody linked. Nothing is written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from image_registry.migration.content import (
    OLD_MANIFEST,
    UNREADABLE,
    ContentSummary,
    ContentWriter,
    Problem,
    RepositoryContent,
)
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository
from image_registry.oci.stored_manifest import SCHEMA1, SCHEMA1_SIGNED
from image_registry.rebuilding.survey import Survey
from image_registry.storage.blob_store import BlobStore, StorageFault

REMEMBERED = 200_000
"""Sizes of blobs that are kept in memory."""


def survey_storage(
    store: BlobStore,
    writer: ContentWriter,
    *,
    count_stored: bool = True,
    progress: Callable[[int, int], None] = lambda _done, _known: None,
) -> ContentSummary:
    """Look at every repository that is not done yet. Raises ``StorageFault``.

    ``count_stored`` looks at all blobs besides, which takes a walk through the whole storage.
    """
    began = time.monotonic()
    sizes: dict[Digest, int | None] = {}
    for name in _names(store):
        if str_name(name) in writer.done:
            continue
        if len(sizes) > REMEMBERED:
            sizes.clear()
        writer.add(_looked_at(store, name, sizes))
        progress(len(writer.done), len(writer.done))
    stored = sum(blob.size for blob in store.blobs(lambda _algorithm, _value: True)) if count_stored else None
    return writer.finish(time.monotonic() - began, stored)


def _looked_at(store: BlobStore, name: Repository, sizes: dict[Digest, int | None]) -> RepositoryContent:
    """What one repository holds, or that it cannot be read: a file of one keeps no other from being looked at.

    Raises ``StorageFault`` where nothing can be read, as in a bucket whose credentials have expired.
    """
    try:
        return repository_content(store, name, sizes)
    except StorageFault as error:
        next(store.repositories(), None)
        return RepositoryContent(str_name(name), problems=(Problem(UNREADABLE, str_name(name), str(error)),))


def repository_content(store: BlobStore, name: Repository, sizes: dict[Digest, int | None]) -> RepositoryContent:
    """What one repository holds. Raises ``StorageFault``."""
    survey = Survey.of(store, name, sizes)
    manifests: dict[str, str] = {}
    blobs: dict[str, int] = {}
    problems = []
    for found in survey.manifests():
        manifest = found.manifest
        manifests[str(manifest.digest)] = manifest.media_type
        blobs |= {str(blob.digest): sizes.get(blob.digest) or blob.size for blob in manifest.required_blobs}
        if manifest.media_type in (SCHEMA1, SCHEMA1_SIGNED):
            problems.append(Problem(OLD_MANIFEST, str(manifest.digest), "a manifest of Docker's schema 1"))
    tags = {tag: str(meant.current) for tag, meant in survey.tags().items()}
    problems += [Problem(finding.kind, finding.subject, finding.detail) for finding in survey.findings]
    return RepositoryContent(str_name(name), tags, manifests, blobs, tuple(problems))


def str_name(name: Repository) -> str:
    """As clients spell it: a name of one part has no second one."""
    return name.namespace if name.name == "." else str(name)


def _names(store: BlobStore) -> Iterator[Repository]:
    """Those that this registry can have, then those that only the legacy one can: deeper names, and shorter ones.

    The layout joins the two parts of a name by a slash, so any split of a deeper one leads to the same folder.
    """
    yield from store.repositories()
    for stray in store.strays():
        first, _, rest = stray.partition("/")
        yield Repository(first, rest or ".")
