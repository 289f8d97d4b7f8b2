"""Uploads: a session, its chunks, its end (distribution-spec, "Pushing blobs").

The bytes in storage say how far a session is; the database keeps the running hash so that any process can go on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from itertools import islice

from flask import Blueprint, Response, request

from image_registry.distribution_api import answers, callers, upload_ids
from image_registry.distribution_api.parts import Parts
from image_registry.distribution_api.received import Body, ClientVanished
from image_registry.imagestreams.errors import ImageStreamsError
from image_registry.oci.digest import HEX_LENGTH, Digest
from image_registry.oci.errors import (
    BlobUploadInvalid,
    BlobUploadUnknown,
    DigestInvalid,
    RangeInvalid,
    SizeInvalid,
)
from image_registry.oci.reference import InvalidName, Repository
from image_registry.storage.blob_store import OffsetMismatch, OutOfSpace, UploadBusy, UploadMissing
from image_registry.storage.resumable_hash import ResumableHash, StateRefused

CHUNK = 1 << 20
SOURCES = 100
"""Repositories that are searched for a blob whose source the client does not name."""

_CONTENT_RANGE = re.compile(r"(?:bytes[ =])?(\d{1,18})-(\d{1,18})(?:/[\d*]+)?", re.ASCII)
START = "/v2/<namespace>/<name>/blobs/uploads/"
SESSION = "/v2/<namespace>/<name>/blobs/uploads/<upload_id>"


def blueprint(parts: Parts) -> Blueprint:
    """Routes of upload sessions."""
    routes = Blueprint("uploads", __name__)
    views = Uploads(parts)
    for path in (START, START.rstrip("/")):
        routes.add_url_rule(path, view_func=views.start, methods=["POST"])
    routes.add_url_rule(SESSION, view_func=views.status, methods=["GET"])
    routes.add_url_rule(SESSION, view_func=views.chunk, methods=["PATCH"])
    routes.add_url_rule(SESSION, view_func=views.finish, methods=["PUT"])
    routes.add_url_rule(SESSION, view_func=views.cancel, methods=["DELETE"])
    return routes


class UploadConflict(BlobUploadInvalid):
    """Two requests at once for one session; the specification has them one after the other."""

    status = HTTPStatus.CONFLICT


class Uploads:
    """One method per route."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._store = parts.store
        self._streams = parts.streams

    def start(self, namespace: str, name: str) -> Response:
        repository = answers.repository(namespace, name)
        caller = callers.require(self._parts, repository, "pull", "push")
        callers.require_namespace(self._parts, repository)
        mounted = self._mount(repository)
        if mounted is not None:
            return _created(repository, mounted)
        wanted = answers.digest(request.args["digest"]) if "digest" in request.args else None
        algorithm = request.args.get("digest-algorithm", wanted.algorithm if wanted else "sha256")
        if algorithm not in HEX_LENGTH:
            raise DigestInvalid(f"digest-algorithm {algorithm[:40]!r} is not supported; use {', '.join(HEX_LENGTH)}")
        upload_id = upload_ids.new(caller.identity.username)
        with answers.translated():  # first the row: what nobody finishes is swept by the rows
            self._streams.begin_upload(repository, upload_id, algorithm)
        self._store.begin_upload(repository, upload_id)
        if wanted is not None:
            return self._finish(repository, upload_id, wanted)
        return _accepted(repository, upload_id, 0, 202)

    def status(self, namespace: str, name: str, upload_id: str) -> Response:
        repository = answers.repository(namespace, name)
        self._require_own(repository, upload_id)
        return _accepted(repository, upload_id, self._size(repository, upload_id), 204)

    def chunk(self, namespace: str, name: str, upload_id: str) -> Response:
        repository = answers.repository(namespace, name)
        self._require_own(repository, upload_id)
        size, _ = self._receive(repository, upload_id, None)
        return _accepted(repository, upload_id, size, 202)

    def finish(self, namespace: str, name: str, upload_id: str) -> Response:
        repository = answers.repository(namespace, name)
        self._require_own(repository, upload_id)
        if "digest" not in request.args:
            raise DigestInvalid("the last request of an upload needs ?digest=<algorithm>:<hex>")
        return self._finish(repository, upload_id, answers.digest(request.args["digest"]))

    def cancel(self, namespace: str, name: str, upload_id: str) -> Response:
        repository = answers.repository(namespace, name)
        self._require_own(repository, upload_id)
        self._size(repository, upload_id)
        self._store.abort_upload(repository, upload_id)
        with answers.translated():
            self._streams.end_upload(repository, upload_id)
        return Response(status=204)

    def _require_own(self, repository: Repository, upload_id: str) -> None:
        """Raise unless the caller may push and began this session; somebody else's is as unknown as none."""
        caller = callers.require(self._parts, repository, "push")
        if not upload_ids.belongs_to(upload_id, caller.identity.username):
            raise _unknown(upload_id)

    def _mount(self, repository: Repository) -> Digest | None:
        """The blob of another repository, if the caller may read it there; otherwise quietly a normal upload."""
        if "mount" not in request.args:
            return None
        wanted = answers.digest(request.args["mount"])
        for source in self._sources(repository):
            if self._store.blob_linked(source, wanted) and callers.may(self._parts, source, "pull"):
                if self._store.stat(wanted) is None:
                    return None
                self._store.link_blob(repository, wanted)
                return wanted
        return None

    def _sources(self, repository: Repository) -> Iterable[Repository]:
        """Where the blob may come from: the repository that is named, or else some of the same namespace."""
        if "from" not in request.args:
            return islice(self._store.repositories(repository.namespace), SOURCES)
        try:
            return [Repository.parse(request.args["from"])]
        except InvalidName:
            return []

    def _finish(self, repository: Repository, upload_id: str, wanted: Digest) -> Response:
        size, running = self._receive(repository, upload_id, wanted.algorithm)
        if running.hexdigest() != wanted.hex:
            self._give_up(repository, upload_id)
            raise DigestInvalid(f"the bytes received are {wanted.algorithm}:{running.hexdigest()}, not {wanted}")
        with self._told(repository, upload_id, size):
            self._store.commit_upload(repository, upload_id, wanted, size)
        self._forget(repository, upload_id)
        return _created(repository, wanted)

    def _receive(self, repository: Repository, upload_id: str, algorithm: str | None) -> tuple[int, ResumableHash]:
        """Take the body of this request; returns the size and the hash of everything received so far.

        ``algorithm`` is that of the digest the client names, ``None`` while it has named none.
        """
        with answers.translated():
            session = self._streams.upload(repository, upload_id)
        first = self._size(repository, upload_id)
        announced = _announced(request.headers.get("Content-Range"), request.content_length)
        if announced is not None and announced.start != first:
            raise _misplaced(repository, upload_id, announced.start, first)
        running = self._resume(
            repository, upload_id, algorithm or session.algorithm, session.offset, session.hash_state, first
        )
        body = Body()
        try:
            with self._told(repository, upload_id, first):
                size = self._store.append(repository, upload_id, first, body, running)
        except ClientVanished:
            # what arrived is kept, and need not be hashed again when the client comes back
            with suppress(ImageStreamsError):
                self._progress(repository, upload_id, first + body.received, running)
            raise
        if algorithm is None:
            with answers.translated():
                self._progress(repository, upload_id, size, running)
        if announced is not None and size != announced.stop:
            raise _misplaced(repository, upload_id, announced.stop, size)
        return size, running

    def _progress(self, repository: Repository, upload_id: str, size: int, running: ResumableHash) -> None:
        self._streams.record_progress(repository, upload_id, offset=size, hash_state=running.state())

    def _give_up(self, repository: Repository, upload_id: str) -> None:
        self._store.abort_upload(repository, upload_id)
        self._forget(repository, upload_id)

    def _forget(self, repository: Repository, upload_id: str) -> None:
        """The bytes are where they belong: a row left over is swept later."""
        with suppress(ImageStreamsError):
            self._streams.end_upload(repository, upload_id)

    @contextmanager
    def _told(self, repository: Repository, upload_id: str, first: int) -> Iterator[None]:
        """What the storage says about an upload, in the words of the protocol; ``first`` is where the request began."""
        try:
            yield
        except OffsetMismatch as error:
            raise _misplaced(repository, upload_id, first, error.actual) from None
        except UploadBusy:
            raise UploadConflict(
                "another request is writing to this upload; wait for it, ask for the status, and go on from there",
                headers={"Location": _location(repository, upload_id)},
            ) from None
        except UploadMissing:
            raise _unknown(upload_id) from None
        except OutOfSpace:
            self._give_up(repository, upload_id)  # a part that cannot be finished must not keep the disk full
            raise

    def _resume(
        self, repository: Repository, upload_id: str, algorithm: str, offset: int, state: bytes, size: int
    ) -> ResumableHash:
        """The running hash at ``size``: from the stored state if it fits, else by reading what was received."""
        if size == 0:
            return ResumableHash(algorithm)
        if offset == size and state:
            with suppress(StateRefused):
                return ResumableHash.restore(algorithm, state)
        running = ResumableHash(algorithm)
        with self._store.open_upload(repository, upload_id) as file:
            while chunk := file.read(CHUNK):
                running.update(chunk)
        return running

    def _size(self, repository: Repository, upload_id: str) -> int:
        try:
            return self._store.upload_size(repository, upload_id)
        except UploadMissing:
            raise _unknown(upload_id) from None


