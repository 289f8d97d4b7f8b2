"""What a registry asks for with 401 (RFC 9110 section 11.6.1), and to whom credentials may be shown then.

A registry names the server that issues its tokens. Believed without a look, that name sends the credentials wherever
a registry, or somebody in between, likes (distribution CVE-2026-33540).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

LONGEST = 8192
"""Characters of a header that is read."""

_PART = re.compile(
    r"""[\s,]*(?:(?P<key>[\w.-]{1,64})\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.){0,4096})"|(?P<bare>[^\s,"]{1,4096}))|(?P<scheme>[\w-]{1,32})(?=[\s,]|$))""",
    re.ASCII | re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Challenge:
    """``scheme`` in lower case."""

    scheme: str
    parameters: Mapping[str, str]


def parse_challenges(header: str) -> tuple[Challenge, ...]:
    """Every challenge of one or several headers that were joined; ends where it cannot be read."""
    found: list[tuple[str, dict[str, str]]] = []
    for scheme, key, value in _parts(header[:LONGEST]):
        if scheme:
            found.append((scheme.lower(), {}))
        elif found:
            found[-1][1].setdefault(key.lower(), value)
    return tuple(Challenge(scheme, parameters) for scheme, parameters in found)


def _parts(header: str) -> Iterator[tuple[str, str, str]]:
    position = 0
    while match := _PART.match(header, position):
        position = match.end()
        quoted = match["quoted"]
        value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else match["bare"] or ""
        yield match["scheme"] or "", match["key"] or "", value


def may_see_credentials(realm: str, server: str, *, insecure: bool) -> bool:
    """Whether a realm belongs to the registry that names it, so that it may be shown what is the registry's.

    The same host does, and one with the same parent: ``auth.docker.io`` to ``registry-1.docker.io``, ``gitlab.com`` to
    ``registry.gitlab.com``. A parent needs a dot of its own. Nothing is ever shown without TLS unless the registry
    itself is spoken to like that.
    """
    parts, asked = urlsplit(realm), urlsplit(server)
    theirs, ours = parts.hostname or "", asked.hostname or ""
    if parts.scheme != "https" and not (insecure and parts.scheme == asked.scheme == "http"):
        return False
    if theirs == ours:
        return True
    if _is_address(theirs) or _is_address(ours):
        return False
    parent = ours.partition(".")[2]
    return "." in parent and (theirs == parent or theirs.endswith(f".{parent}"))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
