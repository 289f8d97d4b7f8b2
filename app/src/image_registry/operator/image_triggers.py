"""Workloads that follow tags: the one who looks at them and writes their images (parity reference 1.8).

Told by watches, but led by the state: a workload is looked at whenever it or one of its streams may have changed, at
the beginning and from time to time, and is written only when its image differs from what its tag means then. So nothing
is lost by a restart, and nothing is written twice. If somebody else keeps writing another image, both would go on for
ever; so the same image is written again only after a pause that doubles.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.errors import ClusterUnreachable, KubeconfigError, KubeError
from image_registry.kube.events import Events
from image_registry.kube.pod_templates import Workload, pod_of
from image_registry.kube.reviews import AccessReviewer, ReviewedUser
from image_registry.kube.watch import Change as Told
from image_registry.kube.watch import Watch
from image_registry.operator.trigger_plan import ANNOTATION, FOLLOWING, Change, Tag, patch, plan, read
from image_registry.operator.trigger_queue import DelayedQueue

COMPONENT = "image-triggers"

IMAGE_API = "image.alauda.io/v1"

LIST_AGAIN = 900.0
"""Seconds after which everything is looked at, whatever was told."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds until a workload is looked at again that could not be."""

FIRST_PATIENCE, LONGEST_PATIENCE = 10.0, 600.0
"""Seconds until an image is written again that somebody has replaced."""

PAGE = 500

_METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


@dataclass(frozen=True, slots=True)
class Key:
    """A workload."""

    kind: Workload
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind.kind} {self.namespace}/{self.name}"

    @property
    def path(self) -> str:
        """Where it is."""
        return object_path(self.kind.group_version, self.kind.resource, self.name, namespace=self.namespace)


@dataclass(frozen=True, slots=True)
class Written:
    """An image that was put into a field, and when it may be put there again."""

    image: str
    times: int
    again: float


