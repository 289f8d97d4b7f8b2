"""Whether the freeze still holds: nobody may push to the registry before, and nobody has.

The freeze takes rights away once, and others write roles too: a release that is applied again brings its own back. A
Service past the proxy asks nobody for rights. So it is looked at again before anything depends on it, and behind the
cutover as well, until the registry before is given up: roles by what they say, and every tag by what it means there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from image_registry.migration import gate_reading
from image_registry.migration.actions import Context
from image_registry.migration.brought_back import brought_back
from image_registry.migration.cluster_objects import ClusterObjects
from image_registry.migration.content import ContentFile
from image_registry.migration.facts import ObjectName
from image_registry.migration.frozen_content import at_freeze, frozen, renames, survey_again, unread_since
from image_registry.migration.gates import Item, Seen
from image_registry.migration.moved_hosts import moved_hosts, moves_away
from image_registry.migration.phases import ORDER, Phase
from image_registry.migration.plan import Step
from image_registry.migration.push_rights import roles_that_push
from image_registry.migration.registry_access import source_of, target_of
from image_registry.migration.release_holding import applied_again
from image_registry.migration.spelling import Said
from image_registry.remote.errors import RemoteError

NOW = "now.content.jsonl"
NOT_COMPARED = "pushed:not-compared"
"""By which it is accepted that nobody knows what was pushed since the freeze."""


def still_frozen(step: Step, context: Context) -> Iterator[Item]:
    """Each role that gives the right back, each release that would, what came back, and each tag that is new there."""
    yield from roles_that_push(context)
    yield from applied_again(step, context)
    yield from brought_back(step, context)
    if not _stopped(step, context):
        yield from _pushed(step, context)


def still_closed(step: Step, context: Context) -> Iterator[Item]:
    """Each release that is applied again; behind the cutover also all that the freeze is asked for.

    What can be known of pushes: a tag of the registry before that means something new and that this registry, which
    takes pushes by now, has not or has with another digest. Where both have the same storage, that tells who was pushed
    to, because this one answers from its tables and not from what another process links there. Not seen are a tag that
    was pushed there and then here as well, an image without a tag, and what was pushed and deleted again. Behind the
    stop nobody is asked while it stays stopped: what was pushed while somebody had it run in between is not known.
    """
    yield from applied_again(step, context)
    if ORDER.index(step.phase) > ORDER.index(Phase.CUTOVER):
        yield from roles_that_push(context)
        yield from brought_back(step, context)
        if not _stopped(step, context):
            yield from _pushed(step, context)


def _stopped(step: Step, context: Context) -> bool:
    """Whether no process of it runs, as where only one registry can have the volume: then nobody pushes to it.

    Behind the stop it is enough that none is wanted: the last one may be on its way out.
    """
    place = step.parameters.get("workload")
    if not place:
        return False
    kind, name, namespace, version = map(str, place)
    found = ClusterObjects(context.client).find(ObjectName(kind, name, namespace, version)) or {}
    running = (found.get("status") or {}).get("replicas") or 0
    return (found.get("spec") or {}).get("replicas") == 0 and (not running or step.phase is Phase.FINALIZE)


def _pushed(step: Step, context: Context) -> Iterator[Item]:
    unknown = (
        "so nobody knows what was pushed since the freeze: name the Service of the registry before "
        f"({context.spelling(Said.SOURCE_URL)})"
    )
    if context.source is None:
        yield Item(NOT_COMPARED, "tags since the freeze", f"the registry before was not named, {unknown}")
        return
    host = moves_away(context.source.url, moved_hosts(context))
    if ORDER.index(step.phase) >= ORDER.index(Phase.CUTOVER) and host:
        yield Item(NOT_COMPARED, "tags since the freeze", f"{host} leads to this registry by now, {unknown}")
        return
    behind, path = ORDER.index(step.phase) > ORDER.index(Phase.CUTOVER), context.folder / NOW
    path.unlink(missing_ok=True)
    before = None if behind else frozen(context)
    try:
        if before is None:
            before = at_freeze(context)
            yield from _elsewhere_only(before, survey_again(source_of(context), before, path, context), context)
        else:
            yield from _changed(before, survey_again(source_of(context), before, path, context))
    except RemoteError as error:
        yield Item(NOT_COMPARED, "tags since the freeze", f"{error}, {unknown}")
    finally:
        path.unlink(missing_ok=True)


def _elsewhere_only(before: ContentFile, now: ContentFile, context: Context) -> Iterator[Item]:
    """Of tags that mean something new those that do not mean the same here, where pushes go since the cutover."""
    registry, names = target_of(context), renames(context)
    known: dict[str, Mapping[str, str]] = {repository.name: repository.tags for repository in before.repositories()}
    for repository in now.repositories():
        held, here = known.get(repository.name, {}), names.get(repository.name, repository.name)
        late = [tag for tag, digest in repository.tags.items() if held.get(tag) != digest]
        seen = gate_reading.read_each(late if here else [], partial(gate_reading.tag, registry, here))
        for tag, digest in repository.tags.items():
            about, found = f"{repository.name}:{tag}", seen.get(tag, Seen())
            if tag not in late or found.value == digest:
                yield Item(f"pushed:{about}", about)
                continue
            there = found.error or (f"it means {found.value} here" if found.value else "it is not here")
            yield Item(
                f"pushed:{about}",
                about,
                f"it was pushed to the registry before after the freeze ({digest}), and {there}: push it to this "
                "registry, or accept that it is left behind",
                f"{here}:{tag}" if here else "",
            )
    yield from _unread(before, now)


def _changed(before: ContentFile, now: ContentFile) -> Iterator[Item]:
    known: dict[str, Mapping[str, str]] = {repository.name: repository.tags for repository in before.repositories()}
    for repository in now.repositories():
        held = known.get(repository.name, {})
        for tag, digest in repository.tags.items():
            about = f"{repository.name}:{tag}"
            cause = "" if held.get(tag) == digest else (
                f"it was pushed to the registry before after the freeze ({digest}): accept that it is left behind, and "
                "push it to this registry when that takes pushes; or roll back and run again, which takes it along"
            )  # fmt: skip
            yield Item(f"pushed:{about}", about, cause)
    yield from _unread(before, now)


def _unread(before: ContentFile, now: ContentFile) -> Iterator[Item]:
    for name, lost in unread_since(before, now).items():
        cause = f"{len(lost)} things of it could be read at the freeze and cannot now, so nobody knows what was pushed"
        yield Item(f"pushed:{name}", name, cause)
