"""The Secrets of a release that hold keys, certificates and passwords: their names, and whose each is.

What is made here carries a label of ours. What an administrator or cert-manager made does not, and is never written.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any

from image_registry.operator import certificates

MANAGED_BY = "app.kubernetes.io/managed-by"
OWNER = "image-registry-bootstrap"
"""Value of the label :data:`MANAGED_BY` on everything made here, and our field manager."""

AUTHORITY = "image-registry-ca"
"""Name of the Secret with the CA and of the ConfigMap with the bundle that clients trust."""
BUNDLE_KEY = "ca-bundle.crt"
BUNDLE_KEYS = (BUNDLE_KEY, "ca.crt")
"""The same bundle twice: for everybody, and under the name that the Gateway API asks for."""
TOKEN_KEYS = "image-registry-token-keys"  # noqa: S105 - a name
DATABASE = "image-registry-db"
LEAVES = {
    "image-registry-tls": "image-registry",
    "image-api-server-tls": "image-api-server",
    "image-registry-db-tls": "image-registry-db",
}
"""Serving certificates: Secret by Service."""

ISSUED = tuple(name for name, service in LEAVES.items() if service != DATABASE)
"""Those that clients see, and that an issuer of the cluster may make instead."""

NOT_OURS = "cert-manager.io/certificate-name"
"""Annotation of a Secret that cert-manager writes, whatever labels it had before."""

SECRETS = (AUTHORITY, *LEAVES, TOKEN_KEYS, DATABASE)
"""Every Secret that is read and perhaps written, by name."""


class BootstrapFailed(Exception):
    """Something stands in the way that only a person can move; the text says what and how."""


def ours(item: Mapping[str, Any]) -> bool:
    """True for what was made here and nobody has taken over."""
    metadata = item.get("metadata", {})
    if NOT_OURS in (metadata.get("annotations") or {}):
        return False
    labels: Callable[[str], object] = (metadata.get("labels") or {}).get
    return labels(MANAGED_BY) == OWNER


def authority_of(data: Mapping[str, bytes]) -> bytes:
    """Who vouches for somebody else's certificate: ``ca.crt``, or else what follows the certificate in its chain."""
    return data.get("ca.crt") or certificates.chain(data.get("tls.crt", b""))


def content(name: str, secret: Mapping[str, Any]) -> dict[str, bytes]:
    """The bytes that a Secret holds. Raises :class:`BootstrapFailed`."""
    try:
        return {key: base64.b64decode(value or "") for key, value in (secret.get("data") or {}).items()}
    except (binascii.Error, ValueError):
        raise BootstrapFailed(f"Secret {name} holds data that is not base64") from None


def encoded(data: Mapping[str, bytes]) -> dict[str, str]:
    """The same as a Secret carries them."""
    return {key: base64.b64encode(value).decode() for key, value in sorted(data.items())}