class ImageTriggers:
    """One term of the replica that holds the lease; the next term begins with a new one."""

    def __init__(self, client: ClusterClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._access = AccessReviewer(client)
        self._events = Events(client, COMPONENT, clock)
        self._queue: DelayedQueue[Key] = DelayedQueue(clock)
        self._lock = threading.Lock()
        self._tags: dict[Key, frozenset[Tag]] = {}
        self._followers: dict[tuple[str, str], set[Key]] = defaultdict(set)
        self._to_list: dict[Workload, float] = dict.fromkeys(FOLLOWING, float("-inf"))
        self._failures: dict[Key, int] = {}
        self._written: dict[tuple[Key, str, str], Written] = {}

    def run(self, goes_on: Callable[[], bool]) -> None:
        """Work while ``goes_on`` says so."""
        watches = self._watches()
        for watch in watches:
            watch.start()
        try:
            while goes_on():
                self.step(goes_on, 1.0)
        finally:
            for watch in watches:
                watch.stop()

    def step(self, goes_on: Callable[[], bool], seconds: float = 0.0) -> bool:
        """List what is to be listed and look at one workload; false if none was due within ``seconds``."""
        for known in FOLLOWING:
            if self._to_list[known] <= self._clock():
                self._list(known)
        key = self._queue.take(seconds)
        if key is None:
            return False
        if not goes_on():  # the next holder looks at everything
            return False
        try:
            self._look_at(key)
            self._failures.pop(key, None)
        except (KubeError, ClusterUnreachable, KubeconfigError) as error:
            self._try_later(key, str(error), conflict=isinstance(error, KubeError) and error.conflict)
        except Exception as error:  # noqa: BLE001 - one workload that nobody foresaw must not end those of all others
            self._try_later(key, repr(error))
        return True

    def workload_told(self, known: Workload, told: Told) -> None:
        """A workload changed."""
        key = Key(known, told.namespace, told.name)
        if told.type == "DELETED":
            self._follow(key, frozenset())
        elif ANNOTATION in told.annotations or key in self._tags:
            self._queue.add(key)

    def stream_told(self, told: Told) -> None:
        """An ImageStream changed."""
        with self._lock:
            followers = tuple(self._followers.get((told.namespace, told.name), ()))
        for key in followers:
            self._queue.add(key)

    def _watches(self) -> list[Watch]:
        def workloads(known: Workload) -> Watch:
            path = object_path(known.group_version, known.resource)
            return Watch(
                self._client,
                path,
                lambda told: self.workload_told(known, told),
                lambda: self._to_list.update({known: float("-inf")}),
            )

        streams = Watch(self._client, object_path(IMAGE_API, "imagestreams"), self.stream_told, self._look_at_all)
        return [*(workloads(known) for known in FOLLOWING), streams]

    def _look_at_all(self) -> None:
        with self._lock:
            keys = tuple(self._tags)
        for key in keys:
            self._queue.add(key)

    def _list(self, known: Workload) -> None:
        """Name every workload of a kind that has the annotation."""
        self._to_list[known] = self._clock() + LIST_AGAIN
        path, query, found = object_path(known.group_version, known.resource), {"limit": str(PAGE)}, set()
        try:
            while True:
                page = self._client.get(path, query=query, accept=_METADATA_LIST)
                for item in page.get("items") or ():
                    metadata = item.get("metadata") or {}
                    if ANNOTATION in (metadata.get("annotations") or {}):
                        found.add(Key(known, str(metadata.get("namespace")), str(metadata.get("name"))))
                token = (page.get("metadata") or {}).get("continue")
                if not token:
                    break
                query = {"limit": str(PAGE), "continue": str(token)}
        except (KubeError, ClusterUnreachable, KubeconfigError) as error:
            self._to_list[known] = self._clock() + LONGEST_PAUSE
            structlog.get_logger().warning("workloads could not be listed", kind=known.kind, reason=str(error))
        with self._lock:
            gone = {key for key in self._tags if key.kind is known} - found
        for key in found | gone:
            self._queue.add(key)

    def _look_at(self, key: Key) -> None:
        document = self._client.find(key.path)
        metadata = (document or {}).get("metadata") or {}
        text = (metadata.get("annotations") or {}).get(ANNOTATION)
        if document is None or text is None or metadata.get("deletionTimestamp"):
            self._follow(key, frozenset())
            return
        document = {"apiVersion": key.kind.group_version, "kind": key.kind.kind, **document}
        triggers, wrong = read(str(text), key.namespace)
        wanted = frozenset(trigger.tag for trigger in triggers if not trigger.paused)
        self._follow(key, wanted)  # before the tags are read, so that a change meanwhile is told
        meanings, refused = self._meanings(key, document, wanted)
        proposal = plan(key.kind, document, triggers, meanings)
        for fault in (*wrong, *refused, *proposal.faults):
            self._events.tell(document, "Warning", "ImageTriggerInvalid", fault)
        changes = tuple(change for change in proposal.changes if self._may_write(key, document, change))
        if changes:
            self._write(key, document, changes)

    def _meanings(
        self, key: Key, document: Mapping[str, Any], tags: frozenset[Tag]
    ) -> tuple[dict[Tag, str], tuple[str, ...]]:
        """What tags mean now, as far as the workload may know it."""
        found: dict[Tag, str] = {}
        refused: list[str] = []
        for tag in sorted(tags):
            if tag.namespace != key.namespace and not self._may_pull(key, document, tag):
                refused.append(
                    f"{tag}: the ServiceAccount of {key} may not pull from there (get imagestreams/layers); bind "
                    "system:image-puller in that namespace"
                )
                continue
            name = f"{tag.stream}:{tag.tag}"
            shown = self._client.find(object_path(IMAGE_API, "imagestreamtags", name, namespace=tag.namespace))
            reference = ((shown or {}).get("image") or {}).get("dockerImageReference")
            if reference:
                found[tag] = str(reference)
        return found, tuple(refused)

    def _may_pull(self, key: Key, document: Mapping[str, Any], tag: Tag) -> bool:
        """Who may write an annotation is told nothing of other namespaces that its Pods could not find out."""
        account = (pod_of(key.kind, document).get("spec") or {}).get("serviceAccountName") or "default"
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{key.namespace}", "system:authenticated")
        user = ReviewedUser(f"system:serviceaccount:{key.namespace}:{account}", groups=groups)
        asked = {"verb": "get", "group": "image.alauda.io", "resource": "imagestreams", "subresource": "layers"}
        return self._access.review(user, {**asked, "namespace": tag.namespace, "name": tag.stream}).allowed

    def _may_write(self, key: Key, document: Mapping[str, Any], change: Change) -> bool:
        written = self._written.get((key, change.field.section, change.field.name))
        if written is None or written.image != change.image or self._clock() >= written.again:
            return True
        self._queue.add(key, written.again - self._clock())
        self._events.tell(
            document,
            "Warning",
            "ImageTriggerUndone",
            f"{change.field.words} was set to {change.image} and somebody has replaced it: pause the trigger, or leave "
            "the field to it",
        )
        return False

    def _write(self, key: Key, document: Mapping[str, Any], changes: tuple[Change, ...]) -> None:
        body = patch(key.kind, document, changes)
        self._client.strategic_merge(key.path, body, owner=COMPONENT)
        for change in changes:
            self._note(key, change)
            message = f"{change.field.words} was set to {change.image}, which its tag means now"
            structlog.get_logger().info(
                "an image was set", workload=str(key), field=change.field.words, image=change.image
            )
            self._events.tell(document, "Normal", "ImageTriggered", message)

    def _note(self, key: Key, change: Change) -> None:
        place = (key, change.field.section, change.field.name)
        before = self._written.get(place)
        now = self._clock()
        again = before is not None and before.image == change.image and now - before.again < LONGEST_PATIENCE
        times = before.times + 1 if before is not None and again else 0
        self._written[place] = Written(change.image, times, now + min(FIRST_PATIENCE * 2**times, LONGEST_PATIENCE))

    def _follow(self, key: Key, tags: frozenset[Tag]) -> None:
        with self._lock:
            for tag in self._tags.pop(key, frozenset()):
                place = (tag.namespace, tag.stream)
                self._followers[place].discard(key)
                if not self._followers[place]:
                    del self._followers[place]
            if tags:
                self._tags[key] = tags
                for tag in tags:
                    self._followers[tag.namespace, tag.stream].add(key)
            else:
                for field in [field for field in self._written if field[0] == key]:
                    del self._written[field]

    def _try_later(self, key: Key, reason: str, *, conflict: bool = False) -> None:
        if conflict:
            self._queue.add(key, 0.1)
            return
        times = self._failures[key] = self._failures.get(key, 0) + 1
        self._queue.add(key, min(FIRST_PAUSE * 2 ** (times - 1), LONGEST_PAUSE))
        if times == 1:
            structlog.get_logger().warning("a workload could not be looked at", workload=str(key), reason=reason)


def run(client: ClusterClient, held: Callable[[], bool], stop: threading.Event) -> None:
    """Work in every term until ``stop``."""
    log = structlog.get_logger()
    while not stop.is_set():
        if not held():
            stop.wait(0.5)
            continue
        log.info("this replica follows tags now")
        ImageTriggers(client).run(lambda: held() and not stop.is_set())
        log.info("this replica waits")
