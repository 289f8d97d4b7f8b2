"""Which images of an index are wanted, and the index that is left: another document, with another digest.

Pure. Attestations of an image, which indexes list for no platform, go where their image goes.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from image_registry.oci.digest import Digest
from image_registry.oci.manifest import Descriptor, Manifest, parse_manifest

ATTESTED = "vnd.docker.reference.digest"
"""The annotation by which an entry of an index says which other entry it is about."""


@dataclass(frozen=True, slots=True)
class Filter:
    """``pattern`` is looked for in ``os/architecture[/variant]``; a list of one image stays a list if it shall."""

    pattern: re.Pattern[str] | None = None
    keep_list: bool = False

    def apply(self, index: Manifest) -> Manifest | Descriptor | None:
        """The same index, a smaller one, the only image that is wanted, or ``None`` if none is."""
        if self.pattern is None or not index.is_index:
            return index
        wanted = [entry for entry in index.manifests if self._fits(entry)]
        if not wanted:
            return None
        images = {str(entry.digest) for entry in wanted}
        if len(images) == 1 and not self.keep_list:
            return wanted[0]
        kept = images | {str(e.digest) for e in index.manifests if e.annotations.get(ATTESTED) in images}
        return index if len(kept) == len({entry.digest for entry in index.manifests}) else _only(index, kept)

    def _fits(self, entry: Descriptor) -> bool:
        return self.pattern is not None and self.pattern.search(platform_name(entry)) is not None


def platform_name(entry: Descriptor) -> str:
    """``linux/arm/v7``; ``unknown/unknown`` where an index does not say."""
    platform = entry.platform
    if platform is None or not (platform.os or platform.architecture):
        return "unknown/unknown"
    return "/".join(filter(None, (platform.os, platform.architecture, platform.variant)))


def _only(index: Manifest, kept: set[str]) -> Manifest:
    document = json.loads(index.raw)
    document["manifests"] = [entry for entry in document["manifests"] if entry["digest"] in kept]
    raw = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    return parse_manifest(raw, index.media_type, digest=Digest.of(raw))
