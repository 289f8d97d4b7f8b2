"""Blobs and links in a bucket, under the keys that CNCF distribution uses: one implementation for every object store.

An object appears whole or not at all and stays when a write has returned, so nothing here needs a lock, a temporary
name or a sync. What grows over several requests is in :mod:`~image_registry.storage.object_uploads`.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import UTC, datetime
from typing import BinaryIO, cast

from image_registry.oci.digest import Digest, Hasher, InvalidDigest
from image_registry.oci.reference import InvalidName, Repository, is_tag
from image_registry.storage import layout, object_links
from image_registry.storage.blob_store import (
    RENEWED,
    BlobMissing,
    Held,
    Linked,
    Links,
    Readable,
    StorageFault,
    Stored,
)
from image_registry.storage.choice import CHUNK
from image_registry.storage.object_client import Incoming, ObjectClient, ObjectMissing
from image_registry.storage.object_reader import ObjectReader
from image_registry.storage.object_trash import ObjectTrash
from image_registry.storage.object_uploads import ObjectUploads, give
from image_registry.storage.remembered_sizes import RememberedSizes

LINK_SIZE = 256
REMEMBERED = 10_000
"""Links that are known to be young."""
VALID = 20 * 60
"""Seconds for which a reader may use the address it was sent to, as long as CNCF distribution gives."""


class ObjectStore:
    """A :class:`~image_registry.storage.blob_store.BlobStore` in a bucket."""

    def __init__(
        self, client: ObjectClient, *, chunk: int = CHUNK, redirect: bool = True, renew_after: float = RENEWED
    ) -> None:
        self._client = client
        self._renew_after = renew_after
        self._garbage = ObjectTrash(client)
        self._renewed: dict[str, float] = {}
        self._redirect = redirect
        self._sizes = RememberedSizes()
        self._uploads = ObjectUploads(client, chunk)

    # blobs

    def stat(self, digest: Digest) -> int | None:
        size = self._sizes.get(digest)
        if size is None and (size := self._found(digest)) is not None:
            self._sizes.set(digest, size)
        return size

    def open(self, digest: Digest) -> BinaryIO:
        key, size = layout.blob_data(digest), self._sizes.get(digest)
        if size is None and (size := self._found(digest)) is None:
            raise BlobMissing(str(digest))

        def begin(start: int) -> Incoming:
            try:
                return self._client.get(key, start)
            except ObjectMissing:
                if not self.take_back(digest):
                    raise
                return self._client.get(key, start)

        return cast("BinaryIO", ObjectReader(begin, size))

    def read(self, digest: Digest) -> bytes:
        data = self._content(layout.blob_data(digest))
        if data is None and self.take_back(digest):
            data = self._content(layout.blob_data(digest))
        if data is None:
            self._sizes.forget(digest)
            raise BlobMissing(str(digest))
        return data

    def put(self, data: bytes, digest: Digest) -> None:
        self._put(data, digest)

    def put_blob(self, repository: Repository, data: bytes, digest: Digest) -> None:
        written = self._put(data, digest)
        self.link_blob(repository, digest)
        if not written:
            self._put(data, digest)  # it may have been garbage until it was linked

    def put_manifest(self, repository: Repository, data: bytes, digest: Digest) -> None:
        written = self._put(data, digest)
        self.link_manifest(repository, digest)
        if not written:
            self._put(data, digest)

    def location(self, digest: Digest) -> str | None:
        return self._client.signed(layout.blob_data(digest), VALID) if self._redirect else None

    # links

    def link_blob(self, repository: Repository, digest: Digest) -> None:
        if not self._link(layout.layer(repository, digest), digest):
            self.renew_blob(repository, digest)

    def present(self, digest: Digest) -> bool:
        return self._found(digest) is not None

    def renew_blob(self, repository: Repository, digest: Digest) -> None:
        link, now = f"{layout.layer(repository, digest)}/link", time.monotonic()
        if now < self._renewed.get(link, 0):
            return
        written = self.blob_linked_at(repository, digest)
        if written is not None and (datetime.now(UTC) - written).total_seconds() > self._renew_after:
            give(self._client, link, str(digest).encode())
        if len(self._renewed) >= REMEMBERED:
            self._renewed.clear()
        self._renewed[link] = now + self._renew_after / 2

    def blob_linked_at(self, repository: Repository, digest: Digest) -> datetime | None:
        link = f"{layout.layer(repository, digest)}/link"
        return next((entry.modified for entry in self._client.entries(link)), None)

    def blob_linked(self, repository: Repository, digest: Digest) -> bool:
        return self._linked(layout.layer(repository, digest), digest)

    def unlink_blob(self, repository: Repository, digest: Digest) -> bool:
        return self._unlink(layout.layer(repository, digest), digest)

    def link_manifest(self, repository: Repository, digest: Digest) -> None:
        self._link(layout.revision(repository, digest), digest)

    def manifest_linked(self, repository: Repository, digest: Digest) -> bool:
        return self._linked(layout.revision(repository, digest), digest)

    def unlink_manifest(self, repository: Repository, digest: Digest) -> bool:
        return self._unlink(layout.revision(repository, digest), digest)

    def link_all(self, repository: Repository, manifests: Iterable[Digest], blobs: Iterable[Digest]) -> None:
        places = [(layout.layer(repository, digest), digest) for digest in blobs]
        places += [(layout.revision(repository, digest), digest) for digest in manifests]
        with ThreadPoolExecutor(object_links.TOGETHER, thread_name_prefix="links") as pool:
            list(pool.map(lambda place: self._link(*place), places))

    # garbage

    def all_linked(self) -> Iterator[Linked]:
        return object_links.everything(self._client)

    def blobs(self, wanted: Callable[[str, str], bool]) -> Iterator[Stored]:
        return self._garbage.blobs(wanted)

    def throw_away(self, digest: Digest, before: datetime) -> bool:
        self._sizes.forget(digest)
        return self._garbage.throw_away(digest, before)

    def in_place(self, digest: Digest) -> bool:
        return self._client.size(layout.blob_data(digest)) is not None

    def take_back(self, digest: Digest) -> bool:
        return self._garbage.take_back(digest)

    def trash(self) -> Iterator[Stored]:
        return self._garbage.entries()

    def remove_for_good(self, digest: Digest) -> bool:
        return self._garbage.remove(digest)

    def quarantine(self, blob: Stored) -> bool:
        self._sizes.forget(blob.digest)
        return self._garbage.quarantine(blob)

    def quarantined(self) -> Iterator[Stored]:
        return self._garbage.quarantined()

    # tags

    def write_tag(self, repository: Repository, tag: str, digest: Digest) -> None:
        give(self._client, layout.tag_index(repository, tag, digest), str(digest).encode())
        give(self._client, layout.tag_current(repository, tag), str(digest).encode())

    def write_tags(self, repository: Repository, tags: Mapping[str, Digest]) -> None:
        with ThreadPoolExecutor(object_links.TOGETHER, thread_name_prefix="links") as pool:
            list(pool.map(lambda tag: self.write_tag(repository, tag, tags[tag]), tags))

    def read_tag(self, repository: Repository, tag: str) -> Digest | None:
        return self._read_link(layout.tag_current(repository, tag))

    def remove_tag(self, repository: Repository, tag: str) -> bool:
        was_there = self.read_tag(repository, tag) is not None
        self._client.delete([layout.tag_current(repository, tag)])  # without it the tag is gone, whatever comes next
        self._client.delete(entry.key for entry in self._client.entries(f"{layout.tag_folder(repository, tag)}/"))
        return was_there

    def tags(self, repository: Repository) -> list[str]:
        names = self._tag_folders(repository)
        with ThreadPoolExecutor(object_links.TOGETHER, thread_name_prefix="links") as pool:
            found = pool.map(lambda tag: self.read_tag(repository, tag), names)
            return sorted(tag for tag, digest in zip(names, found, strict=True) if digest is not None)

    def held(self, repository: Repository) -> Held:
        base = layout.repository(repository)
        return Held(
            tags=frozenset(self._tag_folders(repository)),
            manifests=frozenset(self._digests(f"{base}/_manifests/revisions/")),
            blobs=self._digests(f"{base}/_layers/"),
        )

    def links(self, repository: Repository) -> Links:
        return object_links.all_links(self._client, self._read_link, repository)

    def strays(self) -> Iterator[str]:
        return object_links.strays(self._client)

    def repositories(self, namespace: str | None = None) -> Iterator[Repository]:
        for found in self._client.folders(f"{layout.NAMESPACES}/") if namespace is None else [namespace]:
            for name in self._client.folders(f"{layout.NAMESPACES}/{found}/"):
                with suppress(InvalidName):
                    yield Repository.of(found, name)

    # records

    def write_records(self, records: Mapping[str, bytes]) -> None:
        with ThreadPoolExecutor(object_links.TOGETHER, thread_name_prefix="records") as pool:
            list(pool.map(lambda name: give(self._client, layout.record(name), records[name]), records))

    def read_record(self, name: str) -> bytes | None:
        return self._content(layout.record(name))

    def remove_records(self, names: Iterable[str]) -> None:
        self._client.delete(layout.record(name) for name in names)

    def record_names(self, folder: str) -> Iterator[str]:
        for entry in self._client.entries(f"{layout.record(folder)}/"):
            yield entry.key.removeprefix(f"{layout.RECORDS}/")

    # uploads

    def begin_upload(self, repository: Repository, upload_id: str) -> None:
        self._uploads.begin(repository, upload_id)

    def upload_size(self, repository: Repository, upload_id: str) -> int:
        return self._uploads.size(repository, upload_id)

    def append(
        self, repository: Repository, upload_id: str, offset: int, source: Readable, hasher: Hasher | None
    ) -> int:
        return self._uploads.append(repository, upload_id, offset, source, hasher)

    def open_upload(self, repository: Repository, upload_id: str) -> BinaryIO:
        return self._uploads.open(repository, upload_id)

    def commit_upload(self, repository: Repository, upload_id: str, digest: Digest, size: int) -> None:
        written = self._uploads.commit(repository, upload_id, digest, size)
        self.link_blob(repository, digest)
        if not written:
            self._uploads.commit(repository, upload_id, digest, size)  # it may have been garbage until it was linked
        self._sizes.set(digest, size)
        self.abort_upload(repository, upload_id)

    def abort_upload(self, repository: Repository, upload_id: str) -> None:
        self._uploads.abort(repository, upload_id)

    def sweep(self, before: datetime) -> int:
        found = sum(self._uploads.sweep(repository, before) for repository in self.repositories())
        return found + self._client.sweep(before)

    def probe(self) -> None:
        key = f"{layout.ROOT}/.probe"
        give(self._client, key, b"probe")
        if self._content(key) not in (b"probe", None):  # None: another Pod's probe has just removed it
            raise StorageFault(f"the store gives back something else than was written to {key}")
        self._client.delete([key])

    # what the methods above share

    def _found(self, digest: Digest) -> int | None:
        """The size of a blob, wherever it lies."""
        if (size := self._client.size(layout.blob_data(digest))) is None and self.take_back(digest):
            size = self._client.size(layout.blob_data(digest))
        return size

    def _put(self, data: bytes, digest: Digest) -> bool:
        """Write small content; ``False`` if it is there already."""
        missing = self._client.size(layout.blob_data(digest)) != len(data)
        if missing:
            give(self._client, layout.blob_data(digest), data)
        self._sizes.set(digest, len(data))
        return missing

    def _link(self, folder: str, digest: Digest) -> bool:
        """Write a link; ``False`` if it is there already."""
        missing = not self._linked(folder, digest)
        if missing:
            give(self._client, f"{folder}/link", str(digest).encode())
        return missing

    def _linked(self, folder: str, digest: Digest) -> bool:
        return self._read_link(f"{folder}/link") == digest

    def _unlink(self, folder: str, digest: Digest) -> bool:
        was_there = self._linked(folder, digest)
        self._client.delete([f"{folder}/link"])
        return was_there

    def _read_link(self, key: str) -> Digest | None:
        data = self._content(key, LINK_SIZE)
        return None if data is None else layout.read_link(data)

    def _content(self, key: str, limit: int = -1) -> bytes | None:
        """The bytes of a small object; ``None`` if it is missing. One that breaks off is read again."""
        for attempt in range(2):
            data = io.BytesIO()
            try:
                with closing(self._client.get(key)) as incoming:
                    while (limit < 0 or data.tell() < limit) and (chunk := incoming.read(1 << 20)):
                        data.write(chunk)
                return data.getvalue()
            except ObjectMissing:
                return None
            except StorageFault:
                if attempt:
                    raise
        return None

    def _tag_folders(self, repository: Repository) -> list[str]:
        """Also those whose link is damaged or was half removed: cleaning has to see them."""
        return [name for name in self._client.folders(f"{layout.tags(repository)}/") if is_tag(name)]

    def _digests(self, prefix: str) -> dict[Digest, datetime]:
        found = {}
        for entry in self._client.entries(prefix):
            algorithm, _, rest = entry.key.removeprefix(prefix).partition("/")
            value, _, file = rest.partition("/")
            with suppress(InvalidDigest):
                if file == "link":
                    found[Digest.parse(f"{algorithm}:{value}")] = entry.modified
        return found
