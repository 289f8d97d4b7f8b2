"""``image-registry serve`` with TLS and users, as a person would run it, and clients that trust and know it."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import pytest

from tests.clients.certificates import make_certificates
from tests.clients.programs import CLIENTS, COPIERS, Client, Copier, Crane, Registry
from tests.serve.conftest import serve


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """``image-registry serve`` with TLS by a CA of its own and one user, for all tests that name their repositories."""
    folder = tmp_path_factory.mktemp("guarded")
    made = make_certificates(folder)
    user, password = "mary", secrets.token_urlsafe(18)
    users = folder / "users"
    users.write_text(f"{user}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(6)).decode()}\n", encoding="utf-8")
    tls = ("--tls-cert", str(made.certificate), "--tls-key", str(made.key))
    for served in serve(folder, "--auth", f"htpasswd:{users}", *tls):
        yield Registry(served.host, made.ca, user, password)


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder for one client, with a short name: podman refuses long ones."""
    folder = Path(tempfile.mkdtemp(prefix="client-"))
    (folder / "auth.json").write_text("{}", encoding="utf-8")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(params=CLIENTS, ids=lambda kind: str(kind.name))
def stranger(request: pytest.FixtureRequest, registry: Registry, home: Path) -> Client:
    """Each client in turn, not logged in."""
    client: Client = request.param(registry, home)
    return client


@pytest.fixture(params=COPIERS, ids=lambda kind: str(kind.name))
def copier(request: pytest.FixtureRequest, registry: Registry, home: Path) -> Copier:
    """Each client that copies in turn, logged in."""
    client: Copier = request.param(registry, home)
    client.login(registry.user, registry.password)
    return client


@pytest.fixture
def crane(registry: Registry) -> Iterator[Crane]:
    """A second client, logged in."""
    folder = Path(tempfile.mkdtemp(prefix="client-"))
    client = Crane(registry, folder)
    client.login(registry.user, registry.password)
    yield client
    shutil.rmtree(folder)


@pytest.fixture
def client(stranger: Client, registry: Registry) -> Client:
    """Each client in turn, logged in."""
    stranger.login(registry.user, registry.password)
    return stranger
