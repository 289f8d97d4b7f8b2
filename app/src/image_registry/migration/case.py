"""One case to be judged: what was found, what lies in the registry as far as judging needs it, and what was chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from image_registry.migration.choices import Choices, Way
from image_registry.migration.content import ContentFile, ContentSummary, Problem
from image_registry.migration.documents import InvalidDocument
from image_registry.migration.facts import VERSION, Installation, Inventory, StorageFact
from image_registry.migration.names import Rename, rename_plan
from image_registry.migration.own_service import PORT, SERVICE
from image_registry.migration.rewriting import repository_of
from image_registry.migration.volume_sharing import why_not_both

MOST_PROBLEMS = 2000
"""Told one by one."""

REUSABLE = frozenset({"pvc", "hostPath", "s3"})
"""Kinds of storage that ``attach`` gives to this registry where they are; images of any other are copied."""


@dataclass(slots=True)
class Case:
    """Made by :func:`make_case`, and not changed afterwards."""

    inventory: Inventory
    choices: Choices
    installation: Installation | None
    summary: ContentSummary | None = None
    names: tuple[str, ...] = ()
    renames: tuple[Rename, ...] = ()
    problems: list[tuple[str, Problem]] = field(default_factory=list)
    more_problems: int = 0
    most_tags: dict[str, int] = field(default_factory=dict)
    """Tags of the repository with the most of them, by namespace."""
    tags_in_use: dict[str, frozenset[str]] = field(default_factory=dict)
    """Tags and digests of repositories that workloads name."""
    renamed_size: int = 0
    """Bytes of repositories that get another name."""

    @property
    def storage(self) -> StorageFact | None:
        return self.installation.storage if self.installation else None

    @property
    def new_names(self) -> Mapping[str, str]:
        """By the old one; empty where there is none."""
        return {rename.old: rename.new for rename in self.renames}

    @property
    def namespaces(self) -> tuple[str, ...]:
        """That hold images."""
        return tuple(sorted({name.partition("/")[0] for name in self.names}))

    @property
    def why_not_served(self) -> str:
        """Why ``attach`` could not give the bytes to this registry, whatever anybody accepts; empty if it could."""
        storage = self.storage
        if storage is None or storage.kind == "unknown":
            return "it is not known where the bytes lie"
        if storage.kind not in REUSABLE:
            return f"this registry cannot serve from {storage.kind}"
        if storage.kind == "pvc" and storage.phase != "Bound":
            return f"{storage.claim} is {storage.phase or 'not there'}"
        if storage.kind == "s3" and not storage.bucket:
            return "the bucket is not known"
        return ""

    @property
    def why_not_reuse(self) -> str:
        """Why the bytes should not stay where they are; empty if they may."""
        return self.why_not_served or why_not_both(self.storage)

    @property
    def way(self) -> Way:
        """What was chosen, else reuse where it is possible."""
        return self.choices.way or (Way.COPY if self.why_not_reuse else Way.REUSE)

    @property
    def keeps_its_storage(self) -> bool:
        """Whether a copy goes to a registry that is there with an object store, which no claim replaces."""
        return self.way is Way.COPY and self.inventory.target.storage not in ("", "pvc", "emptyDir")

    @property
    def moving_hosts(self) -> frozenset[str]:
        """Hosts that lead to this registry after the cutover: those of Ingresses, not ports of nodes."""
        exposures = self.installation.exposures if self.installation else ()
        return frozenset(host for exposed in exposures if exposed.object.kind != "Service" for host in exposed.hosts)


def make_case(inventory: Inventory, content: ContentFile | None, choices: Choices) -> Case:
    """Reads the content once. Raises :class:`InvalidDocument`, for an inventory of another version, too."""
    if inventory.version != VERSION:
        raise InvalidDocument(
            f"the inventory is of version {inventory.version}, and this program makes and judges those of version "
            f"{VERSION}: what the other one did not look at would be planned as not there. Discover anew"
        )
    running = [found for found in inventory.installations if found.runs] or list(inventory.installations)
    named = [found for found in inventory.installations if found.name == choices.generation]
    chosen = named[0] if named else running[0] if running and not choices.generation else None
    choices = replace(choices, host=choices.host or f"{SERVICE}.{inventory.target.namespace}.svc:{PORT}")
    case = Case(inventory, choices, chosen)
    if content is None:
        return case
    case.summary = content.summary()
    used = {repository_of(use.image) for consumer in inventory.consumers for use in consumer.uses}
    names, sizes = [], {}
    for repository in content.repositories():
        names.append(repository.name)
        namespace = repository.name.partition("/")[0]
        case.most_tags[namespace] = max(case.most_tags.get(namespace, 0), len(repository.tags))
        if repository.nested:
            sizes[repository.name] = repository.size
        if repository.name in used:
            case.tags_in_use[repository.name] = frozenset((*repository.tags, *repository.manifests))
        room = max(MOST_PROBLEMS - len(case.problems), 0)
        case.problems += [(repository.name, problem) for problem in repository.problems[:room]]
        case.more_problems += max(len(repository.problems) - room, 0)
    case.names = tuple(sorted(names))
    case.renames = rename_plan(case.names, choices.renames)
    case.renamed_size = sum(sizes.get(rename.old, 0) for rename in case.renames)
    return case
