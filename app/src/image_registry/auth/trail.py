"""What a request leaves behind for the logs: who asked, for what, and what was decided.

The server puts one :class:`Trail` into the WSGI environment of every request; the doors write down what they learn
while they serve it. Nobody decides anything by a trail.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

TRAIL = "image_registry.trail"
"""WSGI key of the trail."""

ALLOWED, DENIED, CHALLENGED, REFUSED = "allowed", "denied", "challenged", "unauthenticated"
"""Decisions: yes; no (403); "who are you" (401) to a caller without credentials, and to one with wrong ones."""


class Keep(NamedTuple):
    """Under which conditions an answer may be given again, exactly as it is, to whoever may have it."""

    action: str
    """What the next caller must be allowed: ``pull`` of the repository, ``list`` of all, or to be ``known``."""
    repository: str = ""
    """Whose changes end it; without one, those of any."""
    blob: str = ""
    """Digest of the blob that must still be in the repository."""
    untagged: str = ""
    """Tag that storage must still not know, where the tables do not decide alone."""
    missing: str = ""
    """Digest of the blob that is not in the repository, of an answer that says so and depends on nothing else: with
    another name in its place it is right for every other blob that is not there."""
    lasting: bool = True
    """With ``missing``: whether no change of the repository ends it."""


class Trail:
    """Filled in by the doors; everything is optional, for a request may end at any point."""

    __slots__ = (
        "_on_start",
        "caller",
        "decision",
        "digest",
        "error",
        "keep",
        "limit",
        "received",
        "reference",
        "repository",
        "request_id",
        "route",
        "uid",
    )

    def __init__(self, request_id: str = "", on_start: Callable[[Trail], None] | None = None) -> None:
        self.request_id = request_id
        self.route = ""
        self.caller = ""
        self.uid = ""
        self.repository = ""
        self.reference = ""
        self.digest = ""
        self.decision = ""
        self.error = ""
        self.limit = ""
        self.keep: Keep | None = None
        self.received: Callable[[], int] | None = None
        self._on_start = on_start

    def allow(self) -> None:
        """The caller may do what the request asks for, and it begins now."""
        self.decision = ALLOWED
        if self._on_start is not None:
            start, self._on_start = self._on_start, None
            start(self)


def of(environ: dict[str, Any]) -> Trail:
    """The trail of a request; one that nobody reads where no server has put one."""
    found = environ.get(TRAIL)
    if found is None:
        found = environ[TRAIL] = Trail()
    trail: Trail = found
    return trail
