"""A run of the collector: what it would do, and doing it, while the registry serves.

Nothing stops for it, because each step can be taken back by whoever needs what it took:

0. Everything is looked at, and nothing changed before it is known that the metadata can be believed.
1. Links to blobs that no manifest of their repository needs go, under the lock of the repository, once they are older
   than the grace time. A push that was told that a blob is there has made its link young again, and a manifest is
   taken only if the links of its blobs are there, under the same lock.
2. Blobs that no link and no Image refers to, and that are older than the grace time, are thrown away, not removed.
   Links are read before Images: who turns a link into an Image meanwhile is seen as one or the other.
3. Everything is read once more, and what was linked meanwhile comes back. Who links a blob that was there looks again
   afterwards and finds it in the trash, or writes it anew; so does every reader.
4. What has been in the trash for long enough, and is still unreferred to, is removed for good.

A dry run takes the same decisions and changes nothing. A run that is killed leaves nothing to repair: what it has
done was right by itself, and the next run goes on from there. Several at once do no harm.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby

from image_registry.garbage.belonging import belong_together
from image_registry.garbage.links import forget_blobs
from image_registry.garbage.marking import Mark
from image_registry.garbage.rules import Rules as Rules
from image_registry.imagestreams.cleaning import Kept
from image_registry.imagestreams.inventory import Inventory
from image_registry.oci.digest import Digest, InvalidDigest
from image_registry.oci.manifest import InvalidManifest
from image_registry.oci.reference import InvalidName, Repository
from image_registry.oci.stored_manifest import parse_stored_manifest
from image_registry.storage.blob_store import BlobMissing, BlobStore, Linked, StorageFault, Stored

STEP = 1000
"""Blobs between two words about progress."""

LARGEST = 64 << 20
"""Bytes of a manifest that is read; nobody has been able to push a larger one."""

LEFT_OVER = timedelta(days=1)
"""Age at which a copy in the trash of what is in its place is of no use to anybody."""

FEW = 20
"""Blobs of a registry that is too small for a share of them to mean anything."""


class CollectionRefused(Exception):
    """Something says that a run would be a mistake; the text says what, and what to do."""


@dataclass(slots=True)
class Report:
    """What a run did, or would do; sizes in bytes."""

    dry_run: bool
    blobs: int = 0
    """Blobs in their places when the run looked."""
    links: list[tuple[str, Digest]] = field(default_factory=list)
    """Repository and blob of links that go."""
    thrown_away: list[Stored] = field(default_factory=list)
    taken_back: list[Digest] = field(default_factory=list)
    removed: list[Stored] = field(default_factory=list)
    waiting: list[Stored] = field(default_factory=list)
    """What stays in the trash for now."""
    young: int = 0
    """Blobs that nothing refers to, and that are too young."""
    skipped: list[str] = field(default_factory=list)
    """Repositories whose links were left alone, because something in them was not understood."""

    failed: list[str] = field(default_factory=list)
    """What could not be changed, and why."""
    too_much: bool = False
    """Whether more would go than :attr:`Rules.share` allows, and nothing speaks for it."""

    @property
    def freed(self) -> int:
        """Bytes that are gone for good."""
        return sum(blob.size for blob in self.removed)


Progress = Callable[[str, int], None]
"""What is being done, and how many have been done so far."""


class Collector:
    """Methods may raise ``StorageFault``, ``DatabaseUnavailable`` and :class:`CollectionRefused`.

    ``behind`` says whether the tables are known to be older than the storage.
    """

    def __init__(
        self,
        store: BlobStore,
        inventory: Inventory,
        rules: Rules,
        *,
        behind: Callable[[], bool] = lambda: False,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        progress: Progress = lambda _stage, _count: None,
    ) -> None:
        self._store = store
        self._inventory = inventory
        self._rules = rules
        self._behind = behind
        self._clock = clock
        self._progress = progress
        self._next = 0.0

    def run(self, *, dry_run: bool) -> Report:
        """Collect, or say what would be collected."""
        if not self._inventory.whole():
            raise CollectionRefused(
                "the metadata is being made from storage: until that is done nobody knows what is garbage; "
                "see `image-registry metadata rebuild`, then run this again"
            )
        if self._behind():
            raise CollectionRefused(
                "the metadata is older than what is recorded in the storage, or that of another registry: what it does "
                "not know would be taken for garbage; make it whole first, by `image-registry metadata rebuild --apply`"
            )
        report, before = Report(dry_run), self._clock() - self._rules.grace
        mark, links = self._survey(report, before)
        garbage = self._garbage(report, mark, before)
        report.too_much = (
            report.blobs > FEW
            and len(garbage) > self._rules.share * report.blobs
            and not (self._rules.unless_known and belong_together(self._store, self._inventory))
        )
        if dry_run:
            report.links, report.thrown_away = links, garbage
        elif report.too_much:
            raise CollectionRefused(
                f"{len(garbage)} of {report.blobs} blobs would go, more than {self._rules.share:.0%}"
                + (", and what repositories hold is not what the metadata says" if self._rules.unless_known else "")
                + ": has the metadata database been restored from a backup, is it that of another registry, or is "
                "another storage mounted? If not, look at a dry run, then allow it with --at-most 100"
            )
        else:
            mark = self._take(report, links, garbage, before)
        self._empty_trash(report, mark)
        return report

    def _take(self, report: Report, links: list[tuple[str, Digest]], garbage: list[Stored], before: datetime) -> Mark:
        """Remove links and throw blobs away, those that are garbage still; returns what is referred to then."""
        for name, found in groupby(links, key=lambda link: link[0]):
            self._progress("removing links", len(report.links))
            repository, blobs = Repository.parse(name), [digest for _, digest in found]
            self._paced(report, name, forget_blobs, self._store, self._inventory, repository, blobs, before)
            report.links += ((name, digest) for digest in blobs if not self._store.blob_linked(repository, digest))
        mark = self._everything_linked()
        for blob in garbage:
            name = str(blob.digest)
            if blob.digest.hex not in mark and self._paced(report, name, self._store.throw_away, blob.digest, before):
                report.thrown_away.append(blob)
                self._progress("throwing away", len(report.thrown_away))
        return self._everything_linked() if report.thrown_away else mark

    def _survey(self, report: Report, before: datetime) -> tuple[Mark, list[tuple[str, Digest]]]:
        """What is referred to when old links have gone, and these links."""
        links = list[tuple[str, Digest]]()

        def staying(linked: Linked) -> Iterable[str]:
            old = self._old(report, linked, before)
            links.extend((linked.name, digest) for digest in old.values())
            return (value for value in linked.values if value not in old)

        return self._mark("reading links", staying), links

    def _everything_linked(self) -> Mark:
        """What is referred to, every link included."""
        return self._mark("reading links again", lambda linked: linked.values)

    def _mark(self, stage: str, staying: Callable[[Linked], Iterable[str]]) -> Mark:
        """What those links refer to that are ``staying``, and then what Images are made of."""
        mark = Mark()
        for number, linked in enumerate(self._store.all_linked(), 1):
            self._progress(stage, number)
            if linked.lost:
                raise CollectionRefused(
                    f"{linked.name} is a symbolic link that leads nowhere: what lies behind it may need any blob, so "
                    "none goes; mount what it leads to, or remove it, then run this again"
                )
            mark.add(staying(linked))
        self._add_images(mark)
        return mark

    def _add_images(self, mark: Mark) -> None:
        mark.add_digests(self._inventory.digests())
        if not self._inventory.whole():
            raise CollectionRefused("somebody has begun to make the metadata from storage; run this again after that")

    def _old(self, report: Report, linked: Linked, before: datetime) -> dict[str, Digest]:
        """Blobs whose links are old, and that nothing in their repository needs.

        Names that are not ours, and what was found in storage and not understood, are left alone.
        """
        repository = _ours(linked)
        if repository is None or linked.manifests:
            return {}
        kept = self._inventory.kept(repository)
        if kept.left_alone:
            report.skipped.append(linked.name)
            return {}
        needed = {digest.hex for digest in kept.blobs}
        old = {
            digest.hex: digest
            for digest in _digests(linked.algorithm, (value for value in linked.values if value not in needed))
            if (written := self._store.blob_linked_at(repository, digest)) is not None and written < before
        }
        try:
            unknown = self._needed_by_unknown(repository, kept) if old else frozenset()
        except (BlobMissing, InvalidManifest):
            report.skipped.append(linked.name)
            return {}
        return {value: digest for value, digest in old.items() if value not in unknown}

    def _needed_by_unknown(self, repository: Repository, kept: Kept) -> frozenset[str]:
        """Blobs of manifests that are linked and that the tables do not hold: a push that broke off, a deletion whose
        cleaning is still to come, or tables that know less than they should."""
        needed: set[str] = set()
        for digest in self._store.held(repository).manifests - kept.manifests:
            if (self._store.stat(digest) or 0) > LARGEST:
                raise InvalidManifest(f"{digest} is too large")
            manifest = parse_stored_manifest(self._store.read(digest), digest)
            needed |= {blob.digest.hex for blob in manifest.required_blobs}
        return frozenset(needed)

    def _garbage(self, report: Report, mark: Mark, before: datetime) -> list[Stored]:
        """Blobs that may go."""

        def unmarked(_algorithm: str, value: str) -> bool:
            report.blobs += 1
            if report.blobs % STEP == 0:
                self._progress("looking at blobs", report.blobs)
            return value not in mark

        found = list(self._store.blobs(unmarked))
        garbage = [blob for blob in found if blob.since < before]
        report.young = len(found) - len(garbage)
        return garbage

    def _empty_trash(self, report: Report, mark: Mark) -> None:
        """What is referred to comes back, what has waited long enough goes for good."""
        until = self._clock() - self._rules.trash
        for number, blob in enumerate(self._store.trash(), 1):
            self._progress("emptying the trash", number)
            digest, name = blob.digest, str(blob.digest)
            if digest.hex in mark:
                if self._store.in_place(digest):  # what is left of an earlier way back
                    if not report.dry_run and blob.since < self._clock() - LEFT_OVER:
                        self._paced(report, name, self._store.remove_for_good, digest)
                elif report.dry_run or self._paced(report, name, self._store.take_back, digest):
                    report.taken_back.append(digest)
            elif blob.since > until:
                report.waiting.append(blob)
            elif report.dry_run or self._paced(report, name, self._store.remove_for_good, digest):
                report.removed.append(blob)
        if report.dry_run:  # what would be thrown away is not in the trash yet
            (report.waiting if self._rules.trash else report.removed).extend(report.thrown_away)

    def _paced(self, report: Report, what: str, change: Callable[..., bool], *arguments: object) -> bool:
        """Make a change, when it is time for one. One that fails is told, and does not keep the others from it."""
        if self._rules.rate > 0:
            now = time.monotonic()
            time.sleep(max(0.0, self._next - now))
            self._next = max(self._next, now) + 1 / self._rules.rate
        try:
            return change(*arguments)
        except StorageFault as error:
            report.failed.append(f"{what}: {error}")
            return False


def _ours(linked: Linked) -> Repository | None:
    try:
        return Repository.parse(linked.name)
    except InvalidName:
        return None


def _digests(algorithm: str, values: Iterator[str]) -> Iterator[Digest]:
    for value in values:
        with suppress(InvalidDigest):
            yield Digest.parse(f"{algorithm}:{value}")
