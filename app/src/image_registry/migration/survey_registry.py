"""The content of a legacy registry as it tells it itself: catalog, tags, manifests and whether their blobs are there.

Everything is asked page by page and by a few threads at once, at a rate that leaves the registry to those who use it.
Its catalog is behind the same proxy as everything else, and older ones know none: then repositories must be named.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

from image_registry.migration.content import (
    MISSING_BLOB,
    MISSING_MANIFEST,
    TOO_MANY,
    UNREADABLE,
    ContentSummary,
    ContentWriter,
    Problem,
    RepositoryContent,
)
from image_registry.oci.digest import Digest
from image_registry.remote.addresses import AddressRules
from image_registry.remote.asking import Access, Question
from image_registry.remote.budget import Budget
from image_registry.remote.errors import NotARegistry, NotFound, RemoteError, Unauthorized
from image_registry.remote.pages import next_page
from image_registry.remote.reference import RemoteReference, parse_registry
from image_registry.remote.registry import Registries
from image_registry.remote.sources import SourceRules
from image_registry.remote.wire import Wire

PAGE = 500
LONGEST_PAGE = 8 << 20
MOST_TAGS = 100_000
MOST_PROBLEMS = 200
"""Of one repository; more are of no further help."""

Progress = Callable[[int, int], None]
"""Told how many repositories were looked at, and how many are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyOptions:
    """How gently it is asked."""

    at_once: int = 4
    per_second: float = 400.0
    check_blobs: bool = True
    """Ask of every blob whether it is there; otherwise manifests are believed."""
    patience: float = 30.0


