"""What LimitRanges and ResourceQuotas of a namespace say about images, and what a ResourceQuota shows as used.

Answers are remembered; whoever watches says when to forget. While the API server does not answer, what was known last
goes on to hold: no push becomes possible because somebody took the API server away, and none impossible.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.errors import ClusterUnreachable, KubeconfigError, KubeError
from image_registry.kube.quantity import whole

GROUP = "alauda.io/"
COUNTS = "count/imagestreams.image.alauda.io"
"""The generic quota for objects by number, which the API server does not enforce for aggregated APIs."""

REMEMBERED = 30.0
"""Seconds for which an answer is good without a watch."""

SIZE = 4096
"""Namespaces remembered."""

TIMEOUT = 5.0
"""Seconds: somebody waits for the answer."""


@dataclass(frozen=True, slots=True)
class Constraint:
    """``type`` is that of a LimitRange's item, empty for a ResourceQuota; ``maximum`` a number of things or bytes."""

    kind: str
    name: str
    type: str
    resource: str
    maximum: int


@dataclass(frozen=True, slots=True)
class Quota:
    """A ResourceQuota that limits something of ours; ``used`` as it is shown."""

    namespace: str
    name: str
    hard: Mapping[str, int]
    used: Mapping[str, str]


class ConstraintsUnknown(Exception):
    """Nobody can be asked, and nothing is known from before."""


class Constraints:
    """Thread-safe."""

    def __init__(self, client: ClusterClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, tuple[tuple[Constraint, ...], float]] = {}
        self._generation = 0
        self._forbidden = False

    def of(self, namespace: str) -> tuple[Constraint, ...]:
        """Everything that limits images there. Raises :class:`ConstraintsUnknown`."""
        with self._lock:
            known = self._known.get(namespace)
            generation = self._generation
        if known is not None and known[1] > self._clock():
            return known[0]
        try:
            found = (*self._limit_ranges(namespace), *self._quotas(namespace))
        except (KubeError, ClusterUnreachable, KubeconfigError) as error:
            if isinstance(error, KubeError) and error.forbidden:
                self._say_forbidden(error)
                found = ()
            elif known is not None:
                return known[0]
            else:
                raise ConstraintsUnknown(
                    f"the cluster does not tell the limits of namespace {namespace} right now"
                ) from error
        with self._lock:
            # what changed while we asked is asked again next time; the answer still stands in for it until then
            until = self._clock() + REMEMBERED if generation == self._generation else 0.0
            self._known.pop(namespace, None)
            self._known[namespace] = (found, until)
            while len(self._known) > SIZE:
                self._known.pop(next(iter(self._known)))
        return found

    def forget(self, namespace: str = "") -> None:
        """Ask again about this namespace, or about all."""
        with self._lock:
            self._generation += 1
            for name in [namespace] if namespace else list(self._known):
                if name in self._known:
                    self._known[name] = (self._known[name][0], 0.0)

    def quotas(self) -> list[Quota]:
        """Those of the whole cluster that limit something of ours. Raises KubeError and ClusterUnreachable."""
        listed = self._client.get(object_path("v1", "resourcequotas"), query={"resourceVersion": "0"})
        found = []
        for item in _items(listed):
            metadata, spec, status = _mapping(item, "metadata"), _mapping(item, "spec"), _mapping(item, "status")
            hard = _ours(spec)
            if hard:
                used = {name: str(value) for name, value in _mapping(status, "used").items()}
                found.append(Quota(str(metadata.get("namespace")), str(metadata.get("name")), hard, used))
        return found

    def show_used(self, quota: Quota, used: Mapping[str, str]) -> None:
        """Write what ``kubectl describe quota`` shows. Raises KubeError and ClusterUnreachable."""
        path = object_path("v1", "resourcequotas", quota.name, namespace=quota.namespace)
        self._client.merge(f"{path}/status", {"status": {"used": dict(used)}})

    def _limit_ranges(self, namespace: str) -> Iterator[Constraint]:
        listed = self._client.get(object_path("v1", "limitranges", namespace=namespace), timeout=TIMEOUT)
        for item in _items(listed):
            name = str(_mapping(item, "metadata").get("name"))
            for part in _mapping(item, "spec").get("limits") or ():
                kind = str(part.get("type", "")) if isinstance(part, dict) else ""
                if kind.startswith(GROUP):
                    for resource, maximum in _numbers(_mapping(part, "max")):
                        yield Constraint("LimitRange", name, kind, resource, maximum)

    def _quotas(self, namespace: str) -> Iterator[Constraint]:
        listed = self._client.get(object_path("v1", "resourcequotas", namespace=namespace), timeout=TIMEOUT)
        for item in _items(listed):
            name = str(_mapping(item, "metadata").get("name"))
            for resource, maximum in _ours(_mapping(item, "spec")).items():
                yield Constraint("ResourceQuota", name, "", resource, maximum)

    def _say_forbidden(self, error: KubeError) -> None:
        if not self._forbidden:
            self._forbidden = True
            structlog.get_logger().warning("limits are not enforced: they can not be read", reason=str(error))


def _ours(spec: Mapping[str, Any]) -> dict[str, int]:
    """What a ResourceQuota's ``spec`` limits of ours; one that is for some Pods only is for no images."""
    if spec.get("scopes") or spec.get("scopeSelector"):
        return {}
    return {name: most for name, most in _numbers(_mapping(spec, "hard")) if name.startswith(GROUP) or name == COUNTS}


def _numbers(values: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for name, value in values.items():
        try:
            yield name, whole(value)
        except ValueError:
            continue  # the API server takes none; a fake or a proxy may


def _items(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [item for item in document.get("items") or () if isinstance(item, dict)]


def _mapping(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = document.get(name)
    return value if isinstance(value, dict) else {}
