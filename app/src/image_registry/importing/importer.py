"""Carrying out an import: look at everything first, then write what was found and what was not in one transaction.

Each item fails by itself with a reason; only what concerns the stream as a whole (it was changed, a namespace that goes
away) fails the import.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from image_registry.imagestreams.importer import Imports
from image_registry.imagestreams.imports import Failure, Import, ImportOutcome, TagImport
from image_registry.imagestreams.model import TagSource, TagSpec
from image_registry.imagestreams.spec_rules import DOCKER_IMAGE
from image_registry.importing.finding import Finder
from image_registry.importing.requests import (
    ImageWish,
    ImportResult,
    ImportWish,
    Item,
    Policy,
    RepositoryWish,
)
from image_registry.importing.tag_order import by_importance
from image_registry.oci.reference import InvalidTag, Repository, is_tag, parse_tag
from image_registry.remote.asking import Access
from image_registry.remote.credentials import Keyring
from image_registry.remote.errors import InvalidReference, RemoteError, TooManyRequests, Unreachable
from image_registry.remote.reference import RemoteReference
from image_registry.remote.registry import Registries

MOST_TAGS = 50
"""Tags of one repository import; the rest is listed."""

TOGETHER = 5
"""Images that are looked at at once."""

TIME = 45.0
"""Seconds for looking: who asked waits, and kube-apiserver gives up after a minute."""

A = TypeVar("A")
B = TypeVar("B")


class CredentialsUnknown(Unreachable):
    """Nobody can say right now which credentials a namespace has: without them the answers would be wrong."""


class Importer:
    """Thread-safe. ``keyring`` gives the credentials for a repository, or raises :class:`CredentialsUnknown`.

    ``ourselves`` are the names of this registry.
    """

    def __init__(
        self,
        registries: Registries,
        imports: Imports,
        keyring: Callable[[Repository], Keyring],
        *,
        ourselves: Iterable[str] = (),
        most_tags: int = MOST_TAGS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registries, self._imports, self._keyring = registries, imports, keyring
        self._ourselves = frozenset(name.lower() for name in ourselves)
        self._most_tags = most_tags
        self._clock = clock

    def run(self, wish: ImportWish) -> ImportResult:
        """Look, and write if that is wanted. Raises as :func:`image_registry.imagestreams.imports.apply` does."""
        keyring = self._keyring(wish.repository)
        finders = self._finders(keyring, wish)
        images = _together(lambda one: self._one(one, finders), wish.images)
        whole, failure, rest = self._whole(wish.whole, finders) if wish.whole else ((), None, ())
        result = ImportResult(tuple(images), tuple(whole), failure, tuple(rest))
        if not wish.write:
            return result
        asked = zip(wish.images, images, strict=True)
        tags = {item.tag: _tag_import(one.source, item, one.policy) for one, item in asked}
        if wish.whole is not None:
            source = RemoteReference.parse(wish.whole.source) if failure is None else None
            for item in whole:
                name = str(source.at(item.tag)) if source else wish.whole.source
                tags.setdefault(item.tag, _tag_import(name, item, wish.whole.policy))
        outcome = self._imports.apply(
            Import(
                repository=wish.repository,
                tags=tuple(tag for tag in tags.values() if is_tag(tag.spec.name)),
                imported_by=wish.imported_by,
                confirm_create=wish.confirm_create,
                uid=wish.uid,
                resource_version=wish.resource_version,
                limits=self._imports.limits(wish.repository.namespace),
                dry_run=wish.dry_run,
            )
        )
        return _told(result, outcome)

    def again(self, repository: Repository, specs: Sequence[TagSpec], imported_by: str) -> tuple[Item, ...]:
        """Look again for what tags of a stream are to mean, and write it unless something else is wanted by then."""
        keyring = self._keyring(repository)
        wish = ImportWish(repository=repository)
        finders = self._finders(keyring, wish)
        wishes = [
            ImageWish(spec.source.name if spec.source else "", spec.name, Policy(spec.insecure, mode=spec.import_mode))
            for spec in specs
        ]
        items = _together(lambda one: self._one(one, finders), wishes)
        tags = [
            TagImport(spec, item.images, item.failure, expected=spec) for spec, item in zip(specs, items, strict=True)
        ]
        self._imports.apply(
            Import(
                repository=repository,
                tags=tuple(tags),
                imported_by=imported_by,
                limits=self._imports.limits(repository.namespace),
            )
        )
        return tuple(items)

    def _finders(self, keyring: Keyring, wish: ImportWish) -> Callable[[bool], Finder]:
        end = self._clock() + TIME

        def expired() -> bool:
            return self._clock() > end

        made = {
            insecure: Finder(self._registries, Access(keyring, insecure), wish.architecture, wish.os, expired)
            for insecure in (False, True)
        }
        return made.__getitem__

    def _one(self, wish: ImageWish, finders: Callable[[bool], Finder]) -> Item:
        tag = wish.tag
        try:
            reference = self._parsed(wish.source)
            tag = tag or reference.tag or "latest"
            parse_tag(tag)
            return Item(tag, finders(wish.policy.insecure).find(reference, wish.policy.mode))
        except RemoteError as error:
            return _failed(tag or "latest", error)
        except InvalidTag as error:
            return _failed(tag, InvalidReference(str(error)))

    def _whole(
        self, wish: RepositoryWish, finders: Callable[[bool], Finder]
    ) -> tuple[Sequence[Item], Item | None, Sequence[str]]:
        try:
            reference = self._parsed(wish.source)
            if reference.tag or reference.digest:
                raise InvalidReference(f"{wish.source!r} names one image: leave out tag and digest for a repository")
            found = self._registries.tags(reference, finders(wish.policy.insecure).access)
        except RemoteError as error:
            return (), _failed("", error), ()
        ordered = by_importance(tag for tag in found if is_tag(tag))
        count = len(ordered) if self._most_tags < 0 else self._most_tags
        wishes = [ImageWish(str(reference.at(tag)), tag, wish.policy) for tag in ordered[:count]]
        return _together(lambda one: self._one(one, finders), wishes), None, ordered[count:]

    def _parsed(self, source: str) -> RemoteReference:
        reference = RemoteReference.parse(source)
        if reference.registry in self._ourselves:
            raise InvalidReference(f"{source} is in this registry: tag it, with a from of kind ImageStreamTag")
        return reference


def _tag_import(source: str, item: Item, policy: Policy) -> TagImport:
    spec = TagSpec(
        name=item.tag,
        source=TagSource(DOCKER_IMAGE, source),
        insecure=policy.insecure,
        scheduled=policy.scheduled,
        import_mode=policy.mode,
        reference_policy=policy.reference,
    )
    return TagImport(spec, item.images, item.failure)


def _told(result: ImportResult, outcome: ImportOutcome) -> ImportResult:
    """What limits refused is a failure of its item too."""

    def told(items: tuple[Item, ...]) -> tuple[Item, ...]:
        return tuple(
            replace(item, failure=outcome.refused[item.tag], status=403)
            if item.failure is None and item.tag in outcome.refused
            else item
            for item in items
        )

    return replace(
        result,
        images=told(result.images),
        whole=told(result.whole),
        stream=outcome.stream,
        written=outcome.images,
    )


def _failed(tag: str, error: RemoteError) -> Item:
    wait = error.retry_after if isinstance(error, TooManyRequests) else 0.0
    return Item(tag, failure=Failure(error.reason, str(error), error.passing), status=error.status, retry_after=wait)


def _together(work: Callable[[A], B], items: Sequence[A]) -> list[B]:
    if len(items) < 2:
        return [work(item) for item in items]
    with ThreadPoolExecutor(min(TOGETHER, len(items)), "import") as pool:
        return list(pool.map(work, items))
