"""Content of imported images that lies in another registry still, and what is said when it cannot be had from there."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Response, request

from image_registry.distribution_api import answers
from image_registry.distribution_api.parts import Parts
from image_registry.oci import errors
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository
from image_registry.remote.errors import RemoteError, TooManyRequests

RETRY = 5
"""Seconds after which a client may ask again for what is missing for the moment."""


def manifest(parts: Parts, repository: Repository, digest: Digest) -> bytes | None:
    """The bytes of a held manifest from where it was imported; ``None`` if it was pushed here."""
    if parts.pull_through is None:
        return None
    with _translated(errors.ManifestUnknown), answers.translated():
        return parts.pull_through.manifest(repository, digest)


def blob(parts: Parts, repository: Repository, digest: Digest) -> Response | None:
    """The answer to a request for a blob that is not here.

    ``None`` if no imported image has it, or if it has come meanwhile and is to be answered as any other.
    """
    if parts.pull_through is None:
        return None
    with _translated(errors.BlobUnknown), answers.translated():
        size = parts.pull_through.size(repository, digest)
        if size is None:
            return None
        headers = {
            "Docker-Content-Digest": str(digest),
            "ETag": f'"{digest}"',
            "Accept-Ranges": "bytes",
            "Content-Length": str(size),
        }
        if request.method == "HEAD":
            return Response(status=200, headers=headers, content_type="application/octet-stream")
        if not parts.pull_through.keeps:
            body = _begun(parts.pull_through.passing(repository, digest))
        else:
            flight = parts.pull_through.blob(repository, digest)
            if flight is None:
                return None
            if "Range" in request.headers or "If-None-Match" in request.headers:
                flight.wait()
                return None
            body = _begun(flight.chunks())
    return Response(body, status=200, headers=headers, content_type="application/octet-stream", direct_passthrough=True)


def concerns(parts: Parts, repository: Repository) -> bool:
    """Whether some blobs of this repository may lie elsewhere, and others not."""
    if parts.pull_through is None:
        return False
    with answers.translated():
        return parts.pull_through.concerns(repository)


def _begun(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same, with the first part fetched already: what fails before it can still be said in words."""
    first = next(chunks, b"")

    def rest() -> Iterator[bytes]:
        yield first
        yield from chunks

    return rest()


@contextmanager
def _translated(unknown: type[errors.RegistryError]) -> Iterator[None]:
    """What another registry said, in the words of this one's protocol."""
    try:
        yield
    except TooManyRequests as error:
        wait = max(math.ceil(error.retry_after), 1)
        raise errors.TooManyRequests(f"this image was imported: {error}", headers={"Retry-After": str(wait)}) from None
    except RemoteError as error:
        text = f"this image was imported, and its content cannot be had from where it came: {error}"
        if error.passing:
            raise errors.Unavailable(text, retry_after=RETRY) from None
        raise unknown(text, detail={"reason": error.reason}) from None
