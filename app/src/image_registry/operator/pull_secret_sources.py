"""What the cluster tells of ServiceAccounts and their Secrets, by lists and watches, and whom a change concerns."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.listing import AS_METADATA, items
from image_registry.kube.watch import Change, Watch
from image_registry.operator import pull_secret_content as content
from image_registry.operator.operand import GROUP_VERSION
from image_registry.operator.pull_secret_plan import BINDING
from image_registry.operator.pull_secret_settings import SERVICE
from image_registry.operator.pull_secret_view import View
from image_registry.operator.pull_secret_writes import RBAC

PAGE = 500

LABELLED = {"labelSelector": f"{content.LABEL}=true"}
NAMED = {"fieldSelector": f"metadata.name={BINDING}"}
COLLECTIONS: dict[str, tuple[str, dict[str, str], bool]] = {
    # resource: group and version, part of the query, whether whole objects are needed
    "namespaces": ("v1", {}, False),
    "serviceaccounts": ("v1", {}, True),
    "secrets": ("v1", LABELLED, True),
    "rolebindings": (RBAC, NAMED, True),
}
Key = tuple[str, str]
"""Namespace and ServiceAccount; the binding of a namespace has no name."""


class Sources:
    """Fills a view; ``changed`` is told whom something concerns, ``ask`` what has to be asked for again."""

    def __init__(
        self,
        client: ClusterClient,
        namespace: str,
        view: View,
        changed: Callable[[Key], None],
        ask: Callable[[str], None],
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._view = view
        self._changed = changed
        self._ask = ask

    def watches(self) -> list[Watch]:
        """Not started: of everything that is listed, and of the two objects that settings are read from."""

        def collection(resource: str, version: str, selector: dict[str, str], *, whole: bool) -> Watch:
            def told(change: Change) -> None:
                self.told(resource, change)

            path = object_path(version, resource)
            return Watch(self._client, path, told, lambda: self._ask(resource), selector=selector, whole=whole)

        def one(path: str, name: str) -> Watch:
            def ask(_: Change | None = None) -> None:
                self._ask("settings")

            return Watch(self._client, path, ask, ask, selector={"fieldSelector": f"metadata.name={name}"})

        service = object_path("v1", "services", namespace=self._namespace)
        return [
            *(
                collection(resource, version, selector, whole=whole)
                for resource, (version, selector, whole) in COLLECTIONS.items()
            ),
            one(object_path(GROUP_VERSION, "configs"), "cluster"),
            one(service, SERVICE),
        ]

    def list(self, resource: str) -> None:
        """See a whole collection. Raises KubeError and ClusterUnreachable."""
        version, selector, whole = COLLECTIONS[resource]
        begun, there = time.monotonic(), set()
        path, accept = object_path(version, resource), "application/json" if whole else AS_METADATA
        for item in items(self._client, path, limit=PAGE, accept=accept, selectors=selector):
            metadata = item.get("metadata") or {}
            there.add((str(metadata.get("namespace") or ""), str(metadata.get("name"))))
            self._seen(resource, item, begun)
        self._view.sweep(resource, there, begun)

    def told(self, resource: str, change: Change) -> None:
        """Something changed in the cluster, or we have changed it."""
        namespace, name = change.namespace, change.name
        if change.type == "DELETED":
            owner = self._view.remove(resource, namespace, name)
        else:
            found = self._seen(resource, change.item)
            if found is None:
                return
            owner = found
        key = {"secrets": (namespace, owner), "serviceaccounts": (namespace, name)}.get(
            resource, (namespace or name, "")
        )
        if resource == "secrets" and not owner:
            return
        self._changed(key)

    def _seen(self, resource: str, item: Any, begun: float = -math.inf) -> str | None:
        """Take note of it; whose Secret it is, and ``None`` if it is no news."""
        if resource == "serviceaccounts":
            return "" if self._view.put_account(item, begun) else None
        if resource == "secrets":
            held = self._view.put_secret(item, begun)
            return held.account if held is not None else None
        if resource == "rolebindings":
            self._view.put_binding(item, begun)
        else:
            self._view.put_namespace(item, begun)
        return ""
