"""Documents that are the same for everybody until the next release: made once, served with a validator.

Discovery, OpenAPI and the version need no database, no cluster and no permission, so they work while anything else is
broken. A client that has a document already is told so in a few bytes (RFC 9110, 13.1.2).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Response, request

from image_registry.image_api.answers import encode, indented
from image_registry.image_api.negotiation import JSON, Shape, negotiate, not_acceptable


@dataclass(frozen=True, slots=True)
class StaticDocument:
    """A document with its compact JSON and the hash of it."""

    document: Mapping[str, Any]
    body: bytes
    hash: str
    media_type: str = JSON

    @staticmethod
    def of(document: Mapping[str, Any], media_type: str = JSON) -> StaticDocument:
        """Encode it once."""
        body = encode(document, JSON)
        return StaticDocument(document, body, hashlib.sha512(body).hexdigest().upper(), media_type)

    def negotiated(self) -> Response:
        """In JSON or YAML, as the client likes it. Raises ``NotAcceptable``."""
        chosen = negotiate(request.headers.get("Accept"))
        if chosen.shape is not Shape.WHOLE:
            raise not_acceptable()
        if chosen.encoding == JSON and not (chosen.pretty or indented()):
            return self.response()
        body = encode(self.document, chosen.encoding, pretty=chosen.pretty or indented())
        return _response(body, chosen.encoding, hashlib.sha512(body).hexdigest().upper())

    def response(self) -> Response:
        """As it is."""
        return _response(self.body, self.media_type, self.hash)


def _response(body: bytes, media_type: str, tag: str) -> Response:
    response = Response(body, content_type=media_type)
    response.set_etag(tag)
    response.vary.add("Accept")
    response.headers["Cache-Control"] = "no-cache, private"  # kept and asked about again, as by kube-apiserver
    response.make_conditional(request)
    response.headers.pop("Date", None)  # the HTTP server writes it
    return response
