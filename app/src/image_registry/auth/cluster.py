"""The cluster decides: TokenReview says who calls, SubjectAccessReview what they may (design, D5).

Answers are remembered briefly, so a push of a hundred layers is two questions and not two hundred. The times below are
the whole delay with which a revoked token or a removed binding takes effect. When the API server does not answer,
what is remembered may be used until its own time is over; after that nobody gets in.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from image_registry.auth.access import Access, AuthorizationUnavailable, Decision
from image_registry.auth.expiring_cache import ExpiringCache
from image_registry.auth.identity import AuthenticationUnavailable, Identity, InvalidCredentials
from image_registry.kube.accounts import ServiceAccounts
from image_registry.kube.errors import ClusterUnreachable, KubeconfigError, KubeError
from image_registry.kube.namespaces import Namespaces
from image_registry.kube.reviews import AccessReviewer, ReviewedUser, TokenReviewer

KNOWN = 20.0
"""Seconds for which a token's owner is remembered."""

UNKNOWN = 10.0
"""Seconds for which a refused token is not asked about again."""

ALLOWED = 20.0
"""Seconds for which a yes is remembered: the most a removed binding lives on."""

REFUSED = 5.0
"""Seconds for which a no is remembered: the most a new binding waits."""

SETTLED = 1.0
"""Seconds after a change within which the API server may still answer as before: it is told by a watch as well."""

SIZE = 8192
"""Answers kept of each kind."""

SKEW = 60.0
"""Seconds by which our clock may be ahead of the cluster's: a token that ended before that is not asked about."""

LONGEST_TOKEN = 15000
"""Characters; tokens of users with very many groups have a few thousand."""


@dataclass(frozen=True, slots=True)
class _TokenClaims:
    """What a JWT says of itself. Unverified: it may shorten what we remember and order what we ask, nothing else."""

    audiences: frozenset[str] = frozenset()
    expires: float | None = None
    subject: str = ""


