"""The rebuild: from repository to repository, resumable, by one process at a time, while everything is served.

The plan of a repository is its survey; applying it goes through the rules. A dry run makes the surveys and applies
nothing. How far it is lies in the database, so a process that dies loses the work on one repository at most.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from image_registry.imagestreams.adoption import Finding, FoundManifest
from image_registry.imagestreams.rebuild_ledger import OUTSIDE, RebuildLedger
from image_registry.imagestreams.records import Records
from image_registry.imagestreams.service import ImageStreams
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository
from image_registry.rebuilding.archive import Archive
from image_registry.rebuilding.survey import STRANGE_NAME, Survey
from image_registry.storage.blob_store import BlobStore, StorageFault

PORTION = 200
"""Manifests of one transaction: what a push to the same repository waits for."""

NOTED_EVERY = 2.0
"""Seconds between two notes of how far it is."""

REMEMBERED = 200_000
"""Sizes of blobs that are kept in memory."""


@dataclass
class Counts:
    """What a rebuild has seen; ``images``, ``tags_changed`` and ``removed`` are what it wrote.

    ``remembered`` are streams of which a record was found.
    """

    repositories: int = 0
    manifests: int = 0
    tags: int = 0
    images: int = 0
    tags_changed: int = 0
    removed: int = 0
    remembered: int = 0
    findings: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: ``complete`` if nothing is left to do; ``unreadable`` are the repositories that failed."""

    complete: bool
    counts: Counts
    unreadable: tuple[str, ...] = ()


Reporter = Callable[[Counts, Repository], None]


@dataclass
class _Walk:
    """How far one walk came."""

    done: Repository
    unreadable: list[str] = field(default_factory=list)
    stopped: bool = False


class _TakenOver(Exception):
    """Another process believes that this one is dead, or somebody began again."""


def _silent(_counts: Counts, _repository: Repository) -> None:
    """Report nothing."""


