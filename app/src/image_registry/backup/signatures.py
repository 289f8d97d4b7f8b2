"""Signatures that are kept beside Images, as ``ImageSignature`` objects: read with their Images, made one by one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from image_registry.backup.kinds import IMAGES, Document
from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.errors import KubeError
from image_registry.mirroring.limits import Limits

KIND = "ImageSignature"
AT_ONCE = 6
"""Images that are asked for at the same time; lists of them do not say who signed."""


class Signatures:
    """Those of one registry. Methods raise KubeError and ClusterUnreachable."""

    def __init__(self, client: ClusterClient) -> None:
        self._client = client

    def all(self, digests: Iterable[str]) -> list[Document]:
        """What Images of these digests have, by name."""
        found = [document for image in self._images(digests).values() for document in _of(image)]
        return sorted(found, key=lambda document: str(document["metadata"]["name"]))

    def missing(self, wanted: Collection[Document]) -> list[Document]:
        """Those of ``wanted`` that the registry has not got, under whatever name."""
        images = self._images(_digest(document) for document in wanted)
        there = {digest: {_content(one) for one in image.get("signatures") or ()} for digest, image in images.items()}
        return [document for document in wanted if _content(document) not in there.get(_digest(document), ())]

    def _images(self, digests: Iterable[str]) -> dict[str, Document]:
        found: dict[str, Document] = {}

        def one(digest: str) -> None:
            if (image := self._client.find(object_path(IMAGES, "images", digest))) is not None:
                found[digest] = image

        Limits(AT_ONCE, 1).each(sorted(set(digests)), lambda _digest: ("images",), one)
        return found

    def add(self, document: Document) -> None:
        """Make one; somebody may have made it since."""
        try:
            self._client.create(object_path(IMAGES, "imagesignatures"), document)
        except KubeError as error:
            if not error.conflict:
                raise


def _of(image: Mapping[str, Any]) -> Iterator[Document]:
    for signature in image.get("signatures") or ():
        yield {
            "apiVersion": IMAGES,
            "kind": KIND,
            "metadata": {"name": signature["metadata"]["name"]},
            "type": signature["type"],
            "content": signature["content"],
        }


def _digest(document: Mapping[str, Any]) -> str:
    return str(document["metadata"]["name"]).partition("@")[0]


def _content(signature: Mapping[str, Any]) -> tuple[str, str]:
    return str(signature.get("type")), str(signature.get("content"))
