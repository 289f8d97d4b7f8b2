"""What can be asked for, and one such run. Values without I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What can be asked for."""

    COLLECT = "gc"
    VERIFY = "verify"
    SCRUB = "scrub"
    RENAME = "rename"
    REBUILD = "rebuild"
    FORGET = "forget"


WHILE_READ_ONLY = frozenset({Kind.RENAME, Kind.REBUILD, Kind.FORGET})
"""What is made while a registry takes no pushes too: it adds links or writes tables, and removes no byte of anybody."""


class Outcome(StrEnum):
    """How a run ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Run:
    """A run as the database has it now; ``outcome`` is ``None`` before its end."""

    id: str
    kind: Kind
    options: Mapping[str, Any]
    asked: datetime
    asked_by: str
    begun: datetime | None
    ended: datetime | None
    outcome: Outcome | None
    holder: str
    attempts: int
    stop: bool
    stage: str
    done: int
    cursor: str
    notes: Mapping[str, Any]
    error: str
    report: Mapping[str, Any] | None

    @property
    def state(self) -> str:
        """One word for people."""
        if self.outcome is not None:
            return str(self.outcome)
        return "running" if self.holder else "waiting"

    @property
    def changes(self) -> bool:
        """Whether it may change what lies in the storage."""
        return bool(self.options.get("confirm"))

    @property
    def pauses(self) -> bool:
        """Whether it waits while the registry is read-only."""
        return self.changes and self.kind not in WHILE_READ_ONLY
