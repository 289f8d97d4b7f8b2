"""Blobs: reading them, whole or in part, and taking them out of a repository (distribution-spec, "Pulling blobs")."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from flask import Blueprint, Response, request

from image_registry.distribution_api import answers, callers
from image_registry.distribution_api.parts import Parts
from image_registry.oci.digest import Digest
from image_registry.oci.errors import BlobUnknown, RangeInvalid
from image_registry.storage.blob_store import BlobMissing

CHUNK = 1 << 20
_RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.ASCII)
PATH = "/v2/<namespace>/<name>/blobs/<digest>"


def blueprint(parts: Parts) -> Blueprint:
    routes = Blueprint("blobs", __name__)

    @routes.get(PATH)
    def get(namespace: str, name: str, digest: str) -> Response:
        repository = answers.repository(namespace, name)
        wanted = answers.digest(digest)
        callers.require(parts, repository, "pull")
        size = parts.store.stat(wanted) if parts.store.blob_linked(repository, wanted) else None
        if size is None:
            raise BlobUnknown(f"{repository} has no blob {wanted}")
        headers = {
            "Docker-Content-Digest": str(wanted),
            "ETag": f'"{wanted}"',
            "Accept-Ranges": "bytes",
            "Cache-Control": "private, max-age=31536000, immutable",
        }
        if request.if_none_match.contains(str(wanted)):
            return Response(status=304, headers=headers)
        first, last = _range(request.headers.get("Range"), size)
        partial = (first, last) != (0, size - 1)
        headers["Content-Length"] = str(last - first + 1)
        if partial:
            headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        status = 206 if partial else 200
        if request.method == "HEAD":
            return Response(status=status, headers=headers, content_type="application/octet-stream")
        return _body(parts, wanted, status, headers, first, last - first + 1)

    @routes.delete(PATH)
    def delete(namespace: str, name: str, digest: str) -> Response:
        repository = answers.repository(namespace, name)
        wanted = answers.digest(digest)
        callers.require(parts, repository, "delete")
        if not parts.store.unlink_blob(repository, wanted):
            raise BlobUnknown(f"{repository} has no blob {wanted}")
        return Response(status=202)

    return routes


def _body(parts: Parts, digest: Digest, status: int, headers: dict[str, str], first: int, length: int) -> Response:
    try:
        file = parts.store.open(digest)
    except BlobMissing:
        raise BlobUnknown(f"blob {digest} is gone") from None
    file.seek(first)
    wrapper = request.environ.get("wsgi.file_wrapper")
    if wrapper is not None:
        # the server's own wrapper lets it hand the file to the kernel; it sends Content-Length bytes from here on
        body = wrapper(file, CHUNK) if length == _rest(file) else _part(file, length)
    else:
        body = _part(file, length)
    return Response(
        body, status=status, headers=headers, content_type="application/octet-stream", direct_passthrough=True
    )


def _rest(file: BinaryIO) -> int:
    here = file.tell()
    end = file.seek(0, 2)
    file.seek(here)
    return end - here


def _part(file: BinaryIO, length: int) -> Iterator[bytes]:
    with file:
        while length > 0 and (chunk := file.read(min(CHUNK, length))):
            length -= len(chunk)
            yield chunk


def _range(header: str | None, size: int) -> tuple[int, int]:
    """First and last byte to send (RFC 9110 section 14); several ranges or another unit get everything."""
    match = _RANGE.fullmatch(header.replace(" ", "")) if header and len(header) < 64 else None
    if match is None or not any(match.groups()):
        return 0, size - 1
    start, end = match.groups()
    if not start:
        first, last = max(size - int(end), 0), size - 1
    else:
        first, last = int(start), min(int(end), size - 1) if end else size - 1
    if first > last or first >= size:
        raise RangeInvalid(
            f"the range {header} does not fit a blob of {size} bytes", headers={"Content-Range": f"bytes */{size}"}
        )
    return first, last
