"""A change as all watches of a process tell it: made into an object once, and into a line once for each form.

Two hundred watches of one stream differ in whom they tell, not in what. Each on its own would make the same object and
the same bytes, one after the other, because Python does one thing at a time: the last of them would be told when two
hundred encodings are done.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING

from image_registry.imagestreams.changes import Changed
from image_registry.imagestreams.model import ImageStream

if TYPE_CHECKING:
    from image_registry.image_api.collections import Watchable
    from image_registry.image_api.documents import Document


class Told:
    """One change. Nobody may alter the documents: they are everybody's."""

    __slots__ = ("_documents", "_lines", "_lock", "change", "weight")

    def __init__(self, change: Changed) -> None:
        self.change = change
        self.weight = _weight(change)
        """How much of memory it holds while it waits: the events of its tags, and one."""
        self._lock = threading.Lock()
        self._documents: dict[str, Document | None] = {}
        self._lines: dict[Hashable, bytes] = {}

    def document(self, collection: Watchable) -> Document | None:
        """The changed object as one of the collection; ``None`` if it is another's."""
        name = collection.resource.name
        with self._lock:
            if name not in self._documents:
                self._documents[name] = collection.shown(self.change.value)
            return self._documents[name]

    def line(self, form: Hashable, encode: Callable[[], bytes]) -> bytes:
        """The bytes in a form; ``encode`` makes them for whoever is first."""
        with self._lock:
            line = self._lines.get(form)
            if line is None:
                line = self._lines[form] = encode()
            return line


def _weight(change: Changed) -> int:
    value = change.value
    return 1 + sum(len(history.events) for history in value.tags) if isinstance(value, ImageStream) else 1
