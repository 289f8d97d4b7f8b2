"""A bucket as a tree of files: see :mod:`~image_registry.storage.tree`."""

from __future__ import annotations

import io
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import UTC, datetime

from image_registry.storage import layout
from image_registry.storage.blob_store import StorageFault
from image_registry.storage.folder_tree import MARK
from image_registry.storage.object_client import Entry, Incoming, ObjectClient, ObjectMissing
from image_registry.storage.object_pieces import GROWTH, Piece, piece_key
from image_registry.storage.object_reader import ObjectReader
from image_registry.storage.object_uploads import VISIBLE, give

TOGETHER = 16
"""Small objects that are written at once by one call."""


class ObjectTree:
    """A :class:`~image_registry.storage.tree.Tree` in a bucket, below one prefix."""

    def __init__(self, client: ObjectClient, *, chunk: int) -> None:
        self._client = client
        self._chunk = chunk

    def folders(self, path: str) -> list[str]:
        return list(self._client.folders(f"{path}/"))

    def entries(self, path: str) -> Iterator[Entry]:
        return self._client.entries(f"{path}/")

    def size(self, path: str) -> int | None:
        return self._client.size(path)

    def open(self, path: str, size: int) -> Incoming:
        return ObjectReader(lambda start: self._client.get(path, start), size)

    def read(self, path: str) -> bytes | None:
        for attempt in range(2):  # one that breaks off is read again
            data = io.BytesIO()
            try:
                with closing(self._client.get(path)) as incoming:
                    while chunk := incoming.read(1 << 20):
                        data.write(chunk)
                return data.getvalue()
            except ObjectMissing:
                return None
            except StorageFault:
                if attempt:
                    raise
        return None

    def write(self, files: Mapping[str, bytes]) -> None:
        if len(files) == 1:
            for path, data in files.items():
                give(self._client, path, data)
            return
        with ThreadPoolExecutor(TOGETHER, thread_name_prefix="write") as pool:
            list(pool.map(lambda path: give(self._client, path, files[path]), files))

    def receive(self, path: str, size: int, data: Iterable[bytes]) -> None:
        folder = f"{layout.STAGING}/{MARK}{uuid.uuid4().hex}"
        pieces: list[Entry] = []
        try:
            for piece in self._filled(data, max(self._chunk, -(-size // GROWTH))):
                with closing(piece):
                    key = piece_key(folder, sum(entry.size for entry in pieces))
                    self._client.put(key, piece.rewound(), piece.size)
                    pieces.append(Entry(key, piece.size, datetime.now(UTC)))
            if (arrived := sum(entry.size for entry in pieces)) != size:
                raise StorageFault(f"{path} has {size} bytes, and {arrived} came")
            if not pieces:
                give(self._client, path, b"")
                return
            self._client.join(path, pieces)
            self._see(path, size)
        finally:
            with suppress(StorageFault):  # a later run clears what stays
                self._client.delete(entry.key for entry in pieces)

    @staticmethod
    def _filled(data: Iterable[bytes], wanted: int) -> Iterator[Piece]:
        piece = Piece()
        for found in data:
            piece.write(found)
            if piece.size >= wanted:
                yield piece
                piece = Piece()
        if piece.size:
            yield piece

    def _see(self, path: str, size: int) -> None:
        """A joined object is as long as its pieces, or nobody may see it."""
        found = None
        for seconds in VISIBLE:
            time.sleep(seconds)
            if (found := self._client.size(path)) == size:
                return
        if found is not None:
            self._client.delete([path])
        raise StorageFault(f"the store joined {size} bytes to {path} and shows {found}")

    def remove(self, paths: Iterable[str]) -> None:
        self._client.delete(paths)

    def free(self) -> int | None:
        return None

    def clear(self, before: datetime) -> None:
        old = (entry.key for entry in self._client.entries(f"{layout.STAGING}/{MARK}") if entry.modified < before)
        self._client.delete(old)
