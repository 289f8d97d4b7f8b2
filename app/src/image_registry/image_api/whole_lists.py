"""A list without a limit, told while it is read: as long as it is, no more than a page of it is in memory.

Ten thousand streams with their history are a hundred megabytes of JSON, and six hundred of memory for whoever makes one
document of them. So a list that is longer than a page is sent page by page, under the state of the first one, as a
client would be told that follows its tokens. One that is no longer is answered like any other.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace

from image_registry.image_api import listing
from image_registry.image_api.collections import Collection
from image_registry.image_api.listing import Listing
from image_registry.image_api.parameters import ListOptions
from image_registry.image_api.resources import GROUP_VERSION

AT_ONCE = 500
"""Objects that are read together."""

_GZIP = 31
"""What zlib calls that format."""


def first(collection: Collection, namespace: str, options: ListOptions) -> Listing:
    """The first page of the list; all of it, if it has no token."""
    return listing.collect(collection, namespace, replace(options, limit=AT_ONCE))


def lines(collection: Collection, namespace: str, options: ListOptions, begun: Listing) -> Iterator[bytes]:
    """The document of the list, in pieces; it goes on where the page ``begun`` ended.

    Whatever goes wrong on the way breaks the connection: half of a list must not look like all of it.
    """
    head = {"kind": collection.resource.list_kind, "apiVersion": GROUP_VERSION}
    metadata = {"resourceVersion": str(begun.revision)}
    yield _text({**head, "metadata": metadata})[:-1] + b',"items":['
    page, before = begun, b""
    while True:
        if page.items:
            yield before + _text(page.items)[1:-1]
            before = b","
        if not page.token:
            break
        further = replace(options, limit=AT_ONCE, token=page.token, resource_version=None, exactly=False)
        page = listing.collect(collection, namespace, further)
    yield b"]}\n"


def compressed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same as gzip."""
    press = zlib.compressobj(1, wbits=_GZIP)
    for piece in pieces:
        if made := press.compress(piece):
            yield made
    yield press.flush()


def _text(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(errors="replace")
