"""What the cluster is asked again from time to time, whatever watches have told; what failed is asked again soon."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping

import structlog

from image_registry.kube.errors import ClusterUnreachable, KubeconfigError, KubeError

AFTER_ERROR, AFTER_SURPRISE = 3.0, 30.0
"""Seconds until something is asked for again that failed, as the cluster does at times or as nobody foresaw."""

Question = tuple[Callable[[], None], float]
"""What asks, and seconds after which it asks again."""


class Questions:
    """Asked in their order by one thread; ``refused`` hears of those that need a right which is not there."""

    def __init__(self, questions: Mapping[str, Question], refused: Callable[[], None]) -> None:
        self._questions, self._refused = questions, refused
        self._due = dict.fromkeys(questions, 0.0)
        self.broken = ""
        """Why the last of them failed; empty when none did."""

    def ask_soon(self, what: str) -> None:
        """The next time, whenever it was asked last."""
        self._due[what] = 0.0

    def ask_due(self) -> None:
        """Whatever it is time for."""
        broken = ""
        for what, (ask, again) in self._questions.items():
            if self._due[what] > time.monotonic():
                continue
            self._due[what] = time.monotonic() + again
            try:
                ask()
            except (KubeError, ClusterUnreachable, KubeconfigError) as error:
                self._due[what] = time.monotonic() + AFTER_ERROR * random.uniform(0.7, 1.3)  # noqa: S311
                if isinstance(error, KubeError) and error.forbidden:
                    self._refused()
                broken = str(error)
            except Exception as error:  # noqa: BLE001 - nobody would be told that no token is renewed any more
                self._due[what] = time.monotonic() + AFTER_SURPRISE
                broken = repr(error)
        if broken and broken != self.broken:
            structlog.get_logger().warning("pull Secrets can not be looked after", reason=broken)
        self.broken = broken
