"""Manifests, tags and blobs of other registries: fetched, verified, and from whoever is first able to give them.

Mirrors are tried before the source; logins from the most exact to none; what fails for a moment again, as long as the
caller is patient. What a digest names is verified always; the last bytes of a blob are given to nobody before that.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeVar

from image_registry.oci import media_types
from image_registry.oci.digest import Digest, InvalidDigest
from image_registry.oci.manifest import InvalidManifest, Manifest, parse_manifest
from image_registry.oci.reference import is_tag
from image_registry.remote.asking import Access, Questions
from image_registry.remote.budget import Budget
from image_registry.remote.errors import (
    Blocked,
    Mismatch,
    NotARegistry,
    RemoteError,
    TooLarge,
    Unreachable,
    Unusable,
)
from image_registry.remote.pages import next_page
from image_registry.remote.reference import RemoteReference
from image_registry.remote.retrying import ATTEMPTS, backoff
from image_registry.remote.sources import SourceRules
from image_registry.remote.wire import Answer, Wire

MANIFEST_LIMIT = 4 << 20
TAGS_LIMIT = 8 << 20
"""Bytes of one page of tags."""

MOST_TAGS = 10_000
"""Tags of a repository that are looked at."""

CHUNK = 1 << 18
ACCEPT = ", ".join(sorted(media_types.SUPPORTED_TYPES))

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Fetched:
    """A manifest and where it came from: the reference that was asked for, by whom it was answered."""

    reference: RemoteReference
    manifest: Manifest
    source: RemoteReference


class Registries:
    """All other registries, as far as the rules allow. Thread-safe; must be built after a fork."""

    def __init__(
        self,
        wire: Wire,
        rules: SourceRules,
        budget: Budget | None = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.rules, self._sleep = rules, sleep
        self.questions = Questions(wire, rules, budget or Budget(), sleep=sleep)

    def manifest(self, reference: RemoteReference, access: Access, *, limit: int = MANIFEST_LIMIT) -> Fetched:
        """What the reference names now, verified if it names a digest. Raises :class:`RemoteError`."""

        def fetch(source: RemoteReference) -> Fetched:
            with self.questions.ask("GET", source, f"manifests/{source.wanted}", access, accept=ACCEPT) as answer:
                raw = answer.read(limit)
                return Fetched(reference, _manifest(raw, source, answer), source)

        return self._first(reference, fetch)

    def digest(self, reference: RemoteReference, access: Access) -> Digest | None:
        """What the reference means now, by HEAD alone; ``None`` if the registry does not say. Unverified."""

        def look(source: RemoteReference) -> Digest | None:
            with self.questions.ask("HEAD", source, f"manifests/{source.wanted}", access, accept=ACCEPT) as answer:
                try:
                    return Digest.parse(answer.headers.get("docker-content-digest", ""))
                except InvalidDigest:
                    return None

        return self._first(reference, look)

    def tags(self, reference: RemoteReference, access: Access, *, most: int = MOST_TAGS) -> list[str]:
        """Tags of the repository in the order of the registry, at most ``most``."""

        def read(source: RemoteReference) -> list[str]:
            found: dict[str, None] = {}
            query, pages = "", 0
            while len(found) < most and pages <= most:
                with self.questions.ask("GET", source, f"tags/list{query}", access) as answer:
                    before = len(found)
                    found.update(dict.fromkeys(_tags(answer.read(TAGS_LIMIT), source)))
                    query, pages = next_page(answer), pages + 1
                if not query or len(found) == before:
                    break
            return list(found)[:most]

        return self._first(reference, read)

    @contextmanager
    def blob(
        self, reference: RemoteReference, access: Access, *, size: int | None = None, limit: int | None = None
    ) -> Iterator[Iterator[bytes]]:
        """The bytes of ``reference.digest`` in parts; the last part is given when all are verified.

        A connection that breaks is taken up where it broke. ``size`` is what a manifest says. While the parts are
        read :class:`Mismatch`, :class:`TooLarge` and :class:`Unreachable` are raised.
        """
        if reference.digest is None:
            raise ValueError("a blob is named by its digest")
        with ExitStack() as stack:
            yield self._first(reference, lambda source: self._open(source, access, stack, size, limit))

    @contextmanager
    def parts(
        self, reference: RemoteReference, access: Access, *, offset: int = 0, chunk: int = CHUNK
    ) -> Iterator[Iterator[bytes]]:
        """The bytes of ``reference.digest`` from ``offset`` on, for who verifies them: nothing is verified here."""
        if reference.digest is None:
            raise ValueError("a blob is named by its digest")
        with ExitStack() as stack:

            def open_at(source: RemoteReference) -> Iterator[bytes]:
                inner = stack.enter_context(ExitStack())
                answer = inner.enter_context(self._blob_from(source, access, offset))
                return self._parts(source, access, answer, inner, offset, chunk)

            yield self._first(reference, open_at)

    def _open(
        self, source: RemoteReference, access: Access, stack: ExitStack, size: int | None, limit: int | None
    ) -> Iterator[bytes]:
        """Begin to read; what fails here is tried elsewhere."""
        inner = stack.enter_context(ExitStack())
        answer = inner.enter_context(self._blob_from(source, access, 0))
        if size is not None and answer.length not in (None, size):
            raise Mismatch(f"{source} has {answer.length} bytes in {source.registry}, and {size} in its manifest")
        if limit is not None and (answer.length or 0) > limit:
            raise TooLarge(f"{source} has {answer.length} bytes; at most {limit} are taken")
        return _verified(self._parts(source, access, answer, inner), source, size, limit)

    def _parts(
        self,
        source: RemoteReference,
        access: Access,
        answer: Answer,
        stack: ExitStack,
        done: int = 0,
        size: int = CHUNK,
    ) -> Iterator[bytes]:
        failures = 0
        while True:
            total = answer.length
            begun = done
            try:
                for chunk in answer.chunks(size):
                    done += len(chunk)
                    yield chunk
                if total is None or done - begun >= total:
                    return
                broken = Unreachable(f"{source.registry} ended {source} after {done} bytes")
            except Unreachable as error:
                broken = error
            failures = 1 if done > begun else failures + 1
            if failures >= ATTEMPTS:
                raise broken
            stack.close()
            self._sleep(backoff(failures))
            answer = stack.enter_context(self._blob_from(source, access, done))

    @contextmanager
    def _blob_from(self, source: RemoteReference, access: Access, offset: int) -> Iterator[Answer]:
        part = f"bytes={offset}-" if offset else ""
        with self.questions.ask("GET", source, f"blobs/{source.digest}", access, part=part) as answer:
            if offset and answer.status != HTTPStatus.PARTIAL_CONTENT:
                raise Unreachable(f"{source.registry} broke off {source} and cannot send the rest alone; try again")
            if offset and not answer.headers.get("content-range", "").startswith(f"bytes {offset}-"):
                raise Mismatch(f"{source.registry} sends another part of {source} than was asked for")
            yield answer

    def _first(self, reference: RemoteReference, ask: Callable[[RemoteReference], T]) -> T:
        """From the first that has it; what the last one said is what counts."""
        failure: RemoteError | None = None
        for source in self.rules.candidates(reference):
            try:
                return ask(source)
            except RemoteError as error:
                failure = error
        raise failure or Blocked(f"nobody may be asked for {reference}")


def _manifest(raw: bytes, source: RemoteReference, answer: Answer) -> Manifest:
    if source.digest is not None:
        actual = Digest.of(raw, source.digest.algorithm)
        if actual != source.digest:
            raise Mismatch(f"{source.registry} sent {actual} when {source.digest} was asked for; nothing is taken")
    digest = source.digest or Digest.of(raw)
    said = answer.headers.get("docker-content-digest", "")
    if source.digest is None and said.startswith("sha256:") and said != str(digest):
        raise Mismatch(f"{source.registry} says that {source} is {said}, and sent {digest}; nothing is taken")
    try:
        return parse_manifest(raw, _known_type(answer.headers.get("content-type", "")), digest=digest)
    except InvalidManifest as error:
        raise Unusable(f"{source} cannot be used: {error}") from None


def _known_type(content_type: str) -> str:
    """Some servers send JSON as plain text; then the document says what it is."""
    kind = content_type.partition(";")[0].strip()
    return "" if kind in ("text/plain", "application/json", "application/octet-stream") else kind


def _tags(body: bytes, source: RemoteReference) -> list[str]:
    try:
        tags = json.loads(body)["tags"]
    except (ValueError, LookupError, TypeError, RecursionError):
        raise NotARegistry(f"{source.registry} answered with something that is no list of tags") from None
    return [tag for tag in tags or () if isinstance(tag, str) and is_tag(tag)] if isinstance(tags, list | None) else []


def _verified(parts: Iterator[bytes], source: RemoteReference, size: int | None, limit: int | None) -> Iterator[bytes]:
    """The same bytes; the last part comes when the digest of all is known to be right."""
    wanted = source.digest
    if wanted is None:
        raise ValueError("a blob is named by its digest")
    hasher, total, held = hashlib.new(wanted.algorithm), 0, b""
    most = min(value for value in (size, limit, 1 << 62) if value is not None)
    for part in parts:
        total += len(part)
        if total > most:
            kind = Mismatch if size is not None and most == size else TooLarge
            raise kind(f"{source} has more than {most} bytes in {source.registry}; nothing is taken")
        hasher.update(part)
        if held:
            yield held
        held = part
    if hasher.hexdigest() != wanted.hex or (size is not None and total != size):
        raise Mismatch(
            f"{source.registry} sent {total} bytes for {wanted} that have another digest or size; nothing is taken"
        )
    if held:
        yield held
