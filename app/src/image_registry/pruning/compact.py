"""Collections that hold millions of small things in a few bytes each.

A Python object for each image of a large registry would need gigabytes; these keep bytes and numbers side by side.
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left, bisect_right

_KEY, _HEAD = 32, 8
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
        self._heads = array("Q")  # the first eight bytes as a number, which is found quickly
        self._tails = bytearray()
        self._others: dict[str, int] = {}
        self._other_texts: list[str] = []

    def __len__(self) -> int:
        return len(self._heads) + len(self._other_texts)

    def __getitem__(self, index: int) -> str:
        if index < len(self._heads):
            return f"{_SHA256}{self._heads[index]:016x}{self._tail(index).hex()}"
        return self._other_texts[index - len(self._heads)]

    def append(self, text: str) -> int:
        """Keep the next one of a sorted list; returns its number. Raises ValueError for one out of order."""
        if not text.startswith(_SHA256):
            return self.find_or_add(text)
        key = bytes.fromhex(text[len(_SHA256) :])
        head, tail, last = int.from_bytes(key[:_HEAD]), key[_HEAD:], len(self._heads) - 1
        if (
            len(key) != _KEY
            or self._other_texts
            or (last >= 0 and (head, tail) <= (self._heads[last], self._tail(last)))
        ):
            raise ValueError(f"{text[:160]} came out of order")
        self._heads.append(head)
        self._tails += tail
        return last + 1

    def find(self, text: str) -> int:
        """The number of a digest; -1 for one that never came."""
        if text.startswith(_SHA256) and len(text) == len(_SHA256) + 2 * _KEY:
            key = bytes.fromhex(text[len(_SHA256) :])
            head, tail = int.from_bytes(key[:_HEAD]), key[_HEAD:]
            index = bisect_left(self._heads, head)
            while index < len(self._heads) and self._heads[index] == head:
                if self._tail(index) == tail:
                    return index
                index += 1
        return self._others.get(text, -1)

    def _tail(self, index: int) -> bytes:
        return bytes(self._tails[index * (_KEY - _HEAD) : (index + 1) * (_KEY - _HEAD)])

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

    Blobs are known by 38 bits of their digests: of some millions a few share theirs, which moves a sum by as many blobs
    and decides nothing. Few columns are long, and the longer they are, the less is lost between them.
    """

    BUCKETS = 64
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
        bucket, name = (number >> 32) % self.BUCKETS, number & 0xFFFFFFFF
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
