"""The last step of every request: bytes in the agreed form, and one handler for everything that goes wrong."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import yaml
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from image_registry.auth import trail
from image_registry.image_api import status, whole_lists
from image_registry.image_api.negotiation import JSON, YAML, error_encoding, wants_indentation
from image_registry.image_api.status import APIError, BeyondLimit, ServiceUnavailable, TooLarge
from image_registry.imagestreams.errors import MetadataUnavailable

MAX_BODY = 3 * 1024 * 1024
"""Bytes of a request's body, as many as the kube-apiserver reads."""

COMPRESS_FROM = 16 * 1024
"""Bytes from which an answer is worth compressing."""

DATABASE_RETRY = 5
"""Seconds after which a client may ask again when the database did not answer."""

PRIVATE = "no-cache, private"
"""Objects depend on who asks and on when."""


_NOT_IN_A_HEADER = re.compile(r"[^\x20-\x7e]")


def encode(document: Mapping[str, Any], encoding: str, *, pretty: bool = False) -> bytes:
    """The document as JSON or YAML, ending with a line feed."""
    if encoding == YAML:
        text: str = yaml.dump(document, Dumper=_Dumper, default_flow_style=False, allow_unicode=True, sort_keys=False)
    elif pretty:
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    else:
        text = json.dumps(document, separators=(",", ":"), ensure_ascii=False) + "\n"
    return text.encode(errors="replace")  # half of a surrogate pair is JSON to Python, and UTF-8 to nobody


def indented() -> bool:
    """True if this request comes from a person."""
    return wants_indentation(request.args.get("pretty"), request.headers.get("User-Agent", ""))


def answer(
    document: Mapping[str, Any],
    encoding: str = JSON,
    *,
    code: int = 200,
    pretty: bool = False,
    warnings: Iterable[str] = (),
) -> Response:
    """An answer that depends on the caller."""
    response = Response(encode(document, encoding, pretty=pretty or indented()), code, content_type=encoding)
    response.headers["Cache-Control"] = PRIVATE
    for warning in warnings:
        text = _NOT_IN_A_HEADER.sub("?", warning).replace("\\", "\\\\").replace('"', '\\"')
        response.headers.add("Warning", f'299 - "{text}"')
    return response


def in_pieces(pieces: Iterator[bytes]) -> Response:
    """A document that is longer than should be in memory; JSON that nobody indents."""
    packed = request.accept_encodings.quality("gzip") > 0
    response = Response(whole_lists.compressed(pieces) if packed else pieces, content_type=JSON)
    response.headers["Cache-Control"] = PRIVATE
    response.vary.add("Accept-Encoding")
    if packed:
        response.headers["Content-Encoding"] = "gzip"
    return response


def install(app: Flask) -> None:
    """Failures become ``Status`` documents, large answers are compressed."""
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY

    @app.errorhandler(APIError)
    def _api(error: APIError) -> Response:
        return _failure(error)

    @app.errorhandler(MetadataUnavailable)
    def _database(error: MetadataUnavailable) -> Response:
        # where the database is and what it said is the administrator's matter, not every tenant's
        app.logger.warning("%s", error)
        return _failure(
            ServiceUnavailable(
                f"the metadata database of the registry does not answer; try again in {DATABASE_RETRY} seconds",
                retry_after=DATABASE_RETRY,
            )
        )

    @app.errorhandler(HTTPException)
    def _http(error: HTTPException) -> Response:
        return _failure(_in_our_words(error))

    @app.errorhandler(Exception)
    def _unexpected(error: Exception) -> Response:
        app.logger.error("unexpected failure", exc_info=error)
        return _failure(APIError("an error on the server prevented the request from succeeding; its log says more"))

    @app.after_request
    def _finish(response: Response) -> Response:
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        _compress(response)
        return response


def _in_our_words(error: HTTPException) -> APIError:
    match error.code:
        case 404:
            return status.unknown_path()
        case 405:
            methods = sorted(getattr(error, "valid_methods", None) or ())
            return status.not_allowed(methods)
        case 413:
            return TooLarge(f"Request entity too large: limit is {MAX_BODY} bytes")
        case 400:
            return status.BadRequest(f"the request cannot be read: {error.description}")
    return APIError(f"{error.name}: {error.description}")


def _failure(error: APIError) -> Response:
    left = trail.of(request.environ)
    left.error = f"{error.reason}: {error}"
    if error.code == 403:
        left.decision = trail.DENIED
        left.limit = error.limit if isinstance(error, BeyondLimit) else ""
    elif error.code == 401:
        left.decision = trail.REFUSED if "Authorization" in request.headers else trail.CHALLENGED
    response = answer(error.document(), error_encoding(request.headers.get("Accept")), code=int(error.code))
    response.headers.update(error.headers)
    if error.retry_after:
        response.headers["Retry-After"] = str(error.retry_after)
    if error.code == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="image.alauda.io"'
    return response


def _compress(response: Response) -> None:
    if response.is_streamed or response.direct_passthrough or response.status_code != 200:
        return
    body = response.get_data()
    if len(body) < COMPRESS_FROM or "Content-Encoding" in response.headers:
        return
    response.vary.add("Accept-Encoding")
    if request.accept_encodings.quality("gzip") > 0:
        response.set_data(gzip.compress(body, compresslevel=1, mtime=0))
        response.headers["Content-Encoding"] = "gzip"


class _Dumper(yaml.SafeDumper):
    """Without anchors: two equal values are not one."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the signature is the library's
        return True
