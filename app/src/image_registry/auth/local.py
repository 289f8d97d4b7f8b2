"""Decisions of a registry without a cluster."""

from __future__ import annotations

from image_registry.auth.access import Access, Decision
from image_registry.auth.identity import Identity


class AllowAll:
    """Everybody may do everything: ``image-registry serve --auth none``."""

    def decide(self, identity: Identity, access: Access) -> Decision:  # noqa: ARG002
        return Decision(allowed=True)


class AuthenticatedOnly:
    """Whoever has a user name and password may do everything, nobody else anything."""

    def decide(self, identity: Identity, access: Access) -> Decision:
        if identity.is_anonymous:
            return Decision(allowed=False, reason=f"anonymous callers cannot {access}")
        return Decision(allowed=True)
