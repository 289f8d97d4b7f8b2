"""Finding one image in another registry with everything that its objects here say: a look, without writing anything.

Of an index ``Legacy`` takes the image of one platform, ``PreserveOriginal`` the index and all its images.
"""

from __future__ import annotations

import platform
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from image_registry.imagestreams.docker_image import MAX_CONFIG
from image_registry.imagestreams.imports import RemoteImage
from image_registry.oci import media_types
from image_registry.oci.digest import Digest
from image_registry.oci.manifest import Descriptor, Manifest
from image_registry.remote.asking import Access
from image_registry.remote.errors import RemoteError, TooLarge, TooManyRequests, Unreachable, Unusable
from image_registry.remote.reference import RemoteReference
from image_registry.remote.registry import Registries

MOST_CHILDREN = 100
"""Images of one index."""

DEPTH = 2
"""Levels of indexes in indexes."""

_HERE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


@dataclass(slots=True)
class Finder:
    """Finds images for one import; what several tags share is fetched once. Thread-safe."""

    registries: Registries
    access: Access
    architecture: str = ""
    os: str = ""
    expired: Callable[[], bool] = lambda: False
    _known: dict[tuple[str, Digest], RemoteImage] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def find(self, reference: RemoteReference, mode: str) -> tuple[RemoteImage, ...]:
        """The image first, then the images that it lists. Raises :class:`RemoteError`."""
        top = self._image(reference)
        if not top.manifest.is_index:
            return (top,)
        if mode == "PreserveOriginal":
            return (top, *self._children(reference, top.manifest, DEPTH))
        entry = choose(top.manifest, self.architecture, self.os)
        chosen = self._image(reference.at(entry.digest))
        if chosen.manifest.is_index:
            raise Unusable(f"{reference} lists another index; import it with importMode PreserveOriginal")
        return (chosen,)

    def _children(self, reference: RemoteReference, index: Manifest, depth: int) -> list[RemoteImage]:
        if len(index.manifests) > MOST_CHILDREN:
            raise TooLarge(f"{reference} lists {len(index.manifests)} images; at most {MOST_CHILDREN} are imported")
        if depth == 0:
            raise Unusable(f"{reference} lists indexes in indexes, more than {DEPTH} levels of them")
        found: dict[Digest, RemoteImage] = {}
        for entry in index.manifests:
            child = self._image(reference.at(entry.digest))
            found[child.manifest.digest] = child
            if child.manifest.is_index:
                below = self._children(reference, child.manifest, depth - 1)
                found.update((image.manifest.digest, image) for image in below)
            if len(found) > MOST_CHILDREN:
                raise TooLarge(f"{reference} lists more than {MOST_CHILDREN} images")
        found.pop(index.digest, None)
        return list(found.values())

    def _image(self, reference: RemoteReference) -> RemoteImage:
        if reference.digest is not None and (known := self._recall(reference.name, reference.digest)):
            return known
        if self.expired():
            raise Unreachable(f"there was no time left to look at {reference}; import it by itself")
        fetched = self.registries.manifest(reference, self.access)
        manifest = fetched.manifest
        if known := self._recall(reference.name, manifest.digest):
            return known
        found = RemoteImage(manifest, self._config(reference, manifest), reference.name, self.access.insecure)
        with self._lock:
            self._known[reference.name, manifest.digest] = found
        return found

    def _recall(self, name: str, digest: Digest) -> RemoteImage | None:
        with self._lock:
            return self._known.get((name, digest))

    def _config(self, reference: RemoteReference, manifest: Manifest) -> bytes | None:
        """What the Image shows beside its manifest; an image without it can be imported all the same."""
        config = manifest.config
        if config is None or config.media_type not in media_types.CONFIG_TYPES or config.size > MAX_CONFIG:
            return None
        try:
            with self.registries.blob(reference.at(config.digest), self.access, size=config.size) as parts:
                return b"".join(parts)
        except (TooManyRequests, Unreachable):
            raise
        except RemoteError:
            return None


def choose(index: Manifest, architecture: str = "", os: str = "") -> Descriptor:
    """The entry of a platform: the one that was asked for, that of this machine, linux/amd64, or simply the first.

    Raises :class:`Unusable` if there is nothing to choose from, or nothing for what was asked for.
    """
    entries = [entry for entry in index.manifests if entry.media_type in media_types.SUPPORTED_TYPES]
    images = [entry for entry in entries if "vnd.docker.reference.type" not in entry.annotations] or entries
    wishes = [(os or "linux", _HERE), ("linux", "amd64")]
    if architecture or os:
        wishes = [(os or "linux", architecture or _HERE)]
    for system, machine in wishes:
        for entry in images:
            if entry.platform and (entry.platform.os, entry.platform.architecture) == (system, machine):
                return entry
    if not images or architecture or os:
        wanted = f"for {os or 'linux'}/{architecture or _HERE}" if architecture or os else "that can be imported"
        raise Unusable(f"the index {index.digest} lists no image {wanted}")
    return images[0]
