"""The request that is being served, for views: the same object whether Flask has dispatched it or not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, cast

from werkzeug.local import LocalProxy
from werkzeug.wrappers import Request

if TYPE_CHECKING:
    from image_registry.auth.gate import Caller


class Asked(Request):
    """A request, and who sent it once somebody has asked."""

    caller: Caller | None = None


_current: ContextVar[Asked] = ContextVar("asked")

request = cast("Asked", LocalProxy(_current))


@contextmanager
def being(environ: dict[str, Any]) -> Iterator[Asked]:
    """For the time of the block :data:`request` is the one of this environment."""
    asked = Asked(environ)
    token = _current.set(asked)
    try:
        yield asked
    finally:
        _current.reset(token)
