"""Who calls: the caller as Kubernetes describes one (authentication.k8s.io/v1 ``UserInfo``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller. Groups decide access as much as the name does, so they always travel with it."""

    username: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    expires: float | None = field(default=None, compare=False)
    """When the credentials end that the caller showed, in seconds since the epoch, as far as they say so."""

    @property
    def is_anonymous(self) -> bool:
        """True for the caller who sent no credentials."""
        return self.username == ANONYMOUS_USER


ANONYMOUS_USER = "system:anonymous"
ANONYMOUS = Identity(ANONYMOUS_USER, groups=("system:unauthenticated",))


class InvalidCredentials(Exception):
    """Nobody accepts these credentials; the text says why without repeating them."""


class AuthenticationUnavailable(Exception):
    """The party that knows (the API server) cannot be asked now."""


class Authenticator(Protocol):
    """Turns credentials into a caller."""

    def authenticate_token(self, token: str) -> Identity:
        """Raises :class:`InvalidCredentials` or :class:`AuthenticationUnavailable`."""
        ...

    def authenticate_basic(self, username: str, password: str) -> Identity:
        """Raises :class:`InvalidCredentials` or :class:`AuthenticationUnavailable`."""
        ...
