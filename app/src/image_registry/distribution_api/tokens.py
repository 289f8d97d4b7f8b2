"""The token endpoint (distribution's "Token Authentication Specification")."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, Response, jsonify, request

from image_registry.auth.identity import ANONYMOUS, Identity
from image_registry.auth.tokens import Grant
from image_registry.distribution_api import callers
from image_registry.distribution_api.parts import Parts
from image_registry.oci.errors import Unsupported
from image_registry.oci.reference import InvalidName, Repository

MAX_SCOPES = 32
"""Scopes looked at in one request: each may cost a question to the API server."""


def blueprint(parts: Parts) -> Blueprint:
    routes = Blueprint("tokens", __name__)

    @routes.get("/v2/token")
    def token() -> Response:
        if parts.tokens is None:
            raise Unsupported("this registry serves without authentication: no token is needed")
        sent = callers.credentials(parts)
        identity = ANONYMOUS if sent is None else callers.authenticate(parts, sent)
        scopes = [scope for value in request.args.getlist("scope") for scope in value.split()][:MAX_SCOPES]
        grants = [grant for scope in scopes if (grant := _grant(scope, identity)) is not None]
        issued = parts.tokens.issue(identity, grants)
        at = datetime.fromtimestamp(issued.issued_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        answer = jsonify(token=issued.token, access_token=issued.token, expires_in=issued.expires_in, issued_at=at)
        answer.headers["Cache-Control"] = "no-store"
        return answer

    def _grant(scope: str, identity: Identity) -> Grant | None:
        """The part of a scope that the caller may have; ``None`` for nothing. Partial grants are no error."""
        kind, _, rest = scope.partition(":")
        name, _, actions = rest.rpartition(":")
        wanted = set(actions.split(","))
        if kind == "registry" and name == "catalog":
            return Grant("catalog", frozenset({"*"}), "registry")  # what it shows is decided per namespace
        try:
            repository = Repository.parse(name)
        except InvalidName:
            return None
        if "*" in wanted:
            wanted |= set(callers.ACTIONS)
        allowed = frozenset(
            action
            for action in wanted & set(callers.ACTIONS)
            if callers.decide(parts, identity, callers.ACTIONS[action](repository)).allowed
        )
        return Grant(str(repository), allowed) if allowed and kind == "repository" else None

    return routes
