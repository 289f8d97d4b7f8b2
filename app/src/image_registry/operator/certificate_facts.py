"""How long the certificates that clients see are good, and for which hosts: judged from their Secrets. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from image_registry.operator import certificates
from image_registry.operator.certificates import InvalidCertificate
from image_registry.operator.conditions import Condition
from image_registry.operator.release_secrets import ISSUED

SOON = timedelta(days=14)
"""Before its end a certificate is spoken of this long; ours are renewed months earlier."""

SHOWN = 3
"""Problems in one message."""

OUT_OF_TIME = ("CertificateExpired", "CertificateNotYetValid")
"""Reasons for which every client refuses."""

RENEWAL = (
    "it is made anew by Job image-registry-certificates, or by hand: kubectl -n {namespace} create job renew "
    "--from=cronjob/image-registry-certificates"
)


@dataclass(frozen=True, slots=True)
class Served:
    """A certificate that clients see: its Secret, the hosts it must be good for, and who sees that it is renewed.

    ``trouble`` is what cert-manager says of one that it makes; empty where it says nothing is wrong.
    """

    secret: str
    hosts: tuple[str, ...]
    cure: str
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class CertificateFact:
    """What was found; ``reason`` is empty where nothing is wrong."""

    secret: str
    expires: datetime | None = None
    reason: str = ""
    message: str = ""

    @property
    def broken(self) -> bool:
        """True if clients are refused."""
        return self.reason not in ("", "ExpiringSoon", "NotRenewed")


def judge(served: Served, secret: Mapping[str, Any] | None, now: datetime) -> CertificateFact:
    """One certificate."""
    name = served.secret
    if secret is None:
        return CertificateFact(name, None, "SecretNotFound", f"Secret {name} does not exist: {served.cure}")
    try:
        pem = base64.b64decode((secret.get("data") or {}).get("tls.crt") or "")
        expires, begins = certificates.expires(pem), certificates.begins(pem)
        known = certificates.names(pem)
    except (InvalidCertificate, binascii.Error, ValueError) as error:
        said = f"the certificate of Secret {name} cannot be used ({error}): {served.cure}"
        return CertificateFact(name, None, "CertificateInvalid", said)
    day = f"{expires:%Y-%m-%d %H:%M}Z"
    if expires <= now:
        said = f"the certificate of Secret {name} expired on {day}: {served.cure}"
        return CertificateFact(name, expires, "CertificateExpired", said)
    if begins > now:
        said = f"the certificate of Secret {name} is valid from {begins:%Y-%m-%d %H:%M}Z on: wait, or {served.cure}"
        return CertificateFact(name, expires, "CertificateNotYetValid", said)
    if missing := [host for host in served.hosts if not _covers(known, host)]:
        said = f"the certificate of Secret {name} is not good for {', '.join(missing)}: {served.cure}"
        return CertificateFact(name, expires, "HostNotCovered", said)
    if expires - now <= SOON:
        said = f"the certificate of Secret {name} ends on {day}: {served.cure}"
        return CertificateFact(name, expires, "ExpiringSoon", said)
    if served.trouble:
        said = f"the certificate of Secret {name} is good until {day}, but cannot be renewed: {served.cure}"
        return CertificateFact(name, expires, "NotRenewed", said)
    return CertificateFact(name, expires)


def issued(name: str, hosts: tuple[str, ...], certificate: Mapping[str, Any] | None, namespace: str) -> Served:
    """One that cert-manager makes, by what it says of the Certificate of that name."""
    trouble = _trouble(certificate)
    where = f"see kubectl -n {namespace} describe certificates.cert-manager.io {name}"
    if certificate is not None and not (certificate.get("status") or {}).get("conditions"):
        return Served(name, hosts, f"cert-manager has said nothing of Certificate {name} yet, does it run? {where}")
    return Served(name, hosts, f"cert-manager says {trouble}; {where}" if trouble else where, trouble)


def _trouble(certificate: Mapping[str, Any] | None) -> str:
    """A request that failed tells more than that the certificate is not ready, and is tried again for days."""
    said = {str(item.get("type")): item for item in ((certificate or {}).get("status") or {}).get("conditions") or []}
    for kind in ("Issuing", "Ready"):
        item = said.get(kind) or {}
        if item.get("status") == "False" and item.get("reason") != "Issued":
            return f"{item.get('reason')}: {item.get('message')}"
    return ""


def condition(facts: Sequence[CertificateFact]) -> Condition:
    """``CertificatesValid``."""
    if broken := [fact for fact in facts if fact.broken]:
        return Condition("CertificatesValid", "False", broken[0].reason, _joined(fact.message for fact in broken))
    if soon := [fact for fact in facts if fact.reason]:
        return Condition("CertificatesValid", "True", soon[0].reason, _joined(fact.message for fact in soon))
    first = min((fact for fact in facts if fact.expires), key=lambda fact: str(fact.expires), default=None)
    if first is None or first.expires is None:
        return Condition("CertificatesValid", "Unknown", "NoCertificate", "no certificate was found yet")
    said = f"the first to end is that of Secret {first.secret}, on {first.expires:%Y-%m-%d}"
    return Condition("CertificatesValid", "True", "AsExpected", said)


def refusing(facts: Iterable[CertificateFact]) -> Condition | None:
    """Why no client believes the servers themselves: a certificate of theirs has ended, or has not begun.

    Routes have certificates of their own and are told of elsewhere; what cannot be read at all is not served, because
    the servers keep the last one that they could read.
    """
    found = [fact for fact in facts if fact.secret in ISSUED and fact.reason in OUT_OF_TIME]
    return Condition("Available", "False", found[0].reason, _joined(fact.message for fact in found)) if found else None


def _joined(messages: Iterable[str]) -> str:
    found = list(messages)
    more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return "; ".join(found[:SHOWN]) + more


def _covers(names: Iterable[str], host: str) -> bool:
    known = {name.lower() for name in names}
    return host in known or f"*.{host.partition('.')[2]}" in known
