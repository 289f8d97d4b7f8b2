"""Registry tokens: short, signed, scoped (design, D5).

A token carries who the caller is and the most it may be used for. It is not a decision: every request still asks the
authorizer, so a revoked right ends within the cache time of the authorizer, not at the token's end.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from image_registry.auth.expiring_cache import ExpiringCache
from image_registry.auth.identity import Identity, InvalidCredentials

LIFETIME = 300
"""Seconds that a token lives (distribution's documents advise at least 60)."""

LEEWAY = 30
"""Seconds by which the clocks of two replicas may differ."""

_ALGORITHM = "ES256"


@dataclass(frozen=True, slots=True)
class Grant:
    """The most a token may be used for on one resource; ``type`` is ``repository`` or ``registry``."""

    name: str
    actions: frozenset[str]
    type: str = "repository"

    def __str__(self) -> str:
        """As clients write it when they ask for it."""
        return f"{self.type}:{self.name}:{','.join(sorted(self.actions))}"


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says."""

    identity: Identity
    grants: tuple[Grant, ...]
    namespaces: Mapping[str, str] = field(default_factory=dict)
    """The uid that each namespace of the grants had when the token was issued."""

    def allows(self, name: str, action: str, kind: str = "repository") -> bool:
        """True if a grant covers the action."""
        return any(
            grant.type == kind and grant.name == name and (action in grant.actions or "*" in grant.actions)
            for grant in self.grants
        )


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A fresh token; times in seconds, ``issued_at`` since the epoch."""

    token: str
    expires_in: int
    issued_at: int
    grants: tuple[Grant, ...]

    def __repr__(self) -> str:
        return f"IssuedToken(expires_in={self.expires_in})"


def generate_key() -> bytes:
    """A new signing key, PEM."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


class RegistryTokens:
    """Issues with the first key, verifies with all: a new key is added behind, then moved to the front."""

    def __init__(
        self,
        keys: Sequence[bytes],
        *,
        issuer: str = "image-registry",
        audience: str = "image-registry",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._verified: ExpiringCache[bytes, Claims] = ExpiringCache(4096, clock)
        self.use(keys)
        self._issuer = issuer
        self._audience = audience
        self._clock = clock

    def use(self, keys: Sequence[bytes]) -> None:
        """Take these keys from now on, PEM, the first signs. Raises :class:`ValueError` and then changes nothing."""
        if not keys:
            raise ValueError("registry tokens need at least one signing key")
        imported = [_import(pem) for pem in keys]
        self._signing = imported[0]
        self._keys = dict(imported)
        self._headers = frozenset(_first_part(kid) for kid in self._keys)
        self._verified.clear()  # or a token of a key that was taken away would be believed until its end

    def issue(
        self,
        identity: Identity,
        grants: Iterable[Grant],
        *,
        namespaces: Mapping[str, str] | None = None,
        until: float | None = None,
    ) -> IssuedToken:
        """A token for this caller and these grants, which ends at ``until`` if that is sooner than usual.

        ``namespaces`` are the uids of the namespaces of the grants: in a namespace that was deleted and made anew the
        token is worth nothing.
        """
        grants = tuple(grants)
        now = int(self._clock())
        lifetime = LIFETIME if until is None else max(min(LIFETIME, int(until) - now), 1)
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": identity.username,
            "iat": now,
            "nbf": now,
            "exp": now + lifetime,
            "uid": identity.uid,
            "groups": list(identity.groups),
            "extra": {key: list(values) for key, values in identity.extra.items()},
            "namespaces": dict(namespaces or {}),
            "access": [{"type": grant.type, "name": grant.name, "actions": sorted(grant.actions)} for grant in grants],
        }
        kid, key = self._signing
        token = jwt.encode(_header(kid), claims, key, algorithms=[_ALGORITHM])
        return IssuedToken(token, lifetime, now, grants)

    def is_ours(self, token: str) -> bool:
        """True if the token names one of our keys; says nothing about its truth."""
        first = token.partition(".")[0]
        if first in self._headers:
            return True
        try:
            header = json.loads(_decode(first))
        except (ValueError, RecursionError):
            return False
        return isinstance(header, dict) and isinstance(header.get("kid"), str) and header["kid"] in self._keys

    def verify(self, token: str) -> Claims:
        """Check signature, issuer, audience and times; raises :class:`InvalidCredentials`.

        Only our own keys count: keys that a token brings along (``jwk``, ``jku``, ``x5c``) and other algorithms are
        never looked at (CVE-2025-24976).
        """
        return self._verified.get(hashlib.sha256(token.encode()).digest(), lambda: self._check(token))

    def _check(self, token: str) -> tuple[Claims, float]:
        try:
            header = json.loads(_decode(token.split(".", 1)[0]))
            key = self._keys.get(str(header.get("kid")))
            if key is None:
                raise InvalidCredentials("the token is signed with a key that this registry does not know")
            claims = jwt.decode(token, key, algorithms=[_ALGORITHM]).claims
        except (JoseError, ValueError, AttributeError, RecursionError):
            raise InvalidCredentials("the token is not one of this registry's") from None
        now = self._clock()
        if claims.get("iss") != self._issuer or claims.get("aud") != self._audience:
            raise InvalidCredentials("the token was issued for another registry")
        issued, begins, ends = (_time(claims, name) for name in ("iat", "nbf", "exp"))
        if max(issued, begins) > now + LEEWAY:
            raise InvalidCredentials("the token is not valid yet: check the clocks")
        if ends <= now:
            raise InvalidCredentials("the token has expired; log in again")
        try:
            return _read(claims), ends - now
        except (KeyError, TypeError, AttributeError):
            raise InvalidCredentials("the token lacks what every token of this registry has") from None


def _read(claims: Mapping[str, Any]) -> Claims:
    identity = Identity(
        str(claims["sub"]),
        uid=str(claims["uid"]),
        groups=tuple(claims["groups"]),
        extra={name: tuple(values) for name, values in claims["extra"].items()},
    )
    grants = tuple(Grant(entry["name"], frozenset(entry["actions"]), entry["type"]) for entry in claims["access"])
    return Claims(identity, grants, dict(claims.get("namespaces", {})))


def _time(claims: Mapping[str, Any], name: str) -> int:
    """A time that must be there: a token without one would be older than everything, or never end."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidCredentials(f"the token has no time {name!r}; ask for a new one")
    return value


def _import(pem: bytes) -> tuple[str, ECKey]:
    try:
        key = ECKey.import_key(pem)
    except (JoseError, ValueError, TypeError):
        raise ValueError("a token key is not an EC private key in PEM form") from None
    if not key.is_private or key.curve_name != "P-256":
        raise ValueError("a token key is not a private key of the curve P-256, which ES256 needs")
    return key.thumbprint(), key


def _header(kid: str) -> dict[str, str]:
    return {"typ": "JWT", "alg": _ALGORITHM, "kid": kid}


def _first_part(kid: str) -> str:
    """The first part of the tokens that are issued with a key: most are known by it without being taken apart."""
    text = json.dumps(_header(kid), separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def _decode(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