class Rebuild:
    """One for each process. Methods may raise ``MetadataUnavailable`` and ``StorageFault``."""

    def __init__(
        self, store: BlobStore, streams: ImageStreams, ledger: RebuildLedger, recorded: Records | None = None
    ) -> None:
        self._archive = Archive(store, recorded)
        self._store = store
        self._streams = streams
        self._ledger = ledger
        self._sizes: dict[Digest, int | None] = {}
        self._tables = True
        self._me = uuid.uuid4().hex
        self._lock = threading.Lock()
        self._reading: dict[Repository, threading.Lock] = defaultdict(threading.Lock)

    def read(self, repository: Repository) -> None:
        """Adopt one repository before its turn, because somebody needs its tables now; threads wait for each other."""
        with self._lock:
            mine = self._reading[repository]
        with mine:
            if not self._streams.covers(repository):
                self._adopt(repository, {}, Counts())
        with self._lock:
            self._reading.pop(repository, None)

    def complete(self) -> bool:
        """Whether nothing is left to do."""
        return self._ledger.state().finished is not None

    def run(self, stop: threading.Event, report: Reporter = _silent) -> Outcome | None:
        """Go on where the last process stopped; ``None`` if another one is at it, or if everything is done."""
        state = self._ledger.state()
        if state.finished is not None or not self._ledger.take(self._me, _now()):
            return None
        self._archive.resume_revisions()
        state = self._ledger.state()
        counts = Counts(**{key: value for key, value in state.counts.items() if key in Counts.__dataclass_fields__})
        try:
            walk = self._walk(state.after, counts, stop, report)
        except _TakenOver:
            return None
        if walk.unreadable or walk.stopped:
            self._ledger.advance(self._me, walk.done, asdict(counts), _now())
            self._ledger.release(self._me)
            return Outcome(complete=False, counts=counts, unreadable=tuple(walk.unreadable))
        strange = [*self.strange_names(), *self._adopt_images(counts, stop)]
        if stop.is_set():
            self._ledger.release(self._me)
            return Outcome(complete=False, counts=counts)
        counts.findings += len(strange)
        report(counts, walk.done)
        self._archive.begin_anew()
        finished = self._ledger.finish(self._me, asdict(counts), strange, _now())
        return Outcome(complete=True, counts=counts) if finished else None

    def _walk(self, after: Repository, counts: Counts, stop: threading.Event, report: Reporter) -> _Walk:
        walk = _Walk(after)
        noted = time.monotonic()
        for repository in self._repositories():
            if repository <= after:
                continue
            if stop.is_set():
                walk.stopped = True
                return walk
            try:
                if not self._streams.covers(repository):
                    self._adopt(repository, self._sizes, counts)
            except StorageFault as error:
                walk.unreadable.append(f"{repository}: {error}")
            if not walk.unreadable:
                # behind one that could not be read the tables speak only for those that are marked one by one
                walk.done = repository
            if time.monotonic() - noted >= NOTED_EVERY:
                noted = time.monotonic()
                report(counts, repository)
                if not self._ledger.advance(self._me, walk.done, asdict(counts), _now()):
                    raise _TakenOver
        return walk

    def rehearse(
        self, report: Reporter = lambda _counts, _repository: None, *, tables: bool = True
    ) -> tuple[Counts, list[tuple[Repository, Finding]]]:
        """What a run would find and change from the first repository on; nothing is written anywhere.

        Without ``tables`` there are none yet to compare with.
        """
        self._tables = tables
        counts = Counts()
        found: list[tuple[Repository, Finding]] = []
        for repository in self._repositories():
            try:
                survey = self._adopt(repository, self._sizes, counts, rehearsal=True)
            except StorageFault as error:
                found.append((repository, Finding("unreadable", str(repository), str(error))))
            else:
                found += [(repository, finding) for finding in survey.findings]
            report(counts, repository)
        found += [(OUTSIDE, finding) for finding in self.strange_names()]
        counts.findings = len(found)
        return counts, found

    def strange_names(self) -> list[Finding]:
        """Repositories of other depth, which nobody could be given a right to (design, decision 14)."""
        return [
            Finding(STRANGE_NAME, name, "this registry has exactly <namespace>/<repository>; copy it to such a name")
            for name in sorted(self._store.strays())
        ]

    def _repositories(self) -> list[Repository]:
        """Those that have links, and those of which only a record is left: nothing was ever pushed to them."""
        return sorted({*self._store.repositories(), *self._archive.repositories()})

    def _adopt(
        self, repository: Repository, sizes: dict[Digest, int | None], counts: Counts, *, rehearsal: bool = False
    ) -> Survey:
        survey = Survey.of(self._store, repository, sizes)
        recalled = self._archive.recall(repository, survey.links.manifests, survey.findings)
        portion: list[FoundManifest] = []
        for found in survey.manifests():
            portion.append(found)
            if len(portion) == PORTION and not rehearsal:
                counts.images += self._streams.adopter.manifests(repository, portion, recalled).new_images
                portion = []
        readable = frozenset(survey.readable)
        survey.readable |= recalled.beyond
        tags = survey.tags()
        if not rehearsal or self._tables:
            taken = self._streams.adopter.tags(
                repository, portion, tags, readable, survey.findings, self._store, recalled, rehearsal=rehearsal
            )
            counts.images += taken.new_images
            counts.tags_changed += taken.tags_changed
            counts.removed += taken.removed
        counts.remembered += recalled.stream is not None
        _count(counts, survey, len(readable), len(tags))
        if len(sizes) > REMEMBERED:
            sizes.clear()
        return survey

    def _adopt_images(self, counts: Counts, stop: threading.Event) -> list[Finding]:
        """Images that no stream holds are nowhere but in records."""
        findings: list[Finding] = []
        for recorded in self._archive.other_images(findings):
            if stop.is_set():
                break
            counts.images += self._streams.adopter.images(recorded)
        return findings


def _count(counts: Counts, survey: Survey, manifests: int, tags: int) -> None:
    counts.repositories += bool(survey.links.manifests or survey.links.tags)
    counts.manifests += manifests
    counts.tags += tags
    counts.findings += len(survey.findings)


def _now() -> datetime:
    return datetime.now(UTC)