class ClusterAuthenticator:
    """Accepts tokens for the API server and tokens for this registry alone; as Basic, the password is the token."""

    def __init__(
        self,
        reviewer: TokenReviewer,
        *,
        audience: str = "image-registry",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._reviewer = reviewer
        self._audience = audience
        self._clock = clock
        self._owners: ExpiringCache[bytes, Identity | None] = ExpiringCache(SIZE, clock, settle=SETTLED)

    def authenticate_token(self, token: str) -> Identity:
        """Raises :class:`InvalidCredentials` or :class:`AuthenticationUnavailable`."""
        if not token:
            raise InvalidCredentials("the token is empty")
        if len(token) > LONGEST_TOKEN or not token.isascii() or not token.isprintable():
            raise InvalidCredentials("the token is too long or holds characters that no token has")
        said = _unverified(token)
        if said.expires is not None and said.expires + SKEW < self._clock():
            raise InvalidCredentials(f"the token expired at {_utc(said.expires)}: get a new one, then log in again")
        owner = self._owners.get(
            hashlib.sha256(token.encode()).digest(), lambda: self._ask(token, said), said.subject or None
        )
        if owner is None:
            raise InvalidCredentials(self._why_not(said))
        return owner

    def authenticate_basic(self, username: str, password: str) -> Identity:  # noqa: ARG002
        """The user name is ignored: clients must send one, the token knows better. Raises as for a token."""
        if not password:
            raise InvalidCredentials("the password is empty: give a platform token as the password")
        return self.authenticate_token(password)

    def forget(self, username: str) -> None:
        """Ask again about the tokens of this user."""
        self._owners.forget(username)

    def forget_all(self) -> None:
        """Ask again about every token."""
        self._owners.clear()

    def _why_not(self, said: _TokenClaims) -> str:
        """What the token says of itself may explain a refusal; it never prevents one."""
        if said.audiences and self._audience not in said.audiences:
            named = ", ".join(sorted(said.audiences))[:200]
            return (
                f"the cluster does not accept this token, which is for {named}: get one for the API server or for "
                f"{self._audience} (kubectl create token --audience {self._audience}); it may also have been revoked"
            )
        return "the cluster does not accept this token: it is not a platform token, has expired or was revoked"

    def _ask(self, token: str, said: _TokenClaims) -> tuple[Identity | None, float]:
        for audience in self._audiences(said):
            try:
                user = self._reviewer.review(token, audience)
            except (ClusterUnreachable, KubeconfigError, KubeError) as error:
                raise AuthenticationUnavailable(_cannot_ask("who owns this token", error)) from None
            if user is not None:
                remembered = KNOWN if said.expires is None else min(KNOWN, said.expires - self._clock())
                owner = Identity(user.username, user.uid, user.groups, user.extra, said.expires)
                return owner, max(remembered, 0.0)
        return None, UNKNOWN

    def _audiences(self, said: _TokenClaims) -> Iterator[str | None]:
        """Both, the likelier first. ``None`` is the API server's own audience, whatever its name."""
        yield from (self._audience, None) if self._audience in said.audiences else (None, self._audience)


class ClusterAuthorizer:
    """Asks with the caller's name, uid, groups and extra, subresource apart (parity reference 4.4)."""

    def __init__(self, reviewer: AccessReviewer, clock: Callable[[], float] = time.monotonic) -> None:
        self._reviewer = reviewer
        self._decisions: ExpiringCache[tuple[Identity, Access], Decision] = ExpiringCache(SIZE, clock, settle=SETTLED)

    def decide(self, identity: Identity, access: Access) -> Decision:
        """Raises :class:`AuthorizationUnavailable`."""
        return self._decisions.get((identity, access), lambda: self._ask(identity, access), access.namespace)

    def forget(self, namespace: str) -> None:
        """Ask again about everything in this namespace."""
        self._decisions.forget(namespace)

    def forget_all(self) -> None:
        """Ask again about everything."""
        self._decisions.clear()

    def _ask(self, identity: Identity, access: Access) -> tuple[Decision, float]:
        user = ReviewedUser(identity.username, identity.uid, identity.groups, identity.extra)
        attributes = {
            "verb": access.verb,
            "group": access.group,
            "version": "v1",
            "resource": access.resource,
            "subresource": access.subresource,
            "namespace": access.namespace,
            "name": access.name,
        }
        try:
            answer = self._reviewer.review(user, attributes)
        except (ClusterUnreachable, KubeconfigError, KubeError) as error:
            raise AuthorizationUnavailable(_cannot_ask("what this user may do", error)) from None
        if answer.allowed:
            return Decision(allowed=True, reason=answer.reason), ALLOWED
        why = f" ({answer.reason})" if answer.reason else ""
        return Decision(allowed=False, reason=f'user "{identity.username}" cannot {access}{why}'), REFUSED


class ClusterStanding:
    """Whether namespaces and ServiceAccounts are still the ones that tokens were issued for."""

    def __init__(self, namespaces: Namespaces, accounts: ServiceAccounts) -> None:
        self._namespaces = namespaces
        self._accounts = accounts
        self._said = False

    def namespace(self, name: str) -> str:
        """Raises :class:`AuthorizationUnavailable`."""
        try:
            return self._namespaces.uid(name)
        except (ClusterUnreachable, KubeconfigError, KubeError) as error:
            raise AuthorizationUnavailable(_cannot_ask("whether this namespace exists", error)) from None

    def account(self, namespace: str, name: str) -> str | None:
        """Raises :class:`AuthorizationUnavailable`; not to be permitted is no outage, the token's end is near."""
        try:
            return self._accounts.uid(namespace, name)
        except KubeError as error:
            if not error.forbidden:
                raise AuthorizationUnavailable(_cannot_ask("whether this account exists", error)) from None
            if not self._said:
                self._said = True
                structlog.get_logger().warning(
                    "tokens of deleted ServiceAccounts are good until they end: the registry may not read accounts",
                    reason=str(error),
                )
            return None
        except (ClusterUnreachable, KubeconfigError) as error:
            raise AuthorizationUnavailable(_cannot_ask("whether this account exists", error)) from None


def _cannot_ask(question: str, error: Exception) -> str:
    """For callers: what failed, without addresses of the inside; the cause stays in the exception's context."""
    if isinstance(error, KubeError) and error.forbidden:
        return f"the registry may not ask the cluster {question}: bind ClusterRole system:auth-delegator to its account"
    if isinstance(error, KubeError) and error.unauthorized:
        return f"the registry cannot ask the cluster {question}: its own service account token is refused"
    return f"the cluster does not answer {question}; try again"


def _unverified(token: str) -> _TokenClaims:
    parts = token.split(".")
    if len(parts) != 3:
        return _TokenClaims()
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return _TokenClaims()
    if not isinstance(claims, dict):
        return _TokenClaims()
    audiences, expires, subject = claims.get("aud"), claims.get("exp"), claims.get("sub")
    listed = audiences if isinstance(audiences, list) else [audiences]
    return _TokenClaims(
        frozenset(item for item in listed if isinstance(item, str)),
        float(expires) if isinstance(expires, int) and 0 <= expires < 2**40 and expires is not True else None,
        subject if isinstance(subject, str) else "",
    )


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(min(seconds, 2**37), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
