"""The one gate of the data plane: who calls, what the credentials are good for, and whether the caller may.

Every door and every short cut asks here, in plain values, so there is one place to read and one to get wrong. A
registry token is not a decision: besides its own limits the authorizer is asked at every use, the ServiceAccount it was
issued to must still be the same one, and so must the namespace. What was deleted and made anew has another uid, and
nothing that was given out before opens it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from image_registry.auth.access import ACTIONS, Access, Authorizer, Decision
from image_registry.auth.credentials import Basic, Bearer, parse_authorization
from image_registry.auth.identity import ANONYMOUS, Authenticator, Identity, InvalidCredentials
from image_registry.auth.tokens import Claims, Grant, IssuedToken, RegistryTokens
from image_registry.oci.reference import InvalidName, Repository

SERVICE_ACCOUNT = "system:serviceaccount:"
"""How the user names of ServiceAccounts begin; namespace and name follow."""

CATALOG = "catalog"
MAX_SCOPES = 32
"""Scopes looked at in one request: each may cost questions to the API server."""


class Standing(Protocol):
    """What a token was issued for, as it is now. Raises :class:`AuthorizationUnavailable`."""

    def namespace(self, name: str) -> str:
        """The uid of the namespace; empty if there is none."""
        ...

    def account(self, namespace: str, name: str) -> str | None:
        """The uid of the ServiceAccount, empty if there is none; ``None`` if we may not know."""
        ...


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller and, if they came with a registry token, its limits."""

    identity: Identity
    claims: Claims | None = None


class InvalidToken(InvalidCredentials):
    """A registry token that is good for nothing (any more): the client is to ask for a new one."""


class NarrowToken(InvalidCredentials):
    """The caller may, the token may not: the client is to ask for one with a wider scope."""


class Refused(Exception):
    """The caller is known, or known to be nobody, and may not; the text says why."""

    def __init__(self, caller: Caller, reason: str) -> None:
        super().__init__(reason or "requested access to the resource is denied")
        self.caller = caller


