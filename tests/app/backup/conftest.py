"""Registries that are lost and made anew: real processes, each with the Image API on the same tables."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from image_registry.backup.door import Door
from image_registry.backup.folder import Folder
from image_registry.kube.errors import KubeError
from image_registry.metadata.database import Database
from image_registry.oci import media_types
from tests.app.cli.served import Office
from tests.app.image_api.conftest import FakeCluster, ImageAPI
from tests.serve.conftest import serve

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass
class Registry:
    """One registry; ``office`` is the cluster that it is in."""

    host: str
    root: Path
    office: Office
    pushed: dict[str, str] = field(default_factory=dict)
    """Digests by ``repository:tag``."""

    @property
    def door(self) -> Door:
        return Door.of(f"http://{self.host}")

    def ask(self, method: str, path: str, body: bytes = b"", kind: str = "") -> tuple[int, bytes, dict[str, str]]:
        connection = http.client.HTTPConnection(self.host, timeout=30)
        try:
            connection.request(method, path, body, {"Content-Type": kind or "application/octet-stream"})
            answer = connection.getresponse()
            return answer.status, answer.read(), dict(answer.headers)
        finally:
            connection.close()

    def blob(self, repository: str, data: bytes, kind: str = LAYER) -> dict[str, Any]:
        digest = _digest(data)
        status, said, _ = self.ask("POST", f"/v2/{repository}/blobs/uploads/?digest={digest}", data)
        assert status == 201, said
        return {"mediaType": kind, "digest": digest, "size": len(data)}

    def push(self, repository: str, content: str, tag: str = "", **extra: Any) -> dict[str, Any]:
        """An image of one layer with this content; without a tag, by its digest. Returns its descriptor."""
        config = self.blob(repository, json.dumps({"config": content}).encode(), media_types.OCI_CONFIG)
        layers = [self.blob(repository, b"the same for all" * 100), self.blob(repository, content.encode() * 50)]
        document = {"schemaVersion": 2, "mediaType": media_types.OCI_MANIFEST, "config": config, "layers": layers}
        return self.put(repository, {**document, **extra}, tag)

    def put(self, repository: str, document: dict[str, Any], tag: str = "") -> dict[str, Any]:
        raw = json.dumps(document).encode()
        digest, kind = _digest(raw), document["mediaType"]
        status, said, _ = self.ask("PUT", f"/v2/{repository}/manifests/{tag or digest}", raw, kind)
        assert status == 201, said
        if tag:
            self.pushed[f"{repository}:{tag}"] = digest
        return {"mediaType": kind, "digest": digest, "size": len(raw)}

    def pulled(self, repository: str, wanted: str) -> str:
        """The digest of an image of which every byte came and was right."""
        status, raw, _ = self.ask("GET", f"/v2/{repository}/manifests/{wanted}")
        assert status == 200, f"{repository} {wanted}: {raw!r}"
        document = json.loads(raw)
        for entry in document.get("manifests", ()):
            assert self.pulled(repository, entry["digest"]) == entry["digest"]
        for entry in (*document.get("layers", ()), *([document["config"]] if "config" in document else ())):
            status, data, _ = self.ask("GET", f"/v2/{repository}/blobs/{entry['digest']}")
            assert (status, _digest(data)) == (200, entry["digest"])
        return _digest(raw)

    def stream(self, repository: str) -> Any:
        namespace, name = repository.split("/")
        return self.office.api.get(f"namespaces/{namespace}/imagestreams/{name}")

    def sign(self, digest: str, name: str, content: bytes) -> None:
        body = {
            "type": "atomic",
            "content": base64.b64encode(content).decode(),
            "metadata": {"name": f"{digest}@{name}"},
        }
        head = {"apiVersion": "image.alauda.io/v1", "kind": "ImageSignature"}
        self.office.api.write("POST", "imagesignatures", {**head, **body}, 201)

    def signatures(self) -> dict[str, str]:
        """What signatures hold, by name."""
        api = self.office.api
        images = [api.get(f"images/{api.segment(name)}") for name in api.names("images")]
        return {one["metadata"]["name"]: one["content"] for image in images for one in image.get("signatures", ())}

    def rewrite(self, repository: str, **changes: Any) -> None:
        """Edit a stream as people do: ``labels``, ``annotations`` and ``tags`` of its spec."""
        namespace, name = repository.split("/")
        document = self.stream(repository)
        tags = changes.pop("tags", None)
        document["metadata"].update(changes)
        if tags is not None:
            document["spec"]["tags"] = tags
        self.office.api.write("PUT", f"namespaces/{namespace}/imagestreams/{name}", document)

    def told(self) -> dict[str, Any]:
        """What people see of every stream, without what each registry counts for itself."""
        found = {}
        for item in self.office.api.get("imagestreams")["items"]:
            metadata = item["metadata"]
            tags = [{k: v for k, v in tag.items() if k != "generation"} for tag in item["spec"].get("tags", ())]
            name = f"{metadata['namespace']}/{metadata['name']}"
            history = json.loads(
                json.dumps(item["status"].get("tags")),
                object_hook=lambda one: {k: v for k, v in one.items() if k != "generation"},
            )
            found[name] = [metadata.get("labels"), metadata.get("annotations"), tags, history]
        return found


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@contextmanager
def registry(folder: Path) -> Iterator[Registry]:
    """A registry with nothing in it."""
    folder.mkdir()
    for found in serve(folder, "--auth", "none"):
        database = Database(f"sqlite:///{found.root / 'metadata.db'}")
        api = ImageAPI(database, FakeCluster())
        api.now = datetime.now(UTC).replace(microsecond=0)
        office = Office(api)
        try:
            _indexed(office)
            yield Registry(found.host, found.root, office)
        finally:
            database.dispose()


def _indexed(office: Office) -> None:
    """Until nothing is made from storage any more: this fake of a client does not ask again by itself."""
    end = time.monotonic() + 60
    while True:
        try:
            office.find("/apis/image.alauda.io/v1/namespaces/nobody/imagestreams/nothing")
        except KubeError as error:
            if not error.passing or time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            return


def fill(one: Registry) -> None:
    """Everything that an image and a stream can be."""
    for version in ("first", "second", "third"):
        one.push("team/app", version, "latest")
    one.push("team/app", "stable", "v1")
    untagged = one.push("team/app", "nobody names it")
    one.put("team/app", _index(one.push("team/app", "for amd64"), one.push("team/app", "for arm")), "multi")
    about: dict[str, Any] = {"artifactType": "application/vnd.example.sbom", "subject": untagged}
    one.push("team/app", "a list of contents", **about)
    one.sign(untagged["digest"], "builder-1", b"signed by the builder")
    one.push("other/tool", "first", "latest")
    wanted = {"kind": "ImageStreamTag", "namespace": "team", "name": "app:v1"}
    one.rewrite(
        "other/tool",
        labels={"owner": "tools"},
        annotations={"note": "by hand"},
        tags=[{"name": "followed", "from": wanted, "referencePolicy": {"type": "Local"}}],
    )
    one.rewrite("team/app", tags=[{"name": "v1", "annotations": {"why": "it is the best"}}])


def _index(*entries: dict[str, Any]) -> dict[str, Any]:
    platforms = ({"os": "linux", "architecture": "amd64"}, {"os": "linux", "architecture": "arm64"})
    manifests = [{**entry, "platform": platform} for entry, platform in zip(entries, platforms, strict=True)]
    return {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": manifests}


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Registry]:
    """The registry that is going to be lost, filled."""
    with registry(tmp_path / "old") as found:
        fill(found)
        yield found


@pytest.fixture
def new(tmp_path: Path) -> Iterator[Registry]:
    """The one that was installed after it, with nothing in it."""
    with registry(tmp_path / "new") as found:
        yield found


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "backups")