def _announced(header: str | None, length: int | None) -> range | None:
    """The bytes that the client says it sends; a body without ``Content-Range`` begins where the session stands."""
    if header is None:
        return None
    match = _CONTENT_RANGE.fullmatch(header)
    if match is None or int(match[2]) < int(match[1]):
        raise BlobUploadInvalid(f"Content-Range is {header[:60]!r}; write it as <first>-<last>")
    announced = range(int(match[1]), int(match[2]) + 1)
    if length is not None and length != len(announced):
        raise SizeInvalid(f"Content-Range names {len(announced)} bytes but Content-Length is {length}")
    return announced


def _location(repository: Repository, upload_id: str) -> str:
    """Relative, so that no proxy or forged Host can send the client elsewhere."""
    return f"/v2/{repository}/blobs/uploads/{upload_id}"


def _accepted(repository: Repository, upload_id: str, size: int, status: int) -> Response:
    headers = {
        "Location": _location(repository, upload_id),
        "Docker-Upload-UUID": upload_id,
        "Range": f"0-{max(size - 1, 0)}",
    }
    return Response(status=status, headers=headers)


def _created(repository: Repository, digest: Digest) -> Response:
    headers = {"Location": f"/v2/{repository}/blobs/{digest}", "Docker-Content-Digest": str(digest)}
    return Response(status=201, headers=headers)


def _unknown(upload_id: str) -> BlobUploadUnknown:
    return BlobUploadUnknown(f"there is no upload {upload_id[:64]!r} here; begin it again")


def _misplaced(repository: Repository, upload_id: str, first: int, size: int) -> RangeInvalid:
    return RangeInvalid(
        f"the request speaks of byte {first} but the upload stands at {size} bytes; send from there",
        headers={"Location": _location(repository, upload_id), "Range": f"0-{max(size - 1, 0)}"},
    )
