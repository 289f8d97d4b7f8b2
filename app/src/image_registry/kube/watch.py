"""Being told of changes: one watch of one collection, metadata alone if no more is asked for, from a thread of its own.

A watch is a help, not a foundation: it may be forbidden, or break, or be behind. Whoever uses one keeps answers
that end by themselves, and forgets them sooner when a change is told. So nothing here waits, retries or fails loudly:
it says once that it cannot watch, tries again, and says once that it can.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import structlog

from image_registry.kube.client import ClusterClient
from image_registry.kube.errors import ClusterUnreachable, KubeconfigError, KubeError

SILENCE = 100.0
"""Seconds without a line, bookmarks included, after which a watch is begun again: the API server sends one a minute."""

LENGTH = 300
"""Seconds after which the API server is to end a watch, so that watches spread over its replicas."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds between two attempts."""

_METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_WHOLE = "application/json"
_METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""The API server refuses the one for a list and the other for a watch."""


@dataclass(frozen=True, slots=True)
class Change:
    """``type`` is ``ADDED``, ``MODIFIED`` or ``DELETED``; ``item`` is what was sent, metadata or the whole object."""

    type: str
    namespace: str
    name: str
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    item: Mapping[str, Any] = field(default_factory=dict, hash=False, compare=False, repr=False)


class _Behind(Exception):
    """The API server no longer knows where we were."""


class Watch:
    """Calls ``changed`` for each change and ``unsure`` when changes may have been missed, both from its own thread."""

    def __init__(
        self,
        client: ClusterClient,
        path: str,
        changed: Callable[[Change], None],
        unsure: Callable[[], None],
        *,
        selector: Mapping[str, str] | None = None,
        whole: bool = False,
    ) -> None:
        """``selector`` is a part of the query; ``whole`` asks for objects as they are."""
        self._client = client
        self._path = path
        self._selector = dict(selector or {})
        self._accept = _WHOLE if whole else _METADATA
        self._changed = changed
        self._unsure = unsure
        self._stop = threading.Event()
        self._spread = random.Random()  # noqa: S311 - no secret; its own, for watches run beside everything
        self._broken = ""
        self._version = ""
        self.following = threading.Event()
        """Set while changes are being told."""
        self._thread = threading.Thread(target=self._run, name=f"watch {path.rpartition('/')[2]}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End at the next change or pause."""
        self._stop.set()

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._stop.is_set():
            try:
                if not self._version:
                    self._version = self._now()
                    self._unsure()
                for change in self._changes():
                    pause = FIRST_PAUSE
                    if change is not None:
                        self._changed(change)
                    if self._stop.is_set():
                        return
                continue  # the API server ended it, as it was asked to
            except _Behind:
                self._version = ""
                continue
            except (KubeError, ClusterUnreachable, KubeconfigError) as error:
                if isinstance(error, KubeError) and error.status == HTTPStatus.GONE:
                    self._version = ""
                self._say(str(error))
            except Exception as error:  # noqa: BLE001 - one change that nobody foresaw must not hide all others
                self._version = ""
                self._say(repr(error))
            finally:
                self.following.clear()
            # spread, so that the processes of a whole cluster do not come back at one and the same moment
            self._stop.wait(pause * self._spread.uniform(0.7, 1.3))
            pause = min(pause * 2, LONGEST_PAUSE)

    def _now(self) -> str:
        """The version of the collection, which a page of one object tells as well as all of them."""
        found = self._client.get(self._path, query={**self._selector, "limit": "1"}, accept=_METADATA_LIST)
        return str((found.get("metadata") or {}).get("resourceVersion") or "0")

    def _changes(self) -> Iterator[Change | None]:
        query = {
            **self._selector,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(LENGTH),
        }
        for event in self._client.stream(
            self._path, query=query, accept=self._accept, silence=SILENCE, opened=self._well
        ):
            kind, item = event.get("type"), event.get("object") or {}
            if kind == "ERROR":
                raise _Behind
            metadata = item.get("metadata") or {}
            self._version = str(metadata.get("resourceVersion") or self._version)
            if kind == "BOOKMARK":
                yield None
            else:
                namespace, name = (str(metadata.get(key) or "") for key in ("namespace", "name"))
                yield Change(str(kind), namespace, name, metadata.get("annotations") or {}, item)

    def _well(self) -> None:
        self.following.set()
        if self._broken:
            self._broken = ""
            structlog.get_logger().info("changes are being told again", collection=self._path)

    def _say(self, reason: str) -> None:
        if not self._broken:
            structlog.get_logger().warning(
                "changes are not told, so they are seen when remembered answers end",
                collection=self._path,
                reason=reason,
            )
        self._broken = reason
