"""The body of a request as it arrives: an end that came too early is a failure, not an end.

The server hands over what it got when a client vanishes, as if that had been all. For a manifest or the last part of a
blob that would be wrong content; for a chunk it would be an acknowledged length that the client never meant.
"""

from __future__ import annotations

import time
from http import HTTPStatus

from image_registry.auth import trail
from image_registry.distribution_api.asked import request
from image_registry.oci.errors import RegistryError

STRAIGHT = "image_registry.straight"
"""Environment key of a function that receives bytes of the body into memory, where the server has one."""


class ClientVanished(RegistryError):
    """The connection broke, or what came is no HTTP body; nobody may be left to read this answer."""

    code, status = "SIZE_INVALID", HTTPStatus.BAD_REQUEST


class Body:
    """Reads the body of the current request; ``received`` counts its bytes."""

    def __init__(self) -> None:
        self._stream = request.stream
        self._length = request.content_length
        self._straight = request.environ.get(STRAIGHT)
        self._broken: ClientVanished | None = None
        self.received = 0
        trail.of(request.environ).received = lambda: self.received

    @property
    def left(self) -> int | None:
        """Bytes that come, if the client said how many."""
        return None if self._length is None else self._length - self.received

    def readinto(self, view: memoryview, /) -> int:
        """Fill ``view``; less only at the end or when the body breaks, which the next call raises."""
        filled = 0
        while filled < len(view) and self._broken is None:
            try:
                length = self._some(view[filled:])
            except ClientVanished as error:
                self._broken = error
                break
            if not length:
                break
            filled += length
        if not filled and self._broken is not None:
            raise self._broken
        return filled

    def whole(self, seconds: float) -> bytes:
        """All of a short body of known length, which must be there in time: nobody may have asked who sends it.

        Raises :class:`ClientVanished`.
        """
        view = memoryview(bytearray(self.left or 0))
        end = time.monotonic() + seconds
        while self.left:
            waiting = end - time.monotonic()
            if waiting <= 0:
                raise ClientVanished(
                    f"{self.left} bytes of the body did not come within {seconds:g} s; send it at once"
                )
            self._some(view[self.received :], waiting)
        return bytes(view)

    def _some(self, view: memoryview, patience: float | None = None) -> int:
        if self._straight is None:
            data = self.read(len(view))
            view[: len(data)] = data
            return len(data)
        if not self.left:
            return 0
        try:
            length: int = self._straight(view) if patience is None else self._straight(view, patience)
        except Exception as error:  # noqa: BLE001 - as below
            raise ClientVanished(f"the body broke off after {self.received} bytes: {error}") from None
        if not length:
            raise ClientVanished(f"the body broke off after {self.received} of {self._length} bytes")
        self.received += length
        return length

    def read(self, size: int, /) -> bytes:
        """At most ``size`` bytes, none at the end. Raises :class:`ClientVanished`."""
        try:
            data = self._stream.read(size)
        except Exception as error:  # noqa: BLE001 - servers have many names for a client that does not keep to HTTP
            raise ClientVanished(f"the body broke off after {self.received} bytes: {error}") from None
        self.received += len(data)
        if not data and self._length is not None and self.received < self._length:
            raise ClientVanished(f"the body broke off after {self.received} of {self._length} bytes")
        return data
