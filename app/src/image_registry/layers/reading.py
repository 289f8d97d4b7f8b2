"""Members of a layer, read from a file: gzip, zstd or plain tar, bounded, in the order in which they stand.

A layer of a few kilobytes can unpack to petabytes: what comes out is counted.
"""

from __future__ import annotations

import gzip
import io
import sys
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from enum import Enum
from pathlib import Path
from typing import IO, cast

from image_registry.layers.merging import Entry, Kind
from image_registry.remote.errors import TooLarge, Unusable

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MOST_ENTRIES = 2_000_000
MOST_HEADERS = 1 << 20
"""Bytes in which a layer may say what one entry is: tarfile holds all of them in memory. A name has 4 KiB at most,
extended attributes have 64 KiB."""

MOST_SHARED = 1000
"""Things that a layer may say about all of its entries."""

LATEST = 2.0**33
"""Seconds: times that every file system can write down; other ones, and what is no number, are left out."""

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_SKIPPED = b"\x2a\x4d\x18"
"""Bytes 2 to 4 of a frame of zstd that holds no content: some layers begin with one."""


class Compression(Enum):
    """How a layer is packed; the value is the end of its media type."""

    NONE = ""
    GZIP = "gzip"
    ZSTD = "zstd"


class Bounded(io.RawIOBase):
    """Bytes of a stream, at most so many."""

    def __init__(self, stream: IO[bytes], limit: int, name: str) -> None:
        super().__init__()
        self._stream, self._left, self._name, self._limit = stream, limit, name, limit
        self._soon: int | None = None

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int = -1) -> bytes:
        """The next bytes. Raises :class:`TooLarge`."""
        data = self._stream.read(size if size >= 0 else self._left + 1)
        self._left -= len(data)
        if self._soon is not None:
            self._soon -= len(data)
            if self._soon < 0:
                raise TooLarge(f"{self._name} has an entry with more than {MOST_HEADERS} bytes of headers")
        if self._left < 0:
            raise TooLarge(
                f"{self._name} unpacks to more than {self._limit} bytes; allow more by --max-size, or leave it"
            )
        return data

    def expect(self, size: int | None) -> None:
        """So many bytes at most will be read from now on, until something else is expected; ``None``: any number."""
        self._soon = size


Open = Callable[[tarfile.TarInfo], IO[bytes] | None]


@contextmanager
def plain(path: Path, name: str, limit: int) -> Iterator[Bounded]:
    """The bytes of a layer without compression. Raises :class:`Unusable`, :class:`TooLarge`."""
    with ExitStack() as stack:
        file = stack.enter_context(path.open("rb"))
        form, stream = compression(path), cast("IO[bytes]", file)
        if form is Compression.GZIP:
            stream = cast("IO[bytes]", stack.enter_context(gzip.GzipFile(fileobj=file)))
        elif form is Compression.ZSTD:
            stream = cast("IO[bytes]", stack.enter_context(zstd.ZstdFile(file)))
        try:
            yield Bounded(stream, limit, name)
        except (gzip.BadGzipFile, zlib.error, zstd.ZstdError, EOFError) as error:
            raise Unusable(f"{name} cannot be unpacked: {error}") from None


def compression(path: Path) -> Compression:
    """By the first bytes; what a manifest says of a layer is not asked."""
    with path.open("rb") as file:
        magic = file.read(4)
    if magic.startswith(_GZIP):
        return Compression.GZIP
    return Compression.ZSTD if magic == _ZSTD or magic[1:] == _SKIPPED else Compression.NONE


@contextmanager
def members(path: Path, name: str, limit: int) -> Iterator[Iterator[tuple[Entry, Callable[[], IO[bytes] | None]]]]:
    """Each entry with what opens its bytes, good until the next one is asked for."""
    with plain(path, name, limit) as stream:
        try:
            stream.expect(MOST_HEADERS + tarfile.RECORDSIZE)  # opening it reads its first entry
            with tarfile.open(fileobj=stream, mode="r|", ignore_zeros=False) as archive:
                yield _members(archive, stream, name)
        except tarfile.TarError as error:
            raise Unusable(f"{name} is no layer: {error}") from None
        except RecursionError:  # tarfile reads headers that follow headers one inside of the other
            raise TooLarge(f"{name} has an entry with too many headers") from None


def _members(
    archive: tarfile.TarFile, stream: Bounded, name: str
) -> Iterator[tuple[Entry, Callable[[], IO[bytes] | None]]]:
    for number in range(MOST_ENTRIES + 1):
        member = _next(archive, stream, name)
        if member is None:
            return
        archive.members = []  # type: ignore[attr-defined] # tarfile keeps every one

        def opened(member: tarfile.TarInfo = member) -> IO[bytes] | None:
            return archive.extractfile(member)

        yield _entry(number, member), opened
    raise TooLarge(f"{name} has more than {MOST_ENTRIES} entries")


def _next(archive: tarfile.TarFile, stream: Bounded, name: str) -> tarfile.TarInfo | None:
    """The next entry: what is left of the one before is passed over, and its headers are few."""
    if archive.fileobj is None:
        raise tarfile.ReadError("it is closed")
    left = archive.offset - archive.fileobj.tell()
    stream.expect(max(left, 0) + MOST_HEADERS + tarfile.RECORDSIZE)
    member = archive.next()
    stream.expect(None)
    if len(archive.pax_headers) > MOST_SHARED:
        raise TooLarge(f"{name} says more than {MOST_SHARED} things about all of its entries")
    return member


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
