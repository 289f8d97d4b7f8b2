"""From whom an image may be had: blocked and allowed registries, mirrors, registries without trusted TLS.

Pure: it says where to ask in which order, and asks nobody.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from image_registry.remote.errors import Blocked
from image_registry.remote.reference import RemoteReference


@dataclass(frozen=True, slots=True)
class Mirror:
    """Images of ``source`` (``host``, ``host/path``, ``*.host``) are also in ``mirrors``, which are tried in order."""

    source: str
    mirrors: tuple[str, ...]
    never_contact_source: bool = False
    digests: bool = True
    """Whether it is asked for digests."""
    tags: bool = True
    """Whether it is asked for tags, which a mirror may have left behind."""


@dataclass(frozen=True, slots=True)
class SourceRules:
    """The rules of an installation. ``allowed`` empty is everybody; what is blocked is blocked in any case."""

    blocked: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    insecure: tuple[str, ...] = ()
    mirrors: tuple[Mirror, ...] = ()

    def candidates(self, reference: RemoteReference) -> tuple[RemoteReference, ...]:
        """Where to ask, in order. Raises :class:`Blocked` when nobody may be asked."""
        self.check(reference)
        chosen = self._mirror(reference)
        if chosen is None:
            return (reference,)
        names = [_moved(reference, chosen.source, place) for place in chosen.mirrors]
        found = [name for name in names if not matches(name, self.blocked)]
        if not chosen.never_contact_source:
            found.append(reference)
        if not found:
            raise Blocked(
                f"{reference} may only be had from mirrors, and all of them are blocked; ask an administrator"
            )
        return tuple(dict.fromkeys(found))

    def check(self, reference: RemoteReference) -> None:
        """Raise :class:`Blocked` unless images of that registry may be imported."""
        if matches(reference, self.blocked):
            raise Blocked(f"registry {reference.registry} is blocked here (blockedRegistries); ask an administrator")
        if self.allowed and not matches(reference, self.allowed):
            raise Blocked(
                f"registry {reference.registry} is not among those that images may come from "
                f"(allowedRegistries: {', '.join(self.allowed)[:300]}); ask an administrator"
            )

    def is_insecure(self, reference: RemoteReference) -> bool:
        """Whether plain HTTP and certificates that nobody trusts will do."""
        return matches(reference, self.insecure)

    def named_hosts(self) -> frozenset[str]:
        """Hosts that administrators spelled out: they may be on the inside."""
        places = [*self.allowed, *self.insecure, *(place for mirror in self.mirrors for place in mirror.mirrors)]
        return frozenset(_host(place) for place in places if "*" not in place)

    def _mirror(self, reference: RemoteReference) -> Mirror | None:
        fitting = [
            mirror
            for mirror in self.mirrors
            if (mirror.digests if reference.digest else mirror.tags) and matches(reference, (mirror.source,))
        ]
        return max(fitting, key=lambda mirror: len(mirror.source), default=None)


def matches(reference: RemoteReference, patterns: Iterable[str]) -> bool:
    """Whether a pattern names it: ``host[:port]``, ``host[:port]/path`` with all below, or ``*.domain``."""
    for pattern in patterns:
        wanted, slash, path = pattern.partition("/")
        wanted = wanted.lower()
        below = wanted.startswith("*.")
        fits = reference.registry.endswith(wanted[1:]) if below else wanted == reference.registry
        if fits and (not slash or reference.path == path or reference.path.startswith(f"{path}/")):
            return True
    return False


def _moved(reference: RemoteReference, source: str, place: str) -> RemoteReference:
    """The name of the image in a mirror: what follows the source's path is kept."""
    host, _, base = place.partition("/")
    path = source.partition("/")[2]
    rest = reference.path[len(path) :].lstrip("/") if path else reference.path
    return replace(reference, registry=host.lower(), path="/".join(part for part in (base, rest) if part))


def _host(place: str) -> str:
    server = place.partition("/")[0].lower()
    return server.rpartition(":")[0].strip("[]") if ":" in server and not server.endswith("]") else server.strip("[]")
