"""Whether ``bootstrap`` has something to do before its CronJob comes.

That is a certificate of ours that grows old, or an authority of somebody else's certificate that is not in the bundle.
What ``bootstrap`` would leave alone is never named here.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from image_registry.kube.client import ClusterClient, object_path
from image_registry.operator import certificates
from image_registry.operator.certificates import InvalidCertificate
from image_registry.operator.release_secrets import AUTHORITY, BUNDLE_KEY, ISSUED, authority_of, ours


@dataclass(frozen=True, slots=True)
class _Seen:
    """Of one version of a Secret; the key is not kept."""

    version: str
    ours: bool
    certificate: bytes
    authority: bytes


class Renewal:
    """Thread-confined: the reconciler's. Each version of a Secret is read once."""

    def __init__(self, client: ClusterClient, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._seen: dict[str, _Seen] = {}

    def due(self, config: Mapping[str, Any], listed: Iterable[Mapping[str, Any]], now: datetime) -> list[str]:
        """What is to be renewed; ``listed`` are the metadata of all Secrets. Raises KubeError, ClusterUnreachable."""
        versions = {str(item["metadata"]["name"]): str(item["metadata"]["resourceVersion"]) for item in listed}
        self._seen = {name: self._read(name, versions[name]) for name in ISSUED if name in versions}
        issued = ((config.get("certificates") or {}).get("issuerRef") or {}).get("name")
        found = [
            f"Secret {name}, whose certificate grows old"
            for name, seen in self._seen.items()
            if seen.ours and not issued and _old(seen.certificate, now)
        ]
        foreign = {name: seen.authority.strip() for name, seen in self._seen.items() if not seen.ours}
        if any(foreign.values()):
            bundle = self._client.find(object_path("v1", "configmaps", AUTHORITY, namespace=self._namespace))
            if bundle is not None and ours(bundle):
                known = str((bundle.get("data") or {}).get(BUNDLE_KEY, "")).encode()
                found += [
                    f"ConfigMap {AUTHORITY}, which lacks the authority of Secret {name}"
                    for name, authority in foreign.items()
                    if _lacks(known, authority, now)
                ]
        return found

    def _read(self, name: str, version: str) -> _Seen:
        seen = self._seen.get(name)
        if seen is not None and seen.version == version:
            return seen
        secret = self._client.find(object_path("v1", "secrets", name, namespace=self._namespace)) or {}
        try:
            data = {key: base64.b64decode(value or "") for key, value in (secret.get("data") or {}).items()}
            return _Seen(version, ours(secret), data.get("tls.crt", b""), authority_of(data))
        except (binascii.Error, ValueError):
            return _Seen(version, ours(secret), b"", b"")


def _old(certificate: bytes, now: datetime) -> bool:
    try:
        return certificates.needs_renewal(certificate, now)
    except InvalidCertificate:
        return True


def _lacks(known: bytes, authority: bytes, now: datetime) -> bool:
    """True if a certificate that is good would be new in the bundle."""
    try:
        return certificates.bundle([known, authority], now) != certificates.bundle([known], now)
    except InvalidCertificate:
        return False
