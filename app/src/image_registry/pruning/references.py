"""Which images of this registry a text names: under all its hosts, and no other registry's.

A text that begins with one of our hosts and cannot be read further still says something, if it goes on with a namespace
and the beginning of a name: what begins like it is in use.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from image_registry.oci.digest import Digest, InvalidDigest
from image_registry.oci.reference import InvalidName, InvalidTag, Repository, parse_tag

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://")
_DOMAIN = re.compile(r"\.svc\.[a-z0-9.-]+(?=:|$)", re.ASCII)
_END = re.compile(r"[\s\"'`,;)}\]]")
_NAMES = re.compile(r"[A-Za-z0-9.:\[\]-]+/", re.ASCII)
_PATH = re.compile(r"[a-z0-9._/-]*")


@dataclass(frozen=True, slots=True)
class Named:
    """One image; exactly one of tag and digest."""

    repository: str
    tag: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Broken:
    """It names this registry, but not what in it: repositories that begin with ``prefix`` may be meant.

    Without a namespace and the beginning of a name the prefix is empty and means none: nobody can pull such a thing,
    and whoever may make a Pod could otherwise keep the streams of all others.
    """

    prefix: str
    why: str


class Hosts:
    """Spellings of this registry."""

    def __init__(self, names: Iterable[str]) -> None:
        bare = (_SCHEME.sub("", name.strip(), count=1).partition("/")[0] for name in names)
        self.names = frozenset(_host(name) for name in bare if name)

    def read(self, text: str) -> Named | Broken | None:
        """What a reference means here; ``None`` if it is another registry's."""
        text = _SCHEME.sub("", text.strip(), count=1)
        host, slash, rest = text.partition("/")
        if not slash or _host(host) not in self.names:
            return None
        name, _, digest = rest.partition("@")
        path, _, tag = name.partition(":")
        try:
            repository = str(Repository.parse(path))
            if digest:
                return Named(repository, digest=str(Digest.parse(digest)))
            return Named(repository, tag=parse_tag(tag) if tag or ":" in name else "latest")
        except (InvalidName, InvalidTag, InvalidDigest) as error:
            return Broken(_readable(rest), str(error))

    def search(self, text: str) -> Iterator[Named | Broken]:
        """Everything of ours that is named anywhere in a text."""
        for match in _NAMES.finditer(text):
            host = match.group()
            # what stands before a host without a blank may belong to something else: --image=host/team/app
            for start in range(len(host)):
                if (start == 0 or not host[start - 1].isalnum()) and _host(host[start:-1]) in self.names:
                    end = _END.search(text, match.end())
                    found = self.read(text[match.start() + start : end.start() if end else len(text)])
                    if found is not None:
                        yield found
                    break

    def is_ours(self, text: str) -> bool:
        """Whether a reference begins with one of the hosts."""
        return self.read(text) is not None


def digest_in(text: str) -> str:
    """The digest at the end of a reference, or that a text is; empty if there is none."""
    text = _SCHEME.sub("", text.strip(), count=1)
    try:
        return str(Digest.parse(text.rpartition("@")[2]))
    except InvalidDigest:
        return ""


def _host(text: str) -> str:
    """One spelling of a host: without the port that nobody has to write, and without the domain of the cluster."""
    return _DOMAIN.sub(".svc", text.lower()).removesuffix(":443")


def _readable(rest: str) -> str:
    """A namespace and the beginning of a name, as far as they could be those of a repository of ours, or nothing."""
    match = _PATH.match(rest)
    parts = (match.group() if match else "").split("/")[:2]
    return "/".join(parts) if len(parts) == 2 and all(parts) else ""
