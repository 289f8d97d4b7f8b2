"""How often a host is asked, and until when not at all: registries answer those who ask too much with 429, or a ban.

One budget for each process. It bounds questions (manifests, tags), not bytes.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from image_registry.remote.errors import TooManyRequests

RATE, BURST = 10.0, 50
"""Questions each second in the long run, and how many may come at once after a rest."""

REMEMBERED = 4096
"""Hosts."""

LONGEST_PAUSE = 6 * 3600.0
"""Seconds that a host can make us wait; Docker Hub counts by six hours."""


class Budget:
    """Thread-safe. Methods name a host as ``host`` or ``host:port``."""

    def __init__(
        self,
        rate: float = RATE,
        burst: int = BURST,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate, self._burst = rate, burst
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._spent: OrderedDict[str, float] = OrderedDict()
        """Until when the questions asked so far would take at the rate."""
        self._paused: dict[str, float] = {}

    def enter(self, host: str, patience: float) -> None:
        """Wait for a turn. Raises :class:`TooManyRequests` at once if that would take longer than ``patience``."""
        with self._lock:
            now = self._clock()
            pause = self._paused.get(host, 0.0) - now
            if pause <= 0:
                self._paused.pop(host, None)
            step = 1 / self._rate
            until = max(self._spent.get(host, 0.0), now) + step
            wait = max(until - now - self._burst * step, pause, 0.0)
            if wait > patience:
                raise TooManyRequests(
                    f"{host} was asked too often, and is asked again in {wait:.0f} seconds; wait, or use a mirror", wait
                )
            self._spent[host] = until
            self._spent.move_to_end(host)
            while len(self._spent) > REMEMBERED:
                self._paused.pop(self._spent.popitem(last=False)[0], None)
        if wait > 0:
            self._sleep(wait)

    def pause(self, host: str, seconds: float) -> None:
        """The host wants to be left alone."""
        with self._lock:
            until = self._clock() + min(max(seconds, 0.0), LONGEST_PAUSE)
            self._paused[host] = max(self._paused.get(host, 0.0), until)
            self._spent.setdefault(host, self._clock())

    def wait(self, host: str) -> float:
        """Seconds until the host may be asked again after a pause."""
        with self._lock:
            return max(self._paused.get(host, 0.0) - self._clock(), 0.0)
