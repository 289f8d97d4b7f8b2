"""What workloads have to name instead: host and repository by plan, tag and digest as they are.

An object that another one keeps as it is is changed there. References by a host that moves along with the images, that
of an Ingress, change only where the repository gets another name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from image_registry.kube.pod_templates import WORKLOADS
from image_registry.migration.facts import ConsumerFact, ObjectName
from image_registry.oci.reference import is_ours

KINDS = frozenset(known.kind for known in WORKLOADS)

_FIXED = frozenset({"Job"})
"""Kinds whose template the API server lets nobody change."""


@dataclass(frozen=True, slots=True)
class Change:
    """One value; ``before`` is what must stand there when it is written."""

    pointer: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class ObjectRewrite:
    """All changes of one object. ``by_hand`` says who else must change it, or why nobody here can."""

    object: ObjectName
    changes: tuple[Change, ...] = ()
    by_hand: str = ""

    @property
    def diff(self) -> str:
        """For people."""
        lines = [f"--- {self.object}"]
        for change in self.changes:
            lines += [f"@ {change.pointer}", f"- {change.before}", f"+ {change.after}"]
        return "\n".join(lines)


def rewrites(
    consumers: Iterable[ConsumerFact], *, host: str, moving: frozenset[str], renames: Mapping[str, str]
) -> Iterator[ObjectRewrite]:
    """One for each object that has to change; ``moving`` are hosts that lead to this registry after the cutover."""
    for consumer in consumers:
        if consumer.controller.partition(" ")[0] in KINDS:
            continue  # its maker is changed, and makes it anew
        if consumer.over:
            continue
        changes, unknown = [], []
        for use in consumer.uses:
            after = rewritten(use.image, host=host, moving=moving, renames=renames)
            if after is None:
                unknown.append(use.image)
            elif after != use.image:
                changes.append(Change(use.pointer, use.image, after))
        by_hand = "; ".join(_by_hand(consumer, unknown, changing=bool(changes)))
        if consumer.object.kind in _FIXED and changes:
            changes = []
        if changes or by_hand:
            yield ObjectRewrite(consumer.object, tuple(changes), by_hand)


def _by_hand(consumer: ConsumerFact, unknown: list[str], *, changing: bool) -> Iterator[str]:
    if unknown:
        yield f"there is no new name for {', '.join(unknown[:3])}"
    if consumer.unreadable:
        yield f"it cannot be read ({consumer.unreadable})"
    if consumer.object.kind in _FIXED and changing:
        yield "its template cannot be changed: wait for its end, or make it anew with the new image"
    if consumer.controller and changing:
        yield f"{consumer.controller} keeps it as it is: change that"
    elif consumer.kept_by and changing:
        yield f"it is written again by {consumer.kept_by}: change it there too"


def rewritten(image: str, *, host: str, moving: frozenset[str], renames: Mapping[str, str]) -> str | None:
    """The new reference; ``None`` for a repository that has no name here."""
    scheme, _, bare = image.rpartition("://")
    where, _, rest = bare.partition("/")
    path, suffix = _split(rest)
    repository = renames.get(path, path)
    if not repository or not is_ours(repository):
        return None
    if where in moving:
        return f"{f'{scheme}://' if scheme else ''}{where}/{repository}{suffix}"
    return f"{host}/{repository}{suffix}"


def repository_of(image: str) -> str:
    """Of a reference that has a host."""
    return _split(image.rpartition("://")[2].partition("/")[2])[0]


def wanted_of(image: str) -> str:
    """The digest of a reference that has a host, or its tag, which is ``latest`` where it names none."""
    rest = _split(image.rpartition("://")[2].partition("/")[2])[1]
    return rest.rpartition("@")[2] if "@" in rest else rest.removeprefix(":") or "latest"


def _split(rest: str) -> tuple[str, str]:
    """The repository, and tag and digest as they stand there."""
    for index, character in enumerate(rest):
        if character in ":@":
            return rest[:index], rest[index:]
    return rest, ""
