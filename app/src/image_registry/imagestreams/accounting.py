"""Bytes under limits, and what a push adds: what a namespace holds, what is reserved, and whether a push fits between.

Whoever counts in a namespace holds its lock (:mod:`~image_registry.imagestreams.counting`). Bytes are counted once for
each distinct blob. A push needs its bytes before its manifest arrives, so they are reserved: by the name of the upload
when the size is known, by the digest when the blob is there, until a manifest lists the blob or the time is over. Where
no limit is, nothing is counted and nothing is locked.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from image_registry.imagestreams import counting, limits
from image_registry.imagestreams.limits import Limits, Scope
from image_registry.metadata import usage
from image_registry.metadata.database import Database
from image_registry.oci.digest import Digest
from image_registry.oci.manifest import Manifest
from image_registry.oci.reference import Repository

KEPT = timedelta(hours=24)
"""How long bytes stay reserved for a manifest that does not come."""

REMEMBERED = 16
"""Namespaces whose blobs are remembered between two counts."""

Blobs = Mapping[str, int]
"""Sizes by digest."""


@dataclass(slots=True)
class BeforePush:
    """What there was before a push: bytes, and which of its images were there already; where that is limited.

    Of several manifests that come together each finds the bytes of those before it.
    """

    blobs: Blobs
    in_namespace: frozenset[str]
    in_stream: frozenset[str]


class Accounts:
    """Counts; remembers what each namespace held when it was last counted, which a stamp in the database confirms."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[tuple[int, str], Blobs]] = OrderedDict()

    def reserve(
        self, repository: Repository, upload_id: str, size: int, given: Limits, now: datetime, wanted: Digest | None
    ) -> None:
        """An upload will have ``size`` bytes, perhaps of a blob that is there. Raises :class:`LimitExceeded`."""
        limits.check_image(given, repository.namespace, size)
        digest = str(wanted) if wanted else ""
        self._note(repository.namespace, upload_id, size, given, now, digest=digest, arrived=False)

    def admit(
        self, repository: Repository, digest: Digest, size: int, given: Limits, now: datetime, *, upload_id: str = ""
    ) -> None:
        """A blob is about to be linked: its reservation goes by the digest now. Raises :class:`LimitExceeded`."""
        limits.check_image(given, repository.namespace, size)
        self._note(repository.namespace, upload_id, size, given, now, digest=str(digest), arrived=True)

    def release(self, upload_id: str) -> None:
        """An upload ended without a blob."""
        with self._database.write_quickly() as connection:
            usage.release(connection, [upload_id])

    def usage(self, namespace: str, now: datetime, resources: Collection[str]) -> dict[str, int]:
        """What there is of these resources; bytes with what is reserved."""
        with self._database.snapshot() as connection:
            counts: Mapping[str, Callable[[], int]] = {
                limits.STREAMS: lambda: usage.streams_in(connection, namespace),
                limits.IMAGES: lambda: usage.images_in(connection, namespace),
                limits.TAGS: lambda: usage.tags_in(connection, namespace),
                limits.STORAGE: lambda: _total(
                    self._blobs(connection, namespace), self._reserved(connection, namespace, now)
                ),
            }
            return {resource: count() for resource, count in counts.items() if resource in resources}

    def forget_expired(self, now: datetime) -> int:
        """Give back bytes whose manifest did not come."""
        with self._database.write_quickly() as connection:
            return usage.forget_expired(connection, now)

    def begin_push(
        self, connection: Connection, repository: Repository, given: Limits, digests: Collection[str]
    ) -> BeforePush:
        """Before anything of a push is written: holds the lock if something is to be counted."""
        counting.lock(self._database, connection, repository.namespace, given)
        blobs: Blobs = {}
        if limits.of_scope(given, Scope.NAMESPACE, limits.STORAGE):
            blobs = self._blobs(connection, repository.namespace)
        places: frozenset[tuple[str, str]] = frozenset()
        if any(limit.resource == limits.IMAGES for limit in given):
            places = usage.places(connection, repository.namespace, digests)
        return BeforePush(
            blobs,
            in_namespace=frozenset(digest for _, digest in places),
            in_stream=frozenset(digest for name, digest in places if name == repository.name),
        )

    def end_push(
        self,
        connection: Connection,
        repository: Repository,
        manifest: Manifest,
        given: Limits,
        before: BeforePush,
        now: datetime,
        *,
        stream: int,
        new_stream: bool,
        new_image: bool,
        new_tag: bool,
    ) -> None:
        """When all of it is written and the commit is near. Raises :class:`LimitExceeded`."""
        if not given:
            return
        namespace, digest = repository.namespace, str(manifest.digest)
        if new_image:
            limits.check_image(given, namespace, manifest.content_size)
        grows = {
            place
            for place, more in (
                ((Scope.NAMESPACE, limits.STREAMS), new_stream),
                ((Scope.STREAM, limits.IMAGES), new_image and digest not in before.in_stream),
                ((Scope.NAMESPACE, limits.IMAGES), new_image and digest not in before.in_namespace),
                ((Scope.STREAM, limits.TAGS), new_tag),
                ((Scope.NAMESPACE, limits.TAGS), new_tag),
            )
            if more
        }
        found = counting.beyond(connection, repository, given, stream, grows)
        storage = limits.of_scope(given, Scope.NAMESPACE, limits.STORAGE)
        if storage and new_image:
            after_push = {**before.blobs, **blobs_of(manifest)}
            reserved = self._reserved(connection, namespace, now)
            own = {name: size for name, size in reserved.items() if name not in after_push}
            found += limits.beyond(storage, before=_total(before.blobs, own), after=_total(after_push, own))
            limits.refuse(found, namespace, f"repository {repository}")
            usage.release(connection, [_by_digest(namespace, digest) for digest in blobs_of(manifest)])
            self._remember(namespace, usage.stamp(connection, namespace), after_push)
            before.blobs = after_push
        limits.refuse(found, namespace, f"repository {repository}")

    def _note(
        self, namespace: str, upload_id: str, size: int, given: Limits, now: datetime, *, digest: str, arrived: bool
    ) -> None:
        """Reserve bytes by the upload, or by the digest once the blob ``arrived``; none for what is counted already."""
        storage = limits.of_scope(given, Scope.NAMESPACE, limits.STORAGE)
        if not storage:
            return
        with self._database.write() as connection:
            usage.lock(self._database, connection, namespace)
            held, reserved = self._blobs(connection, namespace), self._reserved(connection, namespace, now)
            reserved.pop(upload_id, None)
            counted = digest in held or digest in reserved
            before = _total(held, reserved)
            limits.refuse(limits.beyond(storage, before=before, after=before if counted else before + size), namespace)
            usage.release(connection, [upload_id])
            if not counted:
                row = {
                    "id": _by_digest(namespace, digest) if arrived else upload_id,
                    "namespace": namespace,
                    "digest": digest if arrived else None,
                    "bytes": size,
                    "until": now + KEPT,
                }
                usage.reserve(connection, row)

    def _reserved(self, connection: Connection, namespace: str, now: datetime) -> dict[str, int]:
        """By digest, or by upload while there is none."""
        return {row.digest or row.id: row.bytes for row in usage.reserved(connection, namespace, now)}

    def _blobs(self, connection: Connection, namespace: str) -> Blobs:
        stamp = usage.stamp(connection, namespace)
        with self._lock:
            known = self._known.get(namespace)
        if known is not None and known[0] == stamp:
            return known[1]
        found: dict[str, int] = {}
        for row in usage.content(connection, namespace):
            layers = {digest: size for digest, size, _ in row.layers}
            found[row.digest] = row.manifest_size
            found.update(layers)
            if row.config:
                found[row.config] = max(row.content_size - sum(layers.values()), 0)
        self._remember(namespace, stamp, found)
        return found

    def _remember(self, namespace: str, stamp: tuple[int, str], blobs: Blobs) -> None:
        with self._lock:
            self._known[namespace] = (stamp, blobs)
            self._known.move_to_end(namespace)
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)


def blobs_of(manifest: Manifest) -> dict[str, int]:
    """What an image needs in storage, itself included; the images of an index count by themselves."""
    found = {str(manifest.digest): len(manifest.raw)}
    found.update((str(layer.digest), layer.size) for layer in manifest.layers)
    if manifest.config is not None:
        found[str(manifest.config.digest)] = manifest.config.size
    return found


def _total(held: Blobs, reserved: Blobs) -> int:
    return sum({**reserved, **held}.values())


def _by_digest(namespace: str, digest: str) -> str:
    return f"{namespace}/{digest}"
