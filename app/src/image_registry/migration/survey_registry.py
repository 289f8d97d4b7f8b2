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
    WRONG_SIZE,
    ContentSummary,
    ContentWriter,
    Problem,
    RepositoryContent,
)
from image_registry.oci.digest import Digest
from image_registry.remote.addresses import AddressRules
from image_registry.remote.asking import Access, Question
from image_registry.remote.budget import Budget
from image_registry.remote.errors import Forbidden, NotARegistry, NotFound, RemoteError, Unauthorized
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


class LoginExpired(Unauthorized):
    """Nothing can be asked with these credentials."""


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

    def see_to_login(self, error: RemoteError) -> None:
        """Refused for one image may be a right that is missing; refused for everything is a login that expired, of
        which no image is to blame. Raises :class:`LoginExpired` for that."""
        if not isinstance(error, Unauthorized):
            return
        try:
            self.ping()
        except Unauthorized as refused:
            raise LoginExpired(
                f"{self.url} does not accept the credentials (any more): {refused}. Get new ones (`kubectl create "
                "token`) and run again; it goes on where it stopped"
            ) from None
        except RemoteError:
            return  # nobody knows now

    def catalog(self) -> Iterator[str]:
        """Names of all repositories. Raises :class:`RemoteError`."""
        query = f"?{urlencode({'n': PAGE})}"
        before: list[str] = []
        while query:
            try:
                with self._registries.questions.put(self._question(f"/v2/_catalog{query}"), self.access) as answer:
                    names = _names(answer.read(LONGEST_PAGE), self.registry)
                    query = next_page(answer)
            except RemoteError as error:
                self.see_to_login(error)
                raise
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
            self.see_to_login(error)
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


@dataclass(frozen=True, slots=True)
class _Fault:
    """What is wrong with a manifest, or with what it needs; each tag that means it is told of it."""

    kind: str
    about: str
    """The digest of a manifest that an index lists; empty for a blob."""
    detail: str

    def of(self, tag: str) -> Problem:
        return Problem(self.kind, f"{tag} ({self.about})" if self.about else tag, self.detail)


@dataclass(slots=True)
class _Found:
    """The manifests of one repository, each asked for once."""

    asked: LegacyRegistry
    reference: RemoteReference
    problems: list[Problem]
    known: Callable[[str], bool]
    manifests: dict[str, str] = field(default_factory=dict)
    blobs: dict[str, int] = field(default_factory=dict)
    _faults: dict[str, list[_Fault]] = field(default_factory=dict)
    """By manifest, those that cannot be had too."""
    _broken: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Blobs that are not as they must be: in which way, and how that is told."""

    def tag(self, tag: str) -> str:
        """What a tag means; empty if that cannot be had. What is wrong is told of each tag, whoever was first."""
        registries, access = self.asked._registries, self.asked.access  # noqa: SLF001 - of this module
        try:
            digest = registries.digest(self.reference.at(tag), access)
            if digest is None or str(digest) not in self.manifests:
                digest = self._manifest(self.reference.at(tag) if digest is None else self.reference.at(digest))
        except RemoteError as error:
            self.problems.append(Problem(self._kind(error), tag, str(error)[:500]))
            return ""
        self.problems += [fault.of(tag) for fault in dict.fromkeys(self._faults.get(str(digest), ()))]
        return str(digest)

    def _manifest(self, reference: RemoteReference) -> Digest:
        registries, access = self.asked._registries, self.asked.access  # noqa: SLF001 - of this module
        manifest = registries.manifest(reference, access).manifest
        self.manifests[str(manifest.digest)] = manifest.media_type
        faults = self._faults.setdefault(str(manifest.digest), [])
        for child in manifest.manifests:
            name = str(child.digest)
            if name not in self.manifests and name not in self._faults:
                try:
                    self._manifest(self.reference.at(child.digest))
                except RemoteError as error:
                    self._faults[name] = [_Fault(self._kind(error), name, str(error)[:500])]
            faults += self._faults.get(name, ())
        for blob in manifest.required_blobs:
            digest = str(blob.digest)
            if digest not in self.blobs:
                self.blobs[digest] = blob.size
                if self.asked.options.check_blobs and not self.known(digest):
                    self._look_at(blob.digest, blob.size)
            if digest in self._broken:
                kind, what = self._broken[digest]
                faults.append(_Fault(kind, "", f"{digest} is needed by {manifest.digest} and {what}"))
        return manifest.digest

    def _look_at(self, digest: Digest, size: int) -> None:
        """Whether a blob is there, with all its bytes."""
        questions, access = self.asked._registries.questions, self.asked.access  # noqa: SLF001 - of this module
        try:
            with questions.ask("HEAD", self.reference.at(digest), f"blobs/{digest}", access) as answer:
                there = answer.length
        except NotFound:
            self._broken[str(digest)] = (MISSING_BLOB, "is not there")
            return
        except RemoteError as error:
            self._broken[str(digest)] = (self._kind(error), f"cannot be asked for: {str(error)[:300]}")
            return
        if size and there not in (None, size):
            self._broken[str(digest)] = (WRONG_SIZE, f"has {there} bytes instead of {size}")

    def _kind(self, error: RemoteError) -> str:
        self.asked.see_to_login(error)
        return MISSING_MANIFEST if isinstance(error, NotFound) else UNREADABLE


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
    if isinstance(error, LoginExpired):
        return str(error)
    others = "name the Service that has no proxy in front, or look at its storage"
    if isinstance(error, Unauthorized):
        wanted = "bring a token that is valid now (`kubectl create token`)"
        return f"{url} does not let in who asks ({error}): {wanted}, {others}"
    if isinstance(error, NotFound | Forbidden):
        return (
            f"{url} does not show its catalog ({error}): ask as somebody who may get images in all namespaces, {others}"
        )
    return f"{url} cannot be surveyed: {error}"


def _names(body: bytes, registry: str) -> list[str]:
    try:
        names = json.loads(body)["repositories"]
    except (ValueError, LookupError, TypeError, RecursionError):
        raise NotARegistry(f"{registry} answered with something that is no catalog") from None
    return [name for name in names or () if isinstance(name, str)] if isinstance(names, list | None) else []
