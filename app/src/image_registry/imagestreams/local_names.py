"""Which image a short name means in a namespace, and where it is pulled from (parity reference 1.8).

A name without a slash, ``app`` or ``app:1``, may be that of an ImageStream of the namespace, if the stream says so
(``spec.lookupPolicy.local``) or the one who asks does. Otherwise it means what container runtimes make of it, which is
an image of a registry that everybody may push to. So a name of a stream that has nothing to show yet is not left to
them either: it becomes the place in this registry where the image will be.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from image_registry.imagestreams.model import ImageStream, TagEvent, TagSpec
from image_registry.oci.digest import Digest, InvalidDigest
from image_registry.oci.reference import InvalidName, InvalidTag, Repository, parse_tag

LATEST = "latest"


class LocalNames(StrEnum):
    """Whether short names in Pods are resolved; if so, what happens to a Pod while they cannot be."""

    OFF = "Off"
    IGNORE = "Ignore"
    FAIL = "Fail"


@dataclass(frozen=True, slots=True)
class ShortName:
    """What may be a tag, or an image, of a stream of the namespace."""

    repository: Repository
    tag: str
    digest: Digest | None = None
    """Wins over the tag, as it does for container runtimes."""

    def __str__(self) -> str:
        return f"{self.repository}@{self.digest}" if self.digest else f"{self.repository}:{self.tag}"

    @staticmethod
    def read(namespace: str, image: str) -> ShortName | None:
        """``None`` for what cannot be one: a name with a registry or a path, or no name at all."""
        if "/" in image or len(image) > 512:
            return None
        rest, at, digest = image.partition("@")
        name, colon, tag = rest.partition(":")
        try:
            return ShortName(
                Repository.of(namespace, name),
                parse_tag(tag) if colon else LATEST,
                Digest.parse(digest) if at else None,
            )
        except (InvalidName, InvalidTag, InvalidDigest):
            return None


@dataclass(frozen=True, slots=True)
class Named:
    """What there is of a short name: the stream (without tags), what is wanted of the tag, and its newest event.

    Of a digest: the newest event that brought it, and what is wanted of that event's tag.
    """

    stream: ImageStream
    spec: TagSpec | None = None
    event: TagEvent | None = None


def meaning(name: ShortName, found: Named | None, host: str, *, any_stream: bool) -> str | None:
    """The full reference that takes the name's place; ``None`` leaves it as it is.

    ``any_stream`` also asks streams that do not lend their names.
    """
    if found is None or not (found.stream.lookup_local or any_stream):
        return None
    here = f"{host}/{name.repository}"
    return pull_spec(name.repository, found.spec, found.event, host) or (
        f"{here}@{name.digest}" if name.digest else f"{here}:{name.tag}"
    )


def pull_spec(repository: Repository, spec: TagSpec | None, newest: TagEvent | None, host: str) -> str:
    """Where those who use a tag pull from, by its reference policy; empty while that is not known.

    What lies in another stream of this registry is pulled from there, whatever the policy: only that one holds it.
    """
    if newest is not None:
        local = spec is not None and spec.reference_policy == "Local"
        if local and newest.image is not None and not newest.reference.startswith(f"{host}/"):
            return f"{host}/{repository}@{newest.image}"
        return newest.reference
    if spec is not None and spec.reference and spec.source is not None and spec.source.kind == "DockerImage":
        return spec.source.name
    return ""
