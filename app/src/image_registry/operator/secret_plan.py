"""What must be written so that every key, certificate and password of the release exists: a plan, no calls.

Three rules. What is missing is made. What an administrator made (no label of ours) is never written, only checked. What
is ours is renewed before it ends, and in an order that nobody on either side of a connection notices:

* A new CA is published in the bundle first and signs only a day later (``next.crt``), when everybody trusts it.
* The old CA stays in the bundle until it ends.
* A new token key is added beside the old one, begins to sign when every replica has it
  (:mod:`image_registry.auth.token_keys`), and the old one goes at a later run.

Plans are complete objects; only fresh key material makes two plans for the same state differ.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from image_registry.auth.token_keys import TIME_FORMAT
from image_registry.auth.tokens import generate_key
from image_registry.operator import certificates
from image_registry.operator.certificates import InvalidCertificate, KeyPair

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

AUTHORITY_SETTLED = timedelta(days=1)
"""How long a new CA is only trusted before it signs."""

TOKEN_KEY_LIFETIME = timedelta(days=90)
"""Age of the newest token key at which another one is made."""

TOKEN_KEY_OVERLAP = timedelta(days=1)
"""How long the previous token key still verifies at least."""


class BootstrapFailed(Exception):
    """Something stands in the way that only a person can move; the text says what and how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BootstrapOptions:
    """``hostnames`` are further names and addresses of the registry's own certificate.

    With ``issued`` somebody else (cert-manager) makes the certificates that clients see; their authority is taken up.
    """

    namespace: str
    hostnames: tuple[str, ...] = ()
    cluster_domain: str = "cluster.local"
    issued: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """One object to write; ``sentence`` says what is done and never contains key material."""

    action: Literal["create", "update"]
    resource: Literal["secrets", "configmaps"]
    name: str
    body: Mapping[str, Any] = field(repr=False)
    sentence: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Changes in the order they must be made, and remarks about what is left alone."""

    changes: tuple[Change, ...]
    notes: tuple[str, ...]
    awaited: tuple[str, ...] = ()
    """Secrets that somebody else is to make and has not made."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the cluster holds: Secrets by name, and the ConfigMap with the bundle."""

    secrets: Mapping[str, Mapping[str, Any]] = field(repr=False)
    bundle: Mapping[str, Any] | None = None


def plan(found: Found, options: BootstrapOptions, now: datetime) -> Plan:
    """What to write. Raises :class:`BootstrapFailed`."""
    return _Planner(found, options, now).plan()


def service_names(service: str, options: BootstrapOptions) -> tuple[str, ...]:
    """Every name under which a Service is called, first the one that kube-apiserver and kubelet use."""
    inside = f"{service}.{options.namespace}.svc"
    return (
        inside,
        f"{inside}.{options.cluster_domain}",
        f"{service}.{options.namespace}",
        service,
        "localhost",
        "127.0.0.1",
    )


