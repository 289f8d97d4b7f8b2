"""A login that ends and can be had anew: a token of a cluster in work that takes longer than it lives."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from image_registry.remote.credentials import Login
from image_registry.remote.errors import RemoteError

EARLY = 0.8
"""Part of its life after which a token is renewed: an upload that has begun cannot be asked again."""

PAUSE = 60.0
"""Seconds after which another one is asked for again when one was refused, or could not be had."""


@dataclass(frozen=True, slots=True)
class Token:
    """What is sent as it is; ``life`` in seconds, none for one of which nobody knows when it ends."""

    text: str = field(repr=False)
    life: float | None = None


class Renewing:
    """Thread-safe. ``obtain`` gives a token that is good now; it may raise :class:`RemoteError`."""

    def __init__(self, obtain: Callable[[], Token], clock: Callable[[], float] = time.monotonic) -> None:
        self._obtain, self._clock = obtain, clock
        self._lock = threading.Lock()
        self._login: Login | None = None
        self._until = 0.0
        self._refused = -PAUSE

    def logins(self) -> Iterator[Login]:
        """The one to try, then, if that was refused, another one if there is any. Raises :class:`RemoteError`."""
        first = self._current()
        yield first
        with self._lock:
            now = self._clock()
            if self._login == first and now >= self._refused + PAUSE:
                self._refused = now
                self._renew()
            found = self._login
        if found is not None and found != first:
            yield found

    def _current(self) -> Login:
        with self._lock:
            if self._login is None or self._clock() >= self._until:
                self._renew()
            assert self._login is not None  # noqa: S101 - it was renewed, or that has raised
            return self._login

    def _renew(self) -> None:
        """Who has a token goes on with it if there is no other one."""
        now = self._clock()
        try:
            token = self._obtain()
        except RemoteError:
            if self._login is None:
                raise
            self._until = now + PAUSE
            return
        self._login = Login(registry_token=token.text)
        self._until = float("inf") if token.life is None else now + token.life * EARLY