@dataclass(frozen=True, slots=True)
class Gate:
    """``authenticator`` and ``tokens`` are ``None`` together: then everybody is anonymous, whatever they send."""

    authorizer: Authorizer
    authenticator: Authenticator | None = None
    tokens: RegistryTokens | None = None
    standing: Standing | None = None

    def identify(self, authorization: str | None) -> Caller:
        """Who sends this header.

        Raises :class:`InvalidCredentials`, :class:`AuthenticationUnavailable`, :class:`AuthorizationUnavailable`.
        """
        if self.tokens is None or authorization is None:
            return Caller(ANONYMOUS)
        sent = parse_authorization(authorization)
        if sent is None:
            return Caller(ANONYMOUS)
        if isinstance(sent, Bearer) and self.tokens.is_ours(sent.token):
            try:
                claims = self.tokens.verify(sent.token)
            except InvalidCredentials as error:
                raise InvalidToken(str(error)) from None
            self._require_account(claims.identity)
            return Caller(claims.identity, claims)
        return Caller(self.authenticate(sent))

    def authenticate(self, sent: Basic | Bearer) -> Identity:
        """Whose credentials these are, if they are not a token of ours. Raises as :meth:`identify` does."""
        if self.authenticator is None:
            return ANONYMOUS
        if isinstance(sent, Basic):
            identity = self.authenticator.authenticate_basic(sent.username, sent.password)
        else:
            identity = self.authenticator.authenticate_token(sent.token)
        self._require_account(identity)
        return identity

    def permit(self, caller: Caller, repository: Repository, *actions: str) -> None:
        """Raise unless the caller may do all of ``actions`` (pull, push, delete) on the repository, now.

        :class:`Refused`, :class:`NarrowToken`, :class:`InvalidToken` or :class:`AuthorizationUnavailable`. What
        is refused is refused in the same words whether or not the repository exists.
        """
        for action in actions:
            decision = self.decide(caller.identity, *ACTIONS[action](repository))
            if not decision.allowed:
                raise Refused(caller, decision.reason)
            if caller.claims is not None and not caller.claims.allows(str(repository), action):
                raise NarrowToken(f"the token does not cover {action} on {repository}; ask for a new one")
        if not self._same_namespace(caller, repository.namespace):
            raise InvalidToken(
                f"namespace {repository.namespace} is not the one that this token was issued for; ask for a new one"
            )

    @staticmethod
    def permit_catalog(caller: Caller) -> None:
        """Raise :class:`NarrowToken` unless the token covers the catalog; what that shows is decided by namespace."""
        if caller.claims is not None and not caller.claims.allows(CATALOG, "*", "registry"):
            raise NarrowToken("the token does not cover the catalog; ask for a new one")

    def may(self, caller: Caller, repository: Repository, action: str) -> bool:
        """The quiet question, for cross-repository mounts: the token's limits count as well as the decision.

        What everybody may do needs no token: clients ask for what they push, not for the public image below it.
        """
        if caller.claims is not None and not caller.claims.allows(str(repository), action):
            return self.decide(ANONYMOUS, *ACTIONS[action](repository)).allowed
        return self.decide(caller.identity, *ACTIONS[action](repository)).allowed and self._same_namespace(
            caller, repository.namespace
        )

    def decide(self, identity: Identity, *questions: Access) -> Decision:
        """The first yes, else the first no. Raises :class:`AuthorizationUnavailable`."""
        refusal = None
        for question in questions:
            decision = self.authorizer.decide(identity, question)
            if decision.allowed:
                return decision
            refusal = refusal or decision
        return refusal or Decision(allowed=False)

    def issue(self, tokens: RegistryTokens, identity: Identity, scopes: Iterable[str]) -> IssuedToken:
        """A token for what the caller may have of these scopes: less than was asked for is no error.

        Each is ``repository:<namespace>/<name>:<action>,…`` or ``registry:catalog:*``. The token ends with the
        credentials that were shown for it. Raises :class:`AuthorizationUnavailable`.
        """
        actions: dict[Repository, set[str]] = {}
        grants = []
        for scope in list(scopes)[:MAX_SCOPES]:
            kind, _, rest = scope.partition(":")
            name, _, wanted = rest.rpartition(":")
            if kind == "registry" and name == CATALOG:
                grants = [Grant(CATALOG, frozenset({"*"}), "registry")]  # what it shows is decided when it is shown
            elif kind == "repository":
                try:
                    repository = Repository.parse(name)
                except InvalidName:
                    continue
                asked = set(wanted.split(","))
                actions.setdefault(repository, set()).update(ACTIONS if "*" in asked else asked & set(ACTIONS))
        for repository, asked in actions.items():
            allowed = {action for action in asked if self.decide(identity, *ACTIONS[action](repository)).allowed}
            if allowed:
                grants.append(Grant(str(repository), frozenset(allowed)))
        namespaces = {}
        if self.standing is not None:
            for grant in grants:
                if grant.type == "repository":
                    namespace = grant.name.partition("/")[0]
                    namespaces[namespace] = self.standing.namespace(namespace)
        return tokens.issue(identity, grants, namespaces=namespaces, until=identity.expires)

    def _require_account(self, identity: Identity) -> None:
        """A ServiceAccount that is gone, or is another one by the same name, has no tokens any more.

        The kube-apiserver, which remembers a token itself for ten seconds, may still call the token good.
        """
        if self.standing is None or not identity.username.startswith(SERVICE_ACCOUNT):
            return
        namespace, _, name = identity.username.removeprefix(SERVICE_ACCOUNT).partition(":")
        uid = self.standing.account(namespace, name)
        if uid is not None and uid != identity.uid:
            raise InvalidToken(f"ServiceAccount {namespace}/{name} was deleted or made anew: log in again")

    def _same_namespace(self, caller: Caller, namespace: str) -> bool:
        """A token from before the namespace was made anew is for its predecessor. Other credentials speak for now."""
        if self.standing is None or caller.claims is None:
            return True
        return caller.claims.namespaces.get(namespace, "") == self.standing.namespace(namespace)
