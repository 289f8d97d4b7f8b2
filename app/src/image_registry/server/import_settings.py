"""From whom images may be imported and how: one variable that holds YAML or JSON, because it is lists of lists.

The chart writes it from ``config.imports``; without it all public registries may be asked, and nothing of the inside.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from image_registry.remote.addresses import AddressRules
from image_registry.remote.sources import Mirror, SourceRules
from image_registry.server.refusals import InvalidSettings

VARIABLE = "REGISTRY_IMPORTS"

_LISTS = ("allowedRegistries", "blockedRegistries", "insecureRegistries", "internalNetworks")
_NUMBERS = ("maxTags", "scheduledIntervalSeconds", "scheduledPerMinute")
_KNOWN = {*_LISTS, *_NUMBERS, "mirrors", "pullThrough", "trustedCA"}


@dataclass(frozen=True, slots=True)
class ImportSettings:
    """What the variable says."""

    rules: SourceRules = field(default_factory=SourceRules)
    addresses: AddressRules = field(default_factory=AddressRules)
    authorities: str = ""
    """Further CAs in PEM."""
    max_tags: int = 50
    interval: float = 900.0
    """Seconds between two imports of a scheduled tag; 0 for never."""
    per_minute: int = 60
    """Scheduled imports in a minute at most."""
    pull_through: bool = True
    """Whether the registry fetches what was imported when somebody pulls it."""


def read_imports(text: str) -> ImportSettings:
    """Raises :class:`InvalidSettings` with what is wrong where."""
    import yaml  # of no use to who imports nothing

    try:
        document = yaml.safe_load(text) or {}
    except (ValueError, yaml.YAMLError) as error:
        raise InvalidSettings(f"{VARIABLE} cannot be read as YAML or JSON: {error}") from None
    if not isinstance(document, dict):
        raise InvalidSettings(f"{VARIABLE} is not an object; write for example {{blockedRegistries: [docker.io]}}")
    if unknown := sorted(map(str, document.keys() - _KNOWN)):
        raise InvalidSettings(f"{VARIABLE} has members that nobody knows: {', '.join(unknown)}")
    allowed, blocked, insecure, networks = (_texts(document, name, name) for name in _LISTS)
    tags, interval, rate = (_number(document, name) for name in _NUMBERS)
    rules = SourceRules(blocked, allowed, insecure, tuple(_mirrors(document)))
    try:
        for network in networks:
            ipaddress.ip_network(network, strict=False)
        addresses = AddressRules.of(networks, rules.named_hosts())
    except ValueError as error:
        raise InvalidSettings(f"internalNetworks in {VARIABLE}: {error}; write networks such as 10.0.0.0/8") from None
    default = ImportSettings()
    return ImportSettings(
        rules=rules,
        addresses=addresses,
        authorities=_authorities(document.get("trustedCA")),
        max_tags=default.max_tags if tags is None else tags,
        interval=default.interval if interval is None else float(interval),
        per_minute=default.per_minute if rate is None else rate,
        pull_through=_flag(document, "pullThrough", default=default.pull_through),
    )


def _texts(document: Mapping[str, Any], name: str, where: str) -> tuple[str, ...]:
    value = document.get(name) or []
    if not isinstance(value, list) or not all(isinstance(entry, str) and entry for entry in value):
        raise InvalidSettings(f"{where} in {VARIABLE} must be a list of texts")
    return tuple(value)


def _number(document: Mapping[str, Any], name: str) -> int | None:
    value = document.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < -1):
        raise InvalidSettings(f"{name} in {VARIABLE} must be a whole number")
    return value


def _flag(document: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = document.get(name, default)
    if not isinstance(value, bool):
        raise InvalidSettings(f"{name} in {VARIABLE} must be true or false")
    return value


def _mirrors(document: Mapping[str, Any]) -> list[Mirror]:
    found = []
    for place, entry in enumerate(document.get("mirrors") or ()):
        where = f"mirrors[{place}] in {VARIABLE}"
        if not isinstance(entry, dict) or not isinstance(entry.get("source"), str):
            raise InvalidSettings(f"{where} needs a source, a registry or a repository of one")
        mirrors = _texts(entry, "mirrors", f"mirrors[{place}].mirrors")
        policy = entry.get("mirrorSourcePolicy", "AllowContactingSource")
        if policy not in ("AllowContactingSource", "NeverContactSource"):
            raise InvalidSettings(f"mirrorSourcePolicy of {where} is AllowContactingSource or NeverContactSource")
        pull = entry.get("pull", "all")
        if pull not in ("all", "digest-only", "tag-only"):
            raise InvalidSettings(f"pull of {where} is all, digest-only or tag-only")
        found.append(
            Mirror(
                entry["source"],
                mirrors,
                never_contact_source=policy == "NeverContactSource",
                digests=pull != "tag-only",
                tags=pull != "digest-only",
            )
        )
    return found


def _authorities(value: object) -> str:
    if value is None or value == "":
        return ""
    if not isinstance(value, str) or "BEGIN CERTIFICATE" not in value:
        raise InvalidSettings(f"trustedCA in {VARIABLE} must be certificates in PEM")
    return value
