"""All Images of the registry, in some forty bytes each, and what refers to what among them."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import Any

from image_registry.imagestreams.annotations import MANAGED
from image_registry.pruning.compact import Digests, Ledger
from image_registry.pruning.retention import keeps
from image_registry.pruning.streams import seconds

_KEPT, _MANAGED = 1, 2


class Edges:
    """From images to others, in the order of the first; targets may come later than what points at them."""

    def __init__(self) -> None:
        self._owners = array("I")
        self._keys = bytearray()
        self._others: dict[int, str] = {}
        self._targets = array("i")

    def add(self, owner: int, digest: str) -> None:
        """``owner`` points at this digest."""
        raw = bytes.fromhex(digest[7:]) if digest.startswith("sha256:") else b""
        if len(raw) != 32:
            self._others[len(self._owners)] = digest
            raw = bytes(32)
        self._owners.append(owner)
        self._keys += raw

    def resolve(self, digests: Digests) -> None:
        """Every image is known now."""
        for place in range(len(self._owners)):
            digest = self._others.get(place) or f"sha256:{self._keys[place * 32 : place * 32 + 32].hex()}"
            self._targets.append(digests.find(digest))
        self._keys = bytearray()

    def of(self, owner: int) -> Iterator[int]:
        """Images that this one points at, without those that do not exist."""
        place = bisect_left(self._owners, owner)
        while place < len(self._owners) and self._owners[place] == owner:
            if self._targets[place] >= 0:
                yield self._targets[place]
            place += 1

    def owners(self) -> Iterator[int]:
        """Images that point at something, some of them more than once."""
        return iter(self._owners)


class ImageTable:
    """Filled in the order of the list, then closed, then asked."""

    def __init__(self) -> None:
        self.digests = Digests()
        self.created = array("I")
        self.sizes = array("Q")
        self.children = Edges()
        self.subjects = Edges()
        self.ledger = Ledger()
        self.listed = 0
        """Numbers below this are Images; others are digests that something named."""
        self._flags = bytearray()

    def add(self, document: Mapping[str, Any]) -> tuple[int, str]:
        """An ``Image``; returns its number and the digest of its configuration.

        Raises :class:`ValueError` for what is none, or comes out of order.
        """
        try:
            metadata = document["metadata"]
            annotations = metadata.get("annotations", {})
            number = self.digests.append(metadata["name"])
            described = document.get("dockerImageMetadata", {})
            layers = {layer["name"]: layer["size"] for layer in document.get("dockerImageLayers", ())}
            self.created.append(max(seconds(metadata["creationTimestamp"]), 0))
            for entry in document.get("dockerImageManifests", ()):
                self.children.add(number, entry["digest"])
            if document.get("subject"):
                self.subjects.add(number, document["subject"])
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"what the Image API calls an Image is none: {error!r}") from None
        size = sum(layers.values())
        config = str(described.get("Id") or "")
        if config:
            layers.setdefault(config, max(int(described.get("Size") or 0) - size, 0))
        for name, length in layers.items():
            self.ledger.add(number, name, length)
        self.sizes.append(sum(layers.values()))
        managed = annotations.get(MANAGED) == "true"
        self._flags.append((_KEPT if keeps(annotations) else 0) | (_MANAGED if managed else 0))
        self.listed = len(self.digests)
        return number, config

    def close(self) -> None:
        """No Image comes any more."""
        self.children.resolve(self.digests)
        self.subjects.resolve(self.digests)

    def kept(self, number: int) -> bool:
        """Annotated to stay."""
        return number < self.listed and bool(self._flags[number] & _KEPT)

    def managed(self, number: int) -> bool:
        """Pushed into this registry; what is not known counts as such, because no rule of that kind keeps it."""
        return number >= self.listed or bool(self._flags[number] & _MANAGED)

    def size(self, number: int) -> int:
        """Bytes of layers and configuration; 0 for what is no Image."""
        return self.sizes[number] if number < self.listed else 0
