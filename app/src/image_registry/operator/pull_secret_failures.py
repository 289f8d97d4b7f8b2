"""What could not be done for a namespace or a ServiceAccount, how often in a row, and when it is tried again."""

from __future__ import annotations

import random

from image_registry.kube.errors import KubeError
from image_registry.operator.pull_secret_sources import Key

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 300.0
"""Seconds until something is tried again that failed."""

LASTING = 3
"""Failures in a row that are worth a word: what passes by itself is not."""


class Failures:
    """Of one term; workers share it, and one key has one worker at a time."""

    def __init__(self) -> None:
        self._known: dict[Key, tuple[int, str]] = {}

    def add(self, key: Key, error: Exception) -> tuple[int, float]:
        """How many in a row these are, and seconds until it is tried again: longer each time, never all at once."""
        times = self._known.get(key, (0, ""))[0] + 1
        self._known[key] = (times, str(error))
        return times, min(FIRST_PAUSE * 2 ** (times - 1), LONGEST_PAUSE) * random.uniform(0.7, 1.3)  # noqa: S311

    def forget(self, key: Key) -> None:
        """It has been done, or there is nothing to do any more."""
        self._known.pop(key, None)

    def lasting(self) -> dict[Key, str]:
        """Those that are worth a word, and the last reason of each."""
        return {key: why for key, (times, why) in list(self._known.items()) if times >= LASTING}


def is_not_found(error: Exception) -> bool:
    """Whether what was to be written belongs to something that is not there."""
    return isinstance(error, KubeError) and error.not_found


def is_behind(error: Exception) -> bool:
    """Whether the cluster is not as the view of it says: it is looked at anew, and soon tried again."""
    return isinstance(error, KubeError) and (error.conflict or error.not_found)
