"""Writes that are wanted only if things still are as the client knows them (RFC 9110 section 13).

Two clients that read a tag, think, and write it would undo each other; ``If-Match`` and ``If-None-Match`` let the
second one know. The digest is the entity tag. The rules ask under the lock of the repository, so nothing comes between
the answer and the write.
"""

from __future__ import annotations

from image_registry.distribution_api.asked import request
from image_registry.oci.digest import Digest
from image_registry.oci.errors import ConditionFailed


def stated() -> bool:
    """Whether the request has a condition at all."""
    return "If-Match" in request.headers or "If-None-Match" in request.headers


def check(current: Digest | None) -> None:
    """Raise :class:`ConditionFailed` unless the request wants to be done while ``current`` is there."""
    if "If-Match" in request.headers and (current is None or not request.if_match.contains(str(current))):
        raise _failed("If-Match", current)  # also for one that nobody can read: it names nothing that is here
    if current is not None and request.if_none_match.contains_weak(str(current)):
        raise _failed("If-None-Match", current)


def _failed(header: str, current: Digest | None) -> ConditionFailed:
    there = f"{current} is there now" if current is not None else "nothing is there now"
    return ConditionFailed(f"{header} does not hold: {there}; look at it, then decide again")
