"""Who calls and whether they may: the one place where a route asks the gate (design, D5).

401 means "who are you" and carries a challenge; 403 means "you may not" and carries the reason. The refusal for a
repository is the same whether or not it exists, because the question is asked before anything is looked up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import NoReturn

from image_registry.auth import trail
from image_registry.auth.access import Access, AuthorizationUnavailable, Decision
from image_registry.auth.credentials import Basic, Bearer, parse_authorization
from image_registry.auth.gate import Caller, InvalidToken, NarrowToken, Refused
from image_registry.auth.identity import AuthenticationUnavailable, Identity, InvalidCredentials
from image_registry.auth.tokens import IssuedToken, RegistryTokens
from image_registry.distribution_api.asked import request
from image_registry.distribution_api.parts import Parts
from image_registry.kube.errors import ClusterUnreachable, KubeError
from image_registry.oci.errors import Denied, NameUnknown, Unauthorized, Unavailable, Unsupported
from image_registry.oci.reference import InvalidName, Repository

_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(?::[0-9]{1,5})?|\[[0-9A-Fa-f:]{2,45}\](?::[0-9]{1,5})?", re.ASCII)


def current(parts: Parts, scope: str = "") -> Caller:
    """The caller of this request. Raises :class:`Unauthorized` for credentials that nobody accepts.

    ``scope`` is what new credentials must be for, so that a client whose token has ended knows what to ask for.
    """
    found = request.caller
    if found is None:
        with _refusals(parts, scope):
            found = request.caller = parts.gate.identify(request.headers.get("Authorization"))
        left = trail.of(request.environ)
        left.caller, left.uid = found.identity.username, found.identity.uid
    return found


def require(parts: Parts, repository: Repository, *actions: str, beside: Access | None = None) -> Caller:
    """Raise unless the caller may do all of ``actions`` (pull, push, delete) on the repository, and ``beside``."""
    scope = _scope(repository, actions)
    caller = current(parts, scope)
    if set(actions) - {"pull"} and (reason := parts.read_only()) is not None:
        raise Unsupported(
            f"the registry is read-only for the moment: {reason}; pulls go on, try pushes and deletes again later"
        )
    with _refusals(parts, scope):
        parts.gate.permit(caller, repository, *actions)
    if beside is not None:
        decision = decide(parts, caller.identity, beside)
        if not decision.allowed:
            if caller.identity.is_anonymous:
                refuse_anonymous(parts, "")
            raise Denied(decision.reason or f"may not {beside}")
    trail.of(request.environ).allow()
    return caller


def _scope(repository: Repository, actions: Sequence[str]) -> str:
    """What a token must be for; for a mount that names its source also for reading there."""
    scope = f"repository:{repository}:{','.join(actions)}"
    if "mount" in request.args and "from" in request.args:
        with suppress(InvalidName):
            scope += f" repository:{Repository.parse(request.args['from'])}:pull"
    return scope


def require_catalog(parts: Parts) -> Caller:
    """Raise unless the credentials of the caller are good for the catalog, whatever it will show."""
    caller = current(parts)
    with _refusals(parts, "registry:catalog:*"):
        parts.gate.permit_catalog(caller)
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
    with _refusals(parts, ""):
        return parts.gate.may(current(parts), repository, action)


def decide(parts: Parts, identity: Identity, access: Access) -> Decision:
    """Ask the authorizer; raises :class:`Unavailable` when it cannot answer."""
    with _refusals(parts, ""):
        return parts.gate.decide(identity, access)


def refuse_anonymous(parts: Parts, scope: str) -> NoReturn:
    """Raise the 401 that makes a client ask for credentials."""
    raise Unauthorized(headers=challenge(parts, scope))


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
    with _refusals(parts, ""):
        return parts.gate.authenticate(credentials)


def credentials(parts: Parts) -> Basic | Bearer | None:
    """What the client sent. Raises :class:`Unauthorized` when it cannot be read."""
    with _refusals(parts, ""):
        return parse_authorization(request.headers.get("Authorization"))


def issue(parts: Parts, tokens: RegistryTokens, identity: Identity, scopes: Iterable[str]) -> IssuedToken:
    """A token for what the caller may have of the scopes; raises :class:`Unavailable`."""
    with _refusals(parts, ""):
        return parts.gate.issue(tokens, identity, scopes)


@contextmanager
def _refusals(parts: Parts, scope: str) -> Iterator[None]:
    """What the gate says, in the words of the protocol."""
    try:
        yield
    except Refused as refusal:
        if refusal.caller.identity.is_anonymous:
            refuse_anonymous(parts, scope)
        raise Denied(str(refusal)) from None
    except NarrowToken as error:
        raise Unauthorized(str(error), headers=challenge(parts, scope, "insufficient_scope")) from None
    except InvalidToken as error:
        raise Unauthorized(str(error), headers=challenge(parts, scope, "invalid_token")) from None
    except InvalidCredentials as error:
        raise Unauthorized(f"authentication required: {error}", headers=challenge(parts, scope)) from None
    except AuthenticationUnavailable as error:
        raise Unavailable(f"nobody can check credentials right now: {error}") from error
    except AuthorizationUnavailable as error:
        raise Unavailable(f"nobody can decide about access right now: {error}") from error
