"""Files of an image are written into a folder, and nothing is ever written outside of it.

Every name is opened from the folder's descriptor on, part by part and without following links, so that neither the
image nor somebody who changes the folder meanwhile leads us away. Links are made when all files are there.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path as File
from typing import IO

from image_registry.layers.merging import Found, Kind, Path
from image_registry.remote.errors import RemoteError

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_SHORT = 1 << 20


class Unwritable(RemoteError):
    """A file cannot be written where it belongs."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to lie in the folder: from the image, under ``root`` of it, as ``path`` of the folder."""

    source: Path
    path: Path
    found: Found


@dataclass(slots=True)
class Placed:
    """What was done."""

    files: int = 0
    size: int = 0
    left_out: list[str] = field(default_factory=list)


class Target:
    """An existing folder. ``preserve`` keeps owners and all bits of modes, for who may do that."""

    def __init__(self, folder: File, *, preserve: bool = False) -> None:
        self._root_path, self._preserve = folder, preserve
        self._written: dict[tuple[int, int], Path] = {}
        self.placed = Placed()

    def folders(self, wishes: Iterable[Wish]) -> None:
        """Make all of them; modes come last, or a folder that nobody may write to could not be filled."""
        for wish in wishes:
            with self._folder(wish.path):
                pass

    def file(self, wish: Wish, content: IO[bytes] | None) -> None:
        """One file; of two names for the same bytes the second is a hard link."""
        entry = wish.found.entry
        with self._folder(wish.path[:-1]) as parent, self._problems(wish.path):
            name = wish.path[-1]
            self._clear(parent, name)
            descriptor = os.open(name, _NEW, 0o600, dir_fd=parent)
            with os.fdopen(descriptor, "wb") as file:
                if content is not None:
                    shutil.copyfileobj(content, file, _SHORT)
                file.flush()  # or the time of the file would be that of its last bytes
                self._mark(file.fileno(), wish)
            self.placed.files += 1
            self.placed.size += entry.size
        self._written[wish.found.layer, entry.number] = wish.path

    def again(self, wish: Wish) -> None:
        """One more name for bytes that are written."""
        origin = self._written[wish.found.layer, wish.found.entry.number]
        with self._folder(origin[:-1]) as source, self._folder(wish.path[:-1]) as parent, self._problems(wish.path):
            self._clear(parent, wish.path[-1])
            os.link(origin[-1], wish.path[-1], src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
            self.placed.files += 1

    def is_written(self, found: Found) -> bool:
        """Whether these bytes are there under another name."""
        return (found.layer, found.entry.number) in self._written

    def links(self, wishes: Iterable[Wish], text: Callable[[Path], str | None]) -> None:
        """Symbolic links, apart from those that lead out of the folder, of which ``text`` gives none."""
        for wish in wishes:
            target = text(wish.source)
            if target is None:
                self.placed.left_out.append(f"{_text(wish.source)} -> {wish.found.entry.target[:200]}: leads outside")
                continue
            with self._folder(wish.path[:-1]) as parent, self._problems(wish.path):
                self._clear(parent, wish.path[-1])
                os.symlink(target, wish.path[-1], dir_fd=parent)
                self.placed.files += 1

    def modes(self, wishes: Iterable[Wish]) -> None:
        """Of folders, the deepest first."""
        for wish in sorted(wishes, key=lambda wish: len(wish.path), reverse=True):
            if wish.found.entry.number >= 0:
                with self._folder(wish.path) as descriptor, self._problems(wish.path):
                    self._mark(descriptor, wish)

    def _mark(self, descriptor: int, wish: Wish) -> None:
        entry = wish.found.entry
        if self._preserve:
            os.fchown(descriptor, *entry.owner)
        os.fchmod(descriptor, entry.mode & (0o7777 if self._preserve else 0o777))
        os.utime(descriptor, (entry.modified, entry.modified))

    def _clear(self, parent: int, name: str) -> None:
        """Make room: for a file in place of a file, never of a folder."""
        try:
            known = os.stat(name, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            return
        if stat.S_ISDIR(known.st_mode):
            raise IsADirectoryError(0, "a folder is there")
        os.unlink(name, dir_fd=parent)

    @contextmanager
    def _folder(self, path: Path) -> Iterator[int]:
        """A descriptor of a folder below the target, made if it is not there."""
        descriptor = os.open(self._root_path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for name in path:
                with self._problems(path):
                    with suppress(FileExistsError):
                        os.mkdir(name, 0o755, dir_fd=descriptor)
                    inner = os.open(name, _FOLDER, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = inner
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def _problems(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise Unwritable(
                f"{self._root_path}/{_text(path)} cannot be written: {error.strerror}; what was there before is never "
                "followed and folders are never replaced"
            ) from None


def chosen(tree: Mapping[Path, Found], source: Path, *, contents: bool) -> list[Wish]:
    """What a path of the image means: a file, a folder as such, or its ``contents``. Empty if there is no such path."""
    base = source if contents else source[:-1]
    return [
        Wish(path, path[len(base) :], found)
        for path, found in tree.items()
        if path[: len(source)] == source and path != base
    ]


def split(wishes: Iterable[Wish]) -> dict[Kind, list[Wish]]:
    """By what they are; hard links are files."""
    found: dict[Kind, list[Wish]] = {kind: [] for kind in Kind}
    for wish in wishes:
        found[wish.found.entry.kind].append(wish)
    return found


def _text(path: Path) -> str:
    return "/".join(path)[:300]
