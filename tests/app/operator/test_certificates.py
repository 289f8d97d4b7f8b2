"""Certificates that strict clients accept, renewed in time, with an overlap that nobody notices."""

from __future__ import annotations

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from image_registry.operator import certificates
from image_registry.operator.certificates import InvalidCertificate, KeyPair, make_authority, make_leaf

NOW = datetime.now(UTC).replace(microsecond=0)
NAMES = ["image-registry.system.svc", "localhost", "127.0.0.1"]


def handshake(leaf: KeyPair, trusted: bytes, name: str, folder: Path) -> None:
    """A real TLS connection by a client as strict as Python can be; raises what the client says."""
    pair = folder / "pair.pem"
    pair.write_bytes(leaf.certificate + leaf.key)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(pair)
    client = ssl.create_default_context(cadata=trusted.decode())
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    ours, theirs = socket.socketpair()

    def serve() -> None:
        try:
            with serving.wrap_socket(theirs, server_side=True) as connection:
                connection.recv(1)
        except OSError:
            pass

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(ours, server_hostname=name):
            pass
    finally:
        ours.close()
        thread.join()


@pytest.mark.parametrize("name", NAMES)
def test_a_strict_client_accepts_every_name(name: str, tmp_path: Path) -> None:
    authority = make_authority("ours", NOW)
    handshake(make_leaf(authority, NAMES, NOW), authority.certificate, name, tmp_path)


def test_a_client_refuses_other_names_and_other_authorities(tmp_path: Path) -> None:
    authority = make_authority("ours", NOW)
    leaf = make_leaf(authority, NAMES, NOW)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(leaf, authority.certificate, "example.com", tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(leaf, make_authority("ours", NOW).certificate, "localhost", tmp_path)


def test_a_bundle_of_old_and_new_accepts_leaves_of_both(tmp_path: Path) -> None:
    old, new = make_authority("ours", NOW), make_authority("ours", NOW)
    both = certificates.bundle([old.certificate, new.certificate], NOW)
    for authority in (old, new):
        handshake(make_leaf(authority, NAMES, NOW), both, "localhost", tmp_path)


def test_a_bundle_holds_each_once_and_nothing_that_has_ended() -> None:
    now = make_authority("now", NOW).certificate
    past = make_authority("past", NOW - timedelta(days=4000)).certificate
    assert certificates.bundle([now, past, b"", b"text\n" + now], NOW) == now
    with pytest.raises(InvalidCertificate, match="damaged"):
        certificates.bundle([now.replace(b"M", b"!", 5)], NOW)


def test_renewal_begins_at_a_third_of_life() -> None:
    leaf = make_leaf(make_authority("ours", NOW), NAMES, NOW).certificate
    end = certificates.expires(leaf)
    third = (end - certificates.begins(leaf)) / 3
    assert not certificates.needs_renewal(leaf, end - third - timedelta(seconds=1))
    assert certificates.needs_renewal(leaf, end - third)
    assert certificates.needs_renewal(leaf, end + timedelta(days=1))


def test_a_leaf_never_outlives_its_authority() -> None:
    authority = make_authority("ours", NOW - certificates.AUTHORITY_LIFETIME + timedelta(days=30))
    leaf = make_leaf(authority, NAMES, NOW)
    assert certificates.expires(leaf.certificate) <= certificates.expires(authority.certificate)


def test_names_come_back() -> None:
    leaf = make_leaf(make_authority("ours", NOW), [*NAMES, "fd00::1", "x" * 63 + ".example.com"], NOW).certificate
    assert certificates.names(leaf) == {*NAMES, "fd00::1", "x" * 63 + ".example.com"}


def test_an_impossible_name_is_an_error() -> None:
    with pytest.raises(InvalidCertificate, match="neither a host name nor an address"):
        make_leaf(make_authority("ours", NOW), ["snow☃"], NOW)


def test_a_foreign_key_is_noticed() -> None:
    one, two = make_authority("one", NOW), make_authority("two", NOW)
    certificates.check_pair(one)
    with pytest.raises(InvalidCertificate, match="does not belong"):
        certificates.check_pair(KeyPair(one.certificate, two.key))
    with pytest.raises(InvalidCertificate, match="not an unencrypted PEM key"):
        certificates.check_pair(KeyPair(one.certificate, b"x"))


def test_an_administrators_rsa_authority_without_key_identifier_signs_too() -> None:
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "corporate")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=900))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    authority = KeyPair(certificate.public_bytes(serialization.Encoding.PEM), pem)
    certificates.check_pair(authority)
    assert certificates.is_authority(authority.certificate)
    leaf = make_leaf(authority, NAMES, NOW)
    assert certificates.signed_by(leaf.certificate, authority.certificate)
    assert not certificates.is_authority(leaf.certificate)


def test_keys_do_not_show() -> None:
    pair = make_authority("ours", NOW)
    assert "PRIVATE" not in repr(pair)
