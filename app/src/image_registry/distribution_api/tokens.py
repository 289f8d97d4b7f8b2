"""The token endpoint (distribution's "Token Authentication Specification" and its OAuth2 form).

GET takes credentials from the ``Authorization`` header. POST takes them from a form, as OAuth 2.0 clients send them;
no refresh token is ever issued, because nothing of a user is kept beyond the request (design, D5): what a client may
send in its place is the platform token itself.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from urllib.parse import parse_qsl

from flask import Blueprint, Response, jsonify, request
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import RequestEntityTooLarge

from image_registry.auth import trail
from image_registry.auth.credentials import Basic, Bearer
from image_registry.auth.identity import ANONYMOUS, Identity
from image_registry.auth.tokens import RegistryTokens
from image_registry.distribution_api import callers
from image_registry.distribution_api.parts import Parts
from image_registry.distribution_api.received import Body, ClientVanished
from image_registry.oci.errors import TooManyRequests, Unauthorized, Unsupported

LONGEST_FORM = 64 << 10
"""Bytes of a form with credentials."""

FORM_PATIENCE, FORMS = 5.0, 8
"""Seconds in which a whole form must be there, and forms that are waited for at once: this is the one body that is read
before anybody knows whose it is, and each holds a thread."""


class GrantInvalid(Unauthorized):
    """The form is not one of those that give a token; the same credentials in another form may."""

    status = HTTPStatus.BAD_REQUEST


def blueprint(parts: Parts) -> Blueprint:
    routes = Blueprint("tokens", __name__)
    places = threading.Semaphore(FORMS)

    @routes.get("/v2/token")
    def token() -> Response:
        tokens = _tokens()
        sent = callers.credentials(parts)
        identity = ANONYMOUS if sent is None else callers.authenticate(parts, sent)
        return _issue(tokens, identity, request.args.getlist("scope"))

    @routes.post("/v2/token")
    def token_by_form() -> Response:
        tokens = _tokens()
        if not places.acquire(blocking=False):
            raise TooManyRequests(
                "too many forms are on their way; try again, or ask by GET with an Authorization header",
                headers={"Retry-After": "5"},
            )
        try:
            form = _form()
        finally:
            places.release()
        identity = callers.authenticate(parts, _sent_by_form(form))
        return _issue(tokens, identity, form.getlist("scope"))

    def _tokens() -> RegistryTokens:
        if parts.tokens is None:
            raise Unsupported("this registry serves without authentication: no token is needed, ask without one")
        return parts.tokens

    def _issue(tokens: RegistryTokens, identity: Identity, wanted: Iterable[str]) -> Response:
        left = trail.of(request.environ)
        left.caller, left.uid = identity.username, identity.uid
        left.allow()
        scopes = (scope for value in wanted for scope in value.split())
        issued = callers.issue(parts, tokens, identity, scopes)
        at = datetime.fromtimestamp(issued.issued_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        answer = jsonify(
            token=issued.token,
            access_token=issued.token,
            token_type="Bearer",  # noqa: S106 - the name of a scheme
            expires_in=issued.expires_in,
            issued_at=at,
            scope=" ".join(str(grant) for grant in issued.grants),
        )
        answer.headers["Cache-Control"] = "no-store"
        return answer

    return routes


def _form() -> MultiDict[str, str]:
    """The form of this request. Raises :class:`GrantInvalid` for what cannot be read as one."""
    if (request.content_length or 0) > LONGEST_FORM:
        raise RequestEntityTooLarge
    try:
        data = Body().whole(FORM_PATIENCE)
        if request.mimetype != "application/x-www-form-urlencoded":
            return MultiDict()
        return MultiDict(parse_qsl(data.decode(), keep_blank_values=True, errors="strict"))
    except ClientVanished as error:
        raise GrantInvalid(f"the form cannot be read: {error.message}") from None
    except ValueError as error:
        raise GrantInvalid(f"the form cannot be read: {type(error).__name__}; send it in UTF-8") from None


def _sent_by_form(form: Mapping[str, str]) -> Basic | Bearer:
    """The credentials of an OAuth 2.0 request. Raises :class:`GrantInvalid` for a form that holds none."""
    match form.get("grant_type"):
        case "password" if "username" in form and "password" in form:
            return Basic(form["username"], form["password"])
        case "refresh_token" if form.get("refresh_token"):
            return Bearer(form["refresh_token"])
        case "password":
            raise GrantInvalid("grant_type=password needs the fields username and password")
        case "refresh_token":
            raise GrantInvalid("grant_type=refresh_token needs the field refresh_token: a platform token")
    raise GrantInvalid(
        "send a form (application/x-www-form-urlencoded, of known length) with grant_type=password or "
        "grant_type=refresh_token, or ask by GET with an Authorization header"
    )
