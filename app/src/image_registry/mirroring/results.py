"""What became of each image, for people and for programs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from image_registry.mirroring.places import Mapping
from image_registry.oci.digest import Digest

COPIED, PRESENT, SKIPPED, FAILED, NOT_TRIED = "copied", "present", "skipped", "failed", "not tried"


@dataclass(frozen=True, slots=True)
class Result:
    """One image. ``before`` is true for what an earlier run did."""

    mapping: Mapping
    status: str
    digest: Digest | None = None
    original: Digest | None = None
    referrers: int = 0
    lost: int = 0
    error: str = ""
    reason: str = ""
    before: bool = False

    def document(self) -> dict[str, Any]:
        """For programs; what says nothing is left out."""
        found: dict[str, Any] = {
            "source": str(self.mapping.source),
            "target": str(self.mapping.target),
            "status": self.status,
        }
        if self.digest:
            found["digest"] = str(self.digest)
        if self.original:
            found["sourceDigest"] = str(self.original)
        others: dict[str, Any] = {
            "referrers": self.referrers,
            "referrersLeftOut": self.lost,
            "reason": self.reason,
            "error": self.error,
            "before": self.before,
        }
        return found | {name: value for name, value in others.items() if value}


@dataclass(slots=True)
class Report:
    """A run."""

    results: list[Result] = field(default_factory=list)
    sent_blobs: int = 0
    sent_bytes: int = 0
    mounted: int = 0
    manifests: int = 0
    seconds: float = 0.0

    def number(self, status: str) -> int:
        return sum(result.status == status for result in self.results)

    @property
    def good(self) -> bool:
        """Whether everything that was asked for is there."""
        return not (self.number(FAILED) or self.number(NOT_TRIED))
