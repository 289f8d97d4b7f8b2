"""What is measured. Each workload gives one sample per call; all check what they get.

Content is new for every push, so that no server answers "I have that already", and is made before the clock starts.
The letters are those of the documentation: B1 manifests, B2 questions without bodies, B3 blobs, B4 blob pushes, B5
whole images, B6 lists, B7 referrers, B8 everything at once.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks import load
from benchmarks.connection import Ask, Failure, Operation
from benchmarks.content import (
    MANIFEST_TYPE,
    MANY,
    MIB,
    PUSHED,
    REPOSITORY,
    Blob,
    Content,
    manifest,
    push_at_once,
    push_blob,
    push_manifest,
)
from benchmarks.load import Sample
from benchmarks.servers import Server

SLICE = 8 * MIB


@dataclass(frozen=True, slots=True)
class Prepared:
    """A server that holds the content."""

    server: Server
    content: Content
    offers: frozenset[str] = frozenset()
    """Which of the optional APIs there are: ``catalog``, ``referrers``."""

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Of every request of a client that has been granted a token."""
        return [("Accept", MANIFEST_TYPE), *self.server.bearer(REPOSITORY, PUSHED, MANY)]


@dataclass(frozen=True, slots=True)
class Workload:
    """One row of the result: ``measure`` returns a sample of ``unit`` (more is better) or raises :class:`Failure`."""

    name: str
    unit: str
    measure: Callable[[Prepared], Sample]
    files: bool = False
    """Whether a server of static files can take part."""
    needs: str = ""
    """An optional API that is measured."""

    def fits(self, prepared: Prepared) -> bool:
        """Whether the server offers what is measured."""
        return (self.files or prepared.server.files is None) and (not self.needs or self.needs in prepared.offers)


def workloads(*, seconds: float, large: int, tags: int) -> list[Workload]:
    """All of them; ``seconds`` bounds each rate, ``large`` is the size of the large blob in bytes."""
    return [*_small_reads(seconds), *_large_reads(seconds, large), *_pushes(seconds, large), *_lists(seconds, tags)]


def _small_reads(seconds: float) -> Iterator[Workload]:
    def rate(find: Callable[[Content], list[str]], connections: int) -> Callable[[Prepared], Sample]:
        return lambda prepared: _rate(prepared, find(prepared.content), connections, seconds)

    def heads(find: Callable[[Content], list[str]], expected: int) -> Callable[[Prepared], Sample]:
        def measure(prepared: Prepared) -> Sample:
            address, headers = prepared.server.address, prepared.headers
            asks = [
                Ask(address.request("HEAD", target, headers), expected, bodiless=True)
                for target in find(prepared.content)
            ]

            def one(number: int) -> Operation:
                yield asks[number % len(asks)]

            return load.operations(address, one, connections=32, seconds=seconds)

        return measure

    def tags(content: Content) -> list[str]:
        return [f"/v2/{REPOSITORY}/manifests/image-{number}" for number in range(len(content.images))]

    def digests(content: Content) -> list[str]:
        return [f"/v2/{REPOSITORY}/manifests/{image.digest}" for image in content.images]

    def small(content: Content) -> list[str]:
        return [blob_path(content.small.digest)]

    def nothing(_: Content) -> list[str]:
        return [blob_path(f"sha256:{hashlib.sha256(str(number).encode()).hexdigest()}") for number in range(50)]

    for connections in (1, 32, 64):
        yield Workload(f"B1 manifest GET by tag, c={connections}", "1/s", rate(tags, connections), files=True)
    yield Workload("B1 manifest GET by digest, c=32", "1/s", rate(digests, 32), files=True)
    yield Workload("B2 manifest HEAD by tag, c=32", "1/s", heads(tags, 200), files=True)
    yield Workload("B2 blob HEAD, c=32", "1/s", heads(small, 200), files=True)
    yield Workload("B2 blob HEAD of none, c=32", "1/s", heads(nothing, 404), files=True)
    yield Workload("B3 1 KiB blob GET, c=32", "1/s", rate(small, 32), files=True)


