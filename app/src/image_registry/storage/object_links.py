"""Every link of a repository from one listing, as somebody else may have written it: nothing is taken for granted.

A link is trusted by its length, which the listing tells; only what a tag means now is read, many at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from image_registry.oci.digest import HEX_LENGTH, Digest, InvalidDigest
from image_registry.oci.reference import Repository, is_ours, is_tag
from image_registry.storage import layout
from image_registry.storage.blob_store import NEVER, Linked, Links, TagLinks
from image_registry.storage.object_client import Entry, ObjectClient

TOGETHER = 16
"""Links that are read at once."""

MANY = 10_000
"""Links that are handed out at once."""

Read = Callable[[str], Digest | None]


def all_links(client: ObjectClient, read: Read, repository: Repository) -> Links:
    """See :meth:`~image_registry.storage.blob_store.BlobStore.links`; ``read`` tells what one link says."""
    base, damaged = layout.repository(repository), list[str]()
    manifests = dict(_digests(client.entries(f"{base}/_manifests/revisions/"), damaged, read))
    blobs = frozenset(digest for digest, _ in _digests(client.entries(f"{base}/_layers/"), damaged, read))
    tags: dict[str, dict[str, Entry]] = {}
    prefix = f"{layout.tags(repository)}/"
    for entry in client.entries(prefix):
        tag, _, rest = entry.key.removeprefix(prefix).partition("/")
        tags.setdefault(tag, {})[rest] = entry
    found = {}
    with ThreadPoolExecutor(TOGETHER, thread_name_prefix="links") as pool:
        meanings = pool.map(lambda tag: read(f"{prefix}{tag}/current/link"), tags)
        for (tag, links), current in zip(tags.items(), meanings, strict=True):
            if not is_tag(tag):
                damaged.append(f"{prefix}{tag}")
                continue
            written = links.get("current/link")
            if current is None:
                damaged.append(f"{prefix}{tag}/current/link")
            past = (entry for rest, entry in links.items() if rest.startswith("index/"))
            found[tag] = TagLinks(current, written.modified if written else NEVER, dict(_digests(past, [], read)))
    return Links(found, manifests, blobs, tuple(damaged))


def everything(client: ObjectClient) -> Iterator[Linked]:
    """See :meth:`~image_registry.storage.blob_store.BlobStore.all_linked`: one listing of all there is."""
    place: tuple[str, bool, str] | None = None
    values: list[str] = []
    for entry in client.entries(f"{layout.NAMESPACES}/"):
        folder, _, file = entry.key.rpartition("/")
        above, _, value = folder.rpartition("/")
        base, _, algorithm = above.rpartition("/")
        for part, manifests in (("/_layers", False), ("/_manifests/revisions", True)):
            if file != "link" or not base.endswith(part):
                continue
            found = (base.removeprefix(f"{layout.NAMESPACES}/").removesuffix(part), manifests, algorithm)
            if found != place or len(values) == MANY:
                if place is not None:
                    yield Linked(*place, tuple(values))
                place, values = found, []
            values.append(value)
    if place is not None:
        yield Linked(*place, tuple(values))


def strays(client: ObjectClient) -> Iterator[str]:
    """See :meth:`~image_registry.storage.blob_store.BlobStore.strays`."""
    waiting = [""]
    while waiting:
        name = waiting.pop()
        inside = set(client.folders(f"{layout.NAMESPACES}/{name}/" if name else f"{layout.NAMESPACES}/"))
        if name and layout.PARTS & inside and not is_ours(name):
            yield name
        waiting += [f"{name}/{part}".lstrip("/") for part in sorted(inside - layout.PARTS)]


def _digests(entries: Iterable[Entry], damaged: list[str], read: Read) -> Iterator[tuple[Digest, datetime]]:
    """Digests of links ``…/<algorithm>/<hex>/link``, which may be anywhere."""
    for entry in entries:
        algorithm, value, file = entry.key.rsplit("/", 3)[-3:]
        if file != "link":
            continue
        try:
            digest = Digest.parse(f"{algorithm}:{value}")
        except InvalidDigest:
            damaged.append(entry.key.removesuffix("/link"))
            continue
        if entry.size == len(algorithm) + 1 + HEX_LENGTH[algorithm] or read(entry.key) == digest:
            yield digest, entry.modified
        else:
            damaged.append(entry.key)
