"""What a door needs to let somebody ask for a run, and how a run is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from image_registry.upkeep.ledger import Kind, Ledger, Run


class InvalidOption(ValueError):
    """Something that was asked for cannot be; the text names it and says what to write instead."""


class Refused(Exception):
    """Something says that a run would make no sense now; the text says what, and what to do."""


@dataclass(frozen=True, slots=True)
class Upkeep:
    """``check`` raises :class:`InvalidOption` for options of a kind that make no sense; ``wake`` lets somebody look for
    a new run at once."""

    ledger: Ledger
    check: Callable[[Kind, Mapping[str, Any]], None]
    wake: Callable[[], None] = lambda: None


def document(run: Run, *, report: bool = True) -> dict[str, Any]:
    """A run as JSON; without its ``report`` in lists."""
    return {
        "id": run.id,
        "kind": str(run.kind),
        "state": run.state,
        "dryRun": not run.changes,
        "options": dict(run.options),
        "askedBy": run.asked_by,
        "asked": _time(run.asked),
        "begun": _time(run.begun),
        "ended": _time(run.ended),
        "attempts": run.attempts,
        "stopping": run.stop and run.outcome is None,
        "progress": {"stage": run.stage, "count": run.done},
        "error": run.error,
        **({"report": run.report} if report else {}),
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")
