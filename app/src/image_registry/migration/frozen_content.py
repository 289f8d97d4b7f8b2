"""What the registry before holds once nobody may push to it any more: the list that everything is compared with.

The survey that the plan was made from is older. Only what changed since is asked for again: every list of tags and
every tag's digest, and the manifests of those that mean something new. A registry that cannot be asked leaves the
survey as the list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from image_registry.migration.actions import Context, StepFailed
from image_registry.migration.content import FORM, UNREADABLE, ContentFile, ContentWriter, RepositoryContent
from image_registry.migration.documents import InvalidDocument
from image_registry.migration.plan import Step
from image_registry.migration.registry_access import Registry, each_second, source_of
from image_registry.migration.spelling import Said
from image_registry.migration.survey_registry import LegacyRegistry, SurveyOptions, survey_registry

NAME, SINCE = "frozen.content.jsonl", "frozen.since"
OLDER = "survey:older-than-the-freeze"
"""By which it is accepted that gates compare with a survey from before the freeze."""

OPTIONS = SurveyOptions(at_once=8, per_second=4000.0, check_blobs=False)


def surveyed(context: Context) -> ContentFile:
    """What the plan was made from. Raises :class:`StepFailed`."""
    if context.content is None:
        raise StepFailed(
            f"the survey that the plan was made from is needed: name its file ({context.spelling(Said.CONTENT)})"
        )
    try:
        ended = context.content.summary() is not None
    except InvalidDocument as error:
        raise StepFailed(f"the survey that the plan was made from: {error}, or name the file where it is") from None
    if not ended:
        raise StepFailed(
            f"{context.content.path} is a survey that did not end: run {context.spelling(Said.DO_SURVEY)} again"
        )
    return context.content


def frozen(context: Context) -> ContentFile:
    """The list after the freeze; made if it is not there. Raises :class:`StepFailed` and ``RemoteError``."""
    before = surveyed(context)
    found = ContentFile(context.folder / NAME)
    if found.path.exists() and found.summary() is not None:
        if context.source is None or not (again := unread_since(before, found)):
            return found
        return _read_again(found, set(again), before, context)
    if context.source is None:
        return before
    source = source_of(context)
    made = survey_again(source, before, found.path, context)
    known, now = before.summary(), made.summary()
    if known is not None and known.tags and (now is None or not now.tags):
        forget_frozen(context)
        raise StepFailed(
            f"{source.door.url} shows no tag, and the survey of the plan has {known.tags}: see that it is the address "
            "of the registry before, and that the token may get images in all namespaces"
        )
    return made


def at_freeze(context: Context) -> ContentFile:
    """The same behind the cutover, where it is too late to make one: else the survey. Raises :class:`StepFailed`."""
    found = ContentFile(context.folder / NAME)
    return found if found.path.exists() and found.summary() is not None else surveyed(context)


def older_than_freeze(context: Context) -> str:
    """Why the list may lack what was pushed before the freeze; empty for one that was made after it."""
    if context.source is not None or (context.folder / NAME).exists():
        return ""
    since, began = frozen_since(context), surveyed(context).began
    if since and began >= since:
        return ""
    return (
        f"it is the survey of {began or 'an unknown time'}, and pushes were refused from {since or 'an unknown time'} "
        f"on: name the registry before ({context.spelling(Said.SOURCE_URL)}), or survey it again "
        f"({context.spelling(Said.DO_SURVEY)}, its storage too) and "
        "run again with that file; else what was pushed in between is compared with nothing"
    )


def frozen_since(context: Context) -> str:
    """When pushes were refused at last; empty if that is not known."""
    path = context.folder / SINCE
    return path.read_text(encoding="ascii").strip() if path.exists() else ""


def unread_since(before: ContentFile, now: ContentFile) -> dict[str, list[str]]:
    """What could not be read after the freeze and could before: identities of gate items, by repository."""
    summary = now.summary()
    if summary is not None and not summary.problems.get(UNREADABLE):
        return {}
    known = {(name, subject) for name, subject in _unreadable(before)}
    found: dict[str, list[str]] = {}
    for name, subject in _unreadable(now):
        if (name, subject) not in known:
            item = f"repository:{name}" if subject == name else f"tag:{name}:{subject.partition(' ')[0]}"
            found.setdefault(name, []).append(item)
    return found


def _unreadable(content: ContentFile) -> Iterator[tuple[str, str]]:
    for repository in content.repositories():
        for problem in repository.problems:
            if problem.kind == UNREADABLE:
                yield repository.name, problem.subject


def _read_again(found: ContentFile, names: set[str], before: ContentFile, context: Context) -> ContentFile:
    """A failure that passes must not stand in a list for ever; what was read well is not asked for again."""
    source = source_of(context)
    path = found.path.with_suffix(".again")
    path.unlink(missing_ok=True)
    with ContentWriter(path, "registry", source.door.url) as writer:
        for repository in found.repositories():
            if repository.name not in names:
                writer.add(repository)
    survey_again(source, before, path, context)
    path.replace(found.path)
    return found


def forget_frozen(context: Context) -> None:
    """Of a freeze that was taken back it is not known what was pushed since."""
    (context.folder / NAME).unlink(missing_ok=True)


def note_freeze(context: Context) -> None:
    """Pushes are refused from now on, and uploads that had begun are over."""
    forget_frozen(context)
    (context.folder / SINCE).write_text(f"{datetime.now(UTC):{FORM}}\n", encoding="ascii")


def survey_again(source: Registry, before: ContentFile, path: Path, context: Context) -> ContentFile:
    """Look at the registry with the knowledge of ``before``; goes on where it was interrupted.

    Names that its catalog does not show and ``before`` has are asked for too: only who says "not found" is gone.
    """
    tell = each_second(context)
    known = {repository.name: repository for repository in before.repositories()}
    asked = source.survey(OPTIONS)
    with ContentWriter(path, "registry", source.door.url) as writer:
        survey_registry(
            _Knowing(asked, known),
            writer,
            names=_all_names(asked, known),
            progress=lambda done, listed: tell(f"looked at {done} of {listed} repositories of the registry before"),
        )
    return ContentFile(path)


def _all_names(asked: LegacyRegistry, known: Mapping[str, RepositoryContent]) -> Iterator[str]:
    listed = set()
    for name in asked.catalog():
        listed.add(name)
        yield name
    yield from (name for name in known if name not in listed)


class _Knowing(LegacyRegistry):
    """Does not ask for manifests that an earlier survey has seen."""

    def __init__(self, asked: LegacyRegistry, known: Mapping[str, RepositoryContent]) -> None:
        super().__init__(asked.url, asked.access, asked.options, asked.authorities)
        self._known = known

    def repository(
        self, name: str, known: Callable[[str], bool], before: RepositoryContent | None = None
    ) -> RepositoryContent:
        earlier = before or self._known.get(name)
        found = super().repository(name, known, earlier)
        if earlier is None or not found.tags:
            return found
        problems = (*found.problems, *(problem for problem in earlier.problems if problem not in found.problems))
        return replace(found, problems=problems)


def renames(context: Context, step: Step | None = None) -> Mapping[str, str]:
    """New names by old ones; empty for those that are left behind."""
    if step is not None and "renames" in step.parameters:
        return dict(step.parameters["renames"])
    return {rename.old: rename.new for rename in context.plan.renames}