def _large_reads(seconds: float, large: int) -> Iterator[Workload]:
    def pulls(find: Callable[[Content], Blob], connections: int, unit: int) -> Callable[[Prepared], Sample]:
        def measure(prepared: Prepared) -> Sample:
            blob = find(prepared.content)
            sample = load.threads(
                prepared.server.address, lambda _: pull(prepared, blob), connections=connections, seconds=seconds
            )
            return Sample(sample.amount * len(blob.data) / unit if unit else sample.amount, sample.seconds)

        return measure

    yield Workload("B3 1 MiB blob GET, c=4", "1/s", pulls(lambda content: content.medium, 4, 0), files=True)
    for connections in (1, 8):
        name = f"B3 pull of {large // MIB} MiB x{connections}"
        yield Workload(name, "MiB/s", pulls(lambda content: content.large, connections, MIB), files=True)
    yield Workload(
        "B3 8 MiB slices, hung up on, c=4",
        "1/s",
        lambda prepared: load.threads(
            prepared.server.address, lambda number: slice_of(prepared, number), connections=4, seconds=seconds
        ),
        files=True,
    )


def _pushes(seconds: float, large: int) -> Iterator[Workload]:
    def small(connections: int) -> Callable[[Prepared], Sample]:
        return lambda prepared: small_pushes(prepared, connections, seconds)

    def big(connections: int, size: int) -> Callable[[Prepared], Sample]:
        return lambda prepared: big_pushes(prepared, connections, size)

    for connections in (1, 16):
        yield Workload(f"B4 10 KiB blob push, c={connections}", "1/s", small(connections))
    yield Workload("B4 push of 16 x 1 MiB, c=4", "MiB/s", big(4, MIB))
    for connections in (1, 4):
        yield Workload(f"B4 push of {large // MIB} MiB x{connections}", "MiB/s", big(connections, large))
    for connections in (1, 16):
        yield Workload(
            f"B4 tag PUT, c={connections}",
            "1/s",
            lambda prepared, connections=connections: tag_puts(prepared, connections, seconds),  # type: ignore[misc]
        )
    yield Workload("B5 image push 10 x 1 MiB, c=8", "1/s", image_pushes)
    yield Workload(
        "B5 image pull 10 x 1 MiB, c=8",
        "1/s",
        lambda prepared: load.threads(
            prepared.server.address, lambda _: image_pull(prepared), connections=8, seconds=seconds
        ),
        files=True,
    )
    yield Workload(
        "B8 3 image pulls to 1 push, c=8",
        "1/s",
        lambda prepared: mixed(prepared, seconds),
    )


def _lists(seconds: float, tags: int) -> Iterator[Workload]:
    def page(find: Callable[[Content], str], connections: int) -> Callable[[Prepared], Sample]:
        return lambda prepared: _rate(prepared, [find(prepared.content)], connections, seconds)

    middle = f"/v2/{MANY}/tags/list?n=100&last=tag-{tags // 2:06d}"
    yield Workload(f"B6 100 of {tags:,} tags, first, c=16", "1/s", page(lambda _: f"/v2/{MANY}/tags/list?n=100", 16))
    yield Workload(f"B6 100 of {tags:,} tags, middle, c=16", "1/s", page(lambda _: middle, 16))
    yield Workload("B6 catalog, page of 100, c=4", "1/s", page(lambda _: "/v2/_catalog?n=100", 4), needs="catalog")
    yield Workload(
        "B7 referrers, c=16",
        "1/s",
        page(lambda content: f"/v2/{REPOSITORY}/referrers/{content.image.digest}", 16),
        needs="referrers",
    )


def _rate(prepared: Prepared, targets: list[str], connections: int, seconds: float) -> Sample:
    address, headers = prepared.server.address, prepared.headers
    return load.requests(address, targets, connections=connections, seconds=seconds, headers=headers)


def blob_path(digest: str) -> str:
    """Where a blob of the first repository is."""
    return f"/v2/{REPOSITORY}/blobs/{digest}"


def pull(prepared: Prepared, blob: Blob) -> Operation:
    """One GET of a whole blob; its bytes are counted, not looked at (they were compared once before)."""
    address = prepared.server.address
    yield Ask(address.request("GET", blob_path(blob.digest), prepared.headers), 200, length=len(blob.data))


def slice_of(prepared: Prepared, number: int) -> Operation:
    """An open-ended range, of which a client takes 8 MiB and hangs up: containerd pulls layers like this."""
    blob = prepared.content.large
    size = len(blob.data)
    start = number * SLICE % size
    headers = [*prepared.headers, ("Range", f"bytes={start}-")]
    head = prepared.server.address.request("GET", blob_path(blob.digest), headers)
    yield Ask(head, 206, length=size - start, upto=SLICE)


