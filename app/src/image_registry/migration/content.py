"""What lies in a legacy registry: one line for each repository in a file that grows while it is looked at.

The file is the memory of a survey: one that was interrupted goes on behind its last whole line, and nothing needs to
fit into memory but a number for each blob that was seen. It names repositories, tags and digests, and holds no secret.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from image_registry.migration.documents import InvalidDocument, from_document, to_document

VERSION = 1
MISSING_BLOB, MISSING_MANIFEST, UNREADABLE = "missing blob", "missing manifest", "unreadable"
WRONG_SIZE = "wrong size"
OF_BLOBS = frozenset({MISSING_BLOB, WRONG_SIZE, UNREADABLE})
"""Problems that may be of a blob, whose digest is the first word of the detail then."""
OLD_MANIFEST, TOO_MANY = "schema 1", "too many tags"
FORM = "%Y-%m-%dT%H:%M:%SZ"
BEFORE = ".before"
"""Behind the name of a file whose survey is made anew."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with one repository; ``subject`` is a tag, a digest or a path."""

    kind: str
    subject: str
    detail: str


@dataclass(frozen=True, slots=True)
class RepositoryContent:
    """One repository: what its tags mean, what its manifests need."""

    name: str
    tags: Mapping[str, str] = field(default_factory=dict)
    manifests: Mapping[str, str] = field(default_factory=dict)
    """Media type by digest, children of indexes included."""
    blobs: Mapping[str, int] = field(default_factory=dict)
    """Size by digest; manifests are not among them."""
    problems: tuple[Problem, ...] = ()

    @property
    def nested(self) -> bool:
        """Whether it has another number of parts than two, which this registry does not have."""
        return self.name.count("/") != 1

    @property
    def empty(self) -> bool:
        """Whether it is a name and nothing else: the folder above a deeper one, or what a deletion left."""
        return not (self.tags or self.manifests or self.problems)

    @property
    def size(self) -> int:
        """Bytes, if nothing of it was there already."""
        return sum(self.blobs.values())


@dataclass(slots=True)
class Totals:
    """What was seen so far. ``size`` counts what several repositories share once."""

    repositories: int = 0
    nested: int = 0
    tags: int = 0
    manifests: int = 0
    blobs: int = 0
    size: int = 0
    largest: int = 0
    """Bytes of the largest repository."""
    most_tags: int = 0
    problems: Counter[str] = field(default_factory=Counter)
    _seen: set[int] = field(default_factory=set)
    _broken: set[int] = field(default_factory=set)
    """Blobs that were not found well."""

    def add(self, repository: RepositoryContent) -> None:
        """One more repository."""
        self.repositories += 1
        self.nested += repository.nested
        self.tags += len(repository.tags)
        self.manifests += len(repository.manifests)
        self.largest = max(self.largest, repository.size)
        self.most_tags = max(self.most_tags, len(repository.tags))
        self.problems.update(problem.kind for problem in repository.problems)
        self._broken.update(
            _head(problem.detail.partition(" ")[0].rstrip(","))
            for problem in repository.problems
            if problem.kind in OF_BLOBS
        )
        for digest, size in repository.blobs.items():
            head = _head(digest)
            if head not in self._seen:
                self._seen.add(head)
                self.blobs += 1
                self.size += size

    def has(self, digest: str) -> bool:
        """Whether a blob was counted already, and was there: one that is lost is looked for by all who need it."""
        return _head(digest) in self._seen and _head(digest) not in self._broken


@dataclass(frozen=True, slots=True)
class ContentSummary:
    """The last line of the file, and what a plan keeps of it."""

    version: int
    source: str
    """``registry`` or ``storage``."""
    place: str
    repositories: int = 0
    nested: int = 0
    tags: int = 0
    manifests: int = 0
    blobs: int = 0
    size: int = 0
    most_tags: int = 0
    stored: int | None = None
    """Bytes of all blobs in the storage, also of those that nothing needs."""
    problems: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    digest: str = ""
    """Of what was found, in whatever order."""


