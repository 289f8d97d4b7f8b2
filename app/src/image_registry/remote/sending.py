"""One blob on its way to a registry: verified while it passes, taken up again where it broke off.

The last part of bytes that have another digest is never sent, so that no registry can be brought to keep them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Protocol

from image_registry.oci.digest import Digest
from image_registry.remote.asking import Access
from image_registry.remote.errors import Mismatch, Refused, RemoteError
from image_registry.remote.reference import RemoteReference
from image_registry.remote.retrying import ATTEMPTS, backoff
from image_registry.remote.running import Running
from image_registry.remote.uploads import Upload, Uploads

_OTHER = frozenset({"DIGEST_INVALID", "SIZE_INVALID"})
"""What a registry says when an upload is not what it should be: sending the rest of it again does not help."""


class Content(Protocol):
    """Bytes that somebody has and that can be read more than once."""

    @property
    def size(self) -> int: ...

    def open(self, offset: int) -> AbstractContextManager[Iterator[bytes]]:
        """From ``offset`` on. Raises :class:`RemoteError`, also while they are read."""
        ...


def _nothing(_: object) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, slots=True)
class Telling:
    """Who is told about a blob on its way: bytes that were sent, and an upload that could be taken up later."""

    sent: Callable[[int], None] = _nothing
    kept: Callable[[Upload], None] = _nothing


class Sending:
    """One blob on its way. A failure that passes is followed by a look at how far it came."""

    def __init__(
        self,
        uploads: Uploads,
        target: RemoteReference,
        content: Content,
        access: Access,
        telling: Telling,
        piece: int,
        sleep: Callable[[float], None],
    ) -> None:
        self._uploads, self._target, self._content, self._access = uploads, target, content, access
        self._telling, self._piece, self._sleep = telling, piece, sleep
        self._running = Running(blob_digest(target), content.size, str(target))
        self._upload: Upload | None = None
        self._sent = 0
        self._from_start = self._taken_up = self._source_failed = False

    def run(self, upload: Upload | None) -> int:
        """Send what is missing; the bytes that were sent."""
        self._upload, failures, farthest = upload, 0, 0
        offset = self._where()
        while True:
            try:
                self._send(self._upload or self._kept(self._uploads.begin(self._target, self._access)), offset)
            except Mismatch:
                if self._upload is not None:
                    self._uploads.cancel(self._target, self._upload, self._access)
                raise
            except RemoteError as error:
                failures += 1
                if failures >= ATTEMPTS or not self._may_pass(error):
                    raise
                self._sleep(max(backoff(failures), min(getattr(error, "retry_after", 0.0), self._access.patience)))
                self._from_start = failures > 1  # a source may be unable to begin in the middle
                if failures == ATTEMPTS - 1 or (isinstance(error, Refused) and error.code in _OTHER):
                    self._upload = None
                offset = self._where()
                if offset > farthest:
                    farthest, failures = offset, 1
            else:
                return self._sent

    def _may_pass(self, error: RemoteError) -> bool:
        """Also a token that ended in the middle, an upload that the registry forgot, and a piece it had already."""
        if self._source_failed:
            return error.passing
        if isinstance(error, Refused) and error.code in _OTHER:
            again, self._taken_up = self._taken_up, False
            return again
        return error.passing or error.status in (401, 404) or isinstance(error, Refused)

    def _where(self) -> int:
        """How far the upload is; one that cannot be gone on with is forgotten."""
        if self._upload is None:
            return 0
        try:
            self._upload, offset = self._uploads.offset(self._target, self._upload, self._access)
        except RemoteError as error:
            if error.passing:
                raise
            offset = -1
        if not 0 <= offset <= self._content.size:
            self._upload, offset = None, 0
        return offset

    def _send(self, upload: Upload, offset: int) -> None:
        """From ``offset`` to the end; bytes before it that are not verified yet are read and not sent."""
        size = self._content.size
        self._taken_up |= offset > 0
        self._source_failed = False
        with self._source(self._running.rewind(0 if self._from_start else offset)) as parts:
            flow = self._running.follow(parts, offset)
            while size - offset > self._piece:
                body = flow.stream(self._piece, self._count)
                upload = self._uploads.piece(self._target, upload, self._access, offset, body, self._piece)
                self._kept(upload)
                offset += self._piece
            if size == offset:
                flow.end()  # before the registry is told that this is all
            last = flow.stream(size - offset, self._count) if size > offset else b""
            part = (offset, size - 1) if 0 < offset < size else None
            self._uploads.finish(self._target, upload, self._access, last, part)

    def _kept(self, upload: Upload) -> Upload:
        """Where it could be taken up; some registries name another place after each piece."""
        self._upload = upload
        self._telling.kept(upload)
        return upload

    @contextmanager
    def _source(self, offset: int) -> Iterator[Iterator[bytes]]:
        """The content, with a note of whose fault a failure is."""
        with ExitStack() as stack:
            try:
                parts = stack.enter_context(self._content.open(offset))
            except RemoteError:
                self._source_failed = True
                raise
            yield self._noting(parts)

    def _noting(self, parts: Iterator[bytes]) -> Iterator[bytes]:
        try:
            yield from parts
        except RemoteError:
            self._source_failed = True
            raise

    def _count(self, number: int) -> None:
        self._sent += number
        self._telling.sent(number)


def blob_digest(target: RemoteReference) -> Digest:
    """What a blob is named by."""
    if target.digest is None:
        raise ValueError("a blob is named by its digest")
    return target.digest
