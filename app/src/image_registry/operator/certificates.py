"""A small certificate authority as pure functions: PEM in, PEM out, the time is an argument (design, D10).

EC P-256 throughout. Certificates carry what strict verifiers ask for (RFC 5280: key identifiers, key usage), because
Python 3.13 and Go refuse sloppier ones.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_LIFETIME = timedelta(days=3650)
"""How long our CA lives."""

LEAF_LIFETIME = timedelta(days=365)
"""How long a serving certificate lives."""

RENEW_AT = 1 / 3
"""Share of its life that a certificate has left when it is replaced."""

CLOCK_SKEW = timedelta(minutes=5)
"""A new certificate is valid this much earlier, for nodes whose clocks are behind."""


AuthorityKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
"""Keys of authorities: ours are EC, an administrator's may be RSA."""


class InvalidCertificate(ValueError):
    """A certificate or key cannot be used; the text says why, never the content."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate with its private key, both PEM."""

    certificate: bytes
    key: bytes = field(repr=False)


def make_authority(name: str, now: datetime) -> KeyPair:
    """A self-signed CA that may sign serving certificates and nothing below them."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        _builder(subject, subject, key, now, AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _pair(certificate, key)


def make_leaf(authority: KeyPair, names: Iterable[str], now: datetime) -> KeyPair:
    """A serving certificate for host names and addresses, the first of which is its common name."""
    ordered = tuple(dict.fromkeys(names))
    issuer, issuer_key = _certificate(authority.certificate), _private_key(authority.key)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ordered[0][:64])])
    lifetime = min(LEAF_LIFETIME, issuer.not_valid_after_utc - now)
    certificate = (
        _builder(subject, issuer.subject, key, now, lifetime)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in ordered]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_issuer_identifier(issuer, issuer_key), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    return _pair(certificate, key)


def needs_renewal(certificate: bytes, now: datetime) -> bool:
    """True when a third of its life, or less, is left. Raises :class:`InvalidCertificate`."""
    found = _certificate(certificate)
    life = found.not_valid_after_utc - found.not_valid_before_utc
    return found.not_valid_after_utc - now <= life * RENEW_AT


def expires(certificate: bytes) -> datetime:
    """When it ends. Raises :class:`InvalidCertificate`."""
    return _certificate(certificate).not_valid_after_utc


def begins(certificate: bytes) -> datetime:
    """When it begins. Raises :class:`InvalidCertificate`."""
    return _certificate(certificate).not_valid_before_utc


def names(certificate: bytes) -> frozenset[str]:
    """The host names and addresses it is good for. Raises :class:`InvalidCertificate`."""
    try:
        found = _certificate(certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    addresses = (str(address) for address in found.get_values_for_type(x509.IPAddress))
    return frozenset((*found.get_values_for_type(x509.DNSName), *addresses))


def is_authority(certificate: bytes) -> bool:
    """True if it may sign others. Raises :class:`InvalidCertificate`."""
    try:
        return _certificate(certificate).extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def check_pair(pair: KeyPair) -> None:
    """Raise :class:`InvalidCertificate` unless the key belongs to the (first) certificate."""
    try:
        key = serialization.load_pem_private_key(pair.key, None)
    except (ValueError, TypeError):
        raise InvalidCertificate("the private key is not an unencrypted PEM key") from None
    if key.public_key() != _certificate(pair.certificate).public_key():
        raise InvalidCertificate("the private key does not belong to the certificate")


def signed_by(certificate: bytes, authority: bytes) -> bool:
    """True if ``authority`` signed the (first) certificate. Raises :class:`InvalidCertificate`."""
    try:
        _certificate(certificate).verify_directly_issued_by(_certificate(authority))
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def bundle(parts: Iterable[bytes], now: datetime) -> bytes:
    """All certificates of the given PEM texts in order, each once, without those that have expired.

    During a rotation it holds the old and the new CA, so that both sides of a connection may change at their own time.
    Raises :class:`InvalidCertificate`.
    """
    found: dict[bytes, None] = {}
    for part in parts:
        for certificate in _all(part):
            if certificate.not_valid_after_utc > now:
                found[certificate.public_bytes(serialization.Encoding.PEM)] = None
    return b"".join(found)


def chain(certificate: bytes) -> bytes:
    """What follows the first certificate: those that vouch for it. Raises :class:`InvalidCertificate`."""
    return b"".join(found.public_bytes(serialization.Encoding.PEM) for found in _all(certificate)[1:])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, lifetime: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + lifetime)
    )


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _issuer_identifier(issuer: x509.Certificate, key: AuthorityKey) -> x509.AuthorityKeyIdentifier:
    try:
        identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        return x509.DNSName(name)
    except ValueError:
        raise InvalidCertificate(f"{name!r} is neither a host name nor an address") from None


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> KeyPair:
    return KeyPair(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )


def _all(pem: bytes) -> list[x509.Certificate]:
    if b"-----BEGIN CERTIFICATE-----" not in pem:
        return []
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise InvalidCertificate("the certificates are damaged PEM text") from None


def _certificate(pem: bytes) -> x509.Certificate:
    found = _all(pem)
    if not found:
        raise InvalidCertificate("there is no PEM certificate")
    return found[0]


def _private_key(pem: bytes) -> AuthorityKey:
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError):
        raise InvalidCertificate("the CA's private key is not an unencrypted PEM key") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise InvalidCertificate("the CA's private key must be an EC or RSA key")
    return key