class ContentFile:
    """Written once, read as often as needed; usable while a survey goes on."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def began(self) -> str:
        """When it was begun to look, however often it was interrupted since; empty for a file that does not say so."""
        return str(next((document for _, document in self._lines()), {}).get("began", ""))

    def repositories(self) -> Iterator[RepositoryContent]:
        """In the order in which they were looked at. Raises :class:`InvalidDocument` for what is no such file."""
        for number, document in self._lines():
            if number and "summary" not in document:
                yield from_document(RepositoryContent, document, f"line {number + 1} of {self.path}")

    def summary(self) -> ContentSummary | None:
        """``None`` for a survey that is not finished."""
        found = None
        for _, document in self._lines():
            found = document.get("summary")
        return from_document(ContentSummary, found, str(self.path)) if isinstance(found, dict) else None

    def _lines(self) -> Iterator[tuple[int, dict[str, Any]]]:
        try:
            stream = self.path.open("rb")
        except OSError as error:
            raise InvalidDocument(f"cannot read {self.path}: {error.strerror}; make it with a survey") from None
        with stream:
            for number, line in enumerate(stream):
                if not line.endswith(b"\n"):
                    return  # torn off by an interruption
                try:
                    document = json.loads(line)
                except ValueError:
                    document = None
                if not isinstance(document, dict) or (number == 0 and document.get("content") != VERSION):
                    raise InvalidDocument(f"line {number + 1} of {self.path} is none of a survey; make it anew")
                yield number, document


class ContentWriter:
    """Appends repositories; those that are there already are known by :attr:`done`.

    A survey that was interrupted goes on. One that was finished is looked at anew, and kept beside it until then: what
    it knows may have changed since.
    """

    def __init__(self, path: Path, source: str, place: str) -> None:
        self.path, self.totals = path, Totals()
        self._source, self._place = source, place
        self.done: set[str] = set()
        self._stream: IO[bytes] | None = None

    def __enter__(self) -> Self:
        """Raises :class:`InvalidDocument` when the file is of another survey."""
        header: dict[str, Any] = {"content": VERSION, "source": self._source, "place": self._place}
        keep = 0
        if self.path.exists() and self.path.stat().st_size:
            content = ContentFile(self.path)
            first = next((document for _, document in content._lines()), None)  # noqa: SLF001 - of this module
            if first is not None and {**first, "began": ""} != {**header, "began": ""}:
                raise InvalidDocument(
                    f"{self.path} is of a survey of {first.get('place')!r} by {first.get('source')}: name another file"
                )
            if content.summary() is not None:
                self.path.replace(self.path.with_name(f"{self.path.name}{BEFORE}"))
            else:
                for repository in content.repositories():
                    self.totals.add(repository)
                    self.done.add(repository.name)
                keep = _whole_lines(self.path)
        self._stream = self.path.open("r+b" if self.path.exists() else "w+b")
        self._stream.truncate(keep)
        self._stream.seek(keep)
        if not keep:
            self._write({**header, "began": f"{datetime.now(UTC):{FORM}}"})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            self._stream.close()

    def add(self, repository: RepositoryContent) -> None:
        """One more, unless there is nothing in it; written before the next one is begun."""
        if repository.empty:
            return
        self._write(to_document(repository))
        self.totals.add(repository)
        self.done.add(repository.name)

    def finish(self, seconds: float, stored: int | None = None) -> ContentSummary:
        """Everything was looked at."""
        if self._stream is None:
            raise ValueError("the file is not open")
        self._stream.flush()
        found = self.totals
        summary = ContentSummary(
            VERSION,
            self._source,
            self._place,
            found.repositories,
            found.nested,
            found.tags,
            found.manifests,
            found.blobs,
            found.size,
            found.most_tags,
            stored,
            dict(sorted(found.problems.items())),
            round(seconds, 3),
            _digest(self.path),
        )
        self._write({"summary": to_document(summary)})
        os.fsync(self._stream.fileno())
        return summary

    def _write(self, document: Any) -> None:
        if self._stream is None:
            raise ValueError("the file is not open")
        self._stream.write(json.dumps(document, separators=(",", ":")).encode() + b"\n")
        self._stream.flush()


def _whole_lines(path: Path) -> int:
    """Bytes of all whole lines before the summary, which a survey that goes on writes anew."""
    size = 0
    with path.open("rb") as stream:
        for line in stream:
            if not line.endswith(b"\n") or line.startswith(b'{"summary"'):
                break
            size += len(line)
    return size


def _digest(path: Path) -> str:
    """The same for the same repositories: several are looked at at once, and who comes first is chance."""
    total = 0
    with path.open("rb") as stream:
        next(stream, b"")  # the time
        for line in stream:
            total += int.from_bytes(hashlib.sha256(line).digest())
    return f"sha256:{hashlib.sha256(str(total).encode()).hexdigest()}"


def _head(digest: str) -> int:
    """Eight bytes tell blobs apart as far as counting needs it."""
    value = digest.rpartition(":")[2]
    try:
        return int(value[:16], 16)
    except ValueError:
        return hash(digest)
