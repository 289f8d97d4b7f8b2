"""What the machine for writes must know of a kind of objects, and what a kind is told of a request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from image_registry.auth.access import Access
from image_registry.auth.identity import Identity
from image_registry.image_api.documents import Document
from image_registry.image_api.resources import Resource
from image_registry.image_api.write_options import WriteOptions
from image_registry.imagestreams.problems import Problems


@dataclass(slots=True)
class Call:
    """One request to write."""

    identity: Identity
    options: WriteOptions
    may: Callable[[Access], bool]
    """Whether the caller may also do this. Raises ``ServiceUnavailable``."""
    admit: Callable[[str], None] = lambda _name: None
    """Raises when nothing new of this name may be put into the namespace."""
    admit_again: Callable[[str], None] = lambda _name: None
    """The same, without believing what it heard before: asked under the lock of whoever empties the namespace."""
    warnings: list[str] = field(default_factory=list)

    @property
    def dry_run(self) -> bool:
        """Whether nothing is to be changed."""
        return self.options.dry_run


class Kind(Protocol):
    """What the machine must know of a kind. Documents have passed the schema and carry name and namespace."""

    resource: Resource

    def get(self, namespace: str, name: str) -> Document:
        """One object. Raises ``NotFound``."""
        ...

    def check(self, document: Document, problems: Problems) -> None:
        """Everything that is wrong with an object by itself, its name included, its other metadata not."""
        ...

    def create(self, namespace: str, document: Document, call: Call) -> Document:
        """Make it. Raises ``AlreadyExists``, and ``InvalidObject`` for what only the registry knows to be wrong."""
        ...

    def update(self, namespace: str, old: Document, new: Document, call: Call) -> Document:
        """Make ``new`` of ``old``, which was read before. Raises ``Conflict`` if that is not what there is now."""
        ...
