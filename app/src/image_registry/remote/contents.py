"""Where the bytes of a blob may come from that is sent to a registry: memory, a file, another registry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from image_registry.remote.asking import Access
from image_registry.remote.errors import NotFound, Unreadable
from image_registry.remote.reference import RemoteReference
from image_registry.remote.registry import Registries

CHUNK = 1 << 20
Reader: TypeAlias = Callable[[int], bytes | None]


@dataclass(frozen=True, slots=True)
class InMemory:
    """Bytes."""

    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    @contextmanager
    def open(self, offset: int) -> Iterator[Iterator[bytes]]:
        yield iter([self.data[at : at + CHUNK] for at in range(offset, len(self.data), CHUNK)])


@dataclass(frozen=True, slots=True)
class InFile:
    """A file, which should have ``size`` bytes."""

    path: Path
    size: int

    @contextmanager
    def open(self, offset: int) -> Iterator[Iterator[bytes]]:
        try:
            with self.path.open("rb", buffering=0) as file:
                file.seek(offset)
                yield self._parts(file.read)
        except FileNotFoundError:
            raise NotFound(f"there is no file {self.path}") from None
        except OSError as error:
            raise Unreadable(f"{self.path} cannot be read: {error.strerror}") from None

    def _parts(self, read: Reader) -> Iterator[bytes]:
        while True:
            try:
                part = read(CHUNK)
            except OSError as error:
                raise Unreadable(f"{self.path} cannot be read: {error.strerror}") from None
            if not part:
                return
            yield part


@dataclass(frozen=True, slots=True)
class InRegistry:
    """A blob of another registry, which should have ``size`` bytes."""

    registries: Registries
    reference: RemoteReference
    size: int
    access: Access

    def open(self, offset: int) -> AbstractContextManager[Iterator[bytes]]:
        return self.registries.parts(self.reference, self.access, offset=offset, chunk=CHUNK)
