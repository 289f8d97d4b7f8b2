"""Blobs on a file system that nobody refers to, and the way back.

A blob is thrown away by one rename, so a reader finds it in its place or in the trash, and one who finds neither looks
again. Its time in the trash is the time of the file. Nothing here is synced: a name that a power cut takes back is
where it was before, and is found there.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime

from image_registry.oci.digest import HEX_LENGTH, Digest, InvalidDigest
from image_registry.storage import layout
from image_registry.storage.blob_store import Stored
from image_registry.storage.disk_faults import GONE, faults

_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
"""What file systems answer on which a file has one name."""


class Trash:
    """Blobs below one root, and what was thrown away. Every method may raise ``StorageFault``."""

    def __init__(self, root: str) -> None:
        self._root = root

    def blobs(self, wanted: Callable[[str, str], bool]) -> Iterator[Stored]:
        """See :meth:`~image_registry.storage.blob_store.BlobStore.blobs`."""
        for algorithm in HEX_LENGTH:
            base = f"{layout.BLOBS}/{algorithm}"
            for start in self._names(base):
                for value in self._names(f"{base}/{start}"):
                    if wanted(algorithm, value) and (found := self._stored(algorithm, value, f"{start}/{value}/data")):
                        yield found

    def throw_away(self, digest: Digest, before: datetime) -> bool:
        """See :meth:`~image_registry.storage.blob_store.BlobStore.throw_away`."""
        source, target = self._path(layout.blob_data(digest)), self._path(layout.thrown_away(digest))
        with faults("throw away", layout.blob_data(digest)):
            try:
                if os.stat(source).st_mtime >= before.timestamp():
                    return False
                os.utime(source)  # first: killed in between leaves one that waits once more, not one that never does
                self._in_folder(os.replace, source, target)
            except GONE:
                return False
            with suppress(OSError):  # somebody may be putting it there again
                os.rmdir(os.path.dirname(source))
            return True

    def take_back(self, digest: Digest) -> bool:
        """See :meth:`~image_registry.storage.blob_store.BlobStore.take_back`."""
        source, target = self._path(layout.thrown_away(digest)), self._path(layout.blob_data(digest))
        with faults("take back", layout.blob_data(digest)):
            if not os.path.lexists(source):
                return False
            try:
                self._in_folder(os.link, source, target)  # never over bytes that were pushed since
            except (FileExistsError, *GONE):
                return False  # or somebody else did
            except OSError as error:
                if error.errno not in _NO_LINKS or os.path.lexists(target):
                    raise
                self._in_folder(os.replace, source, target)
                return True
            with suppress(*GONE):
                os.unlink(source)
            return True

    def entries(self) -> Iterator[Stored]:
        """What lies in the trash."""
        for algorithm in HEX_LENGTH:
            for value in self._names(f"{layout.TRASH}/{algorithm}"):
                if found := self._stored(algorithm, value, None):
                    yield found

    def remove(self, digest: Digest) -> bool:
        """Remove a blob from the trash; ``False`` if it is not there any more."""
        with faults("remove", layout.thrown_away(digest)):
            try:
                os.unlink(self._path(layout.thrown_away(digest)))
            except GONE:
                return False
            return True

    def quarantine(self, blob: Stored) -> bool:
        """See :meth:`~image_registry.storage.blob_store.BlobStore.quarantine`."""
        digest = blob.digest
        source = self._path(layout.blob_data(digest))
        with faults("put aside", layout.blob_data(digest)):
            try:
                status = os.stat(source)
                if (datetime.fromtimestamp(status.st_mtime, UTC), status.st_size) != (blob.since, blob.size):
                    return False
                self._in_folder(os.replace, source, self._path(layout.quarantined(digest, str(time.time_ns()))))
            except GONE:
                return False
            with suppress(OSError):  # somebody may be putting it there again
                os.rmdir(os.path.dirname(source))
            return True

    def quarantined(self) -> Iterator[Stored]:
        """What was put aside."""
        for algorithm in HEX_LENGTH:
            for name in self._names(f"{layout.QUARANTINE}/{algorithm}"):
                with suppress(InvalidDigest, *GONE):
                    status = os.stat(self._path(f"{layout.QUARANTINE}/{algorithm}/{name}"))
                    digest = Digest.parse(f"{algorithm}:{name.partition('.')[0]}")
                    yield Stored(digest, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))

    def _in_folder(self, move: Callable[[str, str], None], source: str, target: str) -> None:
        """Give a file a name in a folder that may be missing or be taken away meanwhile. Raises
        ``FileNotFoundError``."""
        for _ in range(10):
            with suppress(FileExistsError):
                os.makedirs(os.path.dirname(target), exist_ok=True)
            try:
                move(source, target)
            except FileNotFoundError:
                if not os.path.lexists(source):
                    raise
            else:
                return
        move(source, target)

    def _stored(self, algorithm: str, value: str, within: str | None) -> Stored | None:
        """A blob, or one in the trash; ``None`` for what is neither, or has just gone."""
        place = f"{layout.TRASH}/{algorithm}/{value}" if within is None else f"{layout.BLOBS}/{algorithm}/{within}"
        try:
            status = os.stat(self._path(place))
            digest = Digest.parse(f"{algorithm}:{value}")
        except (*GONE, InvalidDigest):
            return None
        return Stored(digest, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))

    def _names(self, folder: str) -> list[str]:
        with faults("list", folder):
            try:
                return os.listdir(self._path(folder))
            except GONE:
                return []

    def _path(self, relative: str) -> str:
        return f"{self._root}/{relative}"
