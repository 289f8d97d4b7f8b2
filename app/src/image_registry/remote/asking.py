"""A question about a repository of another registry, asked until there is a good answer or a reason why there is none.

Logins are tried from the most exact to none; what fails for a moment is tried again, as long as the caller is patient
and the host's budget allows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import urlsplit

from image_registry.remote.bodies import Body, Stream
from image_registry.remote.budget import Budget
from image_registry.remote.challenges import Challenge, parse_challenges
from image_registry.remote.credentials import ANONYMOUS, Keyring, Login
from image_registry.remote.errors import (
    Blocked,
    Forbidden,
    NoSpace,
    NotARegistry,
    NotFound,
    Refused,
    RemoteError,
    TooManyRequests,
    Unauthorized,
    Unreachable,
    Untrusted,
)
from image_registry.remote.reference import RemoteReference
from image_registry.remote.renewing import Renewing
from image_registry.remote.retrying import ATTEMPTS, backoff, retry_after
from image_registry.remote.sources import SourceRules
from image_registry.remote.tokens import PULL, Authorizations, Scope
from image_registry.remote.wire import Answer, Method, Wire

PATIENCE = 20.0
"""Seconds that waiting may take unless a caller says otherwise; each attempt has its own time besides."""

PAUSE = 60.0
"""Seconds for which a host is left alone that asks for it without saying how long."""

_PASSING = frozenset({429, 500, 502, 503, 504})


_REFUSED = frozenset({400, 405, 409, 411, 413, 415, 416, 422})


@dataclass(frozen=True, slots=True)
class Access:
    """With what credentials somebody asks, whether anything but verified TLS will do, and how long they wait."""

    keyring: Keyring = field(default_factory=Keyring)
    insecure: bool = False
    patience: float = PATIENCE
    login: Login | None = None
    """The only login that is tried: what one user began no other can go on with."""
    renewing: Renewing | None = None
    """In place of it: the tokens of one user, each as long as it is good."""

    def logins(self, source: RemoteReference) -> Iterable[Login]:
        """What is tried, in order."""
        if self.renewing is not None:
            return self.renewing.logins()
        return (self.login,) if self.login is not None else (*self.keyring.logins(source), ANONYMOUS)


@dataclass(frozen=True, slots=True)
class Question:
    """One request about a repository: ``path`` below it, or ``at`` if the registry said where to go on."""

    method: Method
    source: RemoteReference
    path: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    scope: Scope = PULL
    body: Body | None = None
    at: str = ""

    @property
    def once(self) -> bool:
        """Whether it cannot be asked again."""
        return isinstance(self.body, Stream)


class Questions:
    """Thread-safe."""

    def __init__(self, wire: Wire, rules: SourceRules, budget: Budget, *, sleep: Callable[[float], None]) -> None:
        self._wire, self._rules, self._budget, self._sleep = wire, rules, budget, sleep
        self._authorizations = Authorizations(wire)
        self._schemes: dict[str, str] = {}
        """How servers are spoken to that need no trusted TLS, once it is known."""
        self._challenges: dict[str, tuple[Challenge, ...]] = {}
        """What servers ask for from those who write, once it is known."""

    def ask(
        self,
        method: Method,
        source: RemoteReference,
        path: str,
        access: Access,
        *,
        accept: str = "",
        part: str = "",
    ) -> AbstractContextManager[Answer]:
        """The good answer to a question that only reads."""
        headers = ({"Accept": accept} if accept else {}) | ({"Range": part} if part else {})
        return self.put(Question(method, source, path, headers), access)

    @contextmanager
    def put(self, question: Question, access: Access) -> Iterator[Answer]:
        """The good answer to a question about a repository, with the first login that gives one."""
        source = question.source
        insecure = access.insecure or self._rules.is_insecure(source)
        deadline = time.monotonic() + access.patience
        refusal: RemoteError | None = None
        for login in access.logins(source):
            with ExitStack() as stack:
                try:
                    answer = stack.enter_context(self._as(question, login, insecure=insecure, deadline=deadline))
                except RemoteError as error:
                    if refusal is None and not isinstance(error, Unauthorized):
                        raise
                    if question.once and access.renewing is not None:
                        raise  # its body is gone
                    refusal = refusal or error
                    continue
                answer.login = login
                yield answer
                return
        raise refusal or Unauthorized(f"{source.registry} lets nobody in")  # what the best credentials were told

    @contextmanager
    def _as(self, question: Question, login: Login, *, insecure: bool, deadline: float) -> Iterator[Answer]:
        source, scope = question.source, question.scope
        for last in (question.once, True):
            server = self._server(source, insecure=insecure)
            known = self._authorizations.known(server, source, login, scope)
            if not known and scope.writes and (asked := self._challenges.get(server)):
                known = self._authorizations.obtain(asked, server, source, login, scope, insecure=insecure)
            headers = {**question.headers, "Authorization": known} if known else question.headers
            with self._patient(question, headers, insecure=insecure, deadline=deadline) as answer:
                if answer.status < HTTPStatus.MULTIPLE_CHOICES:
                    yield answer
                    return
                if answer.status == HTTPStatus.UNAUTHORIZED:
                    self._authorizations.forget(server, source, login, scope)
                if answer.status != HTTPStatus.UNAUTHORIZED or last:
                    raise _failure(answer, question, login)
                challenges = parse_challenges(answer.headers.get("www-authenticate", ""))
            server = self._server(source, insecure=insecure)
            self._authorizations.obtain(challenges, server, source, login, scope, insecure=insecure)
            if scope.writes:
                self._challenges[server] = challenges

    @contextmanager
    def _patient(
        self, question: Question, headers: Mapping[str, str], *, insecure: bool, deadline: float
    ) -> Iterator[Answer]:
        """An answer that is no passing failure, or the last of those."""
        attempts, server = 1 if question.once else ATTEMPTS, question.source.server
        with ExitStack() as stack:
            for attempt in range(1, attempts + 1):
                self._budget.enter(server, max(deadline - time.monotonic(), 0.0))
                wait = backoff(attempt)
                try:
                    answer = stack.enter_context(self._once(question, headers, insecure=insecure))
                except Unreachable:
                    if attempt == attempts or time.monotonic() + wait > deadline:
                        raise
                else:
                    if answer.status not in _PASSING:
                        break
                    asked = retry_after(answer.headers)
                    wait = max(asked or 0.0, wait)
                    last = attempt == attempts or time.monotonic() + wait > deadline
                    if asked is not None or answer.status == HTTPStatus.TOO_MANY_REQUESTS:
                        pause = PAUSE if last and asked is None and not question.once else wait
                        self._budget.pause(server, pause)
                    if last:
                        break
                    stack.close()
                self._sleep(wait)
            yield answer

    @contextmanager
    def _once(self, question: Question, headers: Mapping[str, str], *, insecure: bool) -> Iterator[Answer]:
        """One attempt; without need of trusted TLS also without TLS, if the first word was not understood."""
        server = question.source.server
        # other threads learn and forget meanwhile, so what is known is looked up once
        known = self._schemes.get(server) if insecure else "https"

        def send(scheme: str) -> AbstractContextManager[Answer]:
            place = f"{scheme}://{server}"
            url = question.at or f"{place}/v2/{question.source.path}/{question.path}"
            ours = not question.at or _is_of(place, url, insecure=insecure)
            sent = headers if ours else {name: text for name, text in headers.items() if name != "Authorization"}
            return self._wire.send(question.method, url, sent, body=question.body, insecure=insecure)

        with ExitStack() as stack:
            # an address that is given whole teaches nothing about others
            unknown = known is None and not question.at
            try:
                answer = stack.enter_context(send(known or "https"))
            except (Blocked, Unreachable, Untrusted):  # blocked by a proxy that makes connections to some ports alone
                if not question.once and self._schemes.get(server) == known:
                    self._schemes.pop(server, None)
                if not unknown or question.once:
                    raise
                answer = stack.enter_context(send("http"))
                self._schemes[server] = "http"
            if unknown:
                self._schemes.setdefault(server, "https")
            yield answer

    def _server(self, source: RemoteReference, *, insecure: bool) -> str:
        return f"{self._schemes.get(source.server, 'https') if insecure else 'https'}://{source.server}"


def _is_of(server: str, url: str, *, insecure: bool) -> bool:
    """Whether an address that a registry names is one of its own, and may be shown the credentials."""
    parts = urlsplit(url)
    return parts.netloc == urlsplit(server).netloc and (parts.scheme == "https" or insecure)


def _failure(answer: Answer, question: Question, login: Login) -> RemoteError:
    source = question.source
    said = answer.message()
    where = f"{source.registry} answered {answer.status} for {source}" + (f" ({said})" if said else "")
    who = f"the user {login.username}" if login.username else "these credentials"
    verb = "push" if question.scope.writes else "pull"
    match answer.status:
        case 401:
            return Unauthorized(f"{where}: it does not accept {who}; check the pull Secret, or add one")
        case 403:
            return Forbidden(f"{where}: {who} may not {verb} there; check the rights of the user, or the pull Secret")
        case 404:
            return NotFound(f"{where}: there is no such thing, or it is hidden from who may not see it")
        case 429:
            wait = retry_after(answer.headers) or 60.0
            return TooManyRequests(f"{where}: it is asked too often; it can be asked again in {wait:.0f} seconds", wait)
        case status if status == 507 or "no space left" in said:
            return NoSpace(f"{where}: it is full; make room there, then do it again")
        case status if status >= 500:
            return Unreachable(f"{where}: it is out of order; try again later")
        case status if status in _REFUSED and question.scope.writes:
            return Refused(f"{where}: it does not take what was sent", said.partition(":")[0])
    return NotARegistry(f"{where}: is that a registry?")
