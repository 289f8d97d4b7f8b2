"""What a client should hear about a manifest that is accepted all the same (``Warning: 299``).

A refusal would break a push that works; silence would let it stay as it is. Nothing here decides anything.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from image_registry.oci import media_types
from image_registry.oci.manifest import Descriptor, Manifest
from image_registry.oci.reference import is_referrers_tag

CHILDREN = 1000
"""Entries of an index that are looked up for a warning."""


def children(manifest: Manifest) -> Sequence[Descriptor]:
    """The entries of an index whose absence is worth a word: those that are not declared to lie elsewhere."""
    return [entry for entry in manifest.manifests if not entry.urls][:CHILDREN]


def about(manifest: Manifest, *, tags: Collection[str], missing_blobs: int, missing_children: int) -> Iterator[str]:
    """Sentences for the person who pushed ``manifest`` with these tags."""
    if missing_blobs:
        yield f"{missing_blobs} blob(s) of this manifest are not in the repository: it cannot be pulled before they are"
    if missing_children:
        yield (
            f"{missing_children} manifest(s) of this index are not in the repository: "
            "those platforms cannot be pulled before they are pushed"
        )
    if any(media_types.is_non_distributable(layer.media_type) for layer in manifest.layers):
        yield "non-distributable layers are deprecated (image-spec 1.1): push all layers as ordinary ones"
    if manifest.is_index and any(is_referrers_tag(tag) for tag in tags):
        yield (
            "this registry lists referrers by itself (GET /v2/<name>/referrers/<digest>): "
            "push manifests with a subject, the index under this tag is not needed"
        )
