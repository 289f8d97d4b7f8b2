"""``image-registry serve`` with TLS and users, as a person would run it, and clients that trust and know it."""

from __future__ import annotations

import datetime
import ipaddress
import secrets
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError, URLError

import bcrypt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.clients.programs import CLIENTS, Client, Registry


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """The running registry; its log is shown when it does not start."""
    folder = tmp_path_factory.mktemp("registry")
    ca, certificate, key = _certificates(folder)
    user, password = "mary", secrets.token_urlsafe(18)
    users = folder / "users"
    hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(6)).decode()
    users.write_text(f"{user}:{hashed}\n")
    address = f"127.0.0.1:{_free_port()}"
    command = [str(Path(sys.executable).with_name("image-registry")), "serve", "--root", str(folder / "data")]
    command += [
        "--listen",
        address,
        "--auth",
        f"htpasswd:{users}",
        "--tls-cert",
        str(certificate),
        "--tls-key",
        str(key),
    ]
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + 30
        while not _answers(address, ca):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield Registry(address, ca, user, password)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(40)


@pytest.fixture(params=CLIENTS, ids=lambda kind: str(kind.name))
def stranger(request: pytest.FixtureRequest, registry: Registry, tmp_path: Path) -> Client:
    """Each client in turn, not logged in."""
    home = tmp_path / "home"
    home.mkdir()
    client: Client = request.param(registry, home)
    return client


@pytest.fixture
def client(stranger: Client, registry: Registry) -> Client:
    """Each client in turn, logged in."""
    stranger.login(registry.user, registry.password)
    return stranger


def _answers(address: str, ca: Path) -> bool:
    try:
        urllib.request.urlopen(f"https://{address}/livez", context=ssl.create_default_context(cafile=ca), timeout=2)  # noqa: S310
    except HTTPError:
        return True
    except (URLError, OSError):
        return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _certificates(folder: Path) -> tuple[Path, Path, Path]:
    """A CA of the test's own, and a certificate of 127.0.0.1 by it."""
    now = datetime.datetime.now(datetime.UTC)
    key, ca_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())

    def named(name: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])

    def builder(subject: str, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(named(subject))
            .issuer_name(named("test CA"))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(days=1))
        )

    authority = builder("test CA", ca_key.public_key()).add_extension(x509.BasicConstraints(True, None), True)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    server = builder("registry", key.public_key()).add_extension(address, critical=False)
    pem = serialization.Encoding.PEM
    paths = folder / "ca.crt", folder / "tls.crt", folder / "tls.key"
    paths[0].write_bytes(authority.sign(ca_key, hashes.SHA256()).public_bytes(pem))
    paths[1].write_bytes(server.sign(ca_key, hashes.SHA256()).public_bytes(pem))
    plain = serialization.NoEncryption()
    paths[2].write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return paths
