"""Links and tags on a file system: small files that say which digest is meant, written and read one by one.

Reading all of a repository at once, as somebody else may have written it, is in
:mod:`~image_registry.storage.link_folders`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime

from image_registry.oci.digest import Digest, InvalidDigest
from image_registry.oci.reference import Repository, is_tag
from image_registry.storage import layout
from image_registry.storage.blob_store import Held
from image_registry.storage.disk_faults import GONE, fault
from image_registry.storage.durable import DurableFolder

_LONGEST = 256
"""Bytes of a link that are read; no digest is longer."""


class FolderLinks:
    """The links below one folder. Raises :class:`~image_registry.storage.blob_store.StorageFault`."""

    def __init__(self, disk: DurableFolder) -> None:
        self._disk = disk

    def link(self, folder: str, digest: Digest) -> None:
        """Let the folder say this digest; durable on return, whoever wrote it."""
        if self.linked(folder, digest):
            self._disk.settle(f"{folder}/link")
        else:
            self._disk.write(f"{folder}/link", str(digest).encode())

    def link_all(self, places: Iterable[tuple[str, Digest]]) -> None:
        """The same for many folders, on one way to the disk."""
        missing = [(place, digest) for place, digest in places if not self.linked(place, digest)]
        if missing:
            self._disk.seal([(f"{place}/link", str(digest).encode()) for place, digest in missing])

    def linked(self, folder: str, digest: Digest) -> bool:
        """Whether the folder says this digest."""
        return self.read(f"{folder}/link") == digest

    def unlink(self, folder: str, digest: Digest) -> bool:
        """Take the link away; returns whether it said this digest."""
        was_there = self.linked(folder, digest)
        self._disk.remove_file(f"{folder}/link")
        return was_there

    def read(self, relative: str) -> Digest | None:
        """What a link says; ``None`` if it is missing or says no digest."""
        try:  # a push reads a dozen links, and a file object asks the system twice as much about each
            descriptor = os.open(self._disk.path(relative), os.O_RDONLY | os.O_CLOEXEC)
            try:
                return layout.read_link(os.read(descriptor, _LONGEST))
            finally:
                os.close(descriptor)
        except (*GONE, IsADirectoryError):
            return None
        except OSError as error:
            raise fault("read", relative, error) from error

    def write_tags(self, repository: Repository, tags: Mapping[str, Digest]) -> None:
        """Let each tag mean its digest, and remember that it did."""
        files = []
        for tag, digest in tags.items():
            link = str(digest).encode()
            past = layout.tag_index(repository, tag, digest)
            if self.read(past) != digest:
                files.append((past, link))
            files.append((layout.tag_current(repository, tag), link))
        if files:
            self._disk.seal(files)

    def read_tag(self, repository: Repository, tag: str) -> Digest | None:
        """What the tag means."""
        return self.read(layout.tag_current(repository, tag))

    def remove_tag(self, repository: Repository, tag: str) -> bool:
        """Remove a tag with its past; returns whether it meant something."""
        was_there = self.read_tag(repository, tag) is not None
        self._disk.remove_tree(layout.tag_folder(repository, tag), first="current/link")
        return was_there

    def tags(self, repository: Repository) -> list[str]:
        """Tags that mean something, sorted."""
        return sorted(tag for tag in self._tag_folders(repository) if self.read_tag(repository, tag) is not None)

    def held(self, repository: Repository) -> Held:
        """Everything that the folders of a repository are named after."""
        base = layout.repository(repository)
        return Held(
            tags=frozenset(self._tag_folders(repository)),
            manifests=frozenset(self._digests(f"{base}/_manifests/revisions")),
            blobs={
                digest: self._modified(layout.layer(repository, digest)) for digest in self._digests(f"{base}/_layers")
            },
        )

    def _tag_folders(self, repository: Repository) -> list[str]:
        """Also those whose link is damaged or was half removed: cleaning has to see them."""
        return [name for name in self._disk.names(layout.tags(repository)) if is_tag(name)]

    def _digests(self, relative: str) -> list[Digest]:
        found = []
        for algorithm in self._disk.names(relative):
            for value in self._disk.names(f"{relative}/{algorithm}"):
                with suppress(InvalidDigest):
                    found.append(Digest.parse(f"{algorithm}:{value}"))
        return found

    def _modified(self, folder: str) -> datetime:
        return self._disk.written(f"{folder}/link") or datetime.fromtimestamp(0, UTC)
