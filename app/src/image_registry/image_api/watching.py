"""Watches: what happens to objects, told as it happens (Kubernetes API concepts, "Efficient detection of changes").

A watch begins with what there is, or behind a revision that the client has seen. It ends when its time is over, when
the process leaves, when the client does, or with an ``ERROR`` event that says to list again. Every event is told at
its revision and in their order, so a client goes on from the last it saw, at any replica.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from image_registry.image_api import documents, tables
from image_registry.image_api.collections import Collection, Watchable, fields_of
from image_registry.image_api.detail import needed
from image_registry.image_api.documents import Document
from image_registry.image_api.negotiation import Representation, Shape
from image_registry.image_api.parameters import Query, flag, invalid_options, resource_version, whole_number
from image_registry.image_api.resources import GROUP_VERSION
from image_registry.image_api.selectors import FieldSelector, LabelSelector
from image_registry.image_api.status import APIError, Expired
from image_registry.image_api.told import Told
from image_registry.image_api.watch_hub import Hub, Overrun, Subscription
from image_registry.imagestreams.changes import Changed, Changes, TooOld
from image_registry.imagestreams.errors import MetadataUnavailable

SHORTEST = 1800.0
"""Seconds of a watch for which no time is asked for; up to twice as much, so that not all end at once."""

BOOKMARK_EVERY = 30.0
"""Seconds between bookmarks; a client that is cut off goes on from the last."""

LOOK_UP = 0.5
"""Seconds between two looks at whether the client is still there."""

AT_ONCE = 500
"""Objects that are read together for the beginning of a watch."""

INITIAL_END = "k8s.io/initial-events-end"

_MATCH = "resourceVersionMatch"


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchOptions:
    """What a watch is to tell."""

    initial: bool
    """What there is comes first."""
    initial_end: bool = False
    """A bookmark marks the end of it."""
    since: int = 0
    """Without ``initial``: everything behind this revision; 0 for "from now on"."""
    bookmarks: bool = False
    seconds: float = SHORTEST
    labels: LabelSelector = field(default_factory=LabelSelector)
    fields: FieldSelector = field(default_factory=FieldSelector)


def watch_options(query: Query, supported_fields: tuple[str, ...]) -> WatchOptions:
    """Read the options of a watch. Raises :class:`BadRequest`, :class:`Invalid`."""
    version = resource_version(query)
    seconds = whole_number(query, "timeoutSeconds")
    match = query.get(_MATCH, "")
    wanted = query.get("sendInitialEvents")
    if wanted is None and match:
        raise invalid_options(
            "ListOptions", _MATCH, "Forbidden", f"{_MATCH} is forbidden for watch unless sendInitialEvents is provided"
        )
    if wanted is not None and match != "NotOlderThan":
        raise invalid_options(
            "ListOptions", _MATCH, "Forbidden", f"sendInitialEvents requires setting {_MATCH} to NotOlderThan"
        )
    initial = flag(query, "sendInitialEvents") if wanted is not None else not version
    bookmarks = flag(query, "allowWatchBookmarks")
    return WatchOptions(
        initial=initial,
        initial_end=initial and wanted is not None and bookmarks,
        since=version or 0,
        bookmarks=bookmarks,
        seconds=float(seconds) if seconds and seconds > 0 else SHORTEST * (1 + random.random()),  # noqa: S311 - spread
        labels=LabelSelector.parse(query.get("labelSelector", "")),
        fields=FieldSelector.parse(query.get("fieldSelector", ""), supported_fields),
    )


class Watch:
    """One watch: an iterator of lines. It begins to listen when it is made, so nothing is lost before the first."""

    def __init__(
        self,
        collection: Watchable,
        namespace: str,
        options: WatchOptions,
        lines: Lines,
        changes: Changes,
        hub: Hub,
        over: Callable[[], bool],
    ) -> None:
        self._collection = collection
        self._namespace = namespace
        self._options = options
        self._lines = lines
        self._changes = changes
        self._over = over
        self._early: dict[str, int] = {}
        """Objects of the beginning that were newer than its revision; their change comes again."""
        self._ends = time.monotonic() + options.seconds
        self._subscription: Subscription = hub.subscribe()

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield b""  # the head of the answer goes out at once: a client waits for it before it waits for events
            position = yield from self._beginning()
            yield from self._live(position)
        except (TooOld, Overrun):
            error = Expired("too old resource version: what came after it is not known any more; list again")
            yield self._lines.error(error)
        except APIError as error:
            yield self._lines.error(error)
        except MetadataUnavailable:
            return  # the client comes again, and goes on from the last event
        finally:
            self.close()

    def close(self) -> None:
        """Stop listening; for the server, which may never have begun to iterate."""
        self._subscription.close()

    def _beginning(self) -> Generator[bytes, None, int]:
        """Everything up to where the subscription begins; returns the revision up to which all is told."""
        begin = self._subscription.begin
        if self._options.initial:
            position = yield from self._what_there_is()
        else:
            position = self._options.since or begin
        while position < begin:
            batch = self._changes.since(position)
            yield from self._told([Told(change) for change in batch.changes])
            position = batch.revision
        if self._options.initial_end:
            yield self._lines.bookmark(position, {INITIAL_END: "true"})
        return position

    def _what_there_is(self) -> Generator[bytes, None, int]:
        """Every object as added; returns the revision of the first page, behind which changes are to be told."""
        first = 0
        for document, revision in self._objects():
            first = first or revision
            if document is not None:
                version = int(document["metadata"]["resourceVersion"])
                if version > first:
                    self._early[self._collection.key(document)] = version
                yield self._lines.event("ADDED", document)
        return first

    def _objects(self) -> Iterator[tuple[Document | None, int]]:
        """What there is and is selected, with the revision of its page; ``None`` once for each page."""
        after: str | None = None
        within = self._namespace or self._options.fields.required.get("metadata.namespace", "")
        while True:
            page = self._collection.page(within, limit=AT_ONCE, after=after, detail=self._lines.detail)
            yield None, page.revision
            for document in page.items:
                if self._selected(document):
                    yield document, page.revision
            after = page.next
            if after is None:
                return

    def _live(self, position: int) -> Iterator[bytes]:
        bookmark, marked = time.monotonic() + BOOKMARK_EVERY, position if self._options.initial_end else 0
        while True:
            now = time.monotonic()
            if now >= self._ends or self._over():
                break
            changes, told = self._subscription.take(min(LOOK_UP, self._ends - now))
            yield from self._told([told for told in changes if told.change.revision > position])
            position = max(position, told)
            if self._options.bookmarks and time.monotonic() >= bookmark:
                bookmark, marked = time.monotonic() + BOOKMARK_EVERY, position
                yield self._lines.bookmark(position)
        if self._options.bookmarks and position > marked and not self._over():
            yield self._lines.bookmark(position)

    def _told(self, changes: list[Told]) -> Iterator[bytes]:
        for told in changes:
            change = told.change
            document = told.document(self._collection)
            if document is None or (self._namespace and document["metadata"]["namespace"] != self._namespace):
                continue
            if self._early and self._early.pop(self._collection.key(document), 0) >= change.revision:
                continue
            event = self._event(change, document)
            if event:
                yield self._lines.shared(event, document, told)

    def _event(self, change: Changed, document: Document) -> str:
        """What the change is to this watch; empty for nothing."""
        if not self._options.fields.matches(fields_of(self._collection, document)):
            return ""
        labels = document["metadata"].get("labels", {})
        matches = self._options.labels.matches(labels)
        if change.event != "MODIFIED":
            return change.event if matches else ""
        matched = self._options.labels.matches(labels if change.labels_before is None else change.labels_before)
        if matches:
            return "MODIFIED" if matched else "ADDED"
        return "DELETED" if matched else ""

    def _selected(self, document: Document) -> bool:
        return self._options.fields.matches(fields_of(self._collection, document)) and self._options.labels.matches(
            document["metadata"].get("labels", {})
        )


class Lines:
    """Events as lines of JSON, their objects in the form that was agreed on."""

    def __init__(self, collection: Collection, form: Representation, include: str) -> None:
        self._resource = collection.resource
        self._form = form
        self._include = include
        self._columns_told = False
        self.detail = needed(form, include)
        """What the lines show of each object."""

    def event(self, event: str, document: Document) -> bytes:
        """A line about an object."""
        return _line(event, self._shaped(document))

    def shared(self, event: str, document: Document, told: Told) -> bytes:
        """The same for a change that others tell too, in this form or in another."""
        form = (event, self._resource.name, self._form, self._include, self._columns_told)
        line = told.line(form, lambda: self.event(event, document))
        self._columns_told = True
        return line

    def bookmark(self, revision: int, annotations: Mapping[str, str] | None = None) -> bytes:
        """A line that says how far the watch has come."""
        metadata: Document = {"resourceVersion": str(revision)}
        if annotations:
            metadata["annotations"] = dict(annotations)
        empty = {"kind": self._resource.kind, "apiVersion": GROUP_VERSION, "metadata": metadata}
        if self._form.shape is Shape.TABLE:
            return _line("BOOKMARK", self._table([], {"resourceVersion": str(revision)}))
        return _line("BOOKMARK", self._shaped(empty))

    @staticmethod
    def error(error: APIError) -> bytes:
        """The last line of a watch that failed."""
        return _line("ERROR", error.document())

    def _shaped(self, document: Document) -> Document:
        if self._form.shape is Shape.METADATA:
            return documents.metadata_only(document, self._form.meta_version)
        if self._form.shape is Shape.TABLE:
            return self._table([document], {"resourceVersion": document["metadata"]["resourceVersion"]})
        return document

    def _table(self, items: list[Document], metadata: Mapping[str, str]) -> Document:
        version, include = self._form.meta_version, self._include
        made = tables.table(self._resource, items, metadata, version=version, include=include, now=datetime.now(UTC))
        if self._columns_told:
            made["columnDefinitions"] = None  # they are told once
        self._columns_told = True
        return made


def _line(event: str, document: Mapping[str, Any]) -> bytes:
    text = json.dumps({"type": event, "object": document}, separators=(",", ":"), ensure_ascii=False)
    return text.encode(errors="replace") + b"\n"
