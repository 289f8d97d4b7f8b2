"""Links and records: small files, which the target has to have exactly as the source has them.

What a link says is known from its path, except for what a tag means now: that one is read on both sides, each time. A
link that the source does not have any more is removed from the target; a copy that keeps deleted tags would bring them
back on the day on which the tables are made from storage.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from image_registry.oci.digest import Digest, InvalidDigest
from image_registry.relocating.crew import Crew, answers
from image_registry.relocating.findings import Tally
from image_registry.storage import layout
from image_registry.storage.object_client import Entry
from image_registry.storage.tree import Tree

READ_AT_ONCE = 16
"""Tags or records of one folder that are read at once."""

UPLOADS = "/_uploads/"


@dataclass
class Difference:
    """What the target has to be told of one folder."""

    write: dict[str, bytes] = field(default_factory=dict)
    remove: list[str] = field(default_factory=list)
    found: int = 0
    named: set[Digest] = field(default_factory=set)
    """Digests that layers and manifests of the source name."""


class Links:
    """Compares folder by folder. ``allowed`` is asked before each write, and raises where it must not be; without it
    nothing is written, and the same is found."""

    def __init__(
        self,
        source: Tree,
        target: Tree,
        tally: Tally,
        crew: Crew,
        *,
        allowed: Callable[[], None] | None,
        progress: Callable[[str, int], None],
    ) -> None:
        self._source, self._target = source, target
        self._tally, self._crew, self._allowed, self._progress = tally, crew, allowed, progress

    def vanishing(self) -> tuple[int, int]:
        """How many links the target has, and how many of them the source does not have; nothing is read or written."""
        count = Counter[str]()

        def one(folder: str) -> None:
            here = {entry.key for entry in self._source.entries(folder) if UPLOADS not in entry.key}
            there = [entry.key for entry in self._target.entries(folder) if UPLOADS not in entry.key]
            with self._tally.lock:
                count.update(there=len(there), gone=sum(1 for key in there if key not in here))

        self._crew.each(one, repositories(self._target))
        return count["there"], count["gone"]

    def bring(self, trash: set[Digest]) -> set[Digest]:
        """Links of every repository; returns which of the ``trash`` they name."""
        needed: set[Digest] = set()

        def one(folder: str) -> None:
            found = self._links(folder)
            needed.update(found.named & trash)
            self._apply(found)
            removed, written = len(found.remove), len(found.write)
            self._tally.add(links=found.found, links_written=written, links_removed=removed)
            self._progress("links compared", self._tally.links)

        self._crew.each(one, sorted(set(repositories(self._source)) | set(repositories(self._target))))
        return needed

    def bring_records(self) -> None:
        """What only the tables know."""
        found = self._records()
        self._apply(found)
        removed, written = len(found.remove), len(found.write)
        self._tally.add(records=found.found, records_written=written, records_removed=removed)

    def _apply(self, found: Difference) -> None:
        if self._allowed is None or not (found.write or found.remove):
            return
        self._crew.still()
        self._allowed()
        if found.write:
            self._target.write(found.write)
        if found.remove:
            self._target.remove(found.remove)

    def _links(self, folder: str) -> Difference:
        found, tags = Difference(), list[str]()
        there = {entry.key: entry.size for entry in self._target.entries(folder) if UPLOADS not in entry.key}
        for entry in self._source.entries(folder):
            if UPLOADS in entry.key:
                continue
            if entry.key.endswith("/current/link") and "/_manifests/tags/" in entry.key:
                tags.append(entry.key)
            elif (digest := linked(entry.key)) is None:
                self._tally.name("strangers", entry.key)
            elif not self._says(entry, digest):
                self._tally.name("damaged", entry.key)
            else:
                found.found += 1
                if "/tags/" not in entry.key:
                    found.named.add(digest)
                text = str(digest).encode()
                if there.pop(entry.key, None) != len(text):
                    found.write[entry.key] = text
        self._tags(tags, there, found)
        found.remove = sorted(there)
        return found

    def _says(self, entry: Entry, digest: Digest) -> bool:
        """A link is trusted by its length; another length may be a line feed, or a damage."""
        if entry.size == len(str(digest)):
            return True
        data = self._source.read(entry.key)
        return data is not None and layout.read_link(data) == digest

    def _tags(self, tags: list[str], there: dict[str, int], found: Difference) -> None:
        for path, says, said in self._both(tags, there):
            meaning = None if says is None else layout.read_link(says)
            if meaning is None:
                if says is not None:  # else it has just been removed
                    self._tally.name("damaged", path)
                continue
            found.found += 1
            there.pop(path, None)
            if said is None or layout.read_link(said) != meaning:
                found.write[path] = str(meaning).encode()

    def _records(self) -> Difference:
        found = Difference()
        there = {entry.key: entry.size for entry in self._target.entries(layout.RECORDS)}
        names = [entry.key for entry in self._source.entries(layout.RECORDS)]
        for path, says, said in self._both(names, there):
            if says is None:
                continue
            found.found += 1
            there.pop(path, None)
            if says != said:
                found.write[path] = says
        found.remove = sorted(there)
        return found

    def _both(self, paths: list[str], there: dict[str, int]) -> Iterator[tuple[str, bytes | None, bytes | None]]:
        """What small files say at the source and at the target."""

        def read(path: str) -> tuple[str, bytes | None, bytes | None]:
            return path, self._source.read(path), self._target.read(path) if path in there else None

        if len(paths) < 2:
            yield from map(read, paths)
            return
        with ThreadPoolExecutor(READ_AT_ONCE, thread_name_prefix="read") as pool:
            yield from answers(pool, read, paths, READ_AT_ONCE)


def repositories(tree: Tree) -> Iterator[str]:
    """Folders two levels down, which hold everything that belongs to repositories, also to those with longer names."""
    for namespace in tree.folders(layout.NAMESPACES):
        for name in tree.folders(f"{layout.NAMESPACES}/{namespace}"):
            yield f"{layout.NAMESPACES}/{namespace}/{name}"


def linked(path: str) -> Digest | None:
    """What a link ``…/<algorithm>/<hex>/link`` says; ``None`` for a file that is none."""
    parts = path.rsplit("/", 3)
    if len(parts) != 4 or parts[3] != "link":
        return None
    try:
        return Digest.parse(f"{parts[1]}:{parts[2]}")
    except InvalidDigest:
        return None
