"""The registry as an attacker meets it: the application in this process, and ``image-registry serve`` behind a socket.

Every test of this folder begins its docstring with the row of the table it belongs to (:mod:`tests.security.cases`).
"""

from __future__ import annotations

import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from flask import Flask

from image_registry.oci.digest import Digest
from tests.app.conftest import sqlite_template  # noqa: F401 - a fixture of the Image API's
from tests.app.distribution_api.conftest import Registry, basic, build, guarded, registry  # noqa: F401 - fixtures
from tests.app.image_api.conftest import api, cluster, filled, filled_template  # noqa: F401 - fixtures
from tests.serve.conftest import Served, serve

DIGEST = str(Digest.of(b"x"))
VALUES = {
    "namespace": "secret",
    "name": "app",
    "digest": DIGEST,
    "reference": "v1",
    "upload_id": "00000000-0000-0000-0000-000000000000",
    "run": "00000000-0000-0000-0000-000000000000",
}
"""What takes the place of the variables of a route."""


def routes(application: Flask, **values: str) -> list[tuple[str, str]]:
    """(method, path) of every route of an application, with values that name nothing."""
    found = []
    for rule in application.url_map.iter_rules():
        path = str(rule)
        for key, value in {**VALUES, **values}.items():
            path = path.replace(f"<{key}>", value)
        assert "<" not in path, f"give {rule} a value"
        found += [(method, path) for method in sorted((rule.methods or set()) - {"OPTIONS"})]
    return sorted(found)


def application(found: Registry) -> Flask:
    """The Flask application behind a registry in this process."""
    behind = found.client.application
    assert isinstance(behind, Flask)
    return behind


@dataclass(frozen=True, slots=True)
class Guarded:
    """A served registry with one user."""

    served: Served
    user: str
    password: str
    log: Path

    @property
    def headers(self) -> dict[str, str]:
        return basic(self.user, self.password)

    def send(self, raw: bytes, *, patience: float = 5.0) -> bytes:
        """Write bytes to a connection of their own; everything that comes back until it is closed or silent."""
        host, _, port = self.served.host.rpartition(":")
        answer = b""
        with socket.create_connection((host, int(port)), timeout=patience) as connection:
            connection.sendall(raw)
            connection.settimeout(patience)
            try:
                while part := connection.recv(65536):
                    answer += part
            except OSError:
                return answer
        return answer


def guarded_server(folder: Path) -> Iterator[Guarded]:
    """``image-registry serve`` with one user."""
    user, password = "mary", secrets.token_urlsafe(18)
    users = folder / "users"
    users.write_text(f"{user}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()}\n", encoding="utf-8")
    for served in serve(folder, "--auth", f"htpasswd:{users}"):
        yield Guarded(served, user, password, folder / "serve.log")


@pytest.fixture(scope="session")
def behind_a_socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """One for all tests that send raw bytes."""
    yield from guarded_server(tmp_path_factory.mktemp("served"))


@pytest.fixture
def of_its_own(tmp_path: Path) -> Iterator[Guarded]:
    """One for a test whose traces no other test is to see."""
    yield from guarded_server(tmp_path)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every address that this process tries to reach, of which nothing is reached.

    Threads that were there before ask for something else, as a watch that another test has not ended yet: they ask on.
    """
    tried: list[Any] = []
    before = {thread.ident for thread in threading.enumerate()} - {threading.get_ident()}
    look_up = socket.getaddrinfo

    def forbid(really: Callable[..., Any]) -> Callable[..., Any]:
        def connect(one: socket.socket, address: Any) -> Any:
            if threading.get_ident() in before:
                return really(one, address)
            tried.append(address)
            raise OSError(f"a test forbids the connection to {address}")

        return connect

    def resolve(host: Any, *rest: Any, **named: Any) -> list[Any]:
        if threading.get_ident() in before:
            return list(look_up(host, *rest, **named))
        tried.append(host)
        raise OSError(f"a test forbids to look up {host}")

    monkeypatch.setattr(socket.socket, "connect", forbid(socket.socket.connect))
    monkeypatch.setattr(socket.socket, "connect_ex", forbid(socket.socket.connect_ex))
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return tried
