"""Limits as a cluster states them, in the words of the rules; and what is used, in the words of the cluster."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from image_registry.imagestreams import limits
from image_registry.imagestreams.errors import ImageStreamsError
from image_registry.imagestreams.limits import Limit, Limits, LimitsUnknown, Scope
from image_registry.imagestreams.service import ImageStreams
from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.constraints import COUNTS, Constraint, Constraints, ConstraintsUnknown
from image_registry.kube.errors import ClusterUnreachable, KubeconfigError, KubeError
from image_registry.kube.watch import Watch

IMAGE = "alauda.io/Image"
STREAM = "alauda.io/ImageStream"

INTERVAL = 15.0
"""Seconds between two looks at what is used."""


def read(constraint: Constraint) -> Limit | None:
    """The limit that a constraint states; ``None`` for what has no meaning here."""
    source = f"{constraint.kind} {constraint.name}"
    resource = _resource(constraint.resource)
    match constraint.type:
        case "":
            name = constraint.resource if constraint.resource != resource else ""
            return (
                Limit(source, Scope.NAMESPACE, resource, constraint.maximum, name)
                if resource in limits.NAMESPACED
                else None
            )
        case str(kind) if kind == IMAGE and resource == limits.SIZE:
            return Limit(source, Scope.IMAGE, resource, constraint.maximum)
        case str(kind) if kind == STREAM and resource in (limits.IMAGES, limits.TAGS):
            return Limit(source, Scope.STREAM, resource, constraint.maximum)
    return None


def _resource(name: str) -> str:
    """What the rules call a resource."""
    return limits.STREAMS if name == COUNTS else name


class ClusterLimits:
    """Follows LimitRanges and ResourceQuotas."""

    def __init__(self, client: ClusterClient) -> None:
        self._client = client
        self._constraints = Constraints(client)

    def __call__(self, namespace: str) -> Limits:
        """Raises :class:`LimitsUnknown`."""
        try:
            found = self._constraints.of(namespace)
        except ConstraintsUnknown as error:
            raise LimitsUnknown(str(error)) from error
        return tuple(limit for constraint in found if (limit := read(constraint)) is not None)

    def follow(self) -> None:
        """Forget what changes."""
        for collection in ("limitranges", "resourcequotas"):
            Watch(
                self._client,
                object_path("v1", collection),
                lambda change: self._constraints.forget(change.namespace),
                self._constraints.forget,
            ).start()

    def start(self, streams: ImageStreams) -> None:
        """Follow changes, and keep what quotas show as used."""
        self.follow()
        threading.Thread(target=self._show, args=(streams,), name="quotas", daemon=True).start()

    def show_once(self, streams: ImageStreams) -> int:
        """Write what differs; how many quotas were written. Raises KubeError and ClusterUnreachable."""
        written = 0
        for quota in self._constraints.quotas():
            usage = streams.allowance.usage(quota.namespace, {_resource(name) for name in quota.hard})
            used = {name: str(usage[resource]) for name in quota.hard if (resource := _resource(name)) in usage}
            if used and any(quota.used.get(name) != value for name, value in used.items()):
                self._constraints.show_used(quota, used)
                written += 1
        return written

    def _show(self, streams: ImageStreams) -> None:
        said = ""
        while True:
            time.sleep(INTERVAL)
            said = _quietly(lambda: self.show_once(streams), said)


def _quietly(work: Callable[[], object], said: str) -> str:
    """Do it; what hinders it is logged once. Nobody's push depends on it."""
    try:
        work()
    except (KubeError, ClusterUnreachable, KubeconfigError, ImageStreamsError) as error:
        if not said:
            structlog.get_logger().warning("quotas do not show what is used", reason=str(error))
        return str(error)
    return ""
