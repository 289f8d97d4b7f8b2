"""Images of a list as a copy wants them: what tags mean first, then manifests that no tag means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from image_registry.migration.content import RepositoryContent
from image_registry.migration.exceptions import troubled_by, troubles_of


@dataclass(frozen=True, slots=True)
class Wanted:
    """An image of the list: what a tag means, or a manifest that no tag means."""

    repository: str
    target: str
    tag: str
    digest: str
    troubled: tuple[str, ...] = ()
    """Subjects of the survey's other problems that are about it: of what it lists, or of an index that lists it."""

    @property
    def name(self) -> str:
        """As people write it."""
        return f"{self.repository}:{self.tag}" if self.tag else f"{self.repository}@{self.digest}"

    @property
    def here(self) -> str:
        """Its name in this registry, if that is another one."""
        if self.repository == self.target:
            return ""
        return f"{self.target}:{self.tag}" if self.tag else f"{self.target}@{self.digest}"

    @property
    def subjects(self) -> tuple[str, ...]:
        """By which a finding of the plan may have accepted it."""
        return (*((self.tag,) if self.tag else ()), self.digest, *self.troubled)

    @property
    def id(self) -> str:
        """By which it is accepted that it is not here."""
        return f"tag:{self.name}" if self.tag else f"manifest:{self.name}"


def tagged(repository: RepositoryContent, names: Mapping[str, str]) -> Iterator[Wanted]:
    """Its tags, under the name that it gets; nothing for one that gets none."""
    target = names.get(repository.name, repository.name)
    if target:
        for tag, digest in repository.tags.items():
            yield Wanted(repository.name, target, tag, digest, troubles_of(repository, tag))


def untagged(repository: RepositoryContent, names: Mapping[str, str]) -> Iterator[Wanted]:
    """Its other manifests; those that an index lists are here when the index is."""
    target, meant = names.get(repository.name, repository.name), set(repository.tags.values())
    if target:
        for digest in repository.manifests:
            if digest not in meant:
                yield Wanted(repository.name, target, "", digest, troubled_by(repository, digest))
