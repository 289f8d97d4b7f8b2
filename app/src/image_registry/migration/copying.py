"""COPY_IMAGES: everything of the list that this registry has not got, image by image, in portions.

What is there with the right digest is passed over, so a second pass copies what changed, and an interrupted one goes
on. Each image has its result in a file; one that fails keeps no other from being copied. What concerns all images ends
the step: a target without room, credentials that are not accepted any more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from image_registry import measures
from image_registry.migration.actions import Context, Outcome, Saved, StepFailed
from image_registry.migration.content import ContentFile, RepositoryContent
from image_registry.migration.exceptions import Exceptions, wrong_of
from image_registry.migration.frozen_content import frozen, renames, surveyed, unread_since
from image_registry.migration.item_results import (
    COPIED,
    FAILED,
    NOT_TRIED,
    PRESENT,
    REMOVED,
    ItemResult,
    ResultFile,
    read_results,
    results_path,
)
from image_registry.migration.plan import Step
from image_registry.migration.registry_access import Registry, digest_of, each_second, source_of, target_of
from image_registry.migration.wanted_images import Wanted, tagged, untagged
from image_registry.mirroring.applying import Watching
from image_registry.mirroring.journal import Journal
from image_registry.mirroring.limits import Limits
from image_registry.mirroring.mirror import Mirror
from image_registry.mirroring.places import Mapping as ImageMapping
from image_registry.mirroring.planner import Plan as CopyPlan
from image_registry.mirroring.results import Result
from image_registry.remote.errors import NoSpace, RemoteError

PORTION = 500
"""Images that are looked at and copied together."""

SILENT = 5
"""After how many questions without an answer in a row the registry before is asked no more what it still has."""


class CopyImages:
    """A :class:`~image_registry.migration.actions.Doer`."""

    def foresee(self, step: Step, context: Context) -> str:
        summary = surveyed(context).summary()
        assert summary is not None  # noqa: S101 - surveyed sees to it
        what = "what changed of " if step.parameters.get("since") else ""
        bytes_ = measures.size(summary.size)
        return f"copy {what}{summary.tags} tags of {summary.repositories} repositories, {bytes_}"

    def before(self, step: Step, context: Context) -> Saved:
        del step, context
        return {}

    def do(self, step: Step, saved: Saved, context: Context) -> Outcome:
        del saved
        after_freeze = bool(step.parameters.get("since"))
        began = context.clock()
        content = frozen(context) if after_freeze else surveyed(context)
        journal = _Portioned(results_path(context.folder, step).with_suffix(".uploads"))
        with ResultFile(results_path(context.folder, step), anew=False) as results, journal:
            run = _Copying(context, step, source_of(context), target_of(context), results, journal)
            run.copy(content)
            if not after_freeze:
                run.leave_out_gone()
            unread: list[str] = []
            if after_freeze:
                before = surveyed(context)
                run.remove_gone(before, content, self._copied(step, context))
                unread = [name for names in unread_since(before, content).values() for name in names]
            journal.all_done()
        spent = max(context.clock() - began, 0.001)
        detail = (
            f"{run.number(COPIED)} images copied, {run.number(PRESENT)} were there, {run.number(REMOVED)} removed, "
            f"{run.number(FAILED)} failed; {measures.size(run.sent)} sent, {run.sent / spent / (1 << 20):.1f} MiB/s; "
            f"each in {results.path}"
        )
        if not after_freeze:
            return Outcome(detail, open=run.not_accepted())  # better known before nobody can push than after
        # what could not be read was not copied either, and no later step would
        return Outcome(detail, open=tuple(dict.fromkeys((*run.not_accepted(), *unread))))

    def _copied(self, step: Step, context: Context) -> dict[str, set[str]]:
        """Digests that passes have copied, by the identity of the image: a tag may have moved since the survey."""
        found: dict[str, set[str]] = {}
        names = {step.id, str(step.parameters["since"])}
        for path in (results_path(context.folder, name) for name in sorted(names)):
            for identity, result in read_results(path).items():
                if result.get("digest"):
                    found.setdefault(identity, set()).add(str(result["digest"]))
        return found

    def undo(self, step: Step, saved: Saved, context: Context) -> Outcome:
        del step, saved, context
        return Outcome("what was copied is kept", skipped=True)


class _Portioned(Journal):
    """A run of several portions, each of which ends well without the run being over."""

    def note_end(self) -> None:
        """Not yet."""

    def all_done(self) -> None:
        """The next run begins anew."""
        super().note_end()


@dataclass
class _Copying:
    context: Context
    step: Step
    source: Registry
    target: Registry
    results: ResultFile
    journal: Journal
    sent: int = 0
    last: dict[str, ItemResult] = field(default_factory=dict)
    """What became of images that were not simply there."""
    failed: dict[str, Wanted] = field(default_factory=dict)
    _here: int = 0

    def __post_init__(self) -> None:
        self._limits = Limits(self.context.max_per_registry, 2)
        self._tell = each_second(self.context)
        self._names = renames(self.context, self.step)

    def number(self, outcome: str) -> int:
        """Of images with this end."""
        there = self._here if outcome == PRESENT else 0
        return there + sum(result.outcome == outcome for result in self.last.values())

    def copy(self, content: ContentFile) -> None:
        """Tags first, then manifests that are not here by then. Raises :class:`StepFailed`."""
        self._all(wanted for repository in content.repositories() for wanted in tagged(repository, self._names))
        self._all(wanted for repository in content.repositories() for wanted in untagged(repository, self._names))

    def remove_gone(self, before: ContentFile, now: ContentFile, copied: Mapping[str, Collection[str]]) -> None:
        """Tags that were there at the first pass and are not any more, if they mean here what came from there.

        A list may lack what could not be read, so the registry before is asked for each of them by name.
        """
        kept = {name for repository in now.repositories() for name in _tag_names(repository)}
        for repository in before.repositories():
            for wanted in tagged(repository, self._names):
                there = None if wanted.name in kept else self.target.digest(wanted.target, wanted.tag)
                theirs = (wanted.digest, *copied.get(wanted.id, ()))
                if there is not None and str(there) in theirs and self._gone(wanted):
                    self.target.delete_tag(wanted.target, wanted.tag)
                    cause = "it was deleted in the registry before"
                    self._add([ItemResult(image=wanted.name, outcome=REMOVED, cause=cause, target=wanted.here)])

    def _gone(self, wanted: Wanted) -> bool:
        """Whether the registry before says so. Raises :class:`RemoteError` when it cannot be asked."""
        return self.source.digest(wanted.repository, wanted.tag or digest_of(wanted.digest) or "") is None

    def leave_out_gone(self) -> None:
        """What was deleted since the survey did not fail. Lists tell: a tag that is broken is not found either."""
        listed: dict[str, frozenset[str]] = {}
        silent = 0
        for wanted in list(self.failed.values()):
            if silent >= SILENT:
                return  # nobody answers now: they stay ones that failed
            if self.last[wanted.name].outcome != FAILED:
                continue
            try:
                if wanted.tag and wanted.repository not in listed:
                    listed[wanted.repository] = frozenset(self.source.tags(wanted.repository) or ())
                there = wanted.tag in listed[wanted.repository] if wanted.tag else not self._gone(wanted)
            except RemoteError:
                silent += 1
                continue  # it stays one that failed
            silent = 0
            if not there:
                cause = "it was deleted in the registry before since the survey"
                self._add(
                    [ItemResult(image=wanted.name, outcome=REMOVED, cause=cause, target=wanted.here, id=wanted.id)]
                )

    def not_accepted(self) -> tuple[str, ...]:
        """What failed, by identity, unless it was accepted already when the plan was made."""
        return tuple(
            result.id for result in self.last.values() if result.outcome in (FAILED, NOT_TRIED) and not result.accepted
        )

    def _all(self, images: Iterable[Wanted]) -> None:
        rest = iter(images)
        while portion := list(islice(rest, PORTION)):
            missing = self._missing(portion)
            self._here += len(portion) - len(missing)
            if missing:
                self._portion(missing)
            done = self._here + len(self.last)
            self._tell(f"copied {done} images, {measures.size(self.sent)} sent, {self.number(FAILED)} failed")

    def _missing(self, images: list[Wanted]) -> list[Wanted]:
        """Those that are not here as they should be; what cannot be asked is one of them."""
        there: set[str] = set()
        empty: set[str] = set()

        def begun(repository: str) -> None:
            if self._absent(repository):
                empty.add(repository)

        def look(image: Wanted) -> None:
            wanted = image.tag or digest_of(image.digest)
            try:
                if wanted and str(self.target.digest(image.target, wanted)) == image.digest:
                    there.add(image.name)
            except RemoteError:
                return  # whoever copies it hears the reason again

        self._limits.each(sorted({image.target for image in images}), lambda _name: (self.target.name,), begun)
        asked = [image for image in images if image.target not in empty]
        self._limits.each(asked, lambda _image: (self.target.name,), look)
        return [image for image in images if image.name not in there]

    def _absent(self, repository: str) -> bool:
        try:
            return self.target.tags(repository) is None
        except RemoteError:
            return False

    def _portion(self, images: list[Wanted]) -> None:
        began, clock = self.context.clock(), self.context.clock
        by_mapping = {self._mapping(image): image for image in images}
        exceptions = Exceptions(self.context)
        mirror = Mirror(
            self.target.client,
            limits=self._limits,
            journal=self.journal,
            others={self.source.name: self.source.client} if self.source.name != self.target.name else None,
        )
        prepared = mirror.prepare(list(by_mapping))
        weights = bytes_by_image(prepared.plan)
        stop: list[RemoteError] = []

        def ended(result: Result) -> None:
            image = by_mapping[result.mapping]
            wrong = wrong_of(result.reason)
            accepted = exceptions.by(image.id, image.repository, image.subjects, wrong) if result.error else ""
            if result.error:
                self.failed[image.name] = image
            outcome = COPIED if result.status == "copied" else PRESENT if result.status == "present" else result.status
            self._add(
                [
                    ItemResult(
                        image=image.name,
                        outcome=outcome if outcome in (COPIED, PRESENT, NOT_TRIED) else FAILED,
                        cause=result.error,
                        bytes=weights.get(result.mapping, 0) if outcome == COPIED else 0,
                        seconds=clock() - began,
                        target=image.here,
                        digest=str(result.digest or ""),
                        id=image.id,
                        accepted=accepted,
                    )
                ]
            )

        def ends_all(error: RemoteError) -> bool:
            if isinstance(error, NoSpace):
                stop.append(error)
            return bool(stop)

        def sent(number: int) -> None:
            self.sent += number
            self._tell(f"{measures.size(self.sent)} sent")

        report = mirror.apply(prepared, Watching(sent, ended), continue_on_error=True, ends_all=ends_all)
        for result in report.results:
            if result.before:
                ended(result)
        if stop:
            raise StepFailed(f"{stop[0]}. What was copied stays, and the next run goes on there")
        self._see_to_credentials(report.results)

    def _see_to_credentials(self, results: Iterable[Result]) -> None:
        if any(result.reason == "Unauthorized" for result in results):
            self.source.see_to_login("the registry before")
            self.target.see_to_login("this registry")

    def _mapping(self, image: Wanted) -> ImageMapping:
        wanted = image.tag or digest_of(image.digest) or image.digest
        return ImageMapping(self.source.place(image.repository, wanted), self.target.place(image.target, wanted))

    def _add(self, results: list[ItemResult]) -> None:
        self.results.add(results)
        for result in results:
            self.last[result.image] = result


def bytes_by_image(plan: CopyPlan) -> dict[ImageMapping, int]:
    """What is to be sent for each image; a blob that several need counts for the first of them."""
    counted: set[int] = set()
    found: dict[ImageMapping, int] = {}
    for image in plan.images:
        own = [number for number in image.steps if number in plan.blobs and number not in counted]
        counted.update(own)
        found[image.looked.mapping] = sum(plan.blobs[number].bytes for number in own)
    return found


def _tag_names(repository: RepositoryContent) -> Iterator[str]:
    return (f"{repository.name}:{tag}" for tag in repository.tags)
