"""What a run of pruning has done, counted while it goes on."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

MOST_TOLD = 1000
"""Failures kept word by word."""


@dataclass(slots=True)
class Outcome:
    """What was done; thread-safe through :meth:`count`."""

    dropped_events: int = 0
    changed_streams: int = 0
    released: int = 0
    deleted_images: int = 0
    kept: int = 0
    """Things of the plan that somebody needs by now."""
    failed: int = 0
    failures: list[str] = field(default_factory=list)
    stopped: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def count(self, **numbers: int) -> None:
        """Add to these."""
        with self._lock:
            for name, number in numbers.items():
                setattr(self, name, getattr(self, name) + number)

    def fail(self, what: str, error: Exception) -> None:
        """One thing that could not be done."""
        with self._lock:
            self.failed += 1
            if len(self.failures) < MOST_TOLD:
                self.failures.append(f"{what}: {error}")
