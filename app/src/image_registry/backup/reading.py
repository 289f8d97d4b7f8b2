"""What a cluster has of everything that backups are about: read page by page, nothing written."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from image_registry.backup.content import Image, sorted_documents
from image_registry.backup.errors import BackupError
from image_registry.backup.kinds import KINDS, SECRETS, STREAMS, Document, Kind, kept, kept_stream, origins, repository
from image_registry.backup.signatures import Signatures
from image_registry.kube.client import ClusterClient
from image_registry.kube.errors import KubeError
from image_registry.kube.listing import items

AT_ONCE = 100
"""Objects of one page."""

GONE = 410
ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream as it is kept, with the manifests that it holds."""

    document: Document
    digests: frozenset[str]

    @property
    def held(self) -> Iterator[Image]:
        """Each as an image of its repository."""
        return (Image(repository(self.document), digest) for digest in self.digests)

    @property
    def borrowed(self) -> dict[str, Image | None]:
        """What its tags mean and have meant without its holding it, by digest, where it can be had."""
        return {
            digest: Image(origin, digest) if origin else None
            for digest, origin in origins(self.document).items()
            if digest not in self.digests
        }


class Reading:
    """One cluster. ``namespaces`` limits everything to these; then what belongs to no namespace is left out.

    Methods raise :class:`BackupError`, KubeError and ClusterUnreachable.
    """

    def __init__(self, client: ClusterClient, namespace: str, namespaces: Collection[str] = ()) -> None:
        self._client, self._own, self._only = client, namespace, frozenset(namespaces)

    def objects(self) -> tuple[Document, ...]:
        """Everything but Secrets and streams."""
        return sorted_documents(found for kind in KINDS if kind is not SECRETS for found in self._of(kind))

    def secrets(self) -> tuple[Document, ...]:
        """Secrets that people gave to the registry."""
        return sorted_documents(self._of(SECRETS))

    def documents(self) -> list[Document]:
        """Every stream as it is kept."""
        for attempt in range(ATTEMPTS):
            try:
                return [kept_stream(item) for item in self._streams()]
            except KubeError as error:
                if error.status != GONE or attempt == ATTEMPTS - 1:
                    raise
        raise AssertionError  # pragma: no cover - the loop returns or raises

    def streams(self) -> dict[str, Stream]:
        """Every stream with what it holds, by repository; one that goes meanwhile is not there."""
        found = {}
        for document in self.documents():
            if (stream := self._with_digests(document)) is not None:
                found[repository(document)] = stream
        return dict(sorted(found.items()))

    def stream(self, name: str) -> Stream | None:
        """One of them as it is now."""
        place, _, short = name.partition("/")
        item = self._client.find(STREAMS.path(place, short))
        return None if item is None else self._with_digests(kept_stream(item))

    def signatures(self, digests: Collection[str]) -> tuple[Document, ...]:
        """Those of these images that are kept beside them."""
        return tuple(Signatures(self._client).all(digests))

    def _with_digests(self, document: Document) -> Stream | None:
        metadata = document["metadata"]
        path = STREAMS.path(metadata["namespace"], metadata["name"])
        layers = self._client.find(f"{path}/layers")
        if layers is None:
            return None
        images = layers.get("images") or {}
        return Stream(document, frozenset(digest for digest, one in images.items() if not one.get("imageMissing")))

    def _streams(self) -> Iterator[Any]:
        try:
            for place in sorted(self._only) or [""]:
                yield from items(self._client, STREAMS.path(place), limit=AT_ONCE)
        except KubeError as error:
            if error.not_found or error.passing:
                raise BackupError(
                    f"the Image API does not answer ({error}): look at `kubectl get apiservice v1.image.alauda.io` and "
                    "at the Deployment image-api-server"
                ) from None
            raise

    def _of(self, kind: Kind) -> Iterator[Document]:
        for path in self._paths(kind):
            try:
                found: Iterable[Any] = list(items(self._client, path, limit=AT_ONCE))
            except KubeError as error:
                if error.not_found:  # nobody has defined the kind: there is no operator
                    continue
                raise
            yield from (kept(item, kind) for item in found if kind.takes(item))

    def _paths(self, kind: Kind) -> list[str]:
        if kind.where == "namespace":
            return [] if self._only and self._own not in self._only else [kind.path(self._own)]
        if kind.where == "cluster":
            return [] if self._only else [kind.path()]
        return [kind.path(place) for place in sorted(self._only) or [""]]
