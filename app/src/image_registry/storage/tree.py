"""A storage as a tree of files below one root, for who carries a whole registry from one medium to another.

:class:`~image_registry.storage.blob_store.BlobStore` says what a registry does with blobs and links; whoever copies it
wants every name that lies there, also those that no request would ever find. Nothing here changes what it reads: a look
at a blob takes none back from the trash.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Protocol

from image_registry.storage.choice import Filesystem, Storage, object_client
from image_registry.storage.object_client import Entry, Incoming


class Tree(Protocol):
    """Paths are relative to the root and never end with a slash.

    Any method may raise :class:`~image_registry.storage.blob_store.StorageFault`.
    """

    def folders(self, path: str) -> list[str]:
        """Names of the folders in a folder, in no particular order; none if it is missing."""
        ...

    def entries(self, path: str) -> Iterator[Entry]:
        """Every file below a folder, at any depth, in no particular order."""
        ...

    def size(self, path: str) -> int | None:
        """Bytes of a file; ``None`` if there is none."""
        ...

    def open(self, path: str, size: int) -> Incoming:
        """The bytes of a file of this size, from the start. Raises
        :class:`~image_registry.storage.object_client.ObjectMissing`, here or at the first read."""
        ...

    def read(self, path: str) -> bytes | None:
        """All bytes of a small file; ``None`` if there is none."""
        ...

    def write(self, files: Mapping[str, bytes]) -> None:
        """Let small files say this, each whole or as before; durable on return."""
        ...

    def receive(self, path: str, size: int, data: Iterable[bytes]) -> None:
        """Let a file have these bytes, ``size`` of them; durable on return.

        It is to be seen when all have arrived. What ``data`` raises passes through, and nothing has changed then.
        """
        ...

    def remove(self, paths: Iterable[str]) -> None:
        """Remove files, in this order, and the folders that are empty without them."""
        ...

    def free(self) -> int | None:
        """Bytes that still fit in; ``None`` where nobody can say."""
        ...

    def clear(self, before: datetime) -> None:
        """Remove what a :meth:`receive` left on its way that was killed before a time."""
        ...


def open_tree(storage: Storage) -> Tree:
    """The tree that ``storage`` names; nothing is read or written before it is used."""
    match storage:
        case Filesystem():
            from image_registry.storage.folder_tree import FolderTree

            return FolderTree(storage.rootdirectory)
        case _:
            from image_registry.storage.object_tree import ObjectTree

            return ObjectTree(object_client(storage), chunk=storage.chunksize)
