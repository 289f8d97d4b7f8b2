"""How a key follows another one so that nobody on either side of a connection notices. Pure, but for making keys.

* A new CA is trusted first and signs only a day later (``next.crt``), when everybody has heard of it. The old one stays
  trusted until it ends.
* A new token key is added beside the old one and begins to sign when every replica has it
  (:mod:`image_registry.auth.token_keys`); the old one goes at a later run.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from image_registry.auth.token_keys import TIME_FORMAT
from image_registry.auth.tokens import generate_key
from image_registry.operator import certificates
from image_registry.operator.certificates import KeyPair

AUTHORITY_SETTLED = timedelta(days=1)
"""How long a new CA is only trusted before it signs."""

TOKEN_KEY_LIFETIME = timedelta(days=90)
"""Age of the newest token key at which another one is made."""

TOKEN_KEY_OVERLAP = timedelta(days=1)
"""How long the previous token key still verifies at least."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What a Secret shall hold from now on, and in words what that is."""

    data: Mapping[str, bytes] = field(repr=False)
    what: str


@dataclass(frozen=True, slots=True)
class Authority:
    """The CA that signs, those that must be trusted, and what is to be written for that."""

    signs: KeyPair = field(repr=False)
    trusted: tuple[bytes, ...]
    turn: Turn | None = None


def authority(data: Mapping[str, bytes], pair: KeyPair, make: Callable[[], KeyPair], now: datetime) -> Authority:
    """The turn of a CA of ours, whose Secret holds ``data``. Raises :class:`InvalidCertificate`."""
    follower = KeyPair(data["next.crt"], data["next.key"]) if {"next.crt", "next.key"} <= set(data) else None
    expired = certificates.expires(pair.certificate) <= now
    turn = None
    if follower is None and certificates.needs_renewal(pair.certificate, now):
        follower = make()
        if not expired:
            turn = Turn(
                {**data, "next.crt": follower.certificate, "next.key": follower.key},
                f"a new certificate authority; it is trusted from now on and signs in {AUTHORITY_SETTLED.days} day",
            )
    if follower is None:
        return Authority(pair, (pair.certificate,))
    certificates.check_pair(follower)
    if expired or now - certificates.begins(follower.certificate) >= AUTHORITY_SETTLED:
        until = certificates.expires(follower.certificate)
        turn = Turn(
            {"tls.crt": follower.certificate, "tls.key": follower.key},
            f"the new certificate authority signs from now on, valid until {until:%Y-%m-%d}",
        )
        return Authority(follower, (follower.certificate, pair.certificate), turn)
    return Authority(pair, (pair.certificate, follower.certificate), turn)


def new_token_key(now: datetime) -> dict[str, bytes]:
    """A key under a name that says when it was made."""
    return {f"{now.strftime(TIME_FORMAT)}-{secrets.token_hex(4)}.pem": generate_key()}


def token_keys(data: Mapping[str, bytes], now: datetime) -> Turn | None:
    """The turn of token keys of ours, if one is due."""
    known = names_of_token_keys(data)
    made = _made_at(known[0]) if known else None
    age = None if made is None else now - made
    if age is None or age >= TOKEN_KEY_LIFETIME:
        return Turn({**data, **new_token_key(now)}, "another key that signs registry tokens")
    if age >= TOKEN_KEY_OVERLAP and len(known) > 1:
        return Turn({known[0]: data[known[0]]}, "the previous token key is no longer needed")
    return None


def names_of_token_keys(data: Mapping[str, bytes]) -> list[str]:
    """Those that a Secret holds, the newest first."""
    return sorted((key for key in data if key.endswith(".pem")), reverse=True)


def _made_at(name: str) -> datetime | None:
    try:
        return datetime.strptime(name.partition("-")[0] + "+0000", f"{TIME_FORMAT}%z")
    except ValueError:
        return None
