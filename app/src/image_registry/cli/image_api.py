"""Objects of the Image API as commands name them: ``[namespace/]stream[:tag]``, ``stream@digest``, and their paths."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from image_registry.cli.failures import Wrong
from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.errors import KubeError, NoRegistry
from image_registry.kube.listing import items
from image_registry.oci.digest import Digest, InvalidDigest
from image_registry.oci.reference import InvalidName, InvalidTag, Repository, parse_tag
from image_registry.pruning.gathering import GROUP, VERSION

__all__ = ["GROUP", "VERSION", "Named", "dry", "kind_name", "listed", "path"]

AT_ONCE = 250
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Named:
    """A stream, and perhaps a tag of it or an image in it."""

    namespace: str
    stream: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.short}"

    @property
    def short(self) -> str:
        """Without the namespace: the name of the object."""
        if self.digest:
            return f"{self.stream}@{self.digest}"
        return f"{self.stream}:{self.tag}" if self.tag else self.stream

    @property
    def repository(self) -> str:
        """``namespace/stream``."""
        return f"{self.namespace}/{self.stream}"

    def tagged(self, default: str = "latest") -> Named:
        """With a tag, if it has neither tag nor digest."""
        return self if self.tag or self.digest else Named(self.namespace, self.stream, default)

    @staticmethod
    def parse(text: str, namespace: str) -> Named:
        """Read one. Raises :class:`Wrong`."""
        name, at, digest = text.partition("@")
        name, colon, tag = name.partition(":")
        place, slash, stream = name.rpartition("/")
        try:
            found = Repository.of(place if slash else namespace, stream)
            return Named(
                found.namespace,
                found.name,
                parse_tag(tag) if colon else "",
                str(Digest.parse(digest)) if at else "",
            )
        except (InvalidName, InvalidTag, InvalidDigest) as error:
            raise Wrong(
                f"{text[:300]!r} names nothing here: {error}; write [<namespace>/]<stream>[:<tag>], or "
                "[<namespace>/]<stream>@<digest>"
            ) from None


def path(resource: str, name: str = "", *, namespace: str = "") -> str:
    """Where an object of the group is, or its collection."""
    return object_path(VERSION, resource, name, namespace=namespace)


def kind_name(resource: str, name: str) -> str:
    """``imagestream.image.alauda.io/app``, as kubectl writes names."""
    return f"{resource}.{GROUP}/{name}"


def dry(run: bool) -> dict[str, str]:
    """The query of a write."""
    return {"dryRun": "All"} if run else {}


def listed(client: ClusterClient, resource: str, namespace: str = "") -> Iterator[Mapping[str, Any]]:
    """A whole collection, page by page. Raises :class:`NoRegistry` where the Image API is not served."""
    try:
        for item in items(client, path(resource, namespace=namespace), limit=AT_ONCE):
            if isinstance(item, Mapping):
                yield item
    except KubeError as error:
        if error.not_found:
            raise NoRegistry(
                f"the Image API is not served by {client.server}: look at `kubectl get apiservice v1.{GROUP}`"
            ) from None
        raise
