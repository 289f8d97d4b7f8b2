"""Uploads that are under way: their state is in the tables and goes on, if their bytes are where they were.

A folder keeps the bytes of an upload in one file and a bucket in pieces, so they are read and written as a registry
does it. That is done at the very end, when nobody adds to them.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing, suppress

from image_registry.oci.reference import InvalidName, Repository
from image_registry.relocating.findings import Tally
from image_registry.relocating.links import UPLOADS, repositories
from image_registry.storage import layout
from image_registry.storage.blob_store import BlobStore, UploadMissing
from image_registry.storage.tree import Tree


def sessions(tree: Tree) -> Iterator[tuple[Repository, str]]:
    """Every upload that a registry of ours could go on with."""
    for folder in repositories(tree):
        for name in tree.folders(f"{folder}{UPLOADS.rstrip('/')}"):
            with suppress(InvalidName, ValueError):
                yield Repository.parse(folder.removeprefix(f"{layout.NAMESPACES}/")), str(uuid.UUID(name))


def bring(source: tuple[Tree, BlobStore], target: tuple[Tree, BlobStore], tally: Tally, *, dry_run: bool) -> None:
    """Let the target have exactly the sessions of the source, with as many bytes."""
    wanted = set(sessions(source[0]))
    for repository, upload_id in sorted(wanted, key=str):
        size = _size(source[1], repository, upload_id)
        if size is None:
            continue
        tally.add(uploads=1)
        if _size(target[1], repository, upload_id) == size:
            continue
        tally.add(uploads_copied=1)
        if not dry_run:
            target[1].abort_upload(repository, upload_id)
            target[1].begin_upload(repository, upload_id)
            with closing(source[1].open_upload(repository, upload_id)) as data:
                target[1].append(repository, upload_id, 0, data, None)
    for repository, upload_id in set(sessions(target[0])) - wanted if not dry_run else ():
        target[1].abort_upload(repository, upload_id)


def _size(store: BlobStore, repository: Repository, upload_id: str) -> int | None:
    try:
        return store.upload_size(repository, upload_id)
    except UploadMissing:
        return None
