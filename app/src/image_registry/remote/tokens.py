"""How a server wants to be shown who asks: Basic, or a token of the server that it names (distribution's token flow).

Tokens are asked for what a question needs and for nothing else, whatever the challenge says, and remembered until
shortly before they end.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from image_registry.remote.challenges import Challenge, may_see_credentials
from image_registry.remote.credentials import ANONYMOUS, Login
from image_registry.remote.errors import (
    Forbidden,
    NotARegistry,
    RemoteError,
    TooManyRequests,
    Unauthorized,
    Unreachable,
)
from image_registry.remote.reference import RemoteReference, parse_registry
from image_registry.remote.retrying import retry_after
from image_registry.remote.wire import Answer, Wire

LIFE = 60
"""Seconds that a token lives when nobody says."""

EARLY = 0.8
"""Part of its life after which a token is not used any more."""

REMEMBERED = 4096
LARGEST = 256 << 10
"""Bytes of an answer with a token."""

CLIENT = "image-registry"


@dataclass(frozen=True, slots=True)
class Scope:
    """What a token is for: actions in the repository that is asked about, and reading others to mount from them."""

    actions: str = "pull"
    origins: tuple[str, ...] = ()
    """Paths of repositories."""

    @property
    def writes(self) -> bool:
        """Whether it is for more than reading."""
        return self.actions != "pull"


PULL, PUSH = Scope(), Scope("pull,push")


@dataclass(frozen=True, slots=True)
class _Key:
    server: str
    path: str
    login: Login
    scope: Scope


class Authorizations:
    """What to send in ``Authorization``, by server, repository and login. Thread-safe."""

    def __init__(self, wire: Wire, clock: Callable[[], float] = time.monotonic) -> None:
        self._wire, self._clock = wire, clock
        self._lock = threading.Lock()
        self._known: OrderedDict[_Key, tuple[str, float]] = OrderedDict()

    def known(self, server: str, reference: RemoteReference, login: Login, scope: Scope = PULL) -> str:
        """What worked before; empty if nothing is known, or nothing was needed."""
        key = _Key(server, reference.path, login, scope)
        with self._lock:
            value, until = self._known.get(key, ("", 0.0))
            if value and until <= self._clock():
                del self._known[key]
                return ""
            return value

    def forget(self, server: str, reference: RemoteReference, login: Login, scope: Scope = PULL) -> None:
        """It did not work."""
        with self._lock:
            self._known.pop(_Key(server, reference.path, login, scope), None)

    def obtain(
        self,
        challenges: tuple[Challenge, ...],
        server: str,
        reference: RemoteReference,
        login: Login,
        scope: Scope = PULL,
        *,
        insecure: bool,
    ) -> str:
        """Do what one of the challenges asks for; ``server`` is ``https://host``. Raises :class:`Unauthorized`."""
        kinds = {challenge.scheme: challenge for challenge in reversed(challenges)}
        if login.registry_token:
            value, life = f"Bearer {login.registry_token}", float(LIFE)
        elif "bearer" in kinds:
            token, life = self._token(kinds["bearer"].parameters, server, reference, login, scope, insecure=insecure)
            value = f"Bearer {token}"
        elif "basic" in kinds and login.username:
            value, life = _basic(login), 3600.0
        elif "basic" in kinds:
            raise Unauthorized(f"{_host(server)} wants a user and a password for {reference}; add a pull Secret for it")
        else:
            raise NotARegistry(f"{_host(server)} refuses {reference} and does not say what credentials it wants")
        with self._lock:
            self._known[_Key(server, reference.path, login, scope)] = (value, self._clock() + life * EARLY)
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return value

    def _token(
        self,
        asked: Mapping[str, str],
        server: str,
        reference: RemoteReference,
        login: Login,
        scope: Scope,
        *,
        insecure: bool,
    ) -> tuple[str, float]:
        realm, service = asked.get("realm", ""), asked.get("service", "")
        _check_realm(realm, server, insecure=insecure)
        if login != ANONYMOUS and not may_see_credentials(realm, server, insecure=insecure):
            raise Unauthorized(
                f"{_host(server)} sends us to {_host(realm)} for a token, which is not of its domain or not encrypted: "
                "credentials are not shown there"
            )
        headers, method, body, url = {"Accept": "application/json"}, "GET", None, realm
        fields = [("service", service)] if service else []
        scopes = [f"repository:{reference.path}:{scope.actions}"]
        scopes += [f"repository:{origin}:pull" for origin in scope.origins]
        if login.refresh_token:
            method = "POST"
            grant = [("grant_type", "refresh_token"), ("refresh_token", login.refresh_token), ("client_id", CLIENT)]
            body = urlencode([*grant, *fields, ("scope", " ".join(scopes))]).encode()
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        else:
            query = urlencode([*fields, *(("scope", one) for one in scopes)])
            url = f"{realm}{'&' if urlsplit(realm).query else '?'}{query}"
            if login.username:
                headers["Authorization"] = _basic(login)
        with self._wire.send(
            "POST" if method == "POST" else "GET", url, headers, body=body, insecure=insecure, follow=False
        ) as answer:
            if answer.status != 200:
                raise _refusal(answer, realm, reference, login, scope)
            return _read_token(answer.read(LARGEST), realm)


def _check_realm(realm: str, server: str, *, insecure: bool) -> None:
    parts = urlsplit(realm)
    try:
        parse_registry(parts.netloc)
    except ValueError:
        raise NotARegistry(f"{_host(server)} names no usable server for tokens; is it a registry?") from None
    if parts.scheme != "https" and not (insecure and parts.scheme == "http"):
        raise NotARegistry(f"{_host(server)} names a server for tokens that is not encrypted: {_host(realm)}")


def _read_token(body: bytes, realm: str) -> tuple[str, float]:
    try:
        document: Any = json.loads(body)
        token = document.get("token") or document.get("access_token")
        life = document.get("expires_in")
    except (ValueError, RecursionError, AttributeError):
        token, life = None, None
    if not isinstance(token, str) or not token.isprintable() or not token.isascii() or " " in token:
        raise NotARegistry(f"{_host(realm)} answered with something that is no token")
    usable = isinstance(life, int | float) and not isinstance(life, bool) and life > 0
    return token, float(min(life, 3600)) if usable and life else float(LIFE)


def _refusal(answer: Answer, realm: str, reference: RemoteReference, login: Login, scope: Scope) -> RemoteError:
    who = f"the user {login.username}" if login.username else "these credentials" if login != ANONYMOUS else "nobody"
    said = answer.message()
    what = "push to" if scope.writes else "pull"
    text = f"{_host(realm)} gives {who} no token to {what} {reference.name} (status {answer.status})"
    if said:
        text += f": {said}"
    match answer.status:
        case 401 | 400:
            return Unauthorized(f"{text}; check the pull Secret for {reference.registry}")
        case 403:
            return Forbidden(f"{text}; check what this user may do there")
        case 429:
            return TooManyRequests(text, retry_after(answer.headers) or 60.0)
        case status if status >= 500:
            return Unreachable(text)
    return NotARegistry(text)


def _basic(login: Login) -> str:
    return "Basic " + base64.b64encode(f"{login.username}:{login.password}".encode()).decode()


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]
