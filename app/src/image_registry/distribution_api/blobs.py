"""Blobs: reading them, whole or in part, and taking them out of a repository (distribution-spec, "Pulling blobs")."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO

from flask import Blueprint, Response, request
from werkzeug.datastructures import IfRange

from image_registry.auth import trail
from image_registry.distribution_api import answers, callers, elsewhere, ranges
from image_registry.distribution_api.parts import Parts
from image_registry.oci.digest import Digest
from image_registry.oci.errors import BlobUnknown
from image_registry.oci.reference import Repository
from image_registry.storage.blob_store import BlobMissing, StorageFault

CHUNK = 1 << 18
"""Bytes handed over at a time where the kernel does not do it; the slowest client must take them within a minute."""

PATH = "/v2/<namespace>/<name>/blobs/<digest>"


def blueprint(parts: Parts) -> Blueprint:
    routes = Blueprint("blobs", __name__)

    @routes.get(PATH)
    def get(namespace: str, name: str, digest: str) -> Response:
        repository = answers.repository(namespace, name)
        wanted = answers.digest(digest)
        callers.require(parts, repository, "pull")
        size = _size(parts, repository, wanted)
        left = trail.of(request.environ)
        if size is None and (answer := elsewhere.blob(parts, repository, wanted)) is not None:
            return answer
        size = size if size is not None else _size(parts, repository, wanted)
        if size is None:
            left.keep = _absence(parts, repository, wanted)
            raise _unknown(repository, wanted)
        left.keep = trail.Keep("pull", str(repository), str(wanted))
        headers = {
            "Docker-Content-Digest": str(wanted),
            "ETag": f'"{wanted}"',
            "Accept-Ranges": "bytes",
            "Cache-Control": "private, max-age=31536000, immutable",
        }
        if request.if_none_match.contains_weak(str(wanted)):
            return Response(status=304, headers=headers)
        part = ranges.asked(_asked_range(), size) if _applies(request.if_range, str(wanted)) else None
        sent = part if part is not None else range(size)
        headers["Content-Length"] = str(len(sent))
        if part is not None:
            headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
        status = 200 if part is None else 206
        if request.method == "HEAD":
            _promise(parts, repository, wanted)
            return Response(status=status, headers=headers, content_type="application/octet-stream")
        if (address := parts.store.location(wanted)) is not None:
            return _elsewhere(wanted, address)
        return _body(parts, wanted, status, headers, sent)

    @routes.delete(PATH)
    def delete(namespace: str, name: str, digest: str) -> Response:
        repository = answers.repository(namespace, name)
        wanted = answers.digest(digest)
        callers.require(parts, repository, "delete")
        if not parts.store.unlink_blob(repository, wanted):
            raise _unknown(repository, wanted)
        return Response(status=202)

    return routes


def _promise(parts: Parts, repository: Repository, digest: Digest) -> None:
    """Who hears that a blob is here will not push it: it stays, though nothing may need it yet."""
    if parts.read_only() is not None:
        return
    with suppress(StorageFault):
        parts.store.renew_blob(repository, digest)


def _absence(parts: Parts, repository: Repository, digest: Digest) -> trail.Keep | None:
    """Whether what is said of this blob holds for all that are not here; with imported images each is another case."""
    if elsewhere.concerns(parts, repository):
        return None
    return trail.Keep("pull", str(repository), missing=str(digest), lasting=parts.pull_through is None)


def _size(parts: Parts, repository: Repository, digest: Digest) -> int | None:
    return parts.store.stat(digest) if parts.store.blob_linked(repository, digest) else None


def _unknown(repository: Repository, digest: Digest) -> BlobUnknown:
    return BlobUnknown(f"{repository} has no blob {digest}; push it here, or mount it from where it is")


def _elsewhere(digest: Digest, address: str) -> Response:
    """Send the reader to the medium itself, with a signed address that is nobody else's and not for keeping.

    HEAD is never sent there: the signature is for one method, and all that it asks for is known here.
    """
    headers = {"Location": address, "Docker-Content-Digest": str(digest), "Cache-Control": "private, no-store"}
    return Response(status=307, headers=headers)


def _body(parts: Parts, digest: Digest, status: int, headers: dict[str, str], sent: range) -> Response:
    try:
        file = parts.store.open(digest)
    except BlobMissing:
        raise BlobUnknown(f"the bytes of blob {digest} are gone; push it again") from None
    file.seek(sent.start)
    wrapper = request.environ.get("wsgi.file_wrapper")
    # the server's own wrapper lets it hand the file to the kernel, as many bytes as Content-Length says
    body = wrapper(_Part(file, len(sent)), CHUNK) if wrapper is not None else _chunks(_Part(file, len(sent)))
    return Response(
        body, status=status, headers=headers, content_type="application/octet-stream", direct_passthrough=True
    )


class _Part:
    """A file that ends early, for a server that reads it instead of handing it to the kernel."""

    def __init__(self, file: BinaryIO, length: int) -> None:
        self._file = file
        self._left = length
        self.fileno = file.fileno
        self.seek = file.seek
        self.tell = file.tell
        self.close = file.close

    def read(self, size: int) -> bytes:
        data = self._file.read(min(size, self._left))
        self._left -= len(data)
        return data


def _chunks(part: _Part) -> Iterator[bytes]:
    try:
        while chunk := part.read(CHUNK):
            yield chunk
    finally:
        part.close()


def _asked_range() -> str | None:
    """Only GET has parts (RFC 9110 section 14.2)."""
    return request.headers.get("Range") if request.method == "GET" else None


def _applies(condition: IfRange, digest: str) -> bool:
    """Whether ``If-Range``, if there is one, names what is there (RFC 9110 section 13.1.5)."""
    return condition.etag == digest if condition.etag or condition.date else True
