"""Executes exactly what a plan says, looking at each thing again before it goes.

A stream is read and judged anew by the same rules; only what both judgements let go goes. Everything is written with
the ``resourceVersion`` of what was looked at, so nothing that comes in between is overwritten. One thing that cannot
be done does not stop the others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import cache, partial
from typing import Any

from image_registry.imagestreams.annotations import MANAGED
from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.errors import ClusterUnreachable, KubeconfigError, KubeError
from image_registry.pruning import streams
from image_registry.pruning.gathering import VERSION
from image_registry.pruning.outcome import Outcome
from image_registry.pruning.patient_client import CONFLICTS, PatientClient
from image_registry.pruning.plan import Dropped, Release, StreamChange
from image_registry.pruning.planner import Planner
from image_registry.pruning.pulls import Times, told
from image_registry.pruning.reasons import Reason
from image_registry.pruning.retention import keeps
from image_registry.pruning.usage import Usage

UNREACHABLE = 5
"""Things in a row that found nobody, after which the rest is not tried."""

AHEAD = 4
"""Things waiting for each worker."""


class Stopped(Exception):
    """The rest is not tried: nobody answers, or our credentials are refused."""


class Executor:
    """One for each run. ``usage`` is what is in use now; ``tell`` hears each thing when it is done."""

    def __init__(
        self,
        client: ClusterClient,
        planner: Planner,
        usage: Usage,
        *,
        workers: int = 5,
        tell: Callable[[str], None] = lambda _line: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client, self._planner, self._usage = PatientClient(client, sleep), planner, usage
        self._plan = planner.plan
        self._workers, self._tell = workers, tell
        self._outcome = Outcome()
        self._unreachable = 0

    def run(self) -> Outcome:
        """First streams, each with what it holds; when they are done, Images."""
        try:
            self._all(self._stream, self._plan.by_stream())
            self._all(self._image, self._plan.deletions())
        except Stopped as error:
            self._outcome.stopped = str(error)
        return self._outcome

    def _all(self, act: Callable[[Any], None], things: Iterable[Any]) -> None:
        with ThreadPoolExecutor(self._workers, thread_name_prefix="prune") as pool:
            running: set[Future[None]] = set()
            try:
                for thing in things:
                    running.add(pool.submit(act, thing))
                    if len(running) >= self._workers * AHEAD:
                        done, running = wait(running, return_when=FIRST_COMPLETED)
                        for future in done:
                            future.result()
                for future in running:
                    future.result()
            except BaseException:
                for future in running:
                    future.cancel()
                raise

    def _stream(self, work: tuple[StreamChange | None, list[Release]]) -> None:
        """Events, then what they kept; then signatures under tags of their own, if what they sign has gone."""
        change, releases = work
        if self._used_by_now(releases):
            events = len(change.events) + len(change.following) if change is not None else 0
            self._outcome.count(kept=events + len(releases))
            return
        if change is not None and change.events and not self._try_change(change, change.events):
            return
        following = change.following if change is not None else ()
        last = {event.image for event in following}
        stayed = {
            release.digest for release in releases if release.digest not in last and not self._try_release(release)
        }
        if change is not None and following:
            gone = tuple(event for event in following if streams.signed_by(event.tag) not in stayed)
            self._outcome.count(kept=len(following) - len(gone))
            if gone and not self._try_change(change, gone):
                return
        for release in releases:
            if release.digest in last:
                self._try_release(release)

    def _used_by_now(self, releases: list[Release]) -> bool:
        """Somebody uses one of them since the plan was made: then its signatures and parts stay, too."""
        return any(
            self._usage.image(f"{release.namespace}/{release.name}", release.digest)
            or self._usage.beginning(f"{release.namespace}/{release.name}")
            for release in releases
        )

    def _image(self, digest: str) -> None:
        self._attempt(f"image {digest}", lambda: self._delete(digest))

    def _try_change(self, change: StreamChange, events: tuple[Dropped, ...]) -> bool:
        return self._attempt(f"image stream {change.namespace}/{change.name}", lambda: self._change(change, events))

    def _try_release(self, release: Release) -> bool:
        name = f"image {release.digest} of {release.namespace}/{release.name}"
        return self._attempt(name, lambda: self._release(release))

    def _attempt(self, what: str, act: Callable[[], bool]) -> bool:
        """Do it; false if it is not done. Raises :class:`Stopped`."""
        try:
            done = act()
        except KubeError as error:
            self._outcome.fail(what, error)
            if error.unauthorized:
                raise Stopped(str(error)) from None
            return False
        except (ClusterUnreachable, KubeconfigError, ValueError) as error:
            self._outcome.fail(what, error)
            self._unreachable += 1
            if self._unreachable >= UNREACHABLE:
                raise Stopped(f"the last {UNREACHABLE} things could not be done: {error}") from None
            return False
        self._unreachable = 0
        return done

    def _change(self, change: StreamChange, events: tuple[Dropped, ...]) -> bool:
        """Let tags forget events."""
        path = object_path(VERSION, "imagestreams", change.name, namespace=change.namespace)
        planned = {event.key for event in events}
        for _ in range(CONFLICTS):
            document = self._client.ask("GET", path)
            goes = (
                self._still_goes(document, planned) if document and document["metadata"]["uid"] == change.uid else None
            )
            if not document or not goes:
                break
            _forget(document, goes)
            try:
                self._client.ask("PUT", f"{path}/status", document)
            except KubeError as error:
                if error.conflict:
                    continue
                raise
            self._tell(f"Deleted {_items(len(goes))} from image stream {change.namespace}/{change.name}")
            self._outcome.count(changed_streams=1, dropped_events=len(goes), kept=len(planned) - len(goes))
            return True
        else:
            raise ValueError("somebody else changes it all the time; run again")
        self._outcome.count(kept=len(planned))
        return True

    def _still_goes(self, document: dict[str, Any], planned: set[tuple[str, str, int]]) -> set[tuple[str, str, int]]:
        """Of what was planned, what may go of the stream as it is; the newest event of a tag only with all older."""
        stream = streams.read(document)
        verdicts = streams.decide(
            stream,
            usage=self._usage,
            rules=self._plan.rules,
            facts=self._planner.images.facts(stream.namespace),
            policies=self._planner.policies.of(stream),
            unpulled=self._unpulled(stream, {image for _, image, _ in planned}),
        )
        certain = {verdict.key for verdict in verdicts if verdict.reason is Reason.GOES}
        goes = {verdict.key for verdict in verdicts if verdict.reason in (Reason.GOES, Reason.FOLLOWS)} & planned
        meant = {event.image for tag in stream.tags for event in tag.events}
        goes = {key for key in goes if streams.signed_by(key[0]) not in meant or key in certain}
        for tag in stream.tags:
            keys = [(tag.name, event.image, event.created) for event in tag.events]
            if keys and keys[0] in goes and not goes.issuperset(keys):
                goes.discard(keys[0])
        return goes

    def _unpulled(self, stream: streams.Stream, planned: set[str]) -> Times:
        """As the registry says it now, of what is to go; of all else nobody need know."""
        since = self._planner.images.unpulled(cache(partial(self._told, stream)))
        return lambda digest: since(digest) if digest in planned else None

    def _told(self, stream: streams.Stream, digest: str) -> int | None:
        path = object_path(VERSION, "imagestreamimages", f"{stream.name}@{digest}", namespace=stream.namespace)
        document = self._client.ask("GET", path)
        return told(document) if document is not None else None

    def _release(self, release: Release) -> bool:
        """Let a stream hold an image no more."""
        name = f"{release.name}@{release.digest}"
        path = object_path(VERSION, "imagestreamimages", name, namespace=release.namespace)

        def may_go(document: dict[str, Any]) -> bool:
            metadata = document["metadata"]
            same = metadata["uid"] == release.uid and streams.seconds(metadata["creationTimestamp"]) == release.pushed
            return same and not keeps(metadata.get("annotations", {})) and not self._kept(document["image"])

        done = self._client.remove(path, may_go)
        if done:
            self._tell(f"Deleted image {release.digest} from image stream {release.namespace}/{release.name}")
        self._outcome.count(released=int(done), kept=int(not done))
        return done

    def _delete(self, digest: str) -> bool:
        """Delete an Image."""

        def may_go(document: dict[str, Any]) -> bool:
            return not self._usage.running.get(digest) and not self._kept(document)

        done = self._client.remove(object_path(VERSION, "images", digest), may_go)
        if done:
            self._tell(f"Deleted image {digest}")
        self._outcome.count(deleted_images=int(done), kept=int(not done))
        return done

    def _kept(self, image: dict[str, Any]) -> bool:
        """Whether an Image says that it stays."""
        annotations = image["metadata"].get("annotations", {})
        managed = annotations.get(MANAGED) == "true"
        return keeps(annotations) or (not managed and not self._plan.rules.all_images)


def _forget(document: dict[str, Any], goes: set[tuple[str, str, int]]) -> None:
    """Take events out of a stream's status, and tags of which nothing is left to say."""
    status = document["status"]
    for tag in status.get("tags", ()):
        tag["items"] = [
            item
            for item in tag.get("items") or ()
            if (tag["tag"], item["image"], streams.seconds(item["created"])) not in goes
        ]
    status["tags"] = [tag for tag in status.get("tags", ()) if tag["items"] or tag.get("conditions")]


def _items(number: int) -> str:
    return f"{number} item{'' if number == 1 else 's'}"
