"""What clients of uploads are told, and what their ``Content-Range`` means."""

from __future__ import annotations

import re
from http import HTTPStatus

from image_registry.distribution_api.answer import Answer
from image_registry.oci.digest import Digest
from image_registry.oci.errors import BlobUploadInvalid, BlobUploadUnknown, RangeInvalid, SizeInvalid
from image_registry.oci.reference import Repository

_CONTENT_RANGE = re.compile(r"(?:bytes[ =])?(\d{1,18})-(\d{1,18})(?:/[\d*]+)?", re.ASCII)


class UploadConflict(BlobUploadInvalid):
    """Two requests at once for one session; the specification has them one after the other."""

    status = HTTPStatus.CONFLICT


def announced(header: str | None, length: int | None) -> range | None:
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


def location(repository: Repository, upload_id: str) -> str:
    """Relative, so that no proxy or forged Host can send the client elsewhere."""
    return f"/v2/{repository}/blobs/uploads/{upload_id}"


def accepted(repository: Repository, upload_id: str, size: int, status: HTTPStatus) -> Answer:
    return Answer(
        status,
        [
            ("Location", location(repository, upload_id)),
            ("Docker-Upload-UUID", upload_id),
            ("Range", f"0-{max(size - 1, 0)}"),
        ],
    )


def created(repository: Repository, digest: Digest) -> Answer:
    headers = [("Location", f"/v2/{repository}/blobs/{digest}"), ("Docker-Content-Digest", str(digest))]
    return Answer(HTTPStatus.CREATED, headers)


def unknown(upload_id: str) -> BlobUploadUnknown:
    return BlobUploadUnknown(f"there is no upload {upload_id[:64]!r} here; begin it again")


def misplaced(repository: Repository, upload_id: str, first: int, size: int) -> RangeInvalid:
    return RangeInvalid(
        f"the request speaks of byte {first} but the upload stands at {size} bytes; send from there",
        headers={"Location": location(repository, upload_id), "Range": f"0-{max(size - 1, 0)}"},
    )
