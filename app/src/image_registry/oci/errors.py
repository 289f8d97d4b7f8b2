"""Errors of the distribution protocol (OCI distribution-spec, "Error Codes").

The exception *is* the answer: code, HTTP status, message and detail. One handler in ``distribution_api`` turns it into
the ``errors[]`` body; nothing else in the house formats an OCI error.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any


class RegistryError(Exception):
    """Base of the tree. Subclasses fix ``code`` and ``status``; the message says what to change."""

    code = "UNKNOWN"
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    default = "the registry failed at this request, which is a fault of its own: its log says why, by the request id"

    def __init__(
        self,
        message: str | None = None,
        *,
        detail: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.message = message or self.default
        self.detail = dict(detail or {})
        self.headers = dict(headers or {})
        super().__init__(self.message)


class NameInvalid(RegistryError):
    code, status = "NAME_INVALID", HTTPStatus.BAD_REQUEST
    default = "invalid repository name"


class NameUnknown(RegistryError):
    code, status = "NAME_UNKNOWN", HTTPStatus.NOT_FOUND
    default = "repository name not known to registry"


class TagInvalid(RegistryError):
    code, status = "TAG_INVALID", HTTPStatus.BAD_REQUEST
    default = "invalid tag"


class DigestInvalid(RegistryError):
    code, status = "DIGEST_INVALID", HTTPStatus.BAD_REQUEST
    default = "provided digest did not match uploaded content"


class SizeInvalid(RegistryError):
    code, status = "SIZE_INVALID", HTTPStatus.BAD_REQUEST
    default = "provided length did not match content length"


class ManifestInvalid(RegistryError):
    code, status = "MANIFEST_INVALID", HTTPStatus.BAD_REQUEST
    default = "manifest invalid"


class ManifestTooLarge(ManifestInvalid):
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    default = "manifest is larger than this registry accepts"


class ManifestUnknown(RegistryError):
    code, status = "MANIFEST_UNKNOWN", HTTPStatus.NOT_FOUND
    default = "manifest unknown"


class ManifestBlobUnknown(RegistryError):
    code, status = "MANIFEST_BLOB_UNKNOWN", HTTPStatus.NOT_FOUND
    default = "manifest references a manifest or blob unknown to registry"


class BlobUnknown(RegistryError):
    code, status = "BLOB_UNKNOWN", HTTPStatus.NOT_FOUND
    default = "blob unknown to registry"


class BlobUploadUnknown(RegistryError):
    code, status = "BLOB_UPLOAD_UNKNOWN", HTTPStatus.NOT_FOUND
    default = "blob upload unknown to registry"


class BlobUploadInvalid(RegistryError):
    code, status = "BLOB_UPLOAD_INVALID", HTTPStatus.BAD_REQUEST
    default = "blob upload invalid"


class RangeInvalid(RegistryError):
    """A chunk that does not start where the session stands, or a byte range outside of the blob."""

    code, status = "BLOB_UPLOAD_INVALID", HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
    default = "the range does not fit"


class SignatureInvalid(RegistryError):
    """The signatures extension: a signature that cannot be kept."""

    code, status = "SIGNATURE_INVALID", HTTPStatus.BAD_REQUEST
    default = "invalid image signature"


class SignatureExists(RegistryError):
    """The signatures extension: signatures are never replaced."""

    code, status = "SIGNATURE_EXISTS", HTTPStatus.CONFLICT
    default = "image signature already exists"


class UpkeepInvalid(RegistryError):
    """The door for administrators: a run that cannot be asked for."""

    code, status = "UPKEEP_INVALID", HTTPStatus.BAD_REQUEST
    default = "no such run can be made"


class UpkeepUnknown(RegistryError):
    """The door for administrators: no run of this name."""

    code, status = "UPKEEP_UNKNOWN", HTTPStatus.NOT_FOUND
    default = "no such run is remembered"


class UpkeepAtWork(RegistryError):
    """The door for administrators: a run of the same kind has no end yet."""

    code, status = "UPKEEP_AT_WORK", HTTPStatus.CONFLICT
    default = "a run of this kind is at work already"


class Unauthorized(RegistryError):
    """Who are you: no credentials, or credentials that nobody accepts. Carries a challenge when it is raised."""

    code, status = "UNAUTHORIZED", HTTPStatus.UNAUTHORIZED
    default = "authentication required: log in, or send a token"


class Denied(RegistryError):
    """You may not: the caller is known; the message gives the reason."""

    code, status = "DENIED", HTTPStatus.FORBIDDEN
    default = "requested access to the resource is denied"


class ConditionFailed(RegistryError):
    """``If-Match`` or ``If-None-Match`` does not hold: somebody else was faster, or the client knows an older state."""

    code, status = "DENIED", HTTPStatus.PRECONDITION_FAILED
    default = "the condition of the request does not hold; look at what is there now, then decide again"


class Unsupported(RegistryError):
    code, status = "UNSUPPORTED", HTTPStatus.METHOD_NOT_ALLOWED
    default = "the operation is unsupported"


class TooManyRequests(RegistryError):
    code, status = "TOOMANYREQUESTS", HTTPStatus.TOO_MANY_REQUESTS
    default = "too many requests"


class Unavailable(RegistryError):
    """A part that the request needs is down for the moment; the client should come back."""

    code, status = "UNAVAILABLE", HTTPStatus.SERVICE_UNAVAILABLE
    default = "the registry cannot serve this request right now"

    def __init__(self, message: str | None = None, *, retry_after: int = 5, **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.headers.setdefault("Retry-After", str(retry_after))


class StorageFull(Unavailable):
    """The storage backend has no space left (crash table of registries reference 4.2: 507 with a clear message)."""

    code, status = "UNAVAILABLE", HTTPStatus.INSUFFICIENT_STORAGE
    default = "the registry's storage is full; free space or extend the volume, then push again"
