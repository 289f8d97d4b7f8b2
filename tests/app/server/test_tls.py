"""Certificates follow their files while connections go on."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
import warnings
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from image_registry.server.peer import common_name
from image_registry.server.tls import ReloadingContext


def write_pair(folder: Path, name: str, *, days: float = 1) -> None:
    """A self-signed certificate with the given common name, good for one day."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=3))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "tls.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "tls.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def served_name(context: ssl.SSLContext, client: ssl.SSLContext | None = None) -> tuple[str, str | None]:
    """Shake hands over a socket pair: the subject that the client saw, and the one that the server saw."""
    left, right = socket.socketpair()
    seen: list[str | None] = []

    def serve() -> None:
        with context.wrap_socket(left, server_side=True) as connection:
            seen.append(common_name(connection))
            connection.recv(1)

    thread = threading.Thread(target=serve)
    thread.start()
    if client is None:
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname = False
        client.verify_mode = ssl.CERT_NONE
    with client.wrap_socket(right) as connection:
        certificate = x509.load_der_x509_certificate(connection.getpeercert(binary_form=True) or b"")
        connection.send(b"x")
    thread.join()
    return str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value), seen[0]


def test_a_changed_certificate_is_served_without_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("image_registry.server.tls.CHECK_INTERVAL", 0.0)
    write_pair(tmp_path, "old")
    context = ReloadingContext(tmp_path / "tls.crt", tmp_path / "tls.key")
    assert served_name(context())[0] == "old"
    write_pair(tmp_path, "new")
    assert served_name(context())[0] == "new"


def test_a_half_written_pair_keeps_the_certificate_that_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("image_registry.server.tls.CHECK_INTERVAL", 0.0)
    write_pair(tmp_path, "old")
    context = ReloadingContext(tmp_path / "tls.crt", tmp_path / "tls.key")
    context()
    (tmp_path / "tls.key").write_text("not a key", encoding="utf-8")
    assert served_name(context())[0] == "old"


@pytest.mark.parametrize("text", ["not a key", None], ids=["damaged", "missing"])
def test_a_pair_that_cannot_be_used_is_said_once_and_the_old_one_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str | None
) -> None:
    """It is how an administrator learns, months before the certificate ends, that the new one does not work."""
    monkeypatch.setattr("image_registry.server.tls.CHECK_INTERVAL", 0.0)
    write_pair(tmp_path, "old")
    context = ReloadingContext(tmp_path / "tls.crt", tmp_path / "tls.key")
    context()
    if text is None:
        (tmp_path / "tls.key").unlink()
    else:
        (tmp_path / "tls.key").write_text(text, encoding="utf-8")
    for _ in range(3):
        assert served_name(context())[0] == "old"
    assert "".join(capsys.readouterr()).count("changed TLS files are not used") == 1
    write_pair(tmp_path, "new")
    assert served_name(context())[0] == "new"


def test_a_missing_pair_is_an_error_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ReloadingContext(tmp_path / "tls.crt", tmp_path / "tls.key")()


def test_a_certificate_that_has_ended_is_served_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pair(tmp_path, "ended", days=-1)
    assert served_name(ReloadingContext(tmp_path / "tls.crt", tmp_path / "tls.key")())[0] == "ended"
    assert "clients refuse the certificate because of its dates" in "".join(capsys.readouterr())
    write_pair(tmp_path, "good")
    ReloadingContext(tmp_path / "tls.crt", tmp_path / "tls.key")()
    assert "dates" not in "".join(capsys.readouterr())


def test_an_unchanged_pair_is_not_read_again(tmp_path: Path) -> None:
    write_pair(tmp_path, "one")
    context = ReloadingContext(tmp_path / "tls.crt", tmp_path / "tls.key")
    assert context() is context()


def test_a_client_certificate_is_reported_only_when_its_ca_is_trusted(tmp_path: Path) -> None:
    server, client = tmp_path / "server", tmp_path / "client"
    server.mkdir()
    client.mkdir()
    write_pair(server, "server")
    write_pair(client, "front-proxy-client")
    trusted = (client / "tls.crt").read_text(encoding="utf-8")
    context = ReloadingContext(server / "tls.crt", server / "tls.key", client_ca=lambda: trusted)
    sender = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    sender.check_hostname = False
    sender.verify_mode = ssl.CERT_NONE
    assert served_name(context(), sender)[1] is None
    sender.load_cert_chain(client / "tls.crt", client / "tls.key")
    assert served_name(context(), sender)[1] == "front-proxy-client"


def test_old_protocol_versions_are_refused(tmp_path: Path) -> None:
    write_pair(tmp_path, "one")
    context = ReloadingContext(tmp_path / "tls.crt", tmp_path / "tls.key")()
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def offering(minimum: ssl.TLSVersion, maximum: ssl.TLSVersion, ciphers: str = "ALL:@SECLEVEL=0") -> ssl.SSLContext:
    """A client that speaks no better than this."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    client.set_ciphers(ciphers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # for speaking what must be refused
        client.minimum_version, client.maximum_version = minimum, maximum
    return client


def agreed(folder: Path, client: ssl.SSLContext) -> tuple[str, str] | None:
    """Version and cipher of a handshake; ``None`` if there is none."""
    write_pair(folder, "profile")
    context = ReloadingContext(folder / "tls.crt", folder / "tls.key")()
    left, right = socket.socketpair()

    def serve() -> None:
        with suppress(OSError), context.wrap_socket(left, server_side=True) as connection:
            connection.recv(1)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(right) as connection:
            cipher = connection.cipher()
            return (str(connection.version()), cipher[0]) if cipher else None
    except OSError:
        return None
    finally:
        right.close()
        thread.join()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_versions_before_1_2_are_refused(tmp_path: Path, version: ssl.TLSVersion) -> None:
    assert agreed(tmp_path, offering(version, version)) is None


@pytest.mark.parametrize(
    "ciphers", ["ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA", "AES128-GCM-SHA256", "DHE-RSA-AES128-GCM-SHA256"]
)
def test_ciphers_without_forward_secrecy_or_authenticated_encryption_are_refused(tmp_path: Path, ciphers: str) -> None:
    only = ssl.TLSVersion.TLSv1_2
    assert agreed(tmp_path, offering(only, only, f"{ciphers}:@SECLEVEL=0")) is None


def test_a_client_of_tls_1_2_gets_an_authenticated_cipher_and_one_of_1_3_gets_1_3(tmp_path: Path) -> None:
    only = ssl.TLSVersion.TLSv1_2
    found = agreed(tmp_path, offering(only, only))
    assert found is not None
    assert found[0] == "TLSv1.2"
    assert found[1].startswith("ECDHE-")
    assert "GCM" in found[1] or "CHACHA20" in found[1]
    newest = agreed(tmp_path, offering(only, ssl.TLSVersion.TLSv1_3))
    assert newest is not None
    assert newest[0] == "TLSv1.3"
