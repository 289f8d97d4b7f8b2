"""What the sources have and the targets lack: everything a plan is made of, asked before anything is sent."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from image_registry.mirroring.in_registry import is_attached_tag
from image_registry.mirroring.limits import Limits
from image_registry.mirroring.places import Mapping, Place, paired
from image_registry.mirroring.repositories import Repository
from image_registry.mirroring.wishes import Wishes
from image_registry.oci.digest import Digest
from image_registry.oci.manifest import Descriptor, Manifest
from image_registry.remote.errors import Forbidden, NotARegistry, NotFound, RemoteError, Unauthorized

Open = Callable[[Place], Repository]

DEEPEST = 8
"""Levels of indexes in indexes, and of referrers of referrers."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A manifest that the target should have, under its digest or a tag."""

    wanted: Digest | str
    manifest: Manifest
    attached: bool = False
    """Whether it is there because of another one."""


@dataclass(slots=True)
class Looked:
    """One image: what its source has, and what of that the target has already."""

    mapping: Mapping
    digest: Digest | None = None
    original: Digest | None = None
    """Its digest at the source, where a filter made another one of it."""
    manifests: list[Wanted] = field(default_factory=list)
    """Those that are to be sent, each after those it needs."""
    referrers: int = 0
    lost: int = 0
    """Manifests about the original, which say nothing about what a filter made of it."""
    error: RemoteError | None = None
    missing: bool = False


@dataclass(slots=True)
class View:
    """All that was seen."""

    images: list[Looked]
    sizes: dict[tuple[Place, Digest], int | None] = field(default_factory=dict)
    """Of blobs at the target; what is not named is not there."""


