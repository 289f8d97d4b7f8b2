"""What must be written so that every key, certificate and password of the release exists: a plan, no calls.

Three rules. What is missing is made. What an administrator made (no label of ours) is never written, only checked. What
is ours is renewed before it ends, and in an order that nobody notices (:mod:`~image_registry.operator.key_rotation`).

Plans are complete objects; only fresh key material makes two plans for the same state differ.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from image_registry.operator import certificates, key_rotation
from image_registry.operator.certificates import InvalidCertificate, KeyPair
from image_registry.operator.release_secrets import (
    AUTHORITY,
    BUNDLE_KEY,
    BUNDLE_KEYS,
    DATABASE,
    ISSUED,
    LEAVES,
    MANAGED_BY,
    OWNER,
    TOKEN_KEYS,
    BootstrapFailed,
    authority_of,
    content,
    encoded,
    ours,
)


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
        data = content(AUTHORITY, secret)
        found = key_rotation.authority(data, pair, self._new_authority, self._now)
        if found.turn is not None:
            self._update(secret, found.turn.data, found.turn.what)
        return found.signs, list(found.trusted)

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
                trusted.append(authority_of(content(name, secret)))
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
            data = content(name, secret)
            why = self._renewal(data, wanted, authority)
            if not why:
                if data.get("ca.crt") != trusted:
                    self._update(secret, {**data, "ca.crt": trusted}, "the certificate authorities to trust")
                return
        try:
            made = certificates.make_leaf(authority, wanted, self._now)
        except InvalidCertificate as error:
            raise BootstrapFailed(f"cannot make the certificate of {name}: {error}") from None
        leaf = {"tls.crt": made.certificate, "tls.key": made.key, "ca.crt": trusted}
        until = certificates.expires(made.certificate)
        if secret is None:
            self._create(name, leaf, f"a certificate, valid until {until:%Y-%m-%d}", kind="kubernetes.io/tls")
        else:
            self._update(secret, leaf, f"a new certificate, valid until {until:%Y-%m-%d}, because {why}")

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
        secret = self._found.secrets.get(TOKEN_KEYS)
        if secret is None:
            self._create(TOKEN_KEYS, key_rotation.new_token_key(self._now), "a key that signs registry tokens")
            return
        data = content(TOKEN_KEYS, secret)
        if ours(secret):
            turn = key_rotation.token_keys(data, self._now)
            if turn is not None:
                self._update(secret, turn.data, turn.what)
            return
        if not key_rotation.names_of_token_keys(data):
            raise BootstrapFailed(
                f"Secret {TOKEN_KEYS} is not ours and has no key that ends in .pem: add an EC P-256 private key, "
                "or delete the Secret and a new one is made"
            )
        self._notes.append(f"left alone Secret {TOKEN_KEYS}: it is not ours")

    def _database(self) -> None:
        secret = self._found.secrets.get(DATABASE)
        made = {"username": b"registry", "database": b"registry", "password": secrets.token_urlsafe(32).encode()}
        if secret is None:
            self._create(DATABASE, made, "user, database and a random password")
            return
        data = content(DATABASE, secret)
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
        data = content(name, secret)
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
        body = {**self._head("Secret", name), "type": kind, "data": encoded(data)}
        self._changes.append(Change("create", "secrets", name, body, f"created Secret {name}: {what}"))

    def _update(self, secret: Mapping[str, Any], data: Mapping[str, bytes], what: str) -> None:
        name = secret["metadata"]["name"]
        body = {**secret, "data": encoded(data)}
        self._changes.append(Change("update", "secrets", name, body, f"updated Secret {name}: {what}"))

    def _head(self, kind: str, name: str) -> dict[str, Any]:
        labels = {MANAGED_BY: OWNER, "app.kubernetes.io/part-of": "image-registry"}
        metadata = {"name": name, "namespace": self._options.namespace, "labels": labels}
        return {"apiVersion": "v1", "kind": kind, "metadata": metadata}


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name.strip("[]") if colon and port.isdigit() and (":" not in name or name.startswith("[")) else host
