"""COMPARE_TAGS: what a rollback would leave in a storage that both registries serve.

Whoever keeps the storage writes every tag into the tree that the registry before serves too. So what was pushed,
moved or deleted here after the cutover is so there as well, and no object that is put back changes that. It is looked
at while this registry still takes pushes: a tag can be put back in it then, by its own rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from image_registry.migration import gate_reading
from image_registry.migration.actions import Context, Outcome, Saved, StepFailed
from image_registry.migration.frozen_content import at_freeze, renames
from image_registry.migration.gates import Seen
from image_registry.migration.item_results import ACCEPTED, OPEN, ItemResult, ResultFile, read_results, results_path
from image_registry.migration.plan import Step
from image_registry.migration.registry_access import target_of
from image_registry.migration.spelling import Said
from image_registry.remote.errors import RemoteError

NOT_COMPARED = "tags-not-compared"
"""By this name somebody goes back without knowing what was pushed since."""

SHOWN = 10


class CompareTags:
    """A :class:`~image_registry.migration.actions.Doer` that works on the way back alone."""

    def foresee(self, step: Step, context: Context) -> str:
        del step, context
        return ""

    def before(self, step: Step, context: Context) -> Saved:
        del step, context
        return {}

    def do(self, step: Step, saved: Saved, context: Context) -> Outcome:
        del step, saved, context
        return Outcome("a rollback compares with the list that was made when writes had ended")

    def undo(self, step: Step, saved: Saved, context: Context) -> Outcome:
        """Raises :class:`StepFailed` while a tag means something else than at the freeze and nobody accepted that."""
        del saved
        try:
            found = list(_since(context))
        except (StepFailed, RemoteError, OSError) as error:
            if context.accepts(NOT_COMPARED):
                return Outcome(f"accepted: {NOT_COMPARED} ({error})")
            raise StepFailed(
                f"nobody knows which tags were moved or deleted here since the cutover ({error}), and the old registry "
                "would serve them so: let it be asked, or accept that by its name "
                f"({context.spelling(Said.ACCEPT, NOT_COMPARED)}); nothing was taken back yet"
            ) from None
        path = results_path(context.folder, step)
        with ResultFile(path, anew=True) as file:
            file.add(found)
        left = [result for result in found if result.outcome == OPEN]
        if left:
            shown = "; ".join(f"{result.id}: {result.cause}" for result in left[:SHOWN])
            moved = context.spelling(Said.ACCEPT, "'moved-tag:*'")
            raise StepFailed(
                f"{len(left)} tags would not mean in the old registry what they meant before, because both serve the "
                f"same storage: {shown}{' …' if len(left) > SHOWN else ''} (all in {path}). Put each back here with "
                f"{context.spelling(Said.DO_TAG)}, or accept by its name that it stays so ({moved}); nothing was taken "
                "back yet"
            )
        added = sum(result.id.startswith("added-tag:") for result in found)
        return Outcome(
            f"{added} tags were added here and {len(found) - added} moved or deleted by consent: the old registry "
            f"serves them so; each in {path}"
        )


def _since(context: Context) -> Iterator[ItemResult]:
    registry, names = target_of(context), renames(context)
    otherwise = read_results(results_path(context.folder, "gate/tags"))
    new = {after for before, after in names.items() if after and after != before}
    for repository in at_freeze(context).repositories():
        if names.get(repository.name, repository.name) != repository.name or repository.name in new:
            continue  # what was pushed to its new name is in no link of the old one, which alone stays
        tags = registry.tags(repository.name) or []
        both = [tag for tag in repository.tags if tag in tags]
        seen = gate_reading.read_each(both, partial(gate_reading.tag, registry, repository.name))
        for tag, before in sorted(repository.tags.items()):
            now = seen.get(tag, Seen())
            if now.error:
                raise StepFailed(f"{repository.name}:{tag} cannot be asked for: {now.error}")
            if f"tag:{repository.name}:{tag}" in otherwise:
                continue  # it was not as it must be at the cutover either, and accepted there
            if not now.value:
                yield _told(context, "deleted-tag", f"{repository.name}:{tag}", f"it is gone, and meant {before}")
            elif now.value != before:
                yield _told(
                    context, "moved-tag", f"{repository.name}:{tag}", f"it means {now.value}, and meant {before}"
                )
        for tag in sorted(set(tags) - set(repository.tags)):
            name = f"{repository.name}:{tag}"
            yield ItemResult(image=name, outcome="told", cause="it was not there", id=f"added-tag:{name}")


def _told(context: Context, kind: str, image: str, cause: str) -> ItemResult:
    name = f"{kind}:{image}"
    accepted = name if context.accepts(name) else ""
    return ItemResult(image=image, outcome=ACCEPTED if accepted else OPEN, cause=cause, id=name, accepted=accepted)
