"""What is measured. Each workload prepares a server once, then gives one figure per call; all check what they get.

Content is new for every push, so that no server answers "I have that already", and is made before the clock starts.
Digests are verified by the servers on push and by :func:`prepare` once per server on pull.
"""

from __future__ import annotations

import hashlib
import json
import os
import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.connection import Address, Connection, Failure

REPOSITORY = "bench/app"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
SMALL = 10 * 1024
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a server holds before measuring."""

    address: Address
    large: str
    """Digest of the large blob."""
    small: str
    manifest: bytes


@dataclass(frozen=True, slots=True)
class Workload:
    """One row of the result: ``measure`` returns ``unit`` (more is better) or raises :class:`Failure`."""

    name: str
    unit: str
    measure: Callable[[Prepared], float]


def workloads(*, seconds: float, large: int) -> list[Workload]:
    """All of them; ``seconds`` bounds each rate, ``large`` is the size of the large blob in bytes."""
    mib = large // MIB
    return [
        Workload("manifest GET by tag, 1 connection", "1/s", lambda server: manifest_rate(server, 1, seconds)),
        Workload("manifest GET by tag, 16 connections", "1/s", lambda server: manifest_rate(server, 16, seconds)),
        Workload(f"push of a {mib} MiB blob", "MiB/s", lambda server: push_speed(server, large)),
        Workload(f"pull of a {mib} MiB blob", "MiB/s", lambda server: pull_speed(server, large)),
        Workload("push of 10 KiB blobs, 1 connection", "1/s", lambda server: small_pushes(server, seconds)),
        Workload("pull of 10 KiB blobs, 1 connection", "1/s", lambda server: small_pulls(server, seconds)),
    ]


def prepare(address: Address, large: int) -> Prepared:
    """Push one image with a large layer, and read everything back to see that the server tells the truth."""
    with connected(address) as connection:
        layer = push(connection, content(large))
        config = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},"config":{}}'
        small = content(SMALL)
        small_digest = push(connection, small)
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": descriptor("application/vnd.oci.image.config.v1+json", push(connection, config), len(config)),
            "layers": [
                descriptor("application/vnd.oci.image.layer.v1.tar", layer, large),
                descriptor("application/vnd.oci.image.layer.v1.tar", small_digest, SMALL),
            ],
        }
        manifest = json.dumps(document).encode()
        target = f"/v2/{REPOSITORY}/manifests/bench"
        connection.ask("PUT", target, 201, bodies=[manifest], content_type=MANIFEST_TYPE)
        for path, expected in (
            (target, hashlib.sha256(manifest).hexdigest()),
            (f"/v2/{REPOSITORY}/blobs/{layer}", layer.removeprefix("sha256:")),
            (f"/v2/{REPOSITORY}/blobs/{small_digest}", small_digest.removeprefix("sha256:")),
        ):
            head = address.request("GET", path, [("Accept", MANIFEST_TYPE)])
            answer = connection.exchange(head, keep=True)
            if answer.status != 200 or hashlib.sha256(answer.body).hexdigest() != expected:
                raise Failure(f"GET {path}: status {answer.status}, and not the bytes that were pushed")
    return Prepared(address, layer, small_digest, manifest)


def manifest_rate(server: Prepared, connections: int, seconds: float) -> float:
    """Requests per second over ``connections`` kept connections, each with one request on its way."""
    head = server.address.request("GET", f"/v2/{REPOSITORY}/manifests/bench", [("Accept", MANIFEST_TYPE)])
    opened = {connection.socket.fileno(): connection for connection in _several(server.address, connections)}
    poll = select.epoll()
    done = 0
    try:
        for number, connection in opened.items():
            poll.register(number, select.EPOLLIN)
            connection.socket.sendall(head)
        started = time.perf_counter()
        deadline = started + seconds
        while (now := time.perf_counter()) < deadline:
            ready = poll.poll(5.0)
            if not ready:
                raise Failure("no answer for five seconds")
            for number, _event in ready:
                _expect(opened[number], server.manifest)
                done += 1
                opened[number].socket.sendall(head)
        return done / (now - started)
    finally:
        poll.close()
        for connection in opened.values():
            connection.close()


def push_speed(server: Prepared, size: int) -> float:
    """MiB per second from the first byte of a new blob to the acknowledgement of its digest."""
    blob = content(size)
    digest = f"sha256:{hashlib.sha256(blob).hexdigest()}"
    with connected(server.address) as connection:
        started = time.perf_counter()
        push(connection, blob, digest)
        return size / MIB / (time.perf_counter() - started)


def pull_speed(server: Prepared, size: int) -> float:
    """MiB per second of one GET."""
    head = server.address.request("GET", f"/v2/{REPOSITORY}/blobs/{server.large}")
    with connected(server.address) as connection:
        started = time.perf_counter()
        answer = connection.exchange(head)
        elapsed = time.perf_counter() - started
    if (answer.status, answer.length) != (200, size):
        raise Failure(f"GET of the large blob: status {answer.status}, {answer.length} bytes")
    return size / MIB / elapsed


def small_pushes(server: Prepared, seconds: float) -> float:
    """Blobs per second, each by POST and PUT."""
    done = 0
    with connected(server.address) as connection:
        started = time.perf_counter()
        while (elapsed := time.perf_counter() - started) < seconds:
            blob = content(SMALL)
            upload = connection.ask("POST", f"/v2/{REPOSITORY}/blobs/uploads/", 202).location
            digest = f"sha256:{hashlib.sha256(blob).hexdigest()}"
            connection.ask("PUT", _with_digest(upload, digest), 201, bodies=[blob])
            done += 1
    return done / elapsed


def small_pulls(server: Prepared, seconds: float) -> float:
    """Blobs per second, one after the other."""
    head = server.address.request("GET", f"/v2/{REPOSITORY}/blobs/{server.small}")
    done = 0
    with connected(server.address) as connection:
        started = time.perf_counter()
        while (elapsed := time.perf_counter() - started) < seconds:
            answer = connection.exchange(head)
            if (answer.status, answer.length) != (200, SMALL):
                raise Failure(f"GET of a small blob: status {answer.status}, {answer.length} bytes")
            done += 1
    return done / elapsed


def push(connection: Connection, blob: bytes, digest: str = "") -> str:
    """POST, PATCH with all bytes, PUT: as container clients push. Returns the digest."""
    digest = digest or f"sha256:{hashlib.sha256(blob).hexdigest()}"
    upload = connection.ask("POST", f"/v2/{REPOSITORY}/blobs/uploads/", 202).location
    octets = "application/octet-stream"
    upload = connection.ask("PATCH", _path(upload), 202, bodies=[blob], content_type=octets).location
    connection.ask("PUT", _with_digest(upload, digest), 201)
    return digest


def content(size: int) -> bytes:
    """New bytes that no server has seen; one random block repeated, so that making them is quick."""
    block = os.urandom(min(size, MIB))
    return (block * (size // len(block) + 1))[:size]


def descriptor(media_type: str, digest: str, size: int) -> dict[str, str | int]:
    """An OCI descriptor."""
    return {"mediaType": media_type, "digest": digest, "size": size}


@contextmanager
def connected(address: Address) -> Iterator[Connection]:
    """A connection that is closed at the end."""
    connection = Connection(address)
    try:
        yield connection
    finally:
        connection.close()


def _several(address: Address, number: int) -> Iterator[Connection]:
    for _ in range(number):
        yield Connection(address)


def _expect(connection: Connection, body: bytes) -> None:
    """Read one small answer: 200 with exactly ``body``."""
    received = connection.socket.recv(65536)
    while not received.endswith(body):
        more = connection.socket.recv(65536) if len(received) < 65536 else b""
        if not more:
            raise Failure(f"instead of the manifest came {received[:200]!r}")
        received += more
    if not received.startswith(b"HTTP/1.1 200"):
        raise Failure(f"instead of 200 came {received[:60]!r}")


def _path(location: str) -> str:
    """The target of a Location, which may be absolute."""
    return location if location.startswith("/") else "/" + location.split("://", 1)[-1].partition("/")[2]


def _with_digest(location: str, digest: str) -> str:
    target = _path(location)
    return f"{target}{'&' if '?' in target else '?'}digest={digest}"
