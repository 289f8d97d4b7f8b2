"""Which digests something refers to.

Of each only the first 60 bits are remembered: half the memory, and where two digests should agree in them, both are
kept. An error can only keep too much.
"""

from __future__ import annotations

from collections.abc import Iterable

_HEX = 15
"""Characters that make a small number of Python's, with the memory of one."""


class Mark:
    """A set of digests that may say yes too often, about 70 bytes for each."""

    def __init__(self) -> None:
        self._known: set[int] = set()

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, value: str) -> bool:
        try:
            return int(value[:_HEX], 16) in self._known
        except ValueError:
            return False

    def add(self, values: Iterable[str]) -> None:
        """Mark the encoded parts of digests; what is none is passed over."""
        for value in values:
            try:
                self._known.add(int(value[:_HEX], 16))
            except ValueError:
                continue

    def add_digests(self, digests: Iterable[str]) -> None:
        """Mark digests in their usual form."""
        self.add(digest.partition(":")[2] for digest in digests)
