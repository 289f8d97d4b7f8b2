"""What is measured: each figure with its unit, what it may be at most, and how it is had."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.api import HOST
from benchmarks.api.client import METADATA, TABLE, Client, Watches
from benchmarks.api.data import LARGE, Size, digest, manifest_of
from benchmarks.connection import Failure
from image_registry.image_api.continuation import Place, encode
from image_registry.imagestreams.service import ImageStreams
from image_registry.oci.reference import Repository

TARGETS: Mapping[str, float] = {"page": 50.0, "get": 10.0, "push": 15.0, "event": 1000.0, "memory": 400.0}
"""Milliseconds (the 99th percentile), for memory MiB."""

GROWTH = 2.0
"""How many times slower a page may be, in the middle of the samples, when there is ten times as much."""

PAGES = (100, 500)


@dataclass(slots=True)
class Figure:
    """Samples of one kind of request."""

    name: str
    target: str
    samples: list[float] = field(default_factory=list)
    """In milliseconds; for memory one sample, in MiB."""
    rows: int = 0
    """Items of a page: fewer than were asked for where they are large."""

    def percentile(self, part: float) -> float:
        """Of the sorted samples the one below which ``part`` of them are."""
        ordered = sorted(self.samples)
        return ordered[min(int(len(ordered) * part), len(ordered) - 1)]


@dataclass(frozen=True, slots=True)
class Ask:
    """A request that is made again and again; ``path`` makes each anew."""

    name: str
    target: str
    path: Callable[[], str]
    accept: str = "application/json"
    rows: int = 0
    """Items that a page holds at most; with fewer it must say how to go on."""


class Measured:
    """A server with its data."""

    def __init__(self, size: Size, client: Client, streams: ImageStreams, seed: int = 1) -> None:
        self._size = size
        self._client = client
        self._streams = streams
        self._choose = random.Random(seed)  # noqa: S311 - which rows, not a secret
        self._revision = int(client.document("/imagestreams?limit=1")["metadata"]["resourceVersion"])
        self._pushed = 0

    def asks(self) -> Iterator[Ask]:
        """Pages of every list in the forms that kubectl and informers ask for, and objects one by one."""
        size = self._size
        in_large = size.in_large
        for limit in PAGES:
            streams, tags, images = min(limit, size.streams), min(limit, size.tags), min(limit, size.images)
            for kind, accept in (("JSON", "application/json"), ("table", TABLE), ("metadata", _listed(METADATA))):
                yield Ask(
                    f"imagestreams -A, limit {limit}, {kind}",
                    "page",
                    self._deep("imagestreams", limit),
                    accept,
                    streams,
                )
            yield Ask(
                f"imagestreams of a namespace, limit {limit}, JSON",
                "page",
                lambda limit=limit: f"/namespaces/{LARGE}/imagestreams?limit={limit}",  # type: ignore[misc]
                rows=min(limit, in_large),
            )
            for kind, accept in (("JSON", "application/json"), ("table", TABLE)):
                yield Ask(f"images, limit {limit}, {kind}", "page", self._deep("images", limit), accept, images)
                yield Ask(
                    f"imagestreamtags -A, limit {limit}, {kind}",
                    "page",
                    self._deep("imagestreamtags", limit),
                    accept,
                    tags,
                )
        yield Ask("imagestream", "get", lambda: self._path(self._any_stream()))
        yield Ask("imagestreamtag", "get", self._tag_path)
        yield Ask("image", "get", lambda: f"/images/{digest(f'image {self._choose.randrange(size.images)}')}")

    def ask(self, ask: Ask, times: int) -> Figure:
        """Make the request so often, the first one more without being counted."""
        figure = Figure(ask.name, ask.target)
        for number in range(times + 1):
            taken, body, _ = self._client.get(ask.path(), ask.accept)
            if number:
                figure.samples.append(1000 * taken)
            elif not body:
                raise Failure(f"{ask.name}: nothing came")
        if ask.rows:
            document = self._client.document(ask.path(), ask.accept)
            found = len(document.get("items", document.get("rows", ())))
            whole = found == ask.rows or (document["metadata"].get("continue") and 0 < found < ask.rows)
            if not whole:
                raise Failure(f"{ask.name}: {found} rows instead of {ask.rows}")
            figure.rows = found
        return figure

    def pushes(self, times: int) -> Figure:
        """The transaction of a push: a new image and a new tag in some stream; links in storage are not written."""
        figure = Figure("push transaction", "push")
        for number in range(times + 1):
            repository = Repository(*self._size.place(self._any_stream()))
            taken = self.push(repository, f"pushed-{number}")
            if number:
                figure.samples.append(1000 * taken)
        return figure

    def push(self, repository: Repository, tag: str) -> float:
        """Seconds of one."""
        self._pushed += 1
        manifest, config = manifest_of(f"pushed {self._size} {self._pushed}")
        began = time.perf_counter()
        self._streams.push(
            repository,
            manifest,
            tag=tag,
            config=config,
            pushed_by="bench",
            authorize_create=lambda: None,
            before_commit=lambda: None,
        )
        return time.perf_counter() - began

    def many_tags(self, tags: int) -> Repository:
        """A stream with so many tags of one image."""
        repository = Repository(LARGE, f"monorepo-{tags}")
        manifest, config = manifest_of("monorepo")
        for tag in range(tags):
            self._streams.push(
                repository,
                manifest,
                tag=f"build-{tag}",
                config=config,
                pushed_by="bench",
                authorize_create=lambda: None,
                before_commit=lambda: None,
            )
        return repository

    def events(self, name: str, repository: Repository, watches: Watches, times: int) -> Figure:
        """How long after the commit of a push each watch has its event, the slowest of each push."""
        figure = Figure(name, "event")
        mark = f'"name":"{repository.name}"'.encode()
        for number in range(times):
            # a table tells an object by its metadata, which has the name as well
            heard = watches.after(lambda number=number: _nothing(self.push(repository, f"event-{number}")), mark)  # type: ignore[misc]
            figure.samples.append(1000 * max(heard))
        return figure

    def watched(self, count: int) -> list[tuple[str, str]]:
        """Half of them as informers ask, a quarter each as kubectl and as the garbage collector do."""
        accepts = ("application/json", TABLE, "application/json", METADATA)
        path = f"/imagestreams?watch=true&resourceVersion={self._now()}&timeoutSeconds=600"
        return [(path, accepts[number % len(accepts)]) for number in range(count)]

    def _now(self) -> str:
        return str(self._client.document("/imagestreams?limit=1")["metadata"]["resourceVersion"])

    def _deep(self, resource: str, limit: int) -> Callable[[], str]:
        """A page that begins somewhere, the token as a page before it would have said it."""

        def path() -> str:
            key = self._key(resource, limit)
            token = encode(Place(f"{resource}/", self._revision, key)) if key else ""
            return f"/{resource}?limit={limit}" + (f"&continue={token}" if token else "")

        return path

    def _key(self, resource: str, limit: int) -> str:
        size = self._size
        if resource == "images":
            last = 1 - (limit + 50) / size.images * 1.2
            return f"sha256:{int(self._choose.random() * max(last, 0) * 16**8):08x}{'0' * 56}" if last > 0 else ""
        if resource == "imagestreams":
            place = self._choose.randrange(max(size.streams - limit, 1))
            return "/".join(size.place(place)) if size.streams > limit else ""
        streams = limit // max(size.tags // size.streams, 1) + 2
        if size.streams <= streams:
            return ""
        number = self._choose.randrange(size.streams - streams)
        return f"{'/'.join(size.place(number))}:{size.tag_names(number)[0]}"

    def _any_stream(self) -> int:
        return self._choose.randrange(self._size.in_large)

    def _path(self, stream: int) -> str:
        namespace, name = self._size.place(stream)
        return f"/namespaces/{namespace}/imagestreams/{name}"

    def _tag_path(self) -> str:
        stream = self._any_stream()
        namespace, name = self._size.place(stream)
        tag = self._choose.choice(self._size.tag_names(stream))
        return f"/namespaces/{namespace}/imagestreamtags/{name}:{tag}"


def _nothing(_: Any) -> None:
    """What it says is not wanted."""


def _listed(accept: str) -> str:
    return accept.replace("PartialObjectMetadata;", "PartialObjectMetadataList;")


def streams_of(database: Any) -> ImageStreams:
    """The rules as the data plane has them."""
    return ImageStreams(database, internal_hostname=HOST)
