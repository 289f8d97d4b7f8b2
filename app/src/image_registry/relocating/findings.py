"""What a copy found and did, in numbers and names."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

LISTED = 1000
"""Names in a report; numbers count all."""


@dataclass
class Tally:
    """Blobs, links and the rest. ``to_copy`` is what was missing at the beginning, ``copied`` what came over."""

    blobs: int = 0
    bytes: int = 0
    there: int = 0
    to_copy: int = 0
    bytes_to_copy: int = 0
    may_stay: int = 0
    """Of ``to_copy``, those that somebody has accepted to lose."""
    copied: int = 0
    bytes_copied: int = 0
    read_again: int = 0
    """Blobs of the target that were read after they had been written."""
    gone: int = 0
    """Blobs that the source threw away on the way."""
    from_trash: int = 0
    """Blobs that lie in the source's trash and that a link names: they came along."""
    links: int = 0
    links_written: int = 0
    links_removed: int = 0
    """Links of the target that the source does not have any more."""
    records: int = 0
    records_written: int = 0
    records_removed: int = 0
    uploads: int = 0
    uploads_copied: int = 0
    left_in_trash: int = 0
    left_in_quarantine: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    """By digest or name, why it did not come along."""
    accepted: dict[str, str] = field(default_factory=dict)
    """Likewise, of those that somebody named before."""
    damaged: list[str] = field(default_factory=list)
    """Links of the source that say nothing, as an old crash leaves them: nothing is served by them."""
    strangers: list[str] = field(default_factory=list)
    """Files that belong to no registry."""
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def add(self, **numbers: int) -> None:
        """Count; safe from many threads."""
        with self.lock:
            for name, number in numbers.items():
                setattr(self, name, getattr(self, name) + number)

    def name(self, kind: str, what: str) -> None:
        """Put a name on the list ``kind``."""
        with self.lock:
            getattr(self, kind).append(what)

    def fail(self, what: str, why: str, accepted: frozenset[str]) -> None:
        """Something did not come along."""
        with self.lock:
            (self.accepted if what in accepted else self.failures)[what] = why

    @property
    def changes(self) -> int:
        """What had to be done, or would have to be, beside what was accepted to stay behind."""
        links, records = self.links_written + self.links_removed, self.records_written + self.records_removed
        return self.to_copy - self.may_stay + links + records + self.uploads_copied

    def document(self) -> dict[str, Any]:
        """For a report."""
        return {
            "blobs": {
                "found": self.blobs,
                "bytes": self.bytes,
                "there": self.there,
                "toCopy": self.to_copy,
                "bytesToCopy": self.bytes_to_copy,
                "copied": self.copied,
                "bytesCopied": self.bytes_copied,
                "readAgain": self.read_again,
                "gone": self.gone,
                "fromTrash": self.from_trash,
            },
            "links": {"found": self.links, "written": self.links_written, "removed": self.links_removed},
            "records": {"found": self.records, "written": self.records_written, "removed": self.records_removed},
            "uploads": {"found": self.uploads, "copied": self.uploads_copied},
            "leftBehind": {
                "trash": self.left_in_trash,
                "quarantine": self.left_in_quarantine,
                "damagedLinks": len(self.damaged),
                "strangers": len(self.strangers),
            },
            "damagedLinks": sorted(self.damaged)[:LISTED],
            "strangers": sorted(self.strangers)[:LISTED],
            "failed": len(self.failures),
            "failures": _listed(self.failures),
            "accepted": _listed(self.accepted),
        }


def _listed(found: dict[str, str]) -> list[dict[str, str]]:
    return [{"what": what, "why": found[what]} for what in sorted(found)[:LISTED]]
