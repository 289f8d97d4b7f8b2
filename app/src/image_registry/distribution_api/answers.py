"""The shape of answers: errors, pages, names read from paths."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

from flask import Flask, Response, current_app, jsonify
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from image_registry.auth import trail
from image_registry.distribution_api.asked import request
from image_registry.imagestreams import errors as rules
from image_registry.imagestreams.limits import LimitExceeded, LimitsUnknown
from image_registry.oci import errors
from image_registry.oci.digest import Digest, InvalidDigest
from image_registry.oci.errors import RegistryError
from image_registry.oci.reference import InvalidName, InvalidTag, Repository, parse_tag
from image_registry.storage.blob_store import OutOfSpace, StorageFault

_NAMED = re.compile(r"/v2/(.*?)/(?:manifests|blobs|tags|referrers)(?:/|$)", re.DOTALL)

PATHS = (
    "/v2/, /v2/token, /v2/_catalog and /v2/<namespace>/<repository>/ with tags/list, manifests/<tag or digest>, "
    "blobs/<digest>, blobs/uploads/ or referrers/<digest>"
)
"""What a client that asks for something else is told."""

MAX_PAGE = 1000
"""Items of a page at most; a client that asks for more gets a ``Link`` to the rest."""


DEFAULT_PAGE = 10_000
"""Items of a page when the client does not say; many clients of that kind do not look for a ``Link``."""


WARNING_LENGTH = 500
"""Characters of a warning at most; all of an answer must stay below 4096 bytes."""


def repository(namespace: str, name: str) -> Repository:
    """Raises :class:`errors.NameInvalid`."""
    try:
        return Repository.of(namespace, name)
    except InvalidName as error:
        raise errors.NameInvalid(str(error)) from None


def digest(text: str) -> Digest:
    """Raises :class:`errors.DigestInvalid`."""
    try:
        return Digest.parse(text)
    except InvalidDigest as error:
        raise errors.DigestInvalid(str(error)) from None


def tag(text: str) -> str:
    """Raises :class:`errors.TagInvalid`."""
    try:
        return parse_tag(text)
    except InvalidTag as error:
        raise errors.TagInvalid(str(error)) from None


def page() -> tuple[int, str | None]:
    """``n`` and ``last`` of a list request; raises when ``n`` is not a number (CVE-2023-2253: it is also bounded)."""
    text = request.args.get("n")
    if text is None:
        return DEFAULT_PAGE, request.args.get("last")
    if not (text.isascii() and text.isdigit() and len(text) <= 20):
        raise errors.SizeInvalid(f"n is {text[:40]!r}; it must be a whole number that is not negative")
    return min(int(text), MAX_PAGE), request.args.get("last")


def warnings(texts: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Headers that tell the person behind the client what is no failure (distribution-spec, "Warnings")."""
    for text in texts:
        printable = "".join(character if " " <= character <= "~" else "?" for character in text)[:WARNING_LENGTH]
        escaped = printable.replace("\\", "\\\\").replace('"', '\\"')
        yield "Warning", f'299 - "{escaped}"'


def next_link(limit: int, last: str, **more: str | None) -> str:
    """The ``Link`` header to the next page (RFC 8288), relative to the host; ``more`` is kept of the query."""
    query = urlencode({"n": limit, "last": last, **{key: value for key, value in more.items() if value is not None}})
    return f'<{quote(request.path)}?{query}>; rel="next"'


@contextmanager
def translated_unless_down() -> Iterator[None]:
    """Rules speak their own words; here they become OCI errors. A database that is down passes through."""
    try:
        yield
    except rules.StreamUnknown as error:
        raise errors.NameUnknown(f"{error}; check the name: a repository comes into being by the first push") from None
    except LimitExceeded as error:
        trail.of(request.environ).limit = error.limit.resource
        raise errors.Denied(str(error), detail=error.detail) from None
    except LimitsUnknown as error:
        raise errors.Unavailable(f"{error}; pushes go on when they are known") from error
    except (rules.TagUnknown, rules.ImageUnknown) as error:
        raise errors.ManifestUnknown(f"{error}; tags/list shows what there is to pull") from None


@contextmanager
def translated() -> Iterator[None]:
    """The same for requests that need the database: they are told to come back."""
    try:
        with translated_unless_down():
            yield
    except rules.MetadataUnavailable as error:
        raise _away(error) from error


def _away(error: rules.MetadataUnavailable) -> errors.Unavailable:
    cure = "" if "try again" in str(error) else "; try again in a moment"
    return errors.Unavailable(f"the metadata database does not answer: {error}{cure}")


def install(app: Flask) -> None:
    """One handler per family of failures; every body is OCI JSON."""
    app.register_error_handler(RegistryError, _answer)
    app.register_error_handler(OutOfSpace, _full)
    app.register_error_handler(StorageFault, _fault)
    app.register_error_handler(rules.MetadataUnavailable, _metadata)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)


def _full(error: OutOfSpace) -> Response:
    return _answer(errors.StorageFull(detail={"reason": str(error)}))


def _fault(error: StorageFault) -> Response:
    current_app.logger.error("storage fault: %s", error)
    return _answer(errors.Unavailable("the registry's storage failed; try again, then look at its log"))


def _metadata(error: rules.MetadataUnavailable) -> Response:
    return _answer(_away(error))


def _unexpected(error: Exception) -> Response:
    current_app.logger.error("unexpected failure", exc_info=error)
    return _answer(RegistryError())


def _http(error: HTTPException) -> Response:
    """What Flask refuses by itself: paths and methods that no route takes."""
    if error.code == HTTPStatus.NOT_FOUND:
        try:
            _check_name(request.path)
        except errors.NameInvalid as refusal:
            return _answer(refusal)
    asked = f"{request.method} {request.path[:300]}"
    cure = "look at the request"
    headers = {}
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = ", ".join(sorted(error.valid_methods or ()))
        cure = f"this path takes {headers['Allow']}"
    elif error.code == HTTPStatus.NOT_FOUND:
        cure = f"there is nothing at this path; this registry has {PATHS}"
    elif error.code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        cure = "send a shorter body"
    answer = _answer(errors.Unsupported(f"{error.name}: {asked}; {cure}", headers=headers))
    answer.status_code = error.code or 500
    return answer


def _check_name(path: str) -> None:
    """Raise :class:`errors.NameInvalid` if a path that no route takes would be one with another repository name."""
    match = _NAMED.match(path)
    if match is not None:
        namespace, slash, name = match[1].partition("/")
        if not slash or "/" in name or not namespace or not name:
            raise errors.NameInvalid(
                f"{match[1][:300]!r} is not the name of a repository here: exactly <namespace>/<repository>"
            )
        repository(namespace, name)


def _answer(error: RegistryError) -> Response:
    left = trail.of(request.environ)
    left.error = f"{error.code}: {error.message}"
    if isinstance(error, errors.Denied):
        left.decision = trail.DENIED
    elif isinstance(error, errors.Unauthorized):
        left.decision = trail.REFUSED if "Authorization" in request.headers else trail.CHALLENGED
    detail = {**error.detail, "request_id": left.request_id} if left.request_id else error.detail
    body: dict[str, Any] = {"code": error.code, "message": error.message}
    if detail:
        body["detail"] = detail
    answer = jsonify(errors=[body])
    answer.status_code = int(error.status)
    answer.headers.update(error.headers)
    return answer
