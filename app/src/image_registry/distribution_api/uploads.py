"""Uploads: a session, its chunks, its end (distribution-spec, "Pushing blobs").

A session begins with its first byte: until then its name says everything, so a start costs nothing and any replica can
take what follows. A small blob that comes in one piece goes to its place without a session. Of every other the bytes in
storage say how far it is; for large ones the database keeps the running hash so that nobody need hash them again.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from itertools import islice

from flask import Blueprint

from image_registry.distribution_api import answers, callers, upload_answers, upload_ids
from image_registry.distribution_api import direct as paths
from image_registry.distribution_api.answer import Answer, flaskly
from image_registry.distribution_api.asked import request
from image_registry.distribution_api.cancelled import Cancelled
from image_registry.distribution_api.direct import Route
from image_registry.distribution_api.memory import Memory
from image_registry.distribution_api.open_uploads import OpenUploads
from image_registry.distribution_api.parts import Parts
from image_registry.distribution_api.received import Body, ClientVanished
from image_registry.distribution_api.running_hashes import RunningHashes
from image_registry.imagestreams.errors import ImageStreamsError
from image_registry.oci.digest import HEX_LENGTH, Digest
from image_registry.oci.errors import (
    Denied,
    DigestInvalid,
)
from image_registry.oci.reference import InvalidName, Repository
from image_registry.storage.blob_store import OffsetMismatch, OutOfSpace, UploadBusy, UploadMissing
from image_registry.storage.resumable_hash import ResumableHash

CHUNK = 1 << 20

WHOLE = 1 << 20
"""Largest blob that is kept in memory until it is whole."""

ALL_WHOLE = 32 << 20
"""Bytes of all such blobs of a process together; what comes beyond goes through sessions."""

SOURCES = 100
"""Repositories that are searched for a blob whose source the client does not name."""

START = "/v2/<namespace>/<name>/blobs/uploads/"
SESSION = "/v2/<namespace>/<name>/blobs/uploads/<upload_id>"


def blueprint(views: Uploads) -> Blueprint:
    """Routes of upload sessions."""
    routes = Blueprint("uploads", __name__)
    start = flaskly(views.start)
    for path in (START, START.rstrip("/")):
        routes.add_url_rule(path, "start", start, methods=["POST"])
    for name, view, method in (
        ("status", views.status, "GET"),
        ("chunk", views.chunk, "PATCH"),
        ("finish", views.finish, "PUT"),
        ("cancel", views.cancel, "DELETE"),
    ):
        routes.add_url_rule(SESSION, name, flaskly(view), methods=[method])
    return routes


def direct(views: Uploads) -> list[Route]:
    """Those of them that a push takes."""
    return [
        Route("POST", paths.START, "uploads.start", views.start),
        Route("PATCH", paths.SESSION, "uploads.chunk", views.chunk, "upload_id"),
        Route("PUT", paths.SESSION, "uploads.finish", views.finish, "upload_id"),
    ]


@dataclass(frozen=True, slots=True)
class Session:
    """An upload of the caller; ``algorithm`` is that of the running hash while no digest is named."""

    repository: Repository
    upload_id: str
    algorithm: str


class Uploads:
    """One method per route."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._store = parts.store
        self._streams = parts.streams
        self._memory = Memory(ALL_WHOLE)
        self._cancelled = Cancelled(parts.streams)
        self._open = OpenUploads(parts.store)
        self._hashes = RunningHashes(parts.store, parts.streams)

    def start(self, namespace: str, name: str) -> Answer:
        repository = answers.repository(namespace, name)
        caller = callers.require(self._parts, repository, "pull", "push")
        callers.require_namespace(self._parts, repository)
        mounted = self._mount(repository)
        if mounted is not None:
            return upload_answers.created(repository, mounted)
        wanted = answers.digest(request.args["digest"]) if "digest" in request.args else None
        algorithm = request.args.get("digest-algorithm", wanted.algorithm if wanted else "sha256")
        if algorithm not in HEX_LENGTH:
            raise DigestInvalid(f"digest-algorithm {algorithm[:40]!r} is not supported; use {', '.join(HEX_LENGTH)}")
        upload_id = upload_ids.new(caller.identity.username, repository, algorithm)
        if wanted is not None:
            return self._finish(Session(repository, upload_id, algorithm), wanted)
        return upload_answers.accepted(repository, upload_id, 0, HTTPStatus.ACCEPTED)

    def status(self, namespace: str, name: str, upload_id: str) -> Answer:
        session = self._session(namespace, name, upload_id)
        size = self._size(session)
        return upload_answers.accepted(session.repository, upload_id, size or 0, HTTPStatus.NO_CONTENT)

    def chunk(self, namespace: str, name: str, upload_id: str) -> Answer:
        session = self._session(namespace, name, upload_id)
        size, _ = self._receive(session, None)
        return upload_answers.accepted(session.repository, upload_id, size, HTTPStatus.ACCEPTED)

    def finish(self, namespace: str, name: str, upload_id: str) -> Answer:
        session = self._session(namespace, name, upload_id)
        if "digest" not in request.args:
            raise DigestInvalid("the last request of an upload needs ?digest=<algorithm>:<hex>")
        return self._finish(session, answers.digest(request.args["digest"]))

    def cancel(self, namespace: str, name: str, upload_id: str) -> Answer:
        session = self._session(namespace, name, upload_id)
        self._size(session)
        with answers.translated():
            self._cancelled.add(session.repository, upload_id)
            self._streams.allowance.release(session.repository, upload_id)
        self._store.abort_upload(session.repository, upload_id)
        self._open.end(session.repository, upload_id)
        self._hashes.forget(session.repository, upload_id)
        return Answer(HTTPStatus.NO_CONTENT, [])

    def _session(self, namespace: str, name: str, upload_id: str) -> Session:
        """Raise unless the caller may push and began this upload; somebody else's is as unknown as none."""
        repository = answers.repository(namespace, name)
        caller = callers.require(self._parts, repository, "push")
        algorithm = upload_ids.algorithm(upload_id, caller.identity.username, repository)
        if algorithm is None:
            raise upload_answers.unknown(upload_id)
        return Session(repository, upload_id, algorithm)

    def _mount(self, repository: Repository) -> Digest | None:
        """The blob of another repository, if the caller may read it there; otherwise quietly a normal upload."""
        if "mount" not in request.args:
            return None
        wanted = answers.digest(request.args["mount"])
        for source in self._sources(repository):
            if self._store.blob_linked(source, wanted) and callers.may(self._parts, source, "pull"):
                size = self._store.stat(wanted)
                if size is None:
                    return None
                with answers.translated():
                    self._streams.allowance.admit(repository, wanted, size)
                self._store.link_blob(repository, wanted)
                if not self._store.present(wanted):  # it was garbage until it was linked
                    self._store.unlink_blob(repository, wanted)
                    return None
                return wanted
        return None

    def _sources(self, repository: Repository) -> Iterable[Repository]:
        """Where the blob may come from: the repository that is named, or else some others of the same namespace."""
        if "from" not in request.args:
            others = (other for other in self._store.repositories(repository.namespace) if other != repository)
            return islice(others, SOURCES)
        try:
            return [Repository.parse(request.args["from"])]
        except InvalidName:
            return []

    def _finish(self, session: Session, wanted: Digest) -> Answer:
        taken = self._whole(session, wanted)
        if taken is not None:
            with taken as data:
                self._verify(session, wanted, Digest.of(data, wanted.algorithm).hex)
                self._admit(session, wanted, len(data))
                self._store.put_blob(session.repository, data, wanted)
            return upload_answers.created(session.repository, wanted)
        size, running = self._receive(session, wanted)
        self._verify(session, wanted, running.hexdigest())
        self._admit(session, wanted, size)
        with self._told(session, size):
            self._store.commit_upload(session.repository, session.upload_id, wanted, size)
        self._open.end(session.repository, session.upload_id)
        self._hashes.end(session.repository, session.upload_id, size)
        return upload_answers.created(session.repository, wanted)

    def _verify(self, session: Session, wanted: Digest, actual: str) -> None:
        if actual != wanted.hex:
            self._give_up(session)
            raise DigestInvalid(f"the bytes received are {wanted.algorithm}:{actual}, not {wanted}")

    def _expect(self, session: Session, size: int, wanted: Digest | None) -> None:
        """Refuse what is too large before it is received, and reserve its bytes."""
        with answers.translated():
            self._streams.allowance.expect(session.repository, session.upload_id, size, wanted)

    def _admit(self, session: Session, wanted: Digest, size: int) -> None:
        """Refuse what became too large; the bytes received are given up."""
        try:
            with answers.translated():
                self._streams.allowance.admit(session.repository, wanted, size, session.upload_id)
        except Denied:
            self._give_up(session)
            raise

    def _whole(self, session: Session, wanted: Digest) -> AbstractContextManager[bytes] | None:
        """All bytes of a blob that is small and comes in one piece; ``None`` if it is to go through a session."""
        length = request.content_length
        if length is None or length > WHOLE or self._begun(session) is not None:
            return None
        announced = upload_answers.announced(request.headers.get("Content-Range"), length)
        if announced is not None and announced.start:
            raise upload_answers.misplaced(session.repository, session.upload_id, announced.start, 0)
        self._expect(session, length, wanted)
        room = self._memory.take(length)
        if room is None:
            return None
        body, parts = Body(), []
        try:
            while part := body.read(CHUNK):
                parts.append(part)
        except BaseException:
            room.close()
            if parts:  # what arrived is kept: the client may come back
                self._begin(session)
                self._store.append(session.repository, session.upload_id, 0, io.BytesIO(b"".join(parts)), None)
            raise
        return room.holding(b"".join(parts))

    def _receive(self, session: Session, wanted: Digest | None) -> tuple[int, ResumableHash]:
        """Take the body of this request; returns the size and the hash of everything received so far.

        ``wanted`` is the digest the client names, ``None`` while it has named none.
        """
        algorithm = wanted.algorithm if wanted else None
        begun = self._size(session)
        first = begun or 0
        announced = upload_answers.announced(request.headers.get("Content-Range"), request.content_length)
        if announced is not None and announced.start != first:
            raise upload_answers.misplaced(session.repository, session.upload_id, announced.start, first)
        if begun is None:
            if algorithm is None and request.content_length == 0:
                return 0, ResumableHash(session.algorithm)
            self._begin(session)
        if request.content_length:
            self._expect(session, first + request.content_length, wanted)
        with self._told(session, first):
            running = self._hashes.resume(session.repository, session.upload_id, algorithm or session.algorithm, first)
        body = Body()
        try:
            with self._told(session, first):
                size = self._store.append(session.repository, session.upload_id, first, body, running)
        except ClientVanished:
            self._hashes.note(session.repository, session.upload_id, first + body.received, running)
            raise
        if algorithm is None:
            self._hashes.note(session.repository, session.upload_id, size, running)
        if announced is not None and size != announced.stop:
            raise upload_answers.misplaced(session.repository, session.upload_id, announced.stop, size)
        return size, running

    def _begin(self, session: Session) -> None:
        if not upload_ids.may_begin(session.upload_id):
            raise upload_answers.unknown(session.upload_id)
        self._open.begin(session.repository, session.upload_id)
        self._store.begin_upload(session.repository, session.upload_id)

    def _give_up(self, session: Session) -> None:
        with suppress(ImageStreamsError):
            self._cancelled.add(session.repository, session.upload_id)
        with suppress(ImageStreamsError):
            self._streams.allowance.release(session.repository, session.upload_id)
        self._store.abort_upload(session.repository, session.upload_id)
        self._open.end(session.repository, session.upload_id)
        self._hashes.forget(session.repository, session.upload_id)

    @contextmanager
    def _told(self, session: Session, first: int) -> Iterator[None]:
        """What the storage says about an upload, in the words of the protocol; ``first`` is where the request began."""
        try:
            yield
        except OffsetMismatch as error:
            raise upload_answers.misplaced(session.repository, session.upload_id, first, error.actual) from None
        except UploadBusy:
            raise upload_answers.UploadConflict(
                "another request is writing to this upload; wait for it, ask for the status, and go on from there",
                headers={"Location": upload_answers.location(session.repository, session.upload_id)},
            ) from None
        except UploadMissing:
            raise upload_answers.unknown(session.upload_id) from None
        except OutOfSpace:
            self._give_up(session)  # a part that cannot be finished must not keep the disk full
            raise

    def _begun(self, session: Session) -> int | None:
        """Bytes received so far; ``None`` before the first one."""
        try:
            return self._store.upload_size(session.repository, session.upload_id)
        except UploadMissing:
            return None

    def _size(self, session: Session) -> int | None:
        """The same, for a session that nobody has cancelled."""
        size = self._begun(session)
        if size is None and (session.upload_id in self._cancelled or not upload_ids.may_begin(session.upload_id)):
            raise upload_answers.unknown(session.upload_id)
        return size
