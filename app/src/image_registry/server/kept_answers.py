"""Answers of the application, kept as the bytes they were, with what must still be true to give them again.

Nothing here knows what a manifest or a page of tags looks like: the application makes every answer, once. A door says
under which conditions its answer holds (:class:`~image_registry.auth.trail.Keep`), and the answer ends when its
repository changes, when its blob leaves the repository, or when room is needed.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from image_registry.auth.trail import Keep
from image_registry.oci.reference import Repository

ROOM = 8 << 20
"""Bytes of all kept answers of a worker together."""

LARGEST = 64 << 10
"""Bytes of a body that is kept in memory; larger blobs are sent from their file."""

OVERHEAD = 2560
"""Bytes that an answer costs besides its body, its head and its address: objects, paths, names."""

MANY = 10_000
"""Repositories whose last change is remembered one by one."""

Stamp = tuple[int, int, int]
Key = tuple[str, str, str]
"""Method, target, and what kind of answer it is: empty for the plain one."""


class Answer(NamedTuple):
    """One answer to one method and target."""

    status: bytes
    """Number and words."""
    head: bytes
    """The headers that the application gave, without the end of the head."""
    body: bytes
    file: str
    """Where the body is, if it is not kept; empty otherwise."""
    length: int
    """Of what is sent after the head."""
    keep: Keep
    named: str
    """The repository as the logs name it."""
    repository: Repository | None
    witnesses: tuple[tuple[str, Stamp | None], ...]
    """Files that must be the same as when the answer was made, or still not there."""
    at: int
    """The revision that was known before the application was asked."""
    route: str
    reference: str
    digest: str
    decision: str
    error: str = ""
    start: int = 0
    """Where in the file the body begins."""

    @property
    def cost(self) -> int:
        return len(self.body) + len(self.head) + OVERHEAD


class KeptAnswers:
    """Written by every thread that serves, read by the one that answers again."""

    def __init__(self) -> None:
        self._answers: OrderedDict[Key, Answer] = OrderedDict()
        self._lock = threading.Lock()
        self._cost = 0
        self._changed: dict[str, int] = {}
        self._any = 0
        self._floor = 0

    def __contains__(self, key: Key) -> bool:
        return key in self._answers

    def find(self, key: Key) -> Answer | None:
        """The answer, if nothing that :meth:`note` was told ends it."""
        answer = self._answers.get(key)
        if answer is None:
            return None
        last = self._changed.get(answer.keep.repository, 0) if answer.keep.repository else self._any
        if answer.at < last or answer.at < self._floor:
            self.drop(key)
            return None
        return answer

    def lasting(self, key: Key) -> Answer | None:
        """An answer that no change ends."""
        return self._answers.get(key)

    def note(self, changes: Sequence[tuple[int, str, str]] | None, revision: int) -> None:
        """What was committed; ``None`` ends every answer from before ``revision``."""
        if changes is None or len(self._changed) > MANY:
            self._changed.clear()
            self._floor = revision
        for number, namespace, name in changes or ():
            self._any = number
            if namespace:
                self._changed[f"{namespace}/{name}"] = number

    def keep(self, key: Key, answer: Answer) -> None:
        """Remember the answer, in place of the ones that were asked for the longest time ago."""
        with self._lock:
            before = self._answers.pop(key, None)
            self._cost += answer.cost - (before.cost if before else 0)
            self._answers[key] = answer
            while self._cost > ROOM:
                _, gone = self._answers.popitem(last=False)
                self._cost -= gone.cost

    def drop(self, key: Key) -> None:
        """Forget the answer."""
        with self._lock:
            gone = self._answers.pop(key, None)
            if gone is not None:
                self._cost -= gone.cost

    def used(self, key: Key) -> None:
        """The answer was given again."""
        with self._lock:
            if key in self._answers:
                self._answers.move_to_end(key)


def stamp(path: str) -> Stamp | None:
    """What tells one state of a file from another; ``None`` if it is not there."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def head(headers: Iterable[tuple[str, str]]) -> bytes:
    """Headers as they go over the wire."""
    return "".join(f"{name}: {value}\r\n" for name, value in headers).encode("latin-1")
