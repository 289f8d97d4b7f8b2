"""What was done of a plan: lines that are only ever appended, each on the disk before the next step begins.

A journal belongs to one plan, by digest. Whoever goes on after an interruption asks it what is left; a step that had
begun and did not end is done again, so every step must be one that can be. A rollback takes back in the other order
what was done, with what the journal saved. Saved objects are those of the cluster; Secrets are never among them.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from image_registry.migration.documents import InvalidDocument, from_document, to_document
from image_registry.migration.plan import Plan, Step, gives_up

IDENTITY = "journal"
"""Stands where lines have the name of a step; none has this one."""


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
        self._times: dict[str, tuple[str, str]] = {}
        self._begun: set[str] = set()
        self._keep = 0
        for entry in self._entries():
            if entry.plan != plan.digest:
                raise InvalidDocument(f"{path} is the journal of another plan ({entry.plan}): name another file")
            self._take(entry)

    @property
    def identity(self) -> str:
        """By which the cluster knows this journal, wherever its file is taken; empty before the first run."""
        entry = self._states.get(IDENTITY)
        return entry.detail if entry else ""

    def identify(self) -> str:
        """Its identity, which is written down if it has none. It is nothing that anybody could make up twice."""
        if not self.identity:
            self._append(Entry(self._plan.digest, IDENTITY, State.DONE, _spelled(None), uuid.uuid4().hex))
        return self.identity

    @property
    def touched(self) -> bool:
        """Whether a step was begun and not taken back."""
        return any(self.begun(step) for step in self._plan.steps)

    def begun(self, step: Step) -> bool:
        """Whether it may have changed something: not one that failed before its beginning, or that was taken back."""
        return step.id in self._begun

    def state(self, step: Step) -> State | None:
        """``None`` for one that was never begun, or that was taken back."""
        entry = self._states.get(step.id)
        return None if entry is None or entry.state is State.UNDONE else entry.state

    def saved(self, step: Step) -> Mapping[str, Any] | None:
        """What was written down for the way back; ``None`` if the step was never begun, or was taken back."""
        return self._saved.get(step.id, {}) if step.id in self._begun else None

    def detail(self, step: Step) -> str:
        """What was said of it last."""
        entry = self._states.get(step.id)
        return entry.detail if entry else ""

    def times(self, step: Step) -> tuple[str, str]:
        """When it was begun last, and when the line after that was written; empty for never."""
        return self._times.get(step.id, ("", ""))

    def left(self) -> Iterator[Step]:
        """Steps that are still to be done, in the order of the plan."""
        over = (State.DONE, State.SKIPPED)
        return (step for step in self._plan.steps if self.state(step) not in over)

    @property
    def gave_up(self) -> str:
        """The title of a step that was begun and behind which there is no way back; empty where none was."""
        return next((step.title for step in self._plan.steps if gives_up(step) and self.begun(step)), "")

    def to_undo(self) -> Iterator[tuple[Step, Mapping[str, Any]]]:
        """Steps that a rollback takes back, with what was saved: the highest ``undoFirst`` first, then the last one.

        Those that changed nothing are among them, with an empty ``undo``: what they saw is not true any more, so a
        later run has to look, wait, copy and ask again. Raises ``ValueError`` after a step behind which there is no
        way back.
        """
        steps = {step.id: step for step in self._plan.steps}
        done = [steps[name] for name in self._order if name in steps and self.state(steps[name]) is not None]
        if self.gave_up:
            raise ValueError(f"{self.gave_up!r} was done, behind which there is no way back by itself")
        done.reverse()
        back = sorted(done, key=lambda step: -int(step.parameters.get("undoFirst") or 0))  # stable
        return ((step, self._saved.get(step.id, {})) for step in back if self.begun(step))

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
        if saved and _has_secret(saved, step.object.kind if step.object else ""):
            raise ValueError("Secrets are not written into a journal")
        self._append(Entry(self._plan.digest, step.id, state, _spelled(now), detail, saved or {}))

    def _append(self, entry: Entry) -> None:
        line = json.dumps(to_document(entry), separators=(",", ":")).encode() + b"\n"
        new = not self._path.exists()
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        if new:
            _sync_folder(self._path.parent)  # else a power cut takes the name, and with it every line
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
        began, _ = self._times.get(entry.step, ("", ""))
        self._times[entry.step] = (entry.time, "") if entry.state is State.BEGUN else (began, entry.time)
        if entry.state is State.UNDONE:
            self._saved.pop(entry.step, None)
            self._begun.discard(entry.step)
            return
        if entry.state is State.BEGUN:
            self._begun.add(entry.step)
        if entry.saved:
            self._saved[entry.step] = {**entry.saved, **self._saved.get(entry.step, {})}
        if entry.step in self._order:
            self._order.remove(entry.step)
        self._order.append(entry.step)

    def _entries(self) -> Iterator[Entry]:
        for entry, length in _lines(self._path):
            yield entry
            self._keep += length


def entries_of(path: Path) -> list[Entry]:
    """Of whichever plan; none for a file that is not there. Raises :class:`InvalidDocument`."""
    return [entry for entry, _ in _lines(path)]


def _lines(path: Path) -> Iterator[tuple[Entry, int]]:
    """Each line, and how many bytes it has."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    for number, line in enumerate(content.splitlines(keepends=True), 1):
        if not line.endswith(b"\n"):
            return  # torn off by an interruption; it is written over
        try:
            document = json.loads(line)
        except ValueError:
            raise InvalidDocument(f"line {number} of {path} is none of a journal") from None
        yield from_document(Entry, document, f"line {number} of {path}"), len(line)


def _spelled(now: datetime | None) -> str:
    return (now or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _has_secret(value: Any, kind: str = "") -> bool:
    """A saved object has no ``kind`` of its own any more, so of a Secret nothing is written but yes and no."""
    if kind == "Secret":
        return not (isinstance(value, Mapping) and all(isinstance(inner, bool) for inner in value.values()))
    if isinstance(value, Mapping):
        return value.get("kind") == "Secret" or any(_has_secret(inner) for inner in value.values())
    return isinstance(value, list) and any(_has_secret(inner) for inner in value)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
