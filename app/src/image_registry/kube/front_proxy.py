"""By which certificate the kube-apiserver proves that a proxied request comes from it (aggregation layer).

The cluster publishes it in the ConfigMap ``kube-system/extension-apiserver-authentication``; the Role
``extension-apiserver-authentication-reader`` lets us read it. Header *names* come from there too.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from image_registry.kube.client import ClusterClient
from image_registry.kube.errors import ClusterUnreachable, KubeError

PATH = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"

REFRESH = 30.0
"""Seconds until a rotated CA is noticed."""

POLL = 2.0
"""Seconds between two questions to a cluster that does not answer yet."""


class AggregationUnavailable(Exception):
    """The cluster has no aggregation layer, or its settings cannot be read; the text says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontProxyTrust:
    """Whom to believe, and in which headers. Header names as they were published; compare without case."""

    ca: str
    """PEM text of the CAs that sign front-proxy client certificates."""
    allowed_names: frozenset[str] = frozenset()
    """Common names; none means any certificate of these CAs."""
    username_headers: tuple[str, ...] = ("X-Remote-User",)
    group_headers: tuple[str, ...] = ("X-Remote-Group",)
    uid_headers: tuple[str, ...] = ("X-Remote-Uid",)
    extra_header_prefixes: tuple[str, ...] = ("X-Remote-Extra-",)

    def allows(self, common_name: str | None) -> bool:
        """True if a *verified* certificate with this common name speaks for the kube-apiserver."""
        return common_name is not None and (not self.allowed_names or common_name in self.allowed_names)

    @staticmethod
    def parse(data: Mapping[str, str]) -> FrontProxyTrust:
        """Read the ConfigMap's data. Raises :class:`AggregationUnavailable`."""
        ca = data.get("requestheader-client-ca-file", "")
        if "BEGIN CERTIFICATE" not in ca:
            raise AggregationUnavailable(
                "the cluster's aggregation layer is not configured: kube-apiserver needs "
                "--requestheader-client-ca-file and its companions (ConfigMap "
                "kube-system/extension-apiserver-authentication has no such CA)"
            )
        return FrontProxyTrust(
            ca=ca,
            allowed_names=frozenset(_names(data, "requestheader-allowed-names")),
            username_headers=_names(data, "requestheader-username-headers", "X-Remote-User"),
            group_headers=_names(data, "requestheader-group-headers", "X-Remote-Group"),
            uid_headers=_names(data, "requestheader-uid-headers", "X-Remote-Uid"),
            extra_header_prefixes=_names(data, "requestheader-extra-headers-prefix", "X-Remote-Extra-"),
        )


def read(client: ClusterClient) -> FrontProxyTrust:
    """Ask the cluster once. Raises :class:`AggregationUnavailable`, KubeError, ClusterUnreachable."""
    found = client.find(PATH)
    if found is None:
        raise AggregationUnavailable("ConfigMap kube-system/extension-apiserver-authentication does not exist")
    return FrontProxyTrust.parse(found.get("data") or {})


def wait(
    client: ClusterClient,
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> FrontProxyTrust:
    """Ask until the cluster answers: a node that boots starts Pods before the way to the API server is laid.

    Ending instead would leave the restart to kubelet, which waits longer each time, up to five minutes. Raises as
    :func:`read` does, at once for what time does not cure.
    """
    deadline = clock() + seconds
    while True:
        try:
            return read(client)
        except (ClusterUnreachable, KubeError) as error:
            if clock() >= deadline or (isinstance(error, KubeError) and not error.passing):
                raise
        sleep(POLL)


class FollowedTrust:
    """The trust of now: read again every 30 s by whoever asks first; the last good one while the cluster is away."""

    def __init__(self, client: ClusterClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._asking = threading.Lock()
        self._read_at = clock()
        self._trust = read(client)

    def __call__(self) -> FrontProxyTrust:
        """Never blocks behind another caller and never raises."""
        if self._clock() - self._read_at >= REFRESH and self._asking.acquire(blocking=False):
            try:
                self._trust = read(self._client)
            except (AggregationUnavailable, ClusterUnreachable, KubeError) as error:
                structlog.get_logger().warning("front-proxy trust was not refreshed", reason=str(error))
            finally:
                self._read_at = self._clock()
                self._asking.release()
        return self._trust


def _names(data: Mapping[str, str], key: str, default: str | None = None) -> tuple[str, ...]:
    """A JSON list of names. A broken one is an error: reading it as empty would mean *any* for allowed names."""
    text = data.get(key, "")
    if not text.strip():
        return (default,) if default else ()
    try:
        names = json.loads(text)
    except ValueError:
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise AggregationUnavailable(
            f"{key} in ConfigMap kube-system/extension-apiserver-authentication is no JSON list of texts"
        )
    return tuple(names) or ((default,) if default else ())