@dataclass(slots=True)
class LegacyRegistry:
    """One registry, by its address: ``http://host[:port]`` or ``https://…``."""

    url: str
    access: Access
    options: SurveyOptions = field(default_factory=SurveyOptions)
    authorities: str = ""
    _registries: Registries = field(init=False)
    _scheme: str = field(init=False)
    registry: str = field(init=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
            raise ValueError(
                f"{self.url!r} is no address of a registry: write http://host[:port] or https://host[:port]"
            )
        place = parts.netloc.rpartition("@")[2]
        self._scheme = parts.scheme
        # the scheme that is written decides, so a port is always spelled out where it is not that of HTTPS
        self.registry = parse_registry(f"{place}:80" if parts.scheme == "http" and parts.port is None else place)
        budget = Budget(self.options.per_second, max(int(self.options.per_second), 1))
        wire = Wire(AddressRules.of(["0.0.0.0/0", "::/0"]), authorities=self.authorities)
        self._registries = Registries(wire, SourceRules(), budget)

    def ping(self) -> None:
        """Raises :class:`RemoteError` when nobody answers there, or not to us."""
        with self._registries.questions.put(self._question("/v2/"), self.access):
            pass

    def catalog(self) -> Iterator[str]:
        """Names of all repositories. Raises :class:`RemoteError`."""
        query = f"?{urlencode({'n': PAGE})}"
        before: list[str] = []
        while query:
            with self._registries.questions.put(self._question(f"/v2/_catalog{query}"), self.access) as answer:
                names = _names(answer.read(LONGEST_PAGE), self.registry)
                query = next_page(answer)
            if names == before:
                return  # a registry that gives the same page for ever
            before = names
            yield from names

    def repository(
        self, name: str, known: Callable[[str], bool], before: RepositoryContent | None = None
    ) -> RepositoryContent:
        """What one repository holds; what is wrong with it is in there. ``known`` blobs are not asked for again.

        Nor are manifests that were there ``before``: only tags that mean something new cost more than one question.
        """
        reference = RemoteReference(self.registry, name)
        problems: list[Problem] = []
        try:
            tags = self._registries.tags(reference, self.access, most=MOST_TAGS)
        except NotFound:
            return RepositoryContent(name)  # the last tag of it was deleted
        except RemoteError as error:
            return RepositoryContent(name, problems=(Problem(UNREADABLE, name, str(error)),))
        if len(tags) == MOST_TAGS:
            problems.append(Problem(TOO_MANY, name, f"only the first {MOST_TAGS} tags were looked at"))
        found = _Found(self, reference, problems, known)
        if before is not None:
            found.manifests |= before.manifests
            found.blobs |= before.blobs
        meant: dict[str, str] = {}
        for tag in tags:
            digest = found.tag(tag)
            if digest:
                meant[tag] = digest
        return RepositoryContent(name, meant, found.manifests, found.blobs, tuple(problems[:MOST_PROBLEMS]))

    def _question(self, path: str) -> Question:
        return Question("GET", RemoteReference(self.registry, ""), at=f"{self._scheme}://{self.registry}{path}")


@dataclass(slots=True)
class _Found:
    """The manifests of one repository, each once."""

    asked: LegacyRegistry
    reference: RemoteReference
    problems: list[Problem]
    known: Callable[[str], bool]
    manifests: dict[str, str] = field(default_factory=dict)
    blobs: dict[str, int] = field(default_factory=dict)
    _lost: set[str] = field(default_factory=set)

    def tag(self, tag: str) -> str:
        """What a tag means; empty if that cannot be had."""
        registries, access = self.asked._registries, self.asked.access  # noqa: SLF001 - of this module
        try:
            digest = registries.digest(self.reference.at(tag), access)
            if digest is None or str(digest) not in self.manifests:
                digest = self._manifest(self.reference.at(tag) if digest is None else self.reference.at(digest), tag)
        except RemoteError as error:
            self._wrong(error, tag)
            return ""
        return str(digest)

    def _manifest(self, reference: RemoteReference, tag: str) -> Digest:
        registries, access = self.asked._registries, self.asked.access  # noqa: SLF001 - of this module
        manifest = registries.manifest(reference, access).manifest
        self.manifests[str(manifest.digest)] = manifest.media_type
        for child in manifest.manifests:
            if str(child.digest) not in self.manifests and str(child.digest) not in self._lost:
                try:
                    self._manifest(self.reference.at(child.digest), tag)
                except RemoteError as error:
                    self._lost.add(str(child.digest))
                    self._wrong(error, f"{tag} ({child.digest})")
        for blob in manifest.required_blobs:
            digest = str(blob.digest)
            if digest in self.blobs:
                continue
            self.blobs[digest] = blob.size
            if self.asked.options.check_blobs and not self.known(digest) and not self._there(blob.digest):
                detail = f"{digest} is needed by {manifest.digest} and is not there"
                self.problems.append(Problem(MISSING_BLOB, tag, detail))
        return manifest.digest

    def _there(self, digest: Digest) -> bool:
        questions, access = self.asked._registries.questions, self.asked.access  # noqa: SLF001 - of this module
        try:
            with questions.ask("HEAD", self.reference.at(digest), f"blobs/{digest}", access):
                return True
        except NotFound:
            return False

    def _wrong(self, error: RemoteError, subject: str) -> None:
        kind = MISSING_MANIFEST if isinstance(error, NotFound) else UNREADABLE
        self.problems.append(Problem(kind, subject, str(error)[:500]))


def survey_registry(
    registry: LegacyRegistry,
    writer: ContentWriter,
    *,
    names: Iterable[str] | None = None,
    progress: Progress = lambda _done, _known: None,
) -> ContentSummary:
    """Look at every repository, or at ``names``; ``writer`` knows those that are done.

    Raises :class:`RemoteError` when the registry as a whole cannot be asked.
    """
    began, lock = time.monotonic(), threading.Lock()

    def known(digest: str) -> bool:
        with lock:
            return writer.totals.has(digest)

    waiting: set[Future[RepositoryContent]] = set()
    listed = 0

    def collect(found: set[Future[RepositoryContent]]) -> None:
        for future in found:
            content = future.result()
            with lock:
                writer.add(content)
            progress(len(writer.done), listed)

    with ThreadPoolExecutor(registry.options.at_once, "survey") as pool:
        try:
            for name in registry.catalog() if names is None else names:
                listed += 1
                if name in writer.done:
                    continue
                if len(waiting) >= 2 * registry.options.at_once:
                    done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    collect(done)
                waiting.add(pool.submit(registry.repository, name, known))
            collect(wait(waiting).done)
        except BaseException:
            for future in waiting:
                future.cancel()
            raise
    return writer.finish(time.monotonic() - began)


def explained(error: RemoteError, url: str) -> str:
    """Why a registry cannot be surveyed, and what else there is."""
    if isinstance(error, NotFound | Unauthorized):
        return (
            f"{url} does not show its catalog ({error}): ask as somebody who may get images in all namespaces, name "
            "the Service that has no proxy in front, or look at its storage"
        )
    return f"{url} cannot be surveyed: {error}"


def _names(body: bytes, registry: str) -> list[str]:
    try:
        names = json.loads(body)["repositories"]
    except (ValueError, LookupError, TypeError, RecursionError):
        raise NotARegistry(f"{registry} answered with something that is no catalog") from None
    return [name for name in names or () if isinstance(name, str)] if isinstance(names, list | None) else []