def small_pushes(prepared: Prepared, connections: int, seconds: float) -> Sample:
    """Each blob ends in a number of its own, so that only that has to be hashed while the clock runs."""
    common = os.urandom(10 * 1024 - 24)
    hashed = hashlib.sha256(common)
    headers = prepared.headers

    def push(number: int) -> Operation:
        end = number.to_bytes(24, "big")
        whole = hashed.copy()
        whole.update(end)
        digest = f"sha256:{whole.hexdigest()}"
        return push_at_once(prepared.server, REPOSITORY, [common, end], digest, headers)

    return load.operations(prepared.server.address, push, connections=connections, seconds=seconds)


def big_pushes(prepared: Prepared, connections: int, size: int) -> Sample:
    """One new blob on each connection; four on each of small ones."""
    each = 1 if size > MIB else 4
    blobs = [Blob.new(size) for _ in range(connections * each)]
    taken = iter(blobs)

    def push(_: int) -> Operation:
        for _blob in range(each):
            yield from push_blob(prepared.server, REPOSITORY, next(taken), prepared.headers)

    sample = load.threads(prepared.server.address, push, connections=connections, seconds=0)
    return Sample(len(blobs) * size / MIB, sample.seconds)


def tag_puts(prepared: Prepared, connections: int, seconds: float) -> Sample:
    """A manifest that is there already gets one new tag after the other."""
    name, document, headers = os.urandom(6).hex(), prepared.content.images[0].data, prepared.headers
    return load.operations(
        prepared.server.address,
        lambda number: push_manifest(prepared.server, PUSHED, f"t-{name}-{number}", document, headers),
        connections=connections,
        seconds=seconds,
    )


def image_push(prepared: Prepared, blobs: list[Blob], tag: str) -> Operation:
    """As clients push: ask for each layer, send it, then the configuration, then the manifest."""
    server, headers = prepared.server, prepared.headers
    for blob in blobs:
        head = server.address.request("HEAD", f"/v2/{PUSHED}/blobs/{blob.digest}", headers)
        yield Ask(head, 404, bodiless=True)
        yield from push_blob(server, PUSHED, blob, headers)
    document = manifest(prepared.content.config, blobs)
    yield from push_manifest(server, PUSHED, tag, document, headers)


def image_pull(prepared: Prepared) -> Operation:
    """As clients pull: the manifest, the configuration, the layers."""
    server, content = prepared.server, prepared.content
    head = server.address.request("GET", f"/v2/{REPOSITORY}/manifests/bench", prepared.headers)
    answer = yield Ask(head, 200, length=len(content.image.data), keep=True)
    if answer.body != content.image.data:
        raise Failure("another manifest than the one that was pushed")
    for blob in (content.config, *content.layers):
        yield from pull(prepared, blob)


def image_pushes(prepared: Prepared) -> Sample:
    """Two new images on each of eight connections."""
    images = [_new_image() for _ in range(16)]
    taken = iter(images)

    def push(_: int) -> Operation:
        for _image in range(2):
            yield from image_push(prepared, *next(taken))

    sample = load.threads(prepared.server.address, push, connections=8, seconds=0)
    return Sample(len(images), sample.seconds)


def mixed(prepared: Prepared, seconds: float) -> Sample:
    """Images per second, three quarters of them pulled."""
    images = itertools.cycle([_new_image() for _ in range(16)])

    def one(number: int) -> Operation:
        if number % 4:
            return image_pull(prepared)
        return image_push(prepared, *_renewed(next(images)))

    return load.threads(prepared.server.address, one, connections=8, seconds=seconds)


def _new_image() -> tuple[list[Blob], str]:
    return [Blob.new(MIB) for _ in range(10)], f"p-{os.urandom(6).hex()}"


def _renewed(image: tuple[list[Blob], str]) -> tuple[list[Blob], str]:
    """The same blobs with another beginning: hashing 10 MiB costs the client five milliseconds."""
    return [Blob.of(os.urandom(16) + blob.data[16:]) for blob in image[0]], f"p-{os.urandom(6).hex()}"
