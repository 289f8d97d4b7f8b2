"""Names of images in other registries, as people write them: ``quay.io/team/app:1``, ``busybox``, ``host:5000/a@…``.

Other registries have paths of any depth. A name without a host is one of Docker Hub, as all clients have it.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, replace

from image_registry.oci.digest import Digest, InvalidDigest
from image_registry.oci.reference import InvalidTag, is_tag, parse_tag
from image_registry.remote.errors import InvalidReference

DOCKER_HUB = "docker.io"
_HUB_NAMES = frozenset({DOCKER_HUB, "index.docker.io", "registry-1.docker.io"})
_HUB_SERVER = "registry-1.docker.io"
LONGEST_PATH = 255
_HTTPS = 443

_PATH = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*", re.ASCII)
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class RemoteReference:
    """``registry`` is ``host`` or ``host:port`` in lower case; at most one of tag and digest decides: the digest."""

    registry: str
    path: str
    tag: str = ""
    digest: Digest | None = None

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.name}{tag}" + (f"@{self.digest}" if self.digest else "")

    @property
    def name(self) -> str:
        """Without tag and digest."""
        return f"{self.registry}/{self.path}"

    @property
    def server(self) -> str:
        """``host`` or ``host:port`` that is to be asked."""
        return _HUB_SERVER if self.registry == DOCKER_HUB else self.registry

    @property
    def wanted(self) -> str:
        """What to ask for: the digest, the tag, or ``latest``."""
        return str(self.digest) if self.digest else self.tag or "latest"

    def at(self, wanted: Digest | str) -> RemoteReference:
        """The same name with this digest or tag, and no other."""
        if isinstance(wanted, Digest):
            return replace(self, tag="", digest=wanted)
        if not is_tag(wanted):  # as another side may list it; it becomes a part of an address
            raise InvalidReference(f"{wanted[:140]!r} is not a tag, so {self.name} has none of that name")
        return replace(self, tag=wanted, digest=None)

    @staticmethod
    def parse(text: str) -> RemoteReference:
        """Raises :class:`InvalidReference` with what to change."""
        rest, at, digest_text = text.partition("@")
        digest = None
        if at:
            try:
                digest = Digest.parse(digest_text)
            except InvalidDigest as error:
                raise InvalidReference(f"{text[:300]!r}: {error}") from None
        first, slash, others = rest.partition("/")
        if slash and (first == "localhost" or any(mark in first for mark in ".:[") or first != first.lower()):
            registry, rest = parse_registry(first), others
        else:
            registry = DOCKER_HUB
        path, colon, tag = rest.partition(":")
        if colon:
            try:
                parse_tag(tag)
            except InvalidTag as error:
                raise InvalidReference(f"{text[:300]!r}: {error}") from None
        if registry == DOCKER_HUB and path and "/" not in path:
            path = f"library/{path}"
        if len(path) > LONGEST_PATH or not _PATH.fullmatch(path):
            raise InvalidReference(
                f"{text[:300]!r} names no image: write [<host>[:<port>]/]<path>[:<tag>][@<digest>], the path in "
                "lower-case letters and digits separated by '.', '_', '__', '-' or '/'"
            )
        return RemoteReference(registry, path, tag, digest)


def parse_registry(text: str) -> str:
    """``host`` or ``host:port`` in its one spelling; raises :class:`InvalidReference`.

    Addresses are taken in their usual form only: ``0x7f.1`` and ``2130706433`` are 127.0.0.1 to some resolvers, and a
    name to whoever looks at a list of names.
    """
    lower = text.lower()
    if lower in _HUB_NAMES:
        return DOCKER_HUB
    host, colon, port = lower.rpartition(":") if not lower.endswith("]") else (lower, "", "")
    if not colon:
        host = lower
    elif not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536):
        raise InvalidReference(f"{text[:300]!r} has no port from 1 to 65535 behind its colon")
    if host.startswith("["):
        try:
            host = f"[{ipaddress.IPv6Address(host.removeprefix('[').removesuffix(']'))}]"
        except ValueError:
            raise InvalidReference(f"{text[:300]!r} is not an IPv6 address in brackets") from None
    elif _NUMBER.fullmatch(host.rpartition(".")[2]):
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            raise InvalidReference(f"{text[:300]!r} is neither a name nor an address such as 192.0.2.1") from None
    elif len(host) > 253 or not all(_LABEL.fullmatch(label) for label in host.split(".")):
        raise InvalidReference(f"{text[:300]!r} is no host: letters, digits and '-', separated by '.'")
    # the port that nobody has to write is never written, or one registry would have two names
    return f"{host}:{int(port)}" if colon and int(port) != _HTTPS else host


def split_registry(registry: str) -> tuple[str, int | None]:
    """Host without brackets, and the port if there is one."""
    host, colon, port = registry.rpartition(":")
    if not colon or registry.endswith("]"):
        host, port = registry, ""
    return host.removeprefix("[").removesuffix("]"), int(port) if port else None
