"""What was done of a plan: lines that are only ever appended, each on the disk before the next step begins.

A journal belongs to one plan, by digest. Whoever goes on after an interruption asks it what is left; a step that had
begun and did not end is done again, so every step must be one that can be. A rollback takes back in the other order
what was done, with what the journal saved. Saved objects are those of the cluster; Secrets are never among them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from image_registry.migration.documents import InvalidDocument, from_document, to_document
from image_registry.migration.phases import NO_WAY_BACK
from image_registry.migration.plan import Plan, Step


class State(StrEnum):
    BEGUN = "begun"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    """Accepted as an exception, or there was nothing to do."""
    UNDONE = "undone"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line."""

    plan: str
    """Digest of the plan."""
    step: str
    state: State
    time: str = ""
    detail: str = ""
    saved: Mapping[str, Any] = field(default_factory=dict)
    """The object as it was before, for the way back."""


class Journal:
    """Of one plan, in one file. Raises :class:`InvalidDocument` for a file of another plan."""

    def __init__(self, path: Path, plan: Plan) -> None:
        self._path, self._plan = path, plan
        self._states: dict[str, Entry] = {}
        self._saved: dict[str, Mapping[str, Any]] = {}
        self._order: list[str] = []
        self._keep = 0
        for entry in self._entries():
            if entry.plan != plan.digest:
                raise InvalidDocument(f"{path} is the journal of another plan ({entry.plan}): name another file")
            self._take(entry)

    def state(self, step: Step) -> State | None:
        """``None`` for one that was never begun, or that was taken back."""
        entry = self._states.get(step.id)
        return None if entry is None or entry.state is State.UNDONE else entry.state

    def left(self) -> Iterator[Step]:
        """Steps that are still to be done, in the order of the plan."""
        over = (State.DONE, State.SKIPPED)
        return (step for step in self._plan.steps if self.state(step) not in over)

    def to_undo(self) -> Iterator[tuple[Step, Mapping[str, Any]]]:
        """Steps that a rollback takes back, the last one first, each with what was saved.

        Raises ``ValueError`` after a step behind which there is no way back.
        """
        steps = {step.id: step for step in self._plan.steps}
        done = [steps[name] for name in self._order if name in steps and self.state(steps[name]) is not None]
        final = next((step for step in done if step.phase in NO_WAY_BACK), None)
        if final is not None:
            raise ValueError(f"{final.title!r} was done, behind which there is no way back by itself")
        return ((step, self._saved.get(step.id, {})) for step in reversed(done) if step.undo)

    def write(
        self,
        step: Step,
        state: State,
        *,
        detail: str = "",
        saved: Mapping[str, Any] | None = None,
        now: datetime | None = None,
    ) -> None:
        """One line; durable on return. What was saved first stays what a rollback writes back."""
        if saved and saved.get("kind") == "Secret":
            raise ValueError("Secrets are not written into a journal")
        moment = (now or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")
        entry = Entry(self._plan.digest, step.id, state, moment, detail, saved or {})
        line = json.dumps(to_document(entry), separators=(",", ":")).encode() + b"\n"
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "r+b") as stream:
            stream.truncate(self._keep)
            stream.seek(self._keep)
            stream.write(line)
            stream.flush()
            os.fsync(stream.fileno())
        self._keep += len(line)
        self._take(entry)

    def _take(self, entry: Entry) -> None:
        self._states[entry.step] = entry
        if entry.state is State.UNDONE:
            self._saved.pop(entry.step, None)
            return
        if entry.saved:
            self._saved.setdefault(entry.step, entry.saved)
        if entry.step in self._order:
            self._order.remove(entry.step)
        self._order.append(entry.step)

    def _entries(self) -> Iterator[Entry]:
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return
        for number, line in enumerate(content.splitlines(keepends=True), 1):
            if not line.endswith(b"\n"):
                return  # torn off by an interruption; it is written over
            try:
                document = json.loads(line)
            except ValueError:
                raise InvalidDocument(f"line {number} of {self._path} is none of a journal") from None
            yield from_document(Entry, document, f"line {number} of {self._path}")
            self._keep += len(line)
