"""A question about a repository of another registry, asked until there is a good answer or a reason why there is none.

Logins are tried from the most exact to none; what fails for a moment is tried again, as long as the caller is patient
and the host's budget allows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus

from image_registry.remote.budget import Budget
from image_registry.remote.challenges import parse_challenges
from image_registry.remote.credentials import ANONYMOUS, Keyring, Login
from image_registry.remote.errors import (
    Blocked,
    Forbidden,
    NotARegistry,
    NotFound,
    RemoteError,
    TooManyRequests,
    Unauthorized,
    Unreachable,
    Untrusted,
)
from image_registry.remote.reference import RemoteReference
from image_registry.remote.retrying import ATTEMPTS, backoff, retry_after
from image_registry.remote.sources import SourceRules
from image_registry.remote.tokens import Authorizations
from image_registry.remote.wire import Answer, Method, Wire

PATIENCE = 20.0
"""Seconds that waiting may take unless a caller says otherwise; each attempt has its own time besides."""

PAUSE = 60.0
"""Seconds for which a host is left alone that asks for it without saying how long."""

_PASSING = frozenset({429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Access:
    """With what credentials somebody asks, whether anything but verified TLS will do, and how long they wait."""

    keyring: Keyring = field(default_factory=Keyring)
    insecure: bool = False
    patience: float = PATIENCE


class Questions:
    """Thread-safe."""

    def __init__(self, wire: Wire, rules: SourceRules, budget: Budget, *, sleep: Callable[[float], None]) -> None:
        self._wire, self._rules, self._budget, self._sleep = wire, rules, budget, sleep
        self._authorizations = Authorizations(wire)
        self._schemes: dict[str, str] = {}
        """How servers are spoken to that need no trusted TLS, once it is known."""

    @contextmanager
    def ask(
        self,
        method: Method,
        source: RemoteReference,
        path: str,
        access: Access,
        *,
        accept: str = "",
        part: str = "",
    ) -> Iterator[Answer]:
        """The good answer to a question about a repository, with the first login that gives one."""
        insecure = access.insecure or self._rules.is_insecure(source)
        headers = ({"Accept": accept} if accept else {}) | ({"Range": part} if part else {})
        deadline = time.monotonic() + access.patience
        refusal: RemoteError | None = None
        for login in (*access.keyring.logins(source), ANONYMOUS):
            with ExitStack() as stack:
                try:
                    answer = stack.enter_context(
                        self._as(method, source, path, headers, login, insecure=insecure, deadline=deadline)
                    )
                except RemoteError as error:
                    if refusal is None and not isinstance(error, Unauthorized):
                        raise
                    refusal = refusal or error
                    continue
                yield answer
                return
        raise refusal or Unauthorized(f"{source.registry} lets nobody in")  # what the best credentials were told

    @contextmanager
    def _as(
        self,
        method: Method,
        source: RemoteReference,
        path: str,
        headers: dict[str, str],
        login: Login,
        *,
        insecure: bool,
        deadline: float,
    ) -> Iterator[Answer]:
        for last in (False, True):
            server = self._server(source, insecure=insecure)
            known = self._authorizations.known(server, source, login)
            sent = {**headers, "Authorization": known} if known else headers
            with self._patient(method, source, path, sent, insecure=insecure, deadline=deadline) as answer:
                if answer.status < HTTPStatus.MULTIPLE_CHOICES:
                    yield answer
                    return
                if answer.status != HTTPStatus.UNAUTHORIZED or last:
                    raise _failure(answer, source, login)
                challenges = parse_challenges(answer.headers.get("www-authenticate", ""))
            self._authorizations.forget(server, source, login)
            server = self._server(source, insecure=insecure)
            self._authorizations.obtain(challenges, server, source, login, insecure=insecure)

    @contextmanager
    def _patient(
        self,
        method: Method,
        source: RemoteReference,
        path: str,
        headers: dict[str, str],
        *,
        insecure: bool,
        deadline: float,
    ) -> Iterator[Answer]:
        """An answer that is no passing failure, or the last of those."""
        with ExitStack() as stack:
            for attempt in range(1, ATTEMPTS + 1):
                self._budget.enter(source.server, max(deadline - time.monotonic(), 0.0))
                wait = backoff(attempt)
                try:
                    answer = stack.enter_context(self._once(method, source, path, headers, insecure=insecure))
                except Unreachable:
                    if attempt == ATTEMPTS or time.monotonic() + wait > deadline:
                        raise
                else:
                    if answer.status not in _PASSING:
                        break
                    asked = retry_after(answer.headers)
                    wait = max(asked or 0.0, wait)
                    last = attempt == ATTEMPTS or time.monotonic() + wait > deadline
                    if asked is not None or answer.status == HTTPStatus.TOO_MANY_REQUESTS:
                        self._budget.pause(source.server, PAUSE if last and asked is None else wait)
                    if last:
                        break
                    stack.close()
                self._sleep(wait)
            yield answer

    @contextmanager
    def _once(
        self, method: Method, source: RemoteReference, path: str, headers: dict[str, str], *, insecure: bool
    ) -> Iterator[Answer]:
        """One attempt; without need of trusted TLS also without TLS, if the first word was not understood."""

        def url() -> str:
            return f"{self._server(source, insecure=insecure)}/v2/{source.path}/{path}"

        with ExitStack() as stack:
            unknown = insecure and source.server not in self._schemes
            try:
                answer = stack.enter_context(self._wire.send(method, url(), headers, insecure=insecure))
            except (Blocked, Unreachable, Untrusted):  # blocked by a proxy that makes connections to some ports alone
                self._schemes.pop(source.server, None)
                if not unknown:
                    raise
                self._schemes[source.server] = "http"
                try:
                    answer = stack.enter_context(self._wire.send(method, url(), headers, insecure=insecure))
                except (Blocked, Unreachable, Untrusted):
                    self._schemes.pop(source.server, None)
                    raise
            if unknown:
                self._schemes.setdefault(source.server, "https")
            yield answer

    def _server(self, source: RemoteReference, *, insecure: bool) -> str:
        return f"{self._schemes.get(source.server, 'https') if insecure else 'https'}://{source.server}"


def _failure(answer: Answer, source: RemoteReference, login: Login) -> RemoteError:
    said = answer.message()
    where = f"{source.registry} answered {answer.status} for {source}" + (f" ({said})" if said else "")
    who = f"the user {login.username}" if login.username else "these credentials"
    match answer.status:
        case 401:
            return Unauthorized(f"{where}: it does not accept {who}; check the pull Secret, or add one")
        case 403:
            return Forbidden(f"{where}: {who} may not pull there; check the rights of the user, or the pull Secret")
        case 404:
            return NotFound(f"{where}: there is no such thing, or it is hidden from who may not see it")
        case 429:
            wait = retry_after(answer.headers) or 60.0
            return TooManyRequests(f"{where}: it is asked too often; it can be asked again in {wait:.0f} seconds", wait)
        case status if status >= 500:
            return Unreachable(f"{where}: it is out of order; try again later")
    return NotARegistry(f"{where}: is that a registry?")
