"""Members of a layer, read from a file: gzip or plain tar, bounded, in the order in which they stand.

A layer of a few kilobytes can unpack to petabytes: what comes out is counted.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from image_registry.layers.merging import Entry, Kind
from image_registry.remote.errors import TooLarge, Unusable

MOST_ENTRIES = 2_000_000
LATEST = 2.0**33
"""Seconds: times that every file system can write down; other ones, and what is no number, are left out."""

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


class Bounded(io.RawIOBase):
    """Bytes of a stream, at most so many."""

    def __init__(self, stream: IO[bytes], limit: int, name: str) -> None:
        super().__init__()
        self._stream, self._left, self._name, self._limit = stream, limit, name, limit

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int = -1) -> bytes:
        """The next bytes. Raises :class:`TooLarge`."""
        data = self._stream.read(size if size >= 0 else self._left + 1)
        self._left -= len(data)
        if self._left < 0:
            raise TooLarge(
                f"{self._name} unpacks to more than {self._limit} bytes; allow more by --max-size, or leave it"
            )
        return data


Open = Callable[[tarfile.TarInfo], IO[bytes] | None]


@contextmanager
def plain(path: Path, name: str, limit: int) -> Iterator[Bounded]:
    """The bytes of a layer without compression. Raises :class:`Unusable`, :class:`TooLarge`."""
    with path.open("rb") as file:
        magic = file.read(4)
        file.seek(0)
        if magic.startswith(_ZSTD):
            raise Unusable(f"{name} is compressed by zstd, which is not read here; push the image with gzip")
        stream: IO[bytes] = gzip.GzipFile(fileobj=file) if magic.startswith(_GZIP) else file  # type: ignore[assignment]
        try:
            yield Bounded(stream, limit, name)
        except (gzip.BadGzipFile, zlib.error, EOFError) as error:
            raise Unusable(f"{name} cannot be unpacked: {error}") from None


@contextmanager
def members(path: Path, name: str, limit: int) -> Iterator[Iterator[tuple[Entry, Callable[[], IO[bytes] | None]]]]:
    """Each entry with what opens its bytes, good until the next one is asked for."""
    with plain(path, name, limit) as stream:
        try:
            with tarfile.open(fileobj=stream, mode="r|", ignore_zeros=False) as archive:
                yield _members(archive, name)
        except tarfile.TarError as error:
            raise Unusable(f"{name} is no layer: {error}") from None


def _members(archive: tarfile.TarFile, name: str) -> Iterator[tuple[Entry, Callable[[], IO[bytes] | None]]]:
    for number, member in enumerate(archive):
        if number >= MOST_ENTRIES:
            raise TooLarge(f"{name} has more than {MOST_ENTRIES} entries")
        archive.members = []  # type: ignore[attr-defined] # tarfile keeps every one

        def opened(member: tarfile.TarInfo = member) -> IO[bytes] | None:
            return archive.extractfile(member)

        yield _entry(number, member), opened


def _entry(number: int, member: tarfile.TarInfo) -> Entry:
    kind = Kind.OTHER
    if member.isreg():
        kind = Kind.FILE
    elif member.isdir():
        kind = Kind.FOLDER
    elif member.issym():
        kind = Kind.LINK
    elif member.islnk():
        kind = Kind.HARD_LINK
    owner = (member.uid, member.gid)
    modified = float(member.mtime) if 0 <= member.mtime < LATEST else 0.0
    return Entry(number, member.name, kind, member.size, member.mode, member.linkname, owner, modified)
