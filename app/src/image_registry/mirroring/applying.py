"""A plan is executed: blobs sent or mounted, manifests put, each thing once, what fails said with its image."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from image_registry.mirroring.journal import Journal
from image_registry.mirroring.limits import Limits
from image_registry.mirroring.looking import Open, Wanted
from image_registry.mirroring.planner import BlobStep, ImagePlan, ManifestStep, Plan
from image_registry.mirroring.results import COPIED, FAILED, NOT_TRIED, PRESENT, SKIPPED, Report, Result
from image_registry.oci.manifest import Manifest
from image_registry.remote.errors import NotFound, Refused, RemoteError
from image_registry.remote.sending import Telling
from image_registry.remote.uploads import Upload

WRITTEN_DOWN = 16 << 20
"""Bytes of a blob from which on its upload is written down."""


def _nothing(_: object) -> None:
    """Nobody watches."""


@dataclass(frozen=True, slots=True)
class Watching:
    """Who watches a run."""

    sent: Callable[[int], None] = _nothing
    image: Callable[[Result], None] = _nothing


class NotTried(RemoteError):
    """Something before it failed, and nothing more is begun."""


class Applying:
    """One run of one plan."""

    def __init__(
        self,
        plan: Plan,
        open_: Open,
        limits: Limits,
        journal: Journal,
        watching: Watching,
        *,
        continue_on_error: bool = False,
        ends_all: Callable[[RemoteError], bool] = lambda _error: False,
    ) -> None:
        self._plan, self._open, self._limits = plan, open_, limits
        self._journal, self._watching, self._go_on = journal, watching, continue_on_error
        self._ends_all, self._over = ends_all, ""
        self._lock = threading.Lock()
        self._failures: dict[int, RemoteError] = {}
        self._done: set[int] = set()
        self._report = Report()
        self._results: dict[int, Result] = {}
        self._left: dict[int, int] = {}
        """Steps that each image still waits for."""
        self._images_of: dict[int, list[int]] = {}

    def run(self) -> Report:
        """Do it all. What was done before stays done if this is interrupted."""
        started = time.monotonic()
        for number, image in enumerate(self._plan.images):
            self._left[number] = len(image.steps)
            for step in image.steps:
                self._images_of.setdefault(step, []).append(number)
            if not image.steps:
                self._ended(number)
        work: dict[int, tuple[tuple[str, ...], Callable[[], None]]] = {}
        after: dict[int, set[int]] = {}
        for blob in self._plan.blobs.values():
            stores = (blob.target.store,) if blob.origin else tuple(sorted({blob.source.store, blob.target.store}))
            work[blob.number] = (stores, partial(self._step, blob.number, partial(self._blob, blob), frozenset()))
            if blob.first is not None:
                after[blob.number] = {blob.first}
        for entry in self._plan.manifests.values():
            call = partial(self._step, entry.number, partial(self._manifest, entry), entry.after)
            work[entry.number] = ((entry.target.store,), call)
            after[entry.number] = set(entry.after)
        self._limits.run(dict(sorted(work.items())), after)
        self._report.results = [self._results[number] for number in sorted(self._results)]
        self._report.seconds = time.monotonic() - started
        if self._report.good:
            self._journal.note_end()
        return self._report

    def _step(self, number: int, call: Callable[[], None], after: frozenset[int]) -> None:
        """One step; its failure is that of every step that needs it."""
        failure = next((self._failures[other] for other in sorted(after) if other in self._failures), None)
        if failure is None and self._over:
            failure = NotTried(f"nothing more was begun: {self._over}")
        if failure is None and self._failures and not self._go_on:
            failure = NotTried("an earlier image failed (--continue-on-error goes on with the others)")
        if failure is None:
            try:
                call()
            except RemoteError as error:
                failure = error
                if self._ends_all(error):
                    self._over = str(error)
        with self._lock:
            if failure is None:
                self._done.add(number)
            else:
                self._failures[number] = failure
            ended = []
            for image in self._images_of.get(number, ()):
                self._left[image] -= 1
                if not self._left[image]:
                    ended.append(image)
        for one in ended:
            self._ended(one)

    def _blob(self, step: BlobStep) -> None:
        target = self._open(step.target)
        if self._journal.has_blob(step.target, step.blob.digest):
            return
        upload = self._journal.upload(step.target, step.blob.digest)
        if step.origin is not None and (step.first is None or step.first in self._done):
            try:
                upload = target.mount(step.blob, step.origin)
            except (NotFound, Refused):
                upload = None
            else:
                if upload is None:
                    self._journal.note_blob(step.target, step.blob.digest)
                    with self._lock:
                        self._report.mounted += 1
                    return
        self._send(step, upload)

    def _send(self, step: BlobStep, upload: Upload | None) -> None:
        target, digest = self._open(step.target), step.blob.digest

        def kept(begun: Upload) -> None:
            if step.blob.size >= WRITTEN_DOWN:
                self._journal.note_upload(step.target, digest, begun)

        content = self._open(step.source).content(step.blob)
        target.put_blob(digest, content, upload, Telling(self._sent, kept))
        self._journal.note_blob(step.target, digest)
        with self._lock:
            self._report.sent_blobs += 1

    def _sent(self, number: int) -> None:
        with self._lock:
            self._report.sent_bytes += number
        self._watching.sent(number)

    def _manifest(self, step: ManifestStep) -> None:
        entry, target = step.entry, self._open(step.target)
        if self._journal.has_manifest(*step.key):
            return
        try:
            lists = target.put_manifest(entry.wanted, entry.manifest)
        except (NotFound, Refused) as error:
            if not self._repaired(step):
                raise error from None
            lists = target.put_manifest(entry.wanted, entry.manifest)
        if entry.manifest.subject is not None and not lists:
            subject = entry.manifest.subject.digest
            target.list_referrers(subject, [entry.manifest])
        self._journal.note_manifest(*step.key)
        with self._lock:
            self._report.manifests += 1

    def _repaired(self, step: ManifestStep) -> bool:
        """Send again what was there when it was looked for, and was cleaned away since; whether anything was."""
        target, sent = self._open(step.target), False
        for blob in step.entry.manifest.required_blobs:
            if target.blob_size(blob.digest) is None:
                self._send(BlobStep(0, step.source, step.target, blob), None)
                sent = True
        for child in step.entry.manifest.manifests:
            if target.digest(child.digest) is None:
                inner: Manifest = self._open(step.source).manifest(child.digest)
                self._repaired(ManifestStep(0, step.source, step.target, Wanted(child.digest, inner), frozenset()))
                target.put_manifest(child.digest, inner)
                sent = True
        return sent

    def _ended(self, number: int) -> None:
        result = self._result(self._plan.images[number])
        if result.status in (COPIED, PRESENT):
            self._journal.note_image(result.mapping, result.document())
        with self._lock:
            self._results[number] = result
            self._watching.image(result)

    def _result(self, image: ImagePlan) -> Result:
        looked = image.looked
        error = looked.error or next((self._failures[n] for n in image.steps if n in self._failures), None)
        status = COPIED if image.steps else PRESENT
        if error is not None:
            status = SKIPPED if looked.missing else NOT_TRIED if isinstance(error, NotTried) else FAILED
        return Result(
            looked.mapping,
            status,
            looked.digest,
            looked.original,
            looked.referrers,
            looked.lost,
            str(error) if error else "",
            error.reason if error else "",
        )
