"""What can go wrong with another registry, in sentences a person can act on.

``reason`` is a word for programs, the one that conditions and Status objects carry (parity reference 1.10).
"""

from __future__ import annotations

from typing import ClassVar


class RemoteError(Exception):
    """Base of the tree. ``passing`` is true if the same question may be answered in a while."""

    reason: ClassVar[str] = "InternalError"
    status: ClassVar[int] = 500
    passing: ClassVar[bool] = False


class InvalidReference(RemoteError, ValueError):
    """The text names no image of a registry."""

    reason, status = "Invalid", 422


class Unauthorized(RemoteError):
    """The registry wants other credentials than those there are."""

    reason, status = "Unauthorized", 401


class Forbidden(RemoteError):
    """The registry knows the credentials, and they do not suffice; or nobody may ask that registry from here."""

    reason, status = "Forbidden", 403


class Blocked(Forbidden):
    """The rules of this installation forbid to ask that registry."""


class UnsafeAddress(Forbidden):
    """The name leads to an address of the inside, where no registry was announced."""


class NotFound(RemoteError):
    """The registry has no such thing, or says so to those who may not see it."""

    reason, status = "NotFound", 404


class TooManyRequests(RemoteError):
    """The registry, or the budget for it, asks to wait for ``retry_after`` seconds."""

    reason, status, passing = "TooManyRequests", 429, True

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unreachable(RemoteError):
    """No answer, a broken one, or one that says that the registry is out of order."""

    reason, status, passing = "ServiceUnavailable", 503, True


class NoSpace(RemoteError):
    """The registry has no room for more."""

    reason, status = "InsufficientStorage", 507


class Untrusted(RemoteError):
    """The certificate of the registry is none that is trusted here."""

    reason, status = "InternalError", 500


class NotARegistry(RemoteError):
    """Something answers there that does not speak the distribution protocol."""

    reason, status = "NotV2Registry", 500


class Mismatch(RemoteError):
    """The bytes are not what the digest or the size names."""


class TooLarge(RemoteError):
    """More bytes than anybody here is ready to take."""


class Unusable(RemoteError):
    """A manifest of a kind that cannot be imported."""

    reason, status = "Invalid", 422


class Refused(RemoteError):
    """The registry does not take what was sent; ``code`` is the protocol's word for why, if it said one."""

    reason, status = "Invalid", 422

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class Unreadable(RemoteError):
    """A file that should be sent, or written, cannot be."""

    reason = "Unreadable"
