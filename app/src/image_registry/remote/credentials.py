"""Logins of registries, as Secrets of type ``kubernetes.io/dockerconfigjson`` and ``…/dockercfg`` hold them.

An entry is for a host, perhaps with a path; of those that fit an image the most exact comes first, as in kubelet.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from image_registry.remote.errors import InvalidReference
from image_registry.remote.reference import RemoteReference, parse_registry, split_registry

LARGEST = 1 << 20
"""Bytes of a document; a Secret cannot have more."""

_TOKEN_USER = "<token>"  # noqa: S105 - the name by which clients mark a refresh token
_API_PATHS = frozenset({"v1", "v2"})


@dataclass(frozen=True, slots=True)
class Login:
    """A name with a password, or a refresh token, or a token that is sent as it is."""

    username: str = ""
    password: str = field(default="", repr=False)
    refresh_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)


ANONYMOUS = Login()


class UnreadableCredentials(ValueError):
    """The document is no dockerconfigjson; the text never quotes it."""


@dataclass(frozen=True, slots=True)
class _Entry:
    host: str
    port: int | None
    path: str
    login: Login


@dataclass(frozen=True, slots=True)
class Keyring:
    """Entries of one or several documents."""

    entries: tuple[_Entry, ...] = ()

    @staticmethod
    def parse(document: bytes) -> Keyring:
        """Either kind of document. Raises :class:`UnreadableCredentials`."""
        try:
            found = json.loads(document) if len(document) <= LARGEST else None
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise UnreadableCredentials("the credentials are not a JSON object of at most 1 MiB")
        auths = found.get("auths") if "auths" in found else found
        if not isinstance(auths, dict):
            raise UnreadableCredentials("the member auths of the credentials is not an object")
        return Keyring(tuple(filter(None, (_entry(name, value) for name, value in auths.items()))))

    @staticmethod
    def joined(keyrings: Iterable[Keyring]) -> Keyring:
        """All entries; of equally exact ones those of the first keyring come first."""
        return Keyring(tuple(entry for keyring in keyrings for entry in keyring.entries))

    def logins(self, reference: RemoteReference) -> tuple[Login, ...]:
        """Those for this image, the most exact first, each once."""
        host, port = split_registry(reference.registry)
        fitting = [entry for entry in self.entries if _fits(entry, host, port, reference.path)]
        fitting.sort(key=lambda entry: (len(entry.path), "*" not in entry.host, len(entry.host)), reverse=True)
        return tuple(dict.fromkeys(entry.login for entry in fitting))

    def hosts(self) -> tuple[str, ...]:
        """For whom there are entries; for messages."""
        return tuple(dict.fromkeys(entry.host for entry in self.entries))


def _fits(entry: _Entry, host: str, port: int | None, path: str) -> bool:
    if entry.port != port and not (entry.port in (None, 443) and port in (None, 443)):
        return False
    if entry.path and path != entry.path and not path.startswith(f"{entry.path}/"):
        return False
    patterns, labels = entry.host.split("."), host.split(".")
    return len(patterns) == len(labels) and all(map(fnmatchcase, labels, patterns))


def _entry(name: Any, value: Any) -> _Entry | None:
    """What cannot be read fits nothing: one broken entry must not take the others along."""
    if not isinstance(name, str) or not isinstance(value, Mapping):
        return None
    login = _login(value)
    parts = urlsplit(name if "://" in name else f"//{name}")
    place = parts.netloc.rpartition("@")[2].lower()
    components = [part for part in parts.path.split("/") if part]
    if components and components[0] in _API_PATHS:
        components = components[1:]
    if login is None or not place:
        return None
    try:
        # a pattern is checked with a letter in place of the star
        parse_registry(place.replace("*", "x"))
        host, port = split_registry(place if "*" in place else parse_registry(place))
    except InvalidReference:
        return None
    return _Entry(host, port, "/".join(components), login)


def _login(value: Mapping[str, Any]) -> Login | None:
    def text(key: str) -> str:
        found = value.get(key)
        return found if isinstance(found, str) else ""

    username, password = text("username"), text("password")
    if encoded := text("auth"):
        try:
            decoded = base64.b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
        except (binascii.Error, ValueError):
            return None
        username, _, password = decoded.partition(":")
        password = password.strip("\x00")
    refresh = text("identitytoken")
    if username == _TOKEN_USER and password:
        username, password, refresh = "", "", password
    if not (password or refresh or text("registrytoken")):
        return None
    return Login(username, password, refresh, text("registrytoken"))
