"""Decisions of a registry without a cluster."""

from __future__ import annotations

from collections.abc import Callable

from image_registry.auth.access import Access, AuthorizationUnavailable, Decision
from image_registry.auth.identity import AuthenticationUnavailable, Identity


class AllowAll:
    """Everybody may do everything: ``image-registry serve --auth none``."""

    def decide(self, identity: Identity, access: Access) -> Decision:  # noqa: ARG002
        return Decision(allowed=True)


class AuthenticatedOnly:
    """Whoever has a user name and password may do everything, nobody else anything.

    ``knows`` says whether a user is still there: a token that was fetched before must not outlive its user.
    """

    def __init__(self, knows: Callable[[str], bool] = lambda _user: True) -> None:
        self._knows = knows

    def decide(self, identity: Identity, access: Access) -> Decision:
        if identity.is_anonymous:
            return Decision(allowed=False, reason=f"anonymous callers cannot {access}")
        try:
            known = self._knows(identity.username)
        except AuthenticationUnavailable as error:
            raise AuthorizationUnavailable(str(error)) from None
        if not known:
            return Decision(allowed=False, reason=f'there is no user "{identity.username}" any more')
        return Decision(allowed=True)
