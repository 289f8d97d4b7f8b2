"""The few things that every object store can do; all that the registry asks of one.

What lies where, what a link is, how an upload grows: that is said once, in :mod:`~image_registry.storage.object_store`.
A client translates these calls, and the store's failures into ours, and knows nothing of registries.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Protocol


class ObjectMissing(Exception):
    """No object under this key."""


class ObjectExists(Exception):
    """Somebody else made this object first."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An object as a listing shows it; ``size`` in bytes."""

    key: str
    size: int
    modified: datetime


class Incoming(Protocol):
    """The bytes of an object on their way here; an empty answer is the end."""

    def read(self, size: int, /) -> bytes: ...

    def close(self) -> None: ...


class ObjectClient(Protocol):
    """One bucket, below one prefix: no key here begins with it.

    Any method may raise :class:`~image_registry.storage.blob_store.StorageFault`, after it has tried a few times.
    """

    listing_lags: bool
    """Whether a listing may show for a moment what was there before a change."""

    def size(self, key: str) -> int | None:
        """In bytes; ``None`` if there is no such object."""
        ...

    def get(self, key: str, start: int = 0) -> Incoming:
        """The bytes from ``start`` on. Raises :class:`ObjectMissing`."""
        ...

    def put(self, key: str, data: BinaryIO, length: int, *, new: bool = False) -> None:
        """Write the object whole; ``new`` raises :class:`ObjectExists` where there is one, whoever is quicker."""
        ...

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; nothing happens for those that are gone."""
        ...

    def entries(self, prefix: str) -> Iterator[Entry]:
        """Every object whose key begins with ``prefix``, in the order of keys."""
        ...

    def folders(self, prefix: str) -> Iterator[str]:
        """The next part, up to a slash, of every key that begins with ``prefix``, which ends with one."""
        ...

    def join(self, key: str, pieces: Sequence[Entry]) -> None:
        """Make one object of others, inside of the store; visible when it is whole. The pieces stay."""
        ...

    def signed(self, key: str, seconds: int) -> str | None:
        """An address where anybody may read the object for a while; ``None`` where the store has no such thing."""
        ...

    def sweep(self, before: datetime) -> int:
        """Remove the rests of joins that were broken off before a time; returns how many."""
        ...
