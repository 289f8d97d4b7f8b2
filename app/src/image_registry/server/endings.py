"""Doing something when the last byte of an answer is sent, or its client is gone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any


def at_end(body: Iterable[bytes], environ: dict[str, Any], action: Callable[[], None]) -> Iterable[bytes]:
    """``body``, with ``action`` done once when the server closes it.

    gunicorn sends files by sendfile only if it is handed its own wrapper, so that one is not wrapped again.
    """
    file_wrapper: Any = environ.get("wsgi.file_wrapper", ())
    if isinstance(body, file_wrapper):
        once = _Once(action)
        _attach(body, once)
        return body  # type: ignore[no-any-return]
    return _Ending(body, _Once(action))


class _Once:
    def __init__(self, action: Callable[[], None]) -> None:
        self._action: Callable[[], None] | None = action

    def __call__(self) -> None:
        action, self._action = self._action, None
        if action is not None:
            action()


def _attach(body: Any, action: _Once) -> None:
    close = getattr(body, "close", None)

    def closed() -> None:
        try:
            if close is not None:
                close()
        finally:
            action()

    body.close = closed


class _Ending:
    def __init__(self, body: Iterable[bytes], action: _Once) -> None:
        self._body = body
        self._action = action

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            self._action()
