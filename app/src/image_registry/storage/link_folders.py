"""Reading every link of a repository at once, as a tree that somebody else wrote: nothing in it is taken for granted.

A link is trusted by its length, which costs no reading; only what a tag means now must be read. A tree of CNCF
distribution may hold empty links of an old crash, folders without a link, and names that this registry does not have.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from image_registry.oci.digest import HEX_LENGTH, Digest, InvalidDigest
from image_registry.oci.reference import InvalidTag, Repository, is_ours, parse_tag
from image_registry.storage import layout
from image_registry.storage.blob_store import NEVER, Linked, Links, TagLinks
from image_registry.storage.disk_faults import GONE, fault

_LONGEST = 255
"""Characters of a name that is followed; no registry has longer ones, and links that lead in a circle must end."""


class LinkFolders:
    """The links below one root. Raises :class:`~image_registry.storage.blob_store.StorageFault`."""

    def __init__(self, root: Path) -> None:
        self._root = os.fspath(root)

    def links(self, repository: Repository) -> Links:
        """See :meth:`~image_registry.storage.blob_store.BlobStore.links`."""
        base = layout.repository(repository)
        damaged: list[str] = []
        manifests = dict(self._digests(f"{base}/_manifests/revisions", damaged))
        tags = dict(self._tags(layout.tags(repository), damaged))
        blobs = frozenset(digest for digest, _ in self._digests(f"{base}/_layers", damaged))
        return Links(tags, manifests, blobs, tuple(damaged))

    def strays(self) -> Iterator[str]:
        """See :meth:`~image_registry.storage.blob_store.BlobStore.strays`."""
        waiting = [""]
        while waiting:
            folder = waiting.pop()
            names = self._names(f"{layout.NAMESPACES}/{folder}".rstrip("/"))
            if folder and layout.PARTS & set(names) and not is_ours(folder):
                yield folder
            if len(folder) < _LONGEST:
                waiting += [f"{folder}/{name}".lstrip("/") for name in names if name not in layout.PARTS]

    def everything(self) -> Iterator[Linked]:
        """See :meth:`~image_registry.storage.blob_store.BlobStore.all_linked`; a damaged link names its digest too."""
        waiting, lost = [""], list[str]()
        if _leads_nowhere(f"{self._root}/{layout.NAMESPACES}"):
            lost.append(layout.NAMESPACES)
        while waiting:
            folder = waiting.pop()
            base = f"{layout.NAMESPACES}/{folder}".rstrip("/")
            names = self._names(base, lost)
            for place, manifests in (("_layers", False), ("_manifests/revisions", True)):
                above, _, below = place.partition("/")
                if above not in names:
                    continue
                if below:
                    self._names(f"{base}/{above}", lost)
                for algorithm in self._names(f"{base}/{place}", lost):
                    yield Linked(folder, manifests, algorithm, self._listed(f"{base}/{place}/{algorithm}"))
            yield from (Linked(name, manifests=False, algorithm="", values=(), lost=True) for name in lost)
            lost.clear()
            if len(folder) < _LONGEST:
                waiting += [f"{folder}/{name}".lstrip("/") for name in names if name not in layout.PARTS]

    def _tags(self, folder: str, damaged: list[str]) -> Iterator[tuple[str, TagLinks]]:
        for tag in self._names(folder):
            try:
                parse_tag(tag)
            except InvalidTag:
                damaged.append(f"{folder}/{tag}")
                continue
            current, since = self._read(f"{folder}/{tag}/current/link")
            if current is None:
                damaged.append(f"{folder}/{tag}/current/link")
            # what a tag has meant is a help to people: a damaged link there is not worth a word
            yield tag, TagLinks(current, since, dict(self._digests(f"{folder}/{tag}/index", [])))

    def _digests(self, folder: str, damaged: list[str]) -> Iterator[tuple[Digest, datetime]]:
        for algorithm in self._names(folder):
            if algorithm not in HEX_LENGTH:
                damaged.append(f"{folder}/{algorithm}")
                continue
            expected = len(algorithm) + 1 + HEX_LENGTH[algorithm]
            for value in self._names(f"{folder}/{algorithm}"):
                link = f"{folder}/{algorithm}/{value}/link"
                try:
                    digest = Digest.parse(f"{algorithm}:{value}")
                    found = os.stat(f"{self._root}/{link}")
                except InvalidDigest:
                    damaged.append(f"{folder}/{algorithm}/{value}")
                except GONE:
                    continue  # an empty folder: the link was removed
                except OSError as error:
                    raise fault("look at", link, error) from error
                else:
                    if found.st_size == expected or self._read(link)[0] == digest:
                        yield digest, datetime.fromtimestamp(found.st_mtime, UTC)
                    else:
                        damaged.append(link)

    def _read(self, link: str) -> tuple[Digest | None, datetime]:
        try:
            with open(f"{self._root}/{link}", "rb", buffering=0) as file:
                written = datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)
                return layout.read_link(file.read(256)), written
        except (*GONE, IsADirectoryError):
            return None, NEVER
        except OSError as error:
            raise fault("read", link, error) from error

    def _listed(self, folder: str) -> tuple[str, ...]:
        """All names in a folder of links, quickly: there may be very many."""
        try:
            return tuple(os.listdir(f"{self._root}/{folder}"))
        except GONE:
            return ()
        except OSError as error:
            raise fault("list", folder, error) from error

    def _names(self, folder: str, lost: list[str] | None = None) -> list[str]:
        """Folders in a folder; ``lost`` is given the symbolic links that lead nowhere."""
        found = []
        try:
            with os.scandir(f"{self._root}/{folder}") as entries:
                for entry in entries:
                    if _is_folder(entry):
                        found.append(entry.name)
                    elif lost is not None and _leads_nowhere(entry.path):
                        lost.append(f"{folder}/{entry.name}")
                return found
        except GONE:
            return []
        except OSError as error:
            if error.errno == errno.ELOOP:
                return []
            raise fault("list", folder, error) from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        if error.errno == errno.ELOOP:  # a link that leads to itself; those beside it are something
            return False
        raise


def _leads_nowhere(path: str) -> bool:
    return os.path.islink(path) and not os.path.exists(path)
