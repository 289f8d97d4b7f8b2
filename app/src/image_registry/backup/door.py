"""The registry of a backup: where images are read and written, with the credentials of one caller."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from image_registry.backup.errors import BackupError
from image_registry.mirroring.in_registry import Client
from image_registry.remote.addresses import AddressRules
from image_registry.remote.asking import Access
from image_registry.remote.budget import Budget
from image_registry.remote.reference import parse_registry
from image_registry.remote.registry import Registries
from image_registry.remote.renewing import Renewing, Token
from image_registry.remote.sources import SourceRules
from image_registry.remote.wire import Wire
from image_registry.remote.writing import Writing

EVERYWHERE = ("0.0.0.0/0", "::/0")
"""A person names the host, so every address may be asked."""

PATIENCE, ANSWER = 300.0, 300.0
"""Seconds: how long a registry may keep us waiting, and how long it may take to put a large blob in its place."""

NO_LIMIT = 1_000_000

Obtain = Callable[[], Token]
"""Gives a token that is good now; may raise :class:`~image_registry.remote.errors.RemoteError`."""


@dataclass(frozen=True, slots=True)
class Door:
    """``host`` is ``host[:port]`` as references have it."""

    host: str
    client: Client = field(repr=False)

    @staticmethod
    def of(url: str, *, token: Obtain | None = None, authorities: str = "", verify: bool = True) -> Door:
        """``token`` is asked for one as often as one ends.

        Raises :class:`BackupError` for an address that is none; nothing is asked yet.
        """
        parts = urlsplit(url if "://" in url else f"https://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
            raise BackupError(f"{url!r} is no address of a registry: write http(s)://host[:port]")
        plain = parts.scheme == "http"
        place = parts.netloc.rpartition("@")[2]
        host = parse_registry(f"{place}:80" if plain and parts.port is None else place)
        wire = Wire(AddressRules.of(EVERYWHERE), authorities=authorities, read=ANSWER)
        registries = Registries(wire, SourceRules(), Budget(NO_LIMIT, NO_LIMIT))
        renewing = Renewing(token) if token else None
        access = Access(insecure=plain or not verify, patience=PATIENCE, renewing=renewing)
        return Door(host, Client(registries, Writing(registries.questions), access))