class _Planner:
    def __init__(self, found: Found, options: BootstrapOptions, now: datetime) -> None:
        self._found = found
        self._options = options
        self._now = now
        self._changes: list[Change] = []
        self._notes: list[str] = []
        self._awaited: list[str] = []

    def plan(self) -> Plan:
        authority, trusted = self._authority()
        trusted_text = self._bundle(trusted)
        for name, service in LEAVES.items():
            self._leaf(name, service, authority, trusted_text)
        self._token_keys()
        self._database()
        return Plan(tuple(self._changes), tuple(self._notes), tuple(self._awaited))

    def _authority(self) -> tuple[KeyPair, list[bytes]]:
        """The CA that signs, and those that must be trusted."""
        secret = self._found.secrets.get(AUTHORITY)
        if secret is None:
            made = self._new_authority()
            until = certificates.expires(made.certificate)
            self._create(
                AUTHORITY,
                {"tls.crt": made.certificate, "tls.key": made.key},
                f"a certificate authority, valid until {until:%Y-%m-%d}",
                kind="kubernetes.io/tls",
            )
            return made, [made.certificate]
        pair = self._pair(AUTHORITY, secret)
        if not certificates.is_authority(pair.certificate):
            raise BootstrapFailed(f"Secret {AUTHORITY} holds a certificate that may not sign others: put a CA there")
        if not ours(secret):
            self._foreign(AUTHORITY, pair.certificate)
            return pair, [pair.certificate]
        return self._rotated(secret, pair)

    def _rotated(self, secret: Mapping[str, Any], pair: KeyPair) -> tuple[KeyPair, list[bytes]]:
        data = _data(AUTHORITY, secret)
        follower = KeyPair(data["next.crt"], data["next.key"]) if {"next.crt", "next.key"} <= set(data) else None
        expired = certificates.expires(pair.certificate) <= self._now
        if follower is None and certificates.needs_renewal(pair.certificate, self._now):
            follower = self._new_authority()
            if not expired:
                self._update(
                    secret,
                    {**data, "next.crt": follower.certificate, "next.key": follower.key},
                    f"a new certificate authority; it is trusted from now on and signs in {AUTHORITY_SETTLED.days} day",
                )
        if follower is None:
            return pair, [pair.certificate]
        certificates.check_pair(follower)
        if expired or self._now - certificates.begins(follower.certificate) >= AUTHORITY_SETTLED:
            until = certificates.expires(follower.certificate)
            self._update(
                secret,
                {"tls.crt": follower.certificate, "tls.key": follower.key},
                f"the new certificate authority signs from now on, valid until {until:%Y-%m-%d}",
            )
            return follower, [follower.certificate, pair.certificate]
        return pair, [pair.certificate, follower.certificate]

    def _bundle(self, trusted: list[bytes]) -> bytes:
        existing = self._found.bundle
        known = str((existing or {}).get("data", {}).get(BUNDLE_KEY, "")).encode()
        if existing is not None and not ours(existing):
            if trusted[0].strip() not in known:
                self._notes.append(
                    f"left alone ConfigMap {AUTHORITY}: it is not ours. It lacks the CA of Secret {AUTHORITY}, so its "
                    "readers may not trust our certificates: add it, or delete the ConfigMap"
                )
            return known
        for name in LEAVES:
            secret = self._found.secrets.get(name)
            if secret is not None and not ours(secret):
                trusted.append(authority_of(_data(name, secret)))
        try:
            wanted = certificates.bundle([*trusted, known], self._now)
        except InvalidCertificate:
            wanted = certificates.bundle(trusted, self._now)
        if existing is None:
            self._changes.append(
                Change(
                    "create",
                    "configmaps",
                    AUTHORITY,
                    {**self._head("ConfigMap", AUTHORITY), "data": dict.fromkeys(BUNDLE_KEYS, wanted.decode())},
                    f"created ConfigMap {AUTHORITY}: the certificate authorities to trust",
                )
            )
        elif any(str(existing.get("data", {}).get(key, "")).encode() != wanted for key in BUNDLE_KEYS):
            self._changes.append(
                Change(
                    "update",
                    "configmaps",
                    AUTHORITY,
                    {**existing, "data": {**existing.get("data", {}), **dict.fromkeys(BUNDLE_KEYS, wanted.decode())}},
                    f"updated ConfigMap {AUTHORITY}: the certificate authorities to trust have changed",
                )
            )
        return wanted

    def _leaf(self, name: str, service: str, authority: KeyPair, trusted: bytes) -> None:
        wanted = service_names(service, self._options)
        if service == "image-registry":
            wanted += tuple(_without_port(host) for host in self._options.hostnames)
        secret = self._found.secrets.get(name)
        if secret is not None and not ours(secret):
            self._foreign(name, self._pair(name, secret).certificate)
            return
        if self._options.issued and name in ISSUED:
            self._awaited.append(name)
            self._notes.append(f"left Secret {name} to cert-manager, which has not made it yet")
            return
        if secret is not None:
            data = _data(name, secret)
            why = self._renewal(data, wanted, authority)
            if not why:
                if data.get("ca.crt") != trusted:
                    self._update(secret, {**data, "ca.crt": trusted}, "the certificate authorities to trust")
                return
        try:
            made = certificates.make_leaf(authority, wanted, self._now)
        except InvalidCertificate as error:
            raise BootstrapFailed(f"cannot make the certificate of {name}: {error}") from None
        content = {"tls.crt": made.certificate, "tls.key": made.key, "ca.crt": trusted}
        until = certificates.expires(made.certificate)
        if secret is None:
            self._create(name, content, f"a certificate, valid until {until:%Y-%m-%d}", kind="kubernetes.io/tls")
        else:
            self._update(secret, content, f"a new certificate, valid until {until:%Y-%m-%d}, because {why}")

    def _renewal(self, data: Mapping[str, bytes], wanted: tuple[str, ...], authority: KeyPair) -> str:
        """Why a certificate of ours must be made anew; empty if it is good."""
        try:
            pair = KeyPair(data.get("tls.crt", b""), data.get("tls.key", b""))
            certificates.check_pair(pair)
            missing = sorted(set(wanted) - certificates.names(pair.certificate))
            if missing:
                return f"the old one lacks {', '.join(missing)}"
            if certificates.needs_renewal(pair.certificate, self._now):
                return f"the old one ends at {certificates.expires(pair.certificate):%Y-%m-%d}"
            if not certificates.signed_by(pair.certificate, authority.certificate):
                return "the certificate authority is another one"
        except InvalidCertificate as error:
            return f"the old one cannot be used ({error})"
        return ""

    def _token_keys(self) -> None:
        name = f"{self._now.strftime(TIME_FORMAT)}-{secrets.token_hex(4)}.pem"
        secret = self._found.secrets.get(TOKEN_KEYS)
        if secret is None:
            self._create(TOKEN_KEYS, {name: generate_key()}, "a key that signs registry tokens")
            return
        data = _data(TOKEN_KEYS, secret)
        known = sorted((key for key in data if key.endswith(".pem")), reverse=True)
        if not ours(secret):
            if not known:
                raise BootstrapFailed(
                    f"Secret {TOKEN_KEYS} is not ours and has no key that ends in .pem: add an EC P-256 private key, "
                    "or delete the Secret and a new one is made"
                )
            self._notes.append(f"left alone Secret {TOKEN_KEYS}: it is not ours")
            return
        made = _made_at(known[0]) if known else None
        age = None if made is None else self._now - made
        if age is None or age >= TOKEN_KEY_LIFETIME:
            self._update(secret, {**data, name: generate_key()}, "another key that signs registry tokens")
        elif age >= TOKEN_KEY_OVERLAP and len(known) > 1:
            self._update(secret, {known[0]: data[known[0]]}, "the previous token key is no longer needed")

    def _database(self) -> None:
        secret = self._found.secrets.get(DATABASE)
        made = {"username": b"registry", "database": b"registry", "password": secrets.token_urlsafe(32).encode()}
        if secret is None:
            self._create(DATABASE, made, "user, database and a random password")
            return
        data = _data(DATABASE, secret)
        lacking = sorted(key for key in made if not data.get(key))
        if not ours(secret):
            if lacking:
                raise BootstrapFailed(
                    f"Secret {DATABASE} is not ours and lacks {', '.join(lacking)}: add the missing keys, or delete "
                    "the Secret and a new one is made"
                )
            self._notes.append(f"left alone Secret {DATABASE}: it is not ours")
        elif lacking:
            self._update(secret, {**made, **{k: v for k, v in data.items() if v}}, f"it lacked {', '.join(lacking)}")

    def _new_authority(self) -> KeyPair:
        return certificates.make_authority(f"{self._options.namespace} image-registry CA {self._now:%Y-%m}", self._now)

    def _pair(self, name: str, secret: Mapping[str, Any]) -> KeyPair:
        """The certificate and key of a Secret that somebody relies on."""
        data = _data(name, secret)
        lacking = [key for key in ("tls.crt", "tls.key") if not data.get(key)]
        cure = "repair it, or delete it and a new one is made"
        if lacking:
            raise BootstrapFailed(f"Secret {name} lacks {' and '.join(lacking)}: {cure}")
        pair = KeyPair(data["tls.crt"], data["tls.key"])
        try:
            certificates.check_pair(pair)
        except InvalidCertificate as error:
            raise BootstrapFailed(f"Secret {name} cannot be used, {error}: {cure}") from None
        return pair

    def _foreign(self, name: str, certificate: bytes) -> None:
        until = certificates.expires(certificate)
        state = "valid until" if until > self._now else "EXPIRED on"
        self._notes.append(f"left alone Secret {name}: it is not ours ({state} {until:%Y-%m-%d})")

    def _create(self, name: str, data: Mapping[str, bytes], what: str, kind: str = "Opaque") -> None:
        body = {**self._head("Secret", name), "type": kind, "data": _encoded(data)}
        self._changes.append(Change("create", "secrets", name, body, f"created Secret {name}: {what}"))

    def _update(self, secret: Mapping[str, Any], data: Mapping[str, bytes], what: str) -> None:
        name = secret["metadata"]["name"]
        body = {**secret, "data": _encoded(data)}
        self._changes.append(Change("update", "secrets", name, body, f"updated Secret {name}: {what}"))

    def _head(self, kind: str, name: str) -> dict[str, Any]:
        labels = {MANAGED_BY: OWNER, "app.kubernetes.io/part-of": "image-registry"}
        metadata = {"name": name, "namespace": self._options.namespace, "labels": labels}
        return {"apiVersion": "v1", "kind": kind, "metadata": metadata}


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


def _data(name: str, secret: Mapping[str, Any]) -> dict[str, bytes]:
    try:
        return {key: base64.b64decode(value or "") for key, value in (secret.get("data") or {}).items()}
    except (binascii.Error, ValueError):
        raise BootstrapFailed(f"Secret {name} holds data that is not base64") from None


def _encoded(data: Mapping[str, bytes]) -> dict[str, str]:
    return {key: base64.b64encode(value).decode() for key, value in sorted(data.items())}


def _made_at(name: str) -> datetime | None:
    try:
        return datetime.strptime(name.partition("-")[0] + "+0000", f"{TIME_FORMAT}%z")
    except ValueError:
        return None


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name.strip("[]") if colon and port.isdigit() and (":" not in name or name.startswith("[")) else host
