"""What became of each image and of each thing that a gate looked at: a line of JSON each, in a file beside the journal.

Lines are only appended; for a thing that has several the last one counts. A torn line is left out.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from image_registry.migration.plan import Step

COPIED, PRESENT, FAILED, NOT_TRIED, REMOVED = "copied", "present", "failed", "not tried", "removed"
GOOD, OPEN, ACCEPTED = "good", "open", "accepted"


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemResult:
    """``image`` is what it is about: an image, or another object. ``seconds`` count from the beginning of its portion;
    ``bytes`` are those that were sent for it first."""

    image: str
    outcome: str
    cause: str = ""
    bytes: int = 0
    seconds: float = 0.0
    target: str = ""
    """Its name here, if that is another one."""
    digest: str = ""
    id: str = ""
    """By which it is accepted."""
    accepted: str = ""
    """What it was accepted by."""

    def document(self) -> dict[str, Any]:
        """As a line; the first five are always there."""
        found: dict[str, Any] = {
            "image": self.image,
            "outcome": self.outcome,
            "cause": self.cause,
            "bytes": self.bytes,
            "seconds": round(self.seconds, 3),
        }
        others = {"target": self.target, "digest": self.digest, "id": self.id, "accepted": self.accepted}
        return found | {name: value for name, value in others.items() if value}


def results_path(folder: Path, step: Step | str) -> Path:
    """Where the results of a step are, by its identity too."""
    name = step if isinstance(step, str) else step.id
    return folder / f"{name.replace('/', '-')}.results.jsonl"


class ResultFile:
    """Thread-safe. ``anew`` forgets what an earlier run wrote."""

    def __init__(self, path: Path, *, anew: bool = False) -> None:
        self.path, self._anew = path, anew
        self._lock = threading.Lock()
        self._stream: IO[bytes] | None = None
        self.counts: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = self.path.open("wb" if self._anew else "ab")
        if not self._anew and self._stream.tell():
            self._stream.write(b"\n")  # what an interruption cut off ends here
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            self._stream.close()

    def add(self, results: Iterable[ItemResult]) -> None:
        """Write them down."""
        with self._lock:
            if self._stream is None:
                raise ValueError("the file is not open")
            for result in results:
                self.counts[result.outcome] += 1
                self._stream.write(json.dumps(result.document(), separators=(",", ":")).encode() + b"\n")
            self._stream.flush()


def read_results(path: Path) -> dict[str, Mapping[str, Any]]:
    """The last line of each thing, by its id or image; nothing for a file that is not there."""
    return {str(line.get("id") or line["image"]): line for line in _lines(path)}


def _lines(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        stream = path.open("rb")
    except FileNotFoundError:
        return
    with stream:
        for line in stream:
            try:
                document = json.loads(line)
            except ValueError:
                continue
            if isinstance(document, dict) and "image" in document:
                yield document
