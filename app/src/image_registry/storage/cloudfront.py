"""Addresses of a CloudFront distribution in front of the bucket, signed so that one object can be read for a while.

The policy is the canned one, whose signature CloudFront wants with RSA and SHA-1. It protects an address for minutes,
and nothing else relies on it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from botocore.signers import CloudFrontSigner
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa


class InvalidKey(ValueError):
    """The key cannot sign; the text says why, and never what is in the file."""


def load(file: Path) -> rsa.RSAPrivateKey:
    """The private key of a key pair, PEM. Raises :class:`InvalidKey`."""
    try:
        key = serialization.load_pem_private_key(file.read_bytes(), None)
    except OSError as error:
        raise InvalidKey(f"cannot be read: {error.strerror}") from None
    except (ValueError, TypeError):  # damaged, or locked by a password
        raise InvalidKey("is no private key in PEM without a password") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise InvalidKey("is not an RSA key")
    return key


class CloudFront:
    """Signs for one distribution, whose origin is the bucket. Raises :class:`InvalidKey` without a usable key."""

    def __init__(self, base: str, key_pair: str, file: Path, seconds: float) -> None:
        self._base = base.rstrip("/")
        self._lasting = timedelta(seconds=seconds)
        self._key = load(file)
        self._signer = CloudFrontSigner(key_pair, self._signature)

    def signed(self, key: str) -> str:
        """Where the object ``key`` of the bucket can be read."""
        address = f"{self._base}/{quote(key)}"
        return str(self._signer.generate_presigned_url(address, date_less_than=datetime.now(UTC) + self._lasting))

    def _signature(self, message: bytes) -> bytes:
        return self._key.sign(message, padding.PKCS1v15(), hashes.SHA1())  # noqa: S303 - what CloudFront checks
