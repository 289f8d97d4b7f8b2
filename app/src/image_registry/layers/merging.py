"""What a stack of layers means (image-spec, "Layer Filesystem Changeset"): each file that is left, and its bytes.

Pure. Everything that a layer says about names is resolved here, in a tree that exists nowhere: links are followed
inside of the image, whiteouts take away, and what leads out of the image is refused before a byte is written.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum

WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"
MOST_LINKS = 40
"""Symbolic links that are followed in one name, as Linux has it."""

LONGEST = 4096
"""Characters of a name or of what a link says: no file system has longer ones, and following them takes for ever."""

Path = tuple[str, ...]


class Kind(Enum):
    """What an entry is."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "symbolic link"
    HARD_LINK = "hard link"
    OTHER = "device or pipe"


class UnsafeLayer(Exception):
    """A layer names something outside of the image, or nothing that can be."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One member of a layer, as it stands there; ``number`` is its place."""

    number: int
    name: str
    kind: Kind
    size: int = 0
    mode: int = 0o644
    target: str = ""
    owner: tuple[int, int] = (0, 0)
    modified: float = 0.0


@dataclass(frozen=True, slots=True)
class Found:
    """What a name means in the end. ``entry`` of layer ``layer`` has its bytes, also for a hard link."""

    layer: int
    entry: Entry


@dataclass(slots=True)
class _Node:
    found: Found
    children: dict[str, _Node] = field(default_factory=dict)


_ROOT = Found(-1, Entry(-1, "", Kind.FOLDER, mode=0o755))


class Tree:
    """Layers are added from the lowest upwards."""

    def __init__(self) -> None:
        self._root = _Node(_ROOT)
        self._layers = 0

    def add(self, entries: Iterable[Entry]) -> None:
        """One more layer. Raises :class:`UnsafeLayer`."""
        fresh: set[Path] = set()
        for entry in entries:
            self._apply(entry, fresh)
        self._layers += 1

    def files(self) -> Iterator[tuple[Path, Found]]:
        """Everything that is left, folders before what is in them."""
        stack: list[tuple[Path, _Node]] = [((), self._root)]
        while stack:
            path, node = stack.pop()
            if path:
                yield path, node.found
            stack.extend(((*path, name), child) for name, child in sorted(node.children.items(), reverse=True))

    def link(self, path: Path, root: Path = ()) -> str | None:
        """A link as it can be written where ``root`` of the image lies alone; ``None`` if it leads out of there.

        Outside of a container an absolute one would lead to the machine's files: it is written as a relative one.
        """
        node = self._plain(path)
        target = node.found.entry.target if node else ""
        try:
            if target.startswith("/"):
                place = self._where(tuple(part for part in target.split("/") if part not in ("", ".")))
                base = "/" + "/".join(path[:-1])
                return posixpath.relpath("/" + "/".join(place), base) if place[: len(root)] == root else None
            place = path[:-1]
            for part in target.split("/"):
                if part == ".." and len(place) <= len(root):
                    return None
                if part == "..":
                    place = place[:-1]
                elif part not in ("", "."):
                    place = self._where((*place, part))
                if place[: len(root)] != root:
                    return None
        except UnsafeLayer:
            return None
        return target

    def _apply(self, entry: Entry, fresh: set[Path]) -> None:
        path = parts(entry.name)
        if not path:
            return  # the root itself
        if "\x00" in entry.target or len(entry.target) > LONGEST:
            raise UnsafeLayer(f"{entry.name[:200]!r} leads to {entry.target[:200]!r}, which no link can say")
        parent = self._folder(path[:-1], entry)
        where, name = self._where(path[:-1]), path[-1]
        if name == OPAQUE:
            for known in [child for child in parent.children if (*where, child) not in fresh]:
                del parent.children[known]
            return
        if name.startswith(WHITEOUT):
            gone = name.removeprefix(WHITEOUT)
            if (*where, gone) not in fresh:
                parent.children.pop(gone, None)
            return
        fresh.add((*where, name))
        found = Found(self._layers, entry)
        if entry.kind is Kind.HARD_LINK:
            origin = self._node(parts(entry.target))
            if origin is None or origin.found.entry.kind is not Kind.FILE:
                raise UnsafeLayer(
                    f"layer {self._layers} links {entry.name[:200]!r} to {entry.target[:200]!r}, which is no file"
                )
            found = origin.found
        before = parent.children.get(name)
        if before is not None and entry.kind is Kind.FOLDER and before.found.entry.kind is Kind.FOLDER:
            before.found = found
        else:
            parent.children[name] = _Node(found)

    def _folder(self, path: Path, entry: Entry) -> _Node:
        """The folder of an entry, made where no layer says that it is there."""
        node = self._root
        for name in self._where(path):
            child = node.children.get(name)
            if child is None:
                child = node.children[name] = _Node(Found(self._layers, Entry(-1, name, Kind.FOLDER, mode=0o755)))
            if child.found.entry.kind is not Kind.FOLDER:
                raise UnsafeLayer(f"{entry.name[:200]!r} lies in a {child.found.entry.kind.value}")
            node = child
        return node

    def _node(self, path: Path) -> _Node | None:
        node = self._root
        for name in (*self._where(path[:-1]), *path[-1:]):
            child = node.children.get(name)
            if child is None:
                return None
            node = child
        return node

    def _where(self, path: Path) -> Path:
        """Without links: those of the image lead inside of the image, however they are written."""
        rest, links = list(path), 0
        done: list[str] = []
        while rest:
            name = rest.pop(0)
            if name == "..":
                done = done[:-1]
                continue
            node = self._plain((*done, name))
            if node is not None and node.found.entry.kind is Kind.LINK:
                links += 1
                if links > MOST_LINKS:
                    raise UnsafeLayer(f"{'/'.join(path)[:200]!r} goes through more than {MOST_LINKS} links")
                target = node.found.entry.target
                if target.startswith("/"):
                    done = []
                rest[:0] = [part for part in target.split("/") if part not in ("", ".")]
            else:
                done.append(name)
        return tuple(done)

    def _plain(self, path: Path) -> _Node | None:
        node: _Node | None = self._root
        for name in path:
            node = node.children.get(name) if node else None
        return node


def parts(name: str) -> Path:
    """Of a member's name. Raises :class:`UnsafeLayer` for one that leads upwards, or holds what no name holds."""
    if len(name) > LONGEST:
        raise UnsafeLayer(f"{name[:200]!r}... has {len(name)} characters; no file system takes more than {LONGEST}")
    found = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in found or "\x00" in name:
        raise UnsafeLayer(f"{name[:200]!r} leads out of the image")
    return found
