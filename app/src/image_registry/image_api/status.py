"""Failures in the words of Kubernetes: one exception tree, each of which is a ``Status`` (API conventions, "Response
Status Kind").

The reason decides what clients do (retry, fall back, ignore), so it is never guessed from the code by them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from image_registry.auth.access import IMAGE_GROUP


@dataclass(frozen=True, slots=True)
class Cause:
    """One of several things wrong with a request; ``field`` is a path such as ``metadata.name``."""

    reason: str
    message: str
    field: str = ""


class APIError(Exception):
    """Base of the tree; the text is fit for users."""

    code = HTTPStatus.INTERNAL_SERVER_ERROR
    reason = "InternalError"
    always_details = True
    """Whether ``details`` are there with nothing in them too, as kube-apiserver has it of all but two reasons."""

    def __init__(
        self,
        message: str,
        *,
        resource: str = "",
        name: str = "",
        causes: Sequence[Cause] = (),
        retry_after: int = 0,
        headers: Mapping[str, str] | None = None,
        group: str = IMAGE_GROUP,
        list_continue: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.resource = resource
        self.name = name
        self.causes = tuple(causes)
        self.retry_after = retry_after
        """Seconds; 0 says nothing."""
        self.headers = dict(headers or {})
        self.group = group
        """API group of ``resource``."""
        self.list_continue = list_continue
        """Where a list can go on although its token has expired."""

    def document(self) -> dict[str, Any]:
        """The ``Status`` object."""
        details: dict[str, Any] = {}
        if self.name:
            details["name"] = self.name
        if self.resource:
            details |= ({"group": self.group} if self.group else {}) | {"kind": self.resource}
        if self.causes:
            details["causes"] = [
                {"reason": cause.reason, "message": cause.message} | ({"field": cause.field} if cause.field else {})
                for cause in self.causes
            ]
        if self.retry_after:
            details["retryAfterSeconds"] = self.retry_after
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {"continue": self.list_continue} if self.list_continue else {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            **({"details": details} if details or self.always_details else {}),
            "code": int(self.code),
        }


class BadRequest(APIError):
    """The request cannot be read."""

    code = HTTPStatus.BAD_REQUEST
    reason = "BadRequest"
    always_details = False


class Unauthorized(APIError):
    """Credentials that nobody accepts."""

    code = HTTPStatus.UNAUTHORIZED
    reason = "Unauthorized"
    always_details = False


class Forbidden(APIError):
    """The caller is known and may not."""

    code = HTTPStatus.FORBIDDEN
    reason = "Forbidden"


class BeyondLimit(Forbidden):
    """A limit of the namespace has no room; ``limit`` is the resource that it limits."""

    limit = ""


class NotFound(APIError):
    """No such object or no such resource."""

    code = HTTPStatus.NOT_FOUND
    reason = "NotFound"


class MethodNotAllowed(APIError):
    """The resource exists, the verb does not."""

    code = HTTPStatus.METHOD_NOT_ALLOWED
    reason = "MethodNotAllowed"


class NotAcceptable(APIError):
    """None of the answers the client accepts can be given."""

    code = HTTPStatus.NOT_ACCEPTABLE
    reason = "NotAcceptable"


class Conflict(APIError):
    """A precondition does not hold."""

    code = HTTPStatus.CONFLICT
    reason = "Conflict"


class AlreadyExists(APIError):
    """There is an object of that name."""

    code = HTTPStatus.CONFLICT
    reason = "AlreadyExists"


class TooManyRequests(APIError):
    """As much is going on as this process can bear."""

    code = HTTPStatus.TOO_MANY_REQUESTS
    reason = "TooManyRequests"


class Expired(APIError):
    """What was asked for is too old to be told."""

    code = HTTPStatus.GONE
    reason = "Expired"


class TooLarge(APIError):
    """The body is larger than this API reads."""

    code = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    reason = "RequestEntityTooLarge"


class UnsupportedMediaType(APIError):
    """The body is in a format that this API does not read."""

    code = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    reason = "UnsupportedMediaType"
    always_details = False


class UnsupportedPatch(UnsupportedMediaType):
    """The same of a patch, which the kube-apiserver answers with empty details."""

    always_details = True


class Invalid(APIError):
    """The request can be read, and says something that must not be."""

    code = HTTPStatus.UNPROCESSABLE_ENTITY
    reason = "Invalid"


class ServiceUnavailable(APIError):
    """Something this API depends on does not answer now."""

    code = HTTPStatus.SERVICE_UNAVAILABLE
    reason = "ServiceUnavailable"


class Timeout(APIError):
    """The answer would need a state that this server does not have yet."""

    code = HTTPStatus.GATEWAY_TIMEOUT
    reason = "Timeout"


def success(*, resource: str, name: str = "", uid: str = "") -> dict[str, Any]:
    """The ``Status`` of a delete that worked."""
    details = {"name": name, "group": IMAGE_GROUP, "kind": resource, "uid": uid}
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {key: value for key, value in details.items() if value},
    }


def not_found(resource: str, name: str) -> NotFound:
    """Kubernetes' sentence for an object that does not exist."""
    return NotFound(f'{resource}.{IMAGE_GROUP} "{name}" not found', resource=resource, name=name)


def already_exists(resource: str, name: str) -> AlreadyExists:
    """Kubernetes' sentence for an object that exists."""
    return AlreadyExists(f'{resource}.{IMAGE_GROUP} "{name}" already exists', resource=resource, name=name)


def beyond_limit(resource: str, name: str, why: str, limit: str) -> BeyondLimit:
    """Kubernetes' sentence for what admission does not let pass."""
    found = BeyondLimit(f'{resource}.{IMAGE_GROUP} "{name}" is forbidden: {why}', resource=resource, name=name)
    found.limit = limit
    return found


def conflict(resource: str, name: str, why: str) -> Conflict:
    """Kubernetes' sentence for a change that must not be made."""
    group = f"{resource}.{IMAGE_GROUP}"
    return Conflict(f'Operation cannot be fulfilled on {group} "{name}": {why}', resource=resource, name=name)


def unknown_path() -> NotFound:
    """Kubernetes' sentence for a resource that does not exist."""
    return NotFound("the server could not find the requested resource")


def not_allowed(verbs: Sequence[str], resource: str = "", explanation: str = "") -> MethodNotAllowed:
    """Kubernetes' sentence for a verb that is not served; ``verbs`` are the HTTP methods that are."""
    message = "the server does not allow this method on the requested resource"
    if explanation:
        message += f": {explanation}"
    return MethodNotAllowed(message, resource=resource, headers={"Allow": ", ".join(verbs)} if verbs else {})
