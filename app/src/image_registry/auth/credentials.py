"""What a client sends in ``Authorization``, read into values (RFC 9110 section 11, RFC 7617, RFC 6750)."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from image_registry.auth.identity import InvalidCredentials

MAX_LENGTH = 16384
"""Longest header that is looked at, in characters."""


@dataclass(frozen=True, slots=True)
class Basic:
    """A user name and a password, which may be a platform token."""

    username: str
    password: str

    def __repr__(self) -> str:
        return f"Basic(username={self.username!r})"


@dataclass(frozen=True, slots=True)
class Bearer:
    """A token: ours or the platform's."""

    token: str

    def __repr__(self) -> str:
        return "Bearer(…)"


def parse_authorization(header: str | None) -> Basic | Bearer | None:
    """Read the header; ``None`` without one. Raises :class:`InvalidCredentials` with the reason, never the content."""
    if header is None or not header.strip():
        return None
    if len(header) > MAX_LENGTH:
        raise InvalidCredentials(f"the Authorization header is longer than {MAX_LENGTH} characters")
    scheme, _, value = header.strip().partition(" ")
    value = value.strip()
    match scheme.lower():
        case "bearer" if value and " " not in value:
            return Bearer(value)
        case "bearer":
            raise InvalidCredentials("the Bearer token is empty or holds a space")
        case "basic":
            return _basic(value)
        case _:
            raise InvalidCredentials("the Authorization scheme is not supported; use Bearer or Basic")


def _basic(value: str) -> Basic:
    try:
        text = base64.b64decode(value, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise InvalidCredentials("the Basic credentials are not base64 of user:password in UTF-8") from None
    username, colon, password = text.partition(":")
    if not colon:
        raise InvalidCredentials("the Basic credentials have no ':' between user and password")
    return Basic(username, password)
