# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a long run is doing, kept for its result and, where somebody listens, written down while it happens.

Private to this collection.
"""

from __future__ import annotations

import os
import time

LISTENER = "ALAUDA_REGISTRY_PROGRESS"
"""Names the file that the action plugin reads while the module runs."""


SELDOM = 5.0
"""Seconds between two lines of a count."""


class Progress:
    """Lines with the seconds since the start."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._started = time.monotonic()
        self._file = os.environ.get(LISTENER, "")
        self._counted = self._started

    def __call__(self, line: str) -> None:
        """Note a line."""
        timed = f"{time.monotonic() - self._started:4.0f} s: {line}"
        self.lines.append(timed)
        if self._file:
            try:
                with open(self._file, "a", encoding="utf-8") as stream:
                    stream.write(f"{timed}\n")
            except OSError:
                self._file = ""

    def count(self, line: str) -> None:
        """Note a line of something that is said far more often than anybody reads."""
        if time.monotonic() - self._counted >= SELDOM:
            self._counted = time.monotonic()
            self(line)
