"""Collections that hold millions of small things in a few bytes each.

A Python object for each image of a large registry would need gigabytes; these keep bytes and numbers side by side.
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_right

_KEY = 32
_SHA256 = "sha256:"


class Texts:
    """Texts by the order in which they came."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._ends = array("Q")

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> str:
        start = self._ends[index - 1] if index else 0
        return self._bytes[start : self._ends[index]].decode()

    def append(self, text: str) -> int:
        """Keep one more; returns its number."""
        self._bytes += text.encode()
        self._ends.append(len(self._bytes))
        return len(self._ends) - 1


class Digests:
    """Digests by the order in which they came, and the other way round.

    Those of sha256 come sorted, as the Image API lists them, and need 32 bytes each. Others, and those that come after
    :meth:`close`, are few: they lie in a dictionary.
    """

    def __init__(self) -> None:
        self._keys = bytearray()
        self._others: dict[str, int] = {}
        self._other_texts: list[str] = []
        self._sorted = 0

    def __len__(self) -> int:
        return self._sorted + len(self._other_texts)

    def __getitem__(self, index: int) -> str:
        if index < self._sorted:
            return _SHA256 + self._keys[index * _KEY : (index + 1) * _KEY].hex()
        return self._other_texts[index - self._sorted]

    def append(self, text: str) -> int:
        """Keep the next one of a sorted list; returns its number. Raises ValueError for one out of order."""
        if not text.startswith(_SHA256):
            return self.find_or_add(text)
        key = bytes.fromhex(text[len(_SHA256) :])
        if len(key) != _KEY or self._other_texts or (self._sorted and key <= self._keys[-_KEY:]):
            raise ValueError(f"{text[:160]} came out of order")
        self._keys += key
        self._sorted += 1
        return self._sorted - 1

    def find(self, text: str) -> int:
        """The number of a digest; -1 for one that never came."""
        if text.startswith(_SHA256) and len(text) == len(_SHA256) + 2 * _KEY:
            key = bytes.fromhex(text[len(_SHA256) :])
            low, high = 0, self._sorted
            while low < high:
                middle = (low + high) // 2
                if self._keys[middle * _KEY : (middle + 1) * _KEY] < key:
                    low = middle + 1
                else:
                    high = middle
            if low < self._sorted and self._keys[low * _KEY : (low + 1) * _KEY] == key:
                return low
        return self._others.get(text, -1)

    def find_or_add(self, text: str) -> int:
        """The number of a digest, which it gets now if it never came."""
        known = self.find(text)
        if known < 0:
            known = self._others[text] = len(self)
            self._other_texts.append(text)
        return known


class Groups:
    """Numbers in groups of consecutive ones: what lies between two neighbouring starts belongs together."""

    def __init__(self) -> None:
        self.starts = array("I")

    def open(self, start: int) -> None:
        """The next group begins here."""
        self.starts.append(start)

    def range(self, group: int, end: int) -> range:
        """The members of a group; ``end`` is how many members all groups have."""
        if group >= len(self.starts):
            return range(0)
        return range(self.starts[group], self.starts[group + 1] if group + 1 < len(self.starts) else end)

    def of(self, member: int) -> int:
        """The group that a member belongs to."""
        return bisect_right(self.starts, member) - 1


class Ledger:
    """Which bytes images consist of, to tell how many are nobody's when some of the images go.

    Blobs are known by 44 bits of their digests: among ten million two have the same ones now and then, which moves a
    sum by one blob and decides nothing.
    """

    BUCKETS = 4096
    _LARGE = (1 << 32) - 1

    def __init__(self) -> None:
        self._names = [array("I") for _ in range(self.BUCKETS)]
        self._images = [array("I") for _ in range(self.BUCKETS)]
        self._sizes = [array("I") for _ in range(self.BUCKETS)]
        self._large: dict[tuple[int, int], int] = {}

    def add(self, image: int, digest: str, size: int) -> None:
        """An image consists of this blob, too."""
        part = digest.rpartition(":")[2][:11]
        try:
            number = int(part, 16)
        except ValueError:
            number = int(hashlib.sha256(digest.encode()).hexdigest()[:11], 16)
        bucket, name = number >> 32, number & 0xFFFFFFFF
        self._names[bucket].append(name)
        self._images[bucket].append(image)
        if size >= self._LARGE:
            self._large[bucket, name] = size
        self._sizes[bucket].append(min(max(size, 0), self._LARGE))

    def freed(self, goes: bytearray) -> tuple[int, int, int]:
        """How many blobs only images have of which ``goes`` is true, their bytes, and the bytes of all blobs."""
        blobs = freed = total = 0
        for bucket in range(self.BUCKETS):
            sizes: dict[int, int] = {}
            needed: set[int] = set()
            for name, image, size in zip(self._names[bucket], self._images[bucket], self._sizes[bucket], strict=True):
                sizes[name] = size
                if not goes[image]:
                    needed.add(name)
            for name, size in sizes.items():
                exact = self._large.get((bucket, name), size)
                total += exact
                if name not in needed:
                    blobs += 1
                    freed += exact
        return blobs, freed, total
