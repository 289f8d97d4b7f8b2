"""Which retention policies are for which stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from image_registry.pruning.retention import InvalidPolicy, Policy, policies
from image_registry.pruning.streams import Stream


class Policies:
    """Which retention policies are for a stream: its own, else those of its namespace."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._namespaces: dict[str, tuple[Policy, ...] | None] = {}

    def add_namespace(self, name: str, annotations: Mapping[str, str]) -> None:
        """What a namespace says; one that cannot be understood keeps everything in it."""
        try:
            found = policies(annotations)
            if found is not None:
                self._namespaces[name] = found
        except InvalidPolicy as error:
            self._namespaces[name] = None
            self._tell(f"namespace {name}: {error}; its streams stay as they are")

    def of(self, stream: Stream) -> Sequence[Policy] | None:
        """``None`` where they cannot be understood."""
        try:
            own = policies(stream.annotations)
        except InvalidPolicy as error:
            self._tell(f"ImageStream {stream.repository}: {error}; it stays as it is")
            return None
        return self._namespaces.get(stream.namespace, ()) if own is None else own
