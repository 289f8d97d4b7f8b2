"""Reading a cluster of which not everything may be read: one failure is a line in the inventory and stops nothing else.

Only for reading: there is no way through here to write.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.errors import ClusterUnreachable, KubeError
from image_registry.kube.listing import items
from image_registry.kube.own_access import Right
from image_registry.migration.facts import ObjectName, Unread

PAGE = 200
NOTHING: Mapping[str, str] = MappingProxyType({})


class Reader:
    """Asks one cluster; remembers what it was not told."""

    def __init__(self, client: ClusterClient, cluster: str = "workload") -> None:
        self.client, self.cluster = client, cluster
        self._unread: dict[tuple[str, str], Unread] = {}

    @property
    def unread(self) -> tuple[Unread, ...]:
        """What could not be read so far."""
        return tuple(self._unread.values())

    def missed(self, what: str, why: str, right: str = "") -> None:
        """Remember it, once for each reason."""
        self._unread.setdefault((what, right or why), Unread(what, why, right))

    def get(self, what: str, name: ObjectName, resource: str) -> dict[str, Any] | None:
        """An object; ``None`` if there is none or it may not be read."""
        path = object_path(name.api_version, resource, name.name, namespace=name.namespace)
        try:
            return self.client.find(path)
        except KubeError as error:
            self._failed(what, error, Right("get", _group(name.api_version), resource, "", name.namespace))
        except ClusterUnreachable as error:
            self.missed(what, str(error))
        return None

    def list(
        self,
        what: str,
        group_version: str,
        resource: str,
        namespace: str = "",
        *,
        selectors: Mapping[str, str] = NOTHING,
        quiet: bool = False,
    ) -> Iterator[dict[str, Any]]:
        """Objects, page by page; nothing for a kind that the cluster does not have. ``quiet``: a refusal is no news."""
        path = object_path(group_version, resource, namespace=namespace)
        try:
            for item in items(self.client, path, limit=PAGE, selectors=selectors):
                if isinstance(item, dict) and isinstance(item.get("metadata"), dict):
                    yield item
                else:
                    self.missed(what, f"{path} lists something that is no object")
        except KubeError as error:
            if not error.not_found and not quiet:
                self._failed(what, error, Right("list", _group(group_version), resource, "", namespace))
        except ClusterUnreachable as error:
            self.missed(what, str(error))

    def read(self, what: str, path: str) -> dict[str, Any] | None:
        """Any other answer of the API server."""
        try:
            return self.client.find(path)
        except KubeError as error:
            self.missed(what, str(error), f"get {path}" if error.forbidden else "")
        except ClusterUnreachable as error:
            self.missed(what, str(error))
        return None

    def _failed(self, what: str, error: KubeError, right: Right) -> None:
        self.missed(what, str(error), str(right) if error.forbidden else "")


def name_of(document: Mapping[str, Any], kind: str, api_version: str = "v1") -> ObjectName:
    """Of an item of a list, which does not say what it is."""
    metadata = document["metadata"]
    return ObjectName(kind, text(metadata.get("name")), text(metadata.get("namespace")), api_version)


def at(document: Any, *way: str | int) -> Any:
    """What is there; ``None`` where the way ends before."""
    for step in way:
        if isinstance(step, int):
            document = document[step] if isinstance(document, list) and len(document) > step else None
        else:
            document = document.get(step) if isinstance(document, dict) else None
    return document


def objects(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; nothing for what is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def texts(value: Any) -> tuple[str, ...]:
    """The texts of a list."""
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def words(value: Any) -> dict[str, str]:
    """An object whose values are texts."""
    return {str(key): text(inner) for key, inner in value.items()} if isinstance(value, dict) else {}


def text(value: Any) -> str:
    """A text as it is, a number or a truth as YAML writes it, anything else as nothing."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else ""


def whole(value: Any) -> int:
    """A whole number; 0 for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _group(group_version: str) -> str:
    return group_version.partition("/")[0] if "/" in group_version else ""
