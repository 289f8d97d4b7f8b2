"""Uploads in a store whose objects can not grow: every request leaves pieces, and the last one has them joined.

A piece is an object of its own beside the others, named after the byte where it begins. So the store itself says how
far an upload is, to any replica and after any restart, and nothing is rewritten. A piece is written only where there is
none: of two requests that write at the same place one finds out, in whichever process they are.
"""

from __future__ import annotations

import hashlib
import io
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from typing import BinaryIO, cast

import structlog

from image_registry.oci.digest import Digest, Hasher
from image_registry.oci.reference import Repository
from image_registry.storage import layout
from image_registry.storage.blob_store import (
    OffsetMismatch,
    Readable,
    StorageFault,
    UploadBusy,
    UploadMissing,
)
from image_registry.storage.hashing import Beside
from image_registry.storage.object_client import Entry, Incoming, ObjectClient, ObjectExists
from image_registry.storage.object_pieces import PieceWriter, piece_key
from image_registry.storage.object_reader import ObjectReader

READ = 1 << 20
"""Bytes read from a request at a time."""

VISIBLE = (0.0, 0.2, 1.0, 3.0)
"""Seconds to wait, one after the other, for a store that does not show at once what it has joined."""


class ObjectUploads:
    """The running uploads of a bucket, and those that a joined blob is made of."""

    def __init__(self, client: ObjectClient, chunk: int) -> None:
        self._client = client
        self._chunk = chunk
        self._guarded: bool | None = None
        self._writing: set[str] = set()
        self._lock = threading.Lock()

    def begin(self, repository: Repository, upload_id: str) -> None:
        """Make the session; distribution's cleaning reads the time."""
        started = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ").encode()
        give(self._client, f"{_folder(repository, upload_id)}/startedat", started)

    def size(self, repository: Repository, upload_id: str) -> int:
        """Bytes received so far. Raises :class:`UploadMissing`."""
        return _end(self._pieces(repository, upload_id))

    def append(
        self, repository: Repository, upload_id: str, offset: int, source: Readable, hasher: Hasher | None
    ) -> int:
        """As :meth:`~image_registry.storage.blob_store.BlobStore.append` says."""
        folder = _folder(repository, upload_id)
        with self._alone(folder):
            size = self.size(repository, upload_id)
            if size != offset:
                raise OffsetMismatch(size)
            with PieceWriter(self._client, folder, size, self._chunk) as pieces, Beside(hasher) as hashing:
                while True:
                    try:
                        data = source.read(READ)
                    except BaseException:
                        pieces.finish()  # what arrived stays
                        raise
                    if not data:
                        return pieces.finish()
                    hashing.feed(data)
                    pieces.feed(data)

    def open(self, repository: Repository, upload_id: str) -> BinaryIO:
        """The bytes received so far. Raises :class:`UploadMissing`."""
        pieces = self._pieces(repository, upload_id)
        return cast("BinaryIO", ObjectReader(lambda start: _Sequence(self._client, pieces, start), _end(pieces)))

    def commit(self, repository: Repository, upload_id: str, digest: Digest, size: int) -> bool:
        """Let the upload be the blob ``digest`` too; it stays. ``False`` if that was there already. Raises as
        ``commit_upload`` does."""
        blob, folder = layout.blob_data(digest), _folder(repository, upload_id)
        with self._alone(folder):
            pieces = self._pieces(repository, upload_id)
            if _end(pieces) != size:
                raise OffsetMismatch(_end(pieces))
            if self._client.size(blob) == size:
                return False
            if not pieces:
                give(self._client, blob, b"")
                return True
            if not self._is_guarded(folder):
                self._read_again(pieces, digest)
            self._client.join(blob, pieces)
            self._verify(blob, size)
            return True

    def abort(self, repository: Repository, upload_id: str) -> None:
        """Forget an upload; nothing happens if it is gone already."""
        with suppress(UploadMissing):
            folder = _folder(repository, upload_id)
            self._client.delete([f"{folder}/startedat"])  # from here on nobody adds to it
            self._client.delete(entry.key for entry in self._client.entries(f"{folder}/"))

    def sweep(self, repository: Repository, before: datetime) -> int:
        """Remove sessions of which nothing is younger than ``before``, and those that have no beginning any more."""
        sessions: dict[str, list[Entry]] = {}
        prefix = f"{layout.uploads(repository)}/"
        for entry in self._client.entries(prefix):
            sessions.setdefault(entry.key.removeprefix(prefix).partition("/")[0], []).append(entry)
        old = [found for found in sessions.values() if max(entry.modified for entry in found) < before]
        for found in old:
            self._client.delete(entry.key for entry in found)
        return len(old)

    def _pieces(self, repository: Repository, upload_id: str) -> list[Entry]:
        """What is there without a gap, in order. Raises :class:`UploadMissing`."""
        folder = _folder(repository, upload_id)
        found = {entry.key: entry for entry in self._client.entries(f"{folder}/")}
        begun = f"{folder}/startedat"
        if not (self._client.size(begun) if self._client.listing_lags else begun in found):
            raise UploadMissing(upload_id)
        pieces: list[Entry] = []
        end = 0
        while entry := found.get(piece_key(folder, end)) or self._unlisted(piece_key(folder, end)):
            if entry.size == 0:
                break
            pieces.append(entry)
            end += entry.size
        return pieces

    def _unlisted(self, key: str) -> Entry | None:
        """A piece that the listing does not show yet, where that happens."""
        size = self._client.size(key) if self._client.listing_lags else None
        return None if size is None else Entry(key, size, datetime.now(UTC))

    def _is_guarded(self, folder: str) -> bool:
        """Whether the store refuses to write a second piece at one place; asked once in a process."""
        if self._guarded is None:
            try:
                self._client.put(f"{folder}/startedat", io.BytesIO(b"again"), 5, new=True)
            except ObjectExists:
                self._guarded = True
            else:
                self._guarded = False
                structlog.get_logger().warning(
                    "the store ignores If-None-Match: every upload is read again before it is believed"
                )
        return self._guarded

    def _read_again(self, pieces: list[Entry], digest: Digest) -> None:
        """Raise unless the pieces are what the digest was verified of: another writer may have exchanged one."""
        found = hashlib.new(digest.algorithm)
        with closing(ObjectReader(lambda start: _Sequence(self._client, pieces, start), _end(pieces))) as file:
            while data := file.read(READ):
                found.update(data)
        if found.hexdigest() != digest.hex:
            raise StorageFault(f"two requests wrote to one upload of {digest} at once: begin the upload again")

    def _verify(self, key: str, size: int) -> None:
        """A joined object is as long as its pieces, or nobody may see it."""
        found = None
        for seconds in VISIBLE:
            time.sleep(seconds)
            found = self._client.size(key)
            if found == size:
                return
        if found is not None:
            self._client.delete([key])
        raise StorageFault(f"the store joined {size} bytes to {key} and shows {found}; send the last request again")

    @contextmanager
    def _alone(self, folder: str) -> Iterator[None]:
        """Keep other threads of this process away; other processes meet at the pieces."""
        with self._lock:
            if folder in self._writing:
                raise UploadBusy(folder)
            self._writing.add(folder)
        try:
            yield
        finally:
            with self._lock:
                self._writing.discard(folder)


class _Sequence:
    """Pieces one after the other, from a byte on."""

    def __init__(self, client: ObjectClient, pieces: list[Entry], start: int) -> None:
        self._client = client
        self._left: list[tuple[str, int]] = []
        for piece in pieces:
            if start < piece.size:
                self._left.append((piece.key, start))
            start = max(start - piece.size, 0)
        self._incoming: Incoming | None = None

    def read(self, size: int, /) -> bytes:
        while True:
            if self._incoming is None:
                if not self._left:
                    return b""
                self._incoming = self._client.get(*self._left.pop(0))
            if data := self._incoming.read(size):
                return data
            self.close()

    def close(self) -> None:
        incoming, self._incoming = self._incoming, None
        if incoming is not None:
            incoming.close()


def give(client: ObjectClient, key: str, data: bytes) -> None:
    """Write a small object."""
    client.put(key, io.BytesIO(data), len(data))


def _folder(repository: Repository, upload_id: str) -> str:
    try:
        return layout.upload(repository, upload_id)
    except ValueError:
        raise UploadMissing(upload_id) from None


def _end(pieces: list[Entry]) -> int:
    return sum(piece.size for piece in pieces)