class Looking:
    """Asks sources and targets, many at once."""

    def __init__(self, open_: Open, wishes: Wishes, limits: Limits, told: Callable[[str, int], None]) -> None:
        self._open, self._wishes, self._limits, self._told = open_, wishes, limits, told
        self._lock = threading.Lock()
        self._known: dict[tuple[Place, Digest], Manifest] = {}
        self._there: dict[tuple[Place, Digest | str], Digest | None] = {}

    def expand(self, mappings: Sequence[Mapping]) -> tuple[list[Mapping], list[Looked]]:
        """Patterns of tags as the tags that fit; and those whose repository could not be read."""
        failed: list[Looked] = []
        found: dict[int, list[Mapping]] = {}

        def one(number: int, mapping: Mapping) -> None:
            try:
                found[number] = self._expanded(mapping)
            except RemoteError as error:
                missing = self._wishes.skip_missing and isinstance(error, NotFound)
                failed.append(Looked(mapping, error=error, missing=missing))

        many = [(number, mapping) for number, mapping in enumerate(mappings)]
        self._limits.each(many, lambda item: (item[1].source.store,), lambda item: one(*item))
        return list(dict.fromkeys(m for number in sorted(found) for m in found[number])), failed

    def look(self, mappings: Sequence[Mapping], done: Callable[[Place, Digest], bool]) -> View:
        """Everything about these images; ``done`` says which blobs were sent before."""
        images = [Looked(mapping) for mapping in mappings]
        count = 0

        def one(looked: Looked) -> None:
            nonlocal count
            try:
                self._look(looked)
            except RemoteError as error:
                looked.error = error
                looked.missing = self._wishes.skip_missing and isinstance(error, NotFound) and not looked.manifests
                looked.manifests = []
            with self._lock:
                count += 1
                self._told("images", count)

        self._limits.each(images, lambda it: (it.mapping.source.store, it.mapping.target.store), one)
        view = View(images)
        self._blobs(view, done)
        return view

    def _expanded(self, mapping: Mapping) -> list[Mapping]:
        source = mapping.source
        if not source.is_pattern:
            if source.kind == "oci" and not source.tag:  # the layout's only image, under the name that it has
                tags = self._open(source.repository).tags()
                if tags and len(tags) == 1:
                    target = mapping.target
                    return [Mapping(source.at(tags[0]), target if target.tag else target.at(tags[0]))]
            return [mapping]
        tags = self._open(source.repository).tags()
        if tags is None:
            raise NotFound(f"there is no repository {source.repository}")
        fits = [tag for tag in tags if source.means(tag) and self._wishes.tags(tag)]
        if self._wishes.referrers:  # they come with what they are about
            fits = [tag for tag in fits if not is_attached_tag(tag)]
        missing = [part for part in source.tag.split(",") if not set(part) & set("*?") and part not in tags]
        fits += missing  # asked for by their names: what is wrong with them is said as of any image
        return [paired(source.at(tag), mapping.target.repository) for tag in fits]

    def _look(self, looked: Looked) -> None:
        source, target = self._open(looked.mapping.source.repository), self._open(looked.mapping.target.repository)
        root = self._manifest(source, looked.mapping.source.wanted)
        chosen = self._wishes.filter.apply(root)
        if chosen is None:
            raise NotFound(f"{looked.mapping.source} has no image for the platforms that are wanted (--filter-by-os)")
        if isinstance(chosen, Descriptor):
            chosen = self._manifest(source, chosen.digest)
        if chosen.digest != root.digest:
            looked.original = root.digest
        looked.digest = chosen.digest
        place = looked.mapping.target
        wanted = place.tag or chosen.digest
        there = not self._wishes.force and self._digest(target, wanted) == chosen.digest
        subjects: list[Digest] = []
        if there:
            subjects = [chosen.digest, *(entry.digest for entry in chosen.manifests)]
        else:
            self._closure(looked, source, target, chosen, 0)
            subjects = [entry.manifest.digest for entry in looked.manifests]
            subjects += [child.digest for child in chosen.manifests if child.digest not in subjects]
            looked.manifests = [entry for entry in looked.manifests if entry.manifest.digest != chosen.digest]
            looked.manifests.append(Wanted(wanted, chosen))
        if self._wishes.referrers:
            for subject in dict.fromkeys(subjects):
                self._attached(looked, source, target, subject, 0)
            if looked.original is not None and looked.original != looked.digest:
                before = source.attached(looked.original)
                looked.lost = len(before.referrers) + len(before.tags)

    def _closure(self, looked: Looked, source: Repository, target: Repository, root: Manifest, depth: int) -> None:
        """What an image is made of, the innermost first, as far as the target has it not."""
        if depth > DEEPEST:
            raise RemoteError(f"{looked.mapping.source} has indexes in more than {DEEPEST} levels")
        for entry in root.manifests:
            if not self._wishes.force and self._digest(target, entry.digest) is not None:
                continue
            self._closure(looked, source, target, self._manifest(source, entry.digest), depth + 1)
        if all(other.manifest.digest != root.digest for other in looked.manifests):
            looked.manifests.append(Wanted(root.digest, root))

    def _attached(self, looked: Looked, source: Repository, target: Repository, subject: Digest, depth: int) -> None:
        """What refers to a manifest, and what refers to that."""
        if depth > DEEPEST:
            return
        found = source.attached(subject)
        for tag in found.tags:
            manifest = self._manifest(source, tag)
            looked.referrers += 1
            if self._wishes.force or self._digest(target, tag) != manifest.digest:
                self._add(looked, source, target, manifest, tag)
        for entry in found.referrers:
            looked.referrers += 1
            if self._wishes.force or self._digest(target, entry.digest) is None:
                self._add(looked, source, target, self._manifest(source, entry.digest), entry.digest)
            self._attached(looked, source, target, entry.digest, depth + 1)

    def _add(
        self, looked: Looked, source: Repository, target: Repository, manifest: Manifest, name: Digest | str
    ) -> None:
        known = {(entry.wanted, entry.manifest.digest) for entry in looked.manifests}
        before = len(looked.manifests)
        self._closure(looked, source, target, manifest, 0)
        for number in range(before, len(looked.manifests)):
            entry = looked.manifests[number]
            own = entry.manifest.digest == manifest.digest
            looked.manifests[number] = replace(entry, wanted=name if own else entry.wanted, attached=True)
        if (name, manifest.digest) not in known and all(entry.wanted != name for entry in looked.manifests):
            looked.manifests.append(Wanted(name, manifest, attached=True))

    def _manifest(self, repository: Repository, wanted: Digest | str) -> Manifest:
        """Each digest is fetched once from each repository."""
        if isinstance(wanted, Digest):
            known = self._known.get((repository.place, wanted))
            if known is not None:
                return known
        found = repository.manifest(wanted)
        return self._known.setdefault((repository.place, found.digest), found)

    def _digest(self, target: Repository, wanted: Digest | str) -> Digest | None:
        """What the target has; a repository that does not exist has nothing."""
        key = (target.place, wanted)
        if key not in self._there:
            self._there[key] = None if _is_absent(target, wanted) else target.digest(wanted)
        return self._there[key]

    def _blobs(self, view: View, done: Callable[[Place, Digest], bool]) -> None:
        """Which blobs of what is to be sent the targets have."""
        asked: dict[tuple[Place, Digest], None] = {}
        for looked in view.images:
            place = looked.mapping.target.repository
            for blob in blobs_of(looked):
                key = (place, blob.digest)
                if done(*key):
                    view.sizes[key] = blob.size
                elif not self._wishes.force:
                    asked[key] = None
        count = 0

        def one(key: tuple[Place, Digest]) -> None:
            nonlocal count
            repository = self._open(key[0])
            try:
                size = None if _is_absent(repository, key[1]) else repository.blob_size(key[1])
            except RemoteError:
                size = None  # whoever sends it hears the reason again
            with self._lock:
                count += 1
                if size is not None:
                    view.sizes[key] = size
                self._told("blobs", count)

        self._limits.each(list(asked), lambda key: (key[0].store,), one)


def _is_absent(target: Repository, wanted: Digest | str) -> bool:
    """Whether one list of tags, which is asked for once, says that there cannot be such a thing."""
    try:
        tags = target.tags()
    except (Forbidden, Unauthorized, NotARegistry):  # some may push and not list
        return False
    return tags is None or (isinstance(wanted, str) and wanted not in tags)


def blobs_of(looked: Looked) -> Iterable[Descriptor]:
    """Every blob of what is to be sent, each once."""
    found: dict[Digest, Descriptor] = {}
    for entry in looked.manifests:
        found.update({blob.digest: blob for blob in entry.manifest.required_blobs})
    return found.values()
