"""Names: repositories and tags (OCI distribution-spec, "Pulling manifests"; parity reference 1.2).

A repository here is exactly ``<namespace>/<name>``: the namespace is the Kubernetes namespace and thereby the boundary
of every permission, so a deeper path would be a repository nobody can grant access to (design, decision 14).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from image_registry.oci.digest import Digest

_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*", re.ASCII)
_NAMESPACE = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)
_REFERRERS_TAG = re.compile(r"sha(?:256|512)-[0-9a-f]{64}", re.ASCII)

MAX_REPOSITORY_LENGTH = 255


def is_path(text: str) -> bool:
    """Whether some registry can have a repository of this name, of any depth; then it is no way out of a folder."""
    return len(text) <= MAX_REPOSITORY_LENGTH and all(map(_COMPONENT.fullmatch, text.split("/")))


class InvalidName(ValueError):
    """A repository name that this registry cannot hold."""


class InvalidTag(ValueError):
    """A tag that the distribution specification does not allow."""


@dataclass(frozen=True, slots=True, order=True)
class Repository:
    """``<namespace>/<name>``; the namespace is a DNS label, the name one path component of the specification."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    @staticmethod
    def parse(text: str) -> Repository:
        """Read ``namespace/name``; raises :class:`InvalidName` with what to change."""
        parts = text.split("/")
        if len(parts) != 2:
            raise InvalidName(
                f"repository {text[:300]!r} has {len(parts)} path component(s); "
                "this registry has exactly two: <namespace>/<repository>"
            )
        return Repository.of(*parts)

    @staticmethod
    def of(namespace: str, name: str) -> Repository:
        """Join two checked components; raises :class:`InvalidName`."""
        if not _NAMESPACE.fullmatch(namespace):
            raise InvalidName(f"{namespace[:100]!r} is not a namespace: lower-case letters, digits and '-', at most 63")
        if not _COMPONENT.fullmatch(name):
            raise InvalidName(
                f"{name[:255]!r} is not a repository name: lower-case letters and digits, "
                "separated by '.', '_', '__' or '-'"
            )
        if len(namespace) + 1 + len(name) > MAX_REPOSITORY_LENGTH:
            raise InvalidName(f"repository name is longer than {MAX_REPOSITORY_LENGTH} characters")
        return Repository(namespace, name)


def is_ours(name: str) -> bool:
    """Whether this registry can have a repository of this name."""
    try:
        Repository.parse(name)
    except InvalidName:
        return False
    return True


def is_namespace(text: str) -> bool:
    """False for what no namespace is called, and what no database need be asked about."""
    return _NAMESPACE.fullmatch(text) is not None


def referrers_tag(subject: Digest) -> str:
    """The tag where clients list referrers if the registry does not (distribution-spec, "Referrers Tag Schema")."""
    return f"{subject.algorithm[:32]}-{subject.hex[:64]}"


def is_referrers_tag(tag: str) -> bool:
    """True for a tag that :func:`referrers_tag` could have made."""
    return _REFERRERS_TAG.fullmatch(tag) is not None


def is_tag(text: str) -> bool:
    """Whether it is one: what another registry or a folder lists may be anything, also a way out of a folder."""
    return _TAG.fullmatch(text) is not None


def parse_tag(text: str) -> str:
    """Return ``text`` if it is a tag (at most 128 characters); raises :class:`InvalidTag`."""
    if not _TAG.fullmatch(text):
        raise InvalidTag(
            f"{text[:140]!r} is not a tag: at most 128 letters, digits, '_', '.' and '-', "
            "the first a letter, a digit or '_'"
        )
    return text
