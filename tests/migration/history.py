"""What plan and journal of a migration by playbooks say, for who kills it or measures it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class History:
    """In the folder of the role."""

    folder: Path

    @property
    def journal(self) -> Path:
        return self.folder / "journal.jsonl"

    def plan(self) -> dict[str, Any]:
        """As it was made by the playbook."""
        found: dict[str, Any] = json.loads((self.folder / "plan.json").read_text())
        return found

    def steps(self, phase: str) -> list[str]:
        return [step["id"] for step in self.plan()["steps"] if step["phase"] == phase]

    def phases(self) -> list[str]:
        """Those of the plan in which something is done, in order."""
        return list(dict.fromkeys(step["phase"] for step in self.plan()["steps"]))

    def middle(self, phase: str) -> str:
        """A step in the middle of a phase."""
        steps = self.steps(phase)
        return steps[len(steps) // 2]

    def states(self) -> dict[str, str]:
        """The last word of the journal on every step."""
        return {entry["step"]: entry["state"] for entry in self._entries(0)}

    def begun(self, step: str) -> Callable[[str], bool]:
        """Whether a step has begun since now, whatever was said."""
        before = self.journal.stat().st_size if self.journal.exists() else 0
        return lambda _said: any((entry["step"], entry["state"]) == (step, "begun") for entry in self._entries(before))

    def seconds(self, first: str, last: str) -> float:
        """From the first word of a phase to the last one of another; steps without a time are not asked."""
        of = {phase: set(self.steps(phase)) for phase in (first, last)}
        entries = list(self._entries(0))
        began = min(self._time(entry) for entry in entries if entry["step"] in of[first])
        return max(self._time(entry) for entry in entries if entry["step"] in of[last]) - began

    def results(self, step: str) -> dict[str, dict[str, Any]]:
        """What a step wrote down of each image or thing; the last word of it."""
        lines = (self.folder / f"journal.jsonl.d/{step}.results.jsonl").read_text().splitlines()
        found = map(json.loads, filter(None, lines))  # a run that goes on begins behind an empty one
        return {entry["image"]: entry for entry in found}

    @staticmethod
    def _time(entry: dict[str, Any]) -> float:
        return datetime.fromisoformat(entry["time"]).timestamp()

    def _entries(self, offset: int) -> Iterator[dict[str, Any]]:
        """Whole lines; the last one may be torn off."""
        if self.journal.exists():
            with self.journal.open("rb") as stream:
                stream.seek(offset)
                yield from (json.loads(line) for line in stream.read().splitlines(keepends=True) if line[-1:] == b"\n")
