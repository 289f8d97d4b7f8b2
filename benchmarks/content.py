"""What every server holds before measuring: the same images, tags, repositories and referrers.

They are pushed (or laid down as files) once, and read back and compared with their digests: from then on a workload may
trust the length of an answer.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks import load
from benchmarks.connection import Answer, Ask, Buffer, Connection, Failure, Headers, Operation
from benchmarks.servers import Server

REPOSITORY = "bench/app"
MANY = "bench/many"
"""The repository of many tags."""

PUSHED = "bench/pushed"
"""Where images and tags are pushed while the clock runs, so that what is read stays as it was."""

OTHERS = "bench/other-{:04d}"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
OCTETS = "application/octet-stream"
MIB = 1 << 20
KIB = 1 << 10
CONFIG = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},"config":{}}'


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes with their digest."""

    data: bytes = field(repr=False)
    digest: str

    @staticmethod
    def of(data: bytes) -> Blob:
        """Hash it."""
        return Blob(data, f"sha256:{hashlib.sha256(data).hexdigest()}")

    @staticmethod
    def new(size: int) -> Blob:
        """Bytes that no server has seen; one random block repeated, so that making them is quick."""
        block = os.urandom(min(size, MIB))
        return Blob.of(block * (size // len(block)) + block[: size % len(block)])

    def descriptor(self, media_type: str) -> dict[str, str | int]:
        """An OCI descriptor."""
        return {"mediaType": media_type, "digest": self.digest, "size": len(self.data)}


@dataclass(frozen=True, slots=True)
class Content:
    """Everything that is prepared; the sizes are those of the run."""

    config: Blob
    small: Blob
    medium: Blob
    large: Blob
    layers: tuple[Blob, ...]
    image: Blob
    """The manifest behind ``bench``, of all the blobs above."""
    images: tuple[Blob, ...]
    """Further manifests, each with a tag ``image-N``: not every request asks for the same one."""
    tags: int
    repositories: int
    referrers: tuple[Blob, ...]

    @staticmethod
    def new(*, large: int, tags: int, repositories: int, referrers: int) -> Content:
        """Random bytes, so that nothing of an earlier run is answered."""
        config, small, medium, huge = Blob.of(CONFIG), Blob.new(KIB), Blob.new(MIB), Blob.new(large)
        layers = tuple(Blob.new(MIB) for _ in range(10))
        image = Blob.of(manifest(config, [small, medium, huge, *layers]))
        images = tuple(Blob.of(manifest(config, [small], note=str(number))) for number in range(50))
        attached = tuple(Blob.of(manifest(config, [small], subject=image, note=str(n))) for n in range(referrers))
        return Content(config, small, medium, huge, layers, image, images, tags, repositories, attached)

    @property
    def blobs(self) -> Iterator[Blob]:
        """All of the first repository."""
        yield from (self.config, self.small, self.medium, self.large, *self.layers)

    @property
    def large_size(self) -> int:
        """Bytes of the large blob."""
        return len(self.large.data)

    def manifests(self) -> Iterator[tuple[str, Blob]]:
        """Reference and document, of the first repository."""
        yield "bench", self.image
        yield from ((f"image-{number}", image) for number, image in enumerate(self.images))


def manifest(config: Blob, layers: list[Blob], *, note: str = "", subject: Blob | None = None) -> bytes:
    """An OCI image manifest."""
    document: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": config.descriptor(CONFIG_TYPE),
        "layers": [layer.descriptor(LAYER_TYPE) for layer in layers],
    }
    if note:
        document["annotations"] = {"note": note}
    if subject is not None:
        document["subject"] = subject.descriptor(MANIFEST_TYPE)
    return json.dumps(document).encode()


def publish(server: Server, content: Content) -> None:
    """Make the server hold the content, and see that it gives back what it was given."""
    if server.files is not None:
        _lay_down(server.files, content)
    else:
        _push_all(server, content)
    connection = Connection(server.address)
    headers = [("Accept", MANIFEST_TYPE), *server.basic()]
    try:
        for path, blob in (
            (f"/v2/{REPOSITORY}/manifests/bench", content.image),
            (f"/v2/{REPOSITORY}/manifests/{content.image.digest}", content.image),
            (f"/v2/{REPOSITORY}/blobs/{content.large.digest}", content.large),
            (f"/v2/{REPOSITORY}/blobs/{content.small.digest}", content.small),
        ):
            answer = connection.ask(Ask(server.address.request("GET", path, headers), 200, keep=True))
            if answer.body != blob.data:
                raise Failure(f"GET {path}: not the bytes that were pushed")
    finally:
        connection.close()


def offers(server: Server, content: Content) -> frozenset[str]:
    """Which optional APIs the server knows."""
    targets = {"referrers": f"/v2/{REPOSITORY}/referrers/{content.image.digest}", "catalog": "/v2/_catalog?n=1"}
    return frozenset(name for name, target in targets.items() if server.files is None and _answers(server, target))


def _answers(server: Server, target: str) -> bool:
    connection = Connection(server.address)
    try:
        connection.ask(Ask(server.address.request("GET", target, server.basic()), 200, keep=True))
    except Failure:
        return False
    finally:
        connection.close()
    return True


def push_blob(server: Server, repository: str, blob: Blob, headers: Headers) -> Operation:
    """POST, PATCH with all bytes, PUT: as container clients push a layer."""
    upload = yield post(server, repository, headers)
    upload = yield with_body(server, "PATCH", path(upload.location), [blob.data], 202, headers, OCTETS)
    yield with_body(server, "PUT", with_digest(upload, blob.digest), [], 201, headers)


def push_at_once(server: Server, repository: str, parts: list[Buffer], digest: str, headers: Headers) -> Operation:
    """POST, then PUT with all bytes."""
    upload = yield post(server, repository, headers)
    yield with_body(server, "PUT", with_digest(upload, digest), parts, 201, headers, OCTETS)


def push_manifest(server: Server, repository: str, reference: str, document: bytes, headers: Headers) -> Operation:
    """One PUT."""
    target = f"/v2/{repository}/manifests/{reference}"
    yield with_body(server, "PUT", target, [document], 201, headers, MANIFEST_TYPE)


def post(server: Server, repository: str, headers: Headers) -> Ask:
    """Begin an upload."""
    return with_body(server, "POST", f"/v2/{repository}/blobs/uploads/", [], 202, headers)


def with_body(
    server: Server, method: str, target: str, bodies: list[Buffer], expected: int, headers: Headers, kind: str = ""
) -> Ask:
    """A request that carries something."""
    lines = [*headers, ("Content-Length", str(sum(memoryview(body).nbytes for body in bodies)))]
    lines += [("Content-Type", kind)] if kind else []
    return Ask(server.address.request(method, target, lines), expected, bodies)


def path(location: str) -> str:
    """The target of a Location, which may be absolute."""
    return location if location.startswith("/") else "/" + location.split("://", 1)[-1].partition("/")[2]


def with_digest(upload: Answer, digest: str) -> str:
    """The target that closes an upload."""
    target = path(upload.location)
    return f"{target}{'&' if '?' in target else '?'}digest={digest}"


def _push_all(server: Server, content: Content) -> None:
    headers = server.basic()
    connection = Connection(server.address)
    try:
        for blob in content.blobs:
            connection.run(push_blob(server, REPOSITORY, blob, headers))
        for reference, document in content.manifests():
            connection.run(push_manifest(server, REPOSITORY, reference, document.data, headers))
        for document in content.referrers:
            connection.run(push_manifest(server, REPOSITORY, document.digest, document.data, headers))
        empty = manifest(content.config, [])
        connection.run(push_blob(server, MANY, content.config, headers))
        for blob in (content.config, content.small):
            connection.run(push_blob(server, PUSHED, blob, headers))

        def tag(number: int) -> Operation:
            return push_manifest(server, MANY, f"tag-{number:06d}", empty, headers)

        def repository(number: int) -> Operation:
            name = OTHERS.format(number)
            yield from push_at_once(server, name, [CONFIG], content.config.digest, headers)
            yield from push_manifest(server, name, "v1", empty, headers)

        load.operations(server.address, tag, connections=4, count=content.tags)
        load.operations(server.address, partial(repository), connections=4, count=content.repositories)
    finally:
        connection.close()


def _lay_down(files: Path, content: Content) -> None:
    base = files / "v2" / REPOSITORY
    (base / "manifests").mkdir(parents=True)
    (base / "blobs").mkdir()
    for reference, document in content.manifests():
        (base / "manifests" / reference).write_bytes(document.data)
        (base / "manifests" / document.digest).write_bytes(document.data)
    for blob in content.blobs:
        (base / "blobs" / blob.digest).write_bytes(blob.data)
