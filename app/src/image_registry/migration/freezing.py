"""Whether the freeze still holds: nobody may push to the registry before, and nobody has.

The freeze takes rights away once, and others write roles too: a release that is applied again brings its own back. A
Service past the proxy asks nobody for rights. So it is looked at again before anything depends on it: roles by what
they say, and every tag by what it means there now.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from image_registry.kube.client import ClusterClient
from image_registry.migration.access_facts import may_write, read_roles
from image_registry.migration.actions import Context, StepFailed
from image_registry.migration.cluster_objects import ClusterObjects
from image_registry.migration.content import ContentFile
from image_registry.migration.facts import ObjectName, RoleFact
from image_registry.migration.frozen_content import frozen, survey_again, unread_since
from image_registry.migration.gates import Item
from image_registry.migration.moved_hosts import moved_hosts, moves_away
from image_registry.migration.phases import Phase
from image_registry.migration.plan import Step
from image_registry.migration.reading import Reader
from image_registry.migration.registry_access import source_of
from image_registry.migration.release_holding import applied_again
from image_registry.migration.spelling import Said
from image_registry.remote.errors import RemoteError

NOW = "now.content.jsonl"
NOT_COMPARED = "pushed:not-compared"
"""By which it is accepted that nobody knows what was pushed since the freeze."""


def pushing_roles(client: ClusterClient) -> list[RoleFact]:
    """Roles with the right to push to the registry before. Raises :class:`StepFailed` if they cannot be read."""
    reader = Reader(client)
    found = [role for role in read_roles(reader) if may_write(role)]
    if reader.unread:
        raise StepFailed(f"roles cannot be read ({reader.unread[0].why}), so nobody knows that pushes are refused")
    return found


def still_frozen(step: Step, context: Context) -> Iterator[Item]:
    """Each role that gives the right back, each release that would, and each tag that means something new there."""
    for role in pushing_roles(context.client):
        whose = f"; the release {role.owner} writes it: keep that from being applied again" if role.owner else ""
        cause = f"it gives the right to push to the registry before: take that away and run again{whose}"
        yield Item(f"role:{role.object}", str(role.object), cause)
    yield from applied_again(step, context)
    if not _stopped(step.parameters.get("workload"), context):
        yield from _pushed(step, context)


def _stopped(place: Any, context: Context) -> bool:
    """Whether no process of it runs, as where only one registry can have the volume: then nobody pushes to it."""
    if not place:
        return False
    kind, name, namespace, version = map(str, place)
    found = ClusterObjects(context.client).find(ObjectName(kind, name, namespace, version)) or {}
    running = (found.get("status") or {}).get("replicas") or 0
    return (found.get("spec") or {}).get("replicas") == 0 and not running


def _pushed(step: Step, context: Context) -> Iterator[Item]:
    unknown = (
        "so nobody knows what was pushed since the freeze: name the Service of the registry before "
        f"({context.spelling(Said.SOURCE_URL)})"
    )
    if context.source is None:
        yield Item(NOT_COMPARED, "tags since the freeze", f"the registry before was not named, {unknown}")
        return
    host = moves_away(context.source.url, moved_hosts(context))
    if step.phase is Phase.CUTOVER and host:
        yield Item(NOT_COMPARED, "tags since the freeze", f"{host} leads to this registry by now, {unknown}")
        return
    before, path = frozen(context), context.folder / NOW
    path.unlink(missing_ok=True)
    try:
        yield from _changed(before, survey_again(source_of(context), before, path, context))
    except RemoteError as error:
        yield Item(NOT_COMPARED, "tags since the freeze", f"{error}, {unknown}")
    finally:
        path.unlink(missing_ok=True)


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
    for name, lost in unread_since(before, now).items():
        cause = f"{len(lost)} things of it could be read at the freeze and cannot now, so nobody knows what was pushed"
        yield Item(f"pushed:{name}", name, cause)
