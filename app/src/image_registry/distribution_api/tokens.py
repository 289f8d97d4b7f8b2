"""The token endpoint (distribution's "Token Authentication Specification")."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, Response, jsonify, request

from image_registry.auth import trail
from image_registry.auth.identity import ANONYMOUS
from image_registry.distribution_api import callers
from image_registry.distribution_api.parts import Parts
from image_registry.oci.errors import Unsupported


def blueprint(parts: Parts) -> Blueprint:
    routes = Blueprint("tokens", __name__)

    @routes.get("/v2/token")
    def token() -> Response:
        if parts.tokens is None:
            raise Unsupported("this registry serves without authentication: no token is needed")
        sent = callers.credentials(parts)
        identity = ANONYMOUS if sent is None else callers.authenticate(parts, sent)
        left = trail.of(request.environ)
        left.caller, left.uid = identity.username, identity.uid
        left.allow()
        scopes = (scope for value in request.args.getlist("scope") for scope in value.split())
        issued = callers.issue(parts, parts.tokens, identity, scopes)
        at = datetime.fromtimestamp(issued.issued_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        answer = jsonify(token=issued.token, access_token=issued.token, expires_in=issued.expires_in, issued_at=at)
        answer.headers["Cache-Control"] = "no-store"
        return answer

    return routes
