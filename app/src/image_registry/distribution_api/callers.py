"""Who calls and whether they may: the one place where a route asks (design, D5).

401 means "who are you" and carries a challenge; 403 means "you may not" and carries the reason. The refusal for a
repository is the same whether or not it exists, because the question is asked before anything is looked up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from flask import g, request

from image_registry.auth.access import Access, AuthorizationUnavailable, Decision, delete, pull, push
from image_registry.auth.credentials import Basic, Bearer, parse_authorization
from image_registry.auth.identity import (
    ANONYMOUS,
    AuthenticationUnavailable,
    Identity,
    InvalidCredentials,
)
from image_registry.auth.tokens import Claims
from image_registry.distribution_api.parts import Parts
from image_registry.kube.errors import ClusterUnreachable, KubeError
from image_registry.oci.errors import Denied, NameUnknown, Unauthorized, Unavailable, Unsupported
from image_registry.oci.reference import Repository

CALLER = "image_registry.caller"
"""WSGI key under which the access log finds the user name."""

ACTIONS = {"pull": pull, "push": push, "delete": delete}

_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(?::[0-9]{1,5})?|\[[0-9A-Fa-f:]{2,45}\](?::[0-9]{1,5})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller and, if they came with a registry token, its limits."""

    identity: Identity
    claims: Claims | None = None


def current(parts: Parts) -> Caller:
    """The caller of this request. Raises :class:`Unauthorized` for credentials that nobody accepts."""
    if "caller" not in g:
        g.caller = _identify(parts)
        request.environ[CALLER] = g.caller.identity.username
    found: Caller = g.caller
    return found


def require(parts: Parts, repository: Repository, *actions: str) -> Caller:
    """Raise unless the caller may do all of ``actions`` (pull, push, delete) on the repository."""
    caller = current(parts)
    if parts.read_only and set(actions) - {"pull"}:
        raise Unsupported("the registry is read-only for the moment: pushes and deletes are refused")
    scope = f"repository:{repository}:{','.join(actions)}"
    for action in actions:
        if caller.claims is not None and not caller.claims.allows(str(repository), action):
            reason = decide(parts, caller.identity, ACTIONS[action](repository))
            if not reason.allowed:
                _refuse(caller, reason, parts, scope)
            raise Unauthorized(
                f"the token does not cover {action} on {repository}; ask for a new one",
                headers=challenge(parts, scope, "insufficient_scope"),
            )
        decision = decide(parts, caller.identity, ACTIONS[action](repository))
        if not decision.allowed:
            _refuse(caller, decision, parts, scope)
    return caller


def require_namespace(parts: Parts, repository: Repository) -> None:
    """Raise unless something new may be put into the namespace."""
    try:
        exists = parts.namespace_exists(repository.namespace)
    except (KubeError, ClusterUnreachable) as error:
        raise Unavailable(
            f"nobody can say right now whether namespace {repository.namespace} exists: {error}"
        ) from error
    if not exists:
        raise NameUnknown(
            f"namespace {repository.namespace} does not exist or is going away; create it, then push again"
        )


def may(parts: Parts, repository: Repository, action: str) -> bool:
    """The quiet question, for cross-repository mounts: the token's scope counts as well as the decision."""
    caller = current(parts)
    if caller.claims is not None and not caller.claims.allows(str(repository), action):
        return False
    return decide(parts, caller.identity, ACTIONS[action](repository)).allowed


def decide(parts: Parts, identity: Identity, access: Access) -> Decision:
    """Ask the authorizer; raises :class:`Unavailable` when it cannot answer."""
    try:
        return parts.authorizer.decide(identity, access)
    except AuthorizationUnavailable as error:
        raise Unavailable(f"nobody can decide about access right now: {error}") from error


def refuse_anonymous(parts: Parts, scope: str) -> NoReturn:
    """Raise the 401 that makes a client ask for credentials."""
    raise Unauthorized("authentication required", headers=challenge(parts, scope))


def challenge(parts: Parts, scope: str = "", error: str = "") -> Mapping[str, str]:
    """The ``WWW-Authenticate`` header: where to get a token, and for what."""
    if parts.tokens is None:
        return {}
    host = request.host if _HOST.fullmatch(request.host) else "localhost"
    text = f'Bearer realm="{request.scheme}://{host}/v2/token",service="image-registry"'
    if scope:
        text += f',scope="{scope}"'
    if error:
        text += f',error="{error}"'
    return {"WWW-Authenticate": text}


def authenticate(parts: Parts, credentials: Basic | Bearer) -> Identity:
    """Ask whoever knows the caller. Raises :class:`Unauthorized` or :class:`Unavailable`."""
    if parts.authenticator is None:
        return ANONYMOUS
    try:
        if isinstance(credentials, Basic):
            return parts.authenticator.authenticate_basic(credentials.username, credentials.password)
        return parts.authenticator.authenticate_token(credentials.token)
    except InvalidCredentials as error:
        raise Unauthorized(f"authentication required: {error}", headers=challenge(parts)) from None
    except AuthenticationUnavailable as error:
        raise Unavailable(f"nobody can check credentials right now: {error}") from error


def credentials(parts: Parts) -> Basic | Bearer | None:
    """What the client sent. Raises :class:`Unauthorized` when it cannot be read."""
    try:
        return parse_authorization(request.headers.get("Authorization"))
    except InvalidCredentials as error:
        raise Unauthorized(str(error), headers=challenge(parts)) from None


def _identify(parts: Parts) -> Caller:
    if parts.tokens is None:
        return Caller(ANONYMOUS)
    sent = credentials(parts)
    if sent is None:
        return Caller(ANONYMOUS)
    if isinstance(sent, Bearer) and parts.tokens.is_ours(sent.token):
        try:
            claims = parts.tokens.verify(sent.token)
        except InvalidCredentials as error:
            raise Unauthorized(str(error), headers=challenge(parts, error="invalid_token")) from None
        return Caller(claims.identity, claims)
    return Caller(authenticate(parts, sent))


def _refuse(caller: Caller, decision: Decision, parts: Parts, scope: str) -> NoReturn:
    if caller.identity.is_anonymous:
        refuse_anonymous(parts, scope)
    raise Denied(decision.reason or "requested access to the resource is denied")
