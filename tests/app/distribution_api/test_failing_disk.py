"""A disk that fails at any writing system call of any request: nothing wrong is served, and the next attempt succeeds.

The requests are those of a push and of what undoes it; the file system is a real one.
"""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from image_registry.metadata.database import Database
from image_registry.oci import media_types
from image_registry.oci.digest import Digest
from tests.app.schema import upgraded

from ..storage.conftest import FAILURES, Disk
from .conftest import Registry, assemble, manifest_of

CONFIG = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {}}).encode()
LAYER, OTHER = b"layer", b"other layer"
MANIFEST = manifest_of(CONFIG, LAYER)
KNOWN = {str(Digest.of(data)): data for data in (CONFIG, LAYER, OTHER, MANIFEST)}
HEADERS = {"Content-Type": media_types.OCI_MANIFEST}
UPLOADS = "/v2/demo/app/blobs/uploads/"


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def start(registry: Registry, query: str = "") -> str:
    return registry.client.post(f"{UPLOADS}{query}").headers["Location"]


def blob(registry: Registry) -> TestResponse:
    return registry.client.put(f"{start(registry)}?digest={Digest.of(OTHER)}", data=OTHER)


def session(registry: Registry) -> TestResponse:
    location = start(registry)
    for part in (OTHER[:3], OTHER[3:6]):
        sent = registry.client.patch(location, data=part)
        if sent.status_code != 202:
            return sent
    return registry.client.put(f"{location}?digest={Digest.of(OTHER)}", data=OTHER[6:])


def mount(registry: Registry) -> TestResponse:
    return registry.client.post(f"/v2/demo/copy/blobs/uploads/?mount={Digest.of(LAYER)}&from=demo/app")


def manifest(registry: Registry) -> TestResponse:
    return registry.client.put("/v2/demo/app/manifests/v2", data=MANIFEST, headers=HEADERS)


def cancel(registry: Registry) -> TestResponse:
    location = start(registry)
    if (sent := registry.client.patch(location, data=b"abc")).status_code != 202:
        return sent
    return registry.client.delete(location)


def delete_tag(registry: Registry) -> TestResponse:
    return registry.client.delete("/v2/demo/app/manifests/v1")


def delete_blob(registry: Registry) -> TestResponse:
    return registry.client.delete(f"/v2/demo/app/blobs/{Digest.of(LAYER)}")


@dataclass(frozen=True)
class Operation:
    act: Callable[[Registry], TestResponse]
    again: tuple[int, ...]
    """What a second attempt may be answered, which finds what the first one did in spite of its failure."""


OPERATIONS = {
    "blob": Operation(blob, (201,)),
    "session": Operation(session, (201,)),
    "mount": Operation(mount, (201,)),
    "manifest": Operation(manifest, (201,)),
    "cancel": Operation(cancel, (204,)),
    "delete tag": Operation(delete_tag, (202, 404)),
    "delete blob": Operation(delete_blob, (202, 404)),
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry that holds one image."""
    folder = tmp_path_factory.mktemp("template")
    upgraded(f"sqlite:///{folder / 'metadata.db'}")
    with opened(folder) as registry:
        assert registry.push("demo/app", "v1", layer=LAYER).status_code == 201
    return folder


@contextmanager
def opened(folder: Path) -> Iterator[Registry]:
    database = Database(f"sqlite:///{folder / 'metadata.db'}")
    try:
        yield assemble(database, folder / "blobs")
    finally:
        database.dispose()


def check(registry: Registry) -> None:
    """Everything that can be read is what its name says."""
    for repository in ("demo/app", "demo/copy"):
        for digest, data in KNOWN.items():
            answer = registry.client.get(f"/v2/{repository}/blobs/{digest}")
            assert answer.status_code in {200, 404}, answer.text
            assert answer.status_code == 404 or answer.data == data
    for tag in ("v1", "v2"):
        answer = registry.client.get(f"/v2/demo/app/manifests/{tag}")
        assert answer.status_code in {200, 404}, answer.text
        assert answer.status_code == 404 or answer.data == MANIFEST


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("failure", ["full", "broken"])
def test_a_disk_that_fails_at_any_moment_is_told_and_harms_nothing(
    tmp_path: Path, template: Path, disk: Disk, name: str, failure: str
) -> None:
    operation = OPERATIONS[name]
    with opened(shutil.copytree(template, tmp_path / "counted")) as counted, disk.fails(0, errno.EIO):
        assert operation.act(counted).status_code in operation.again
    calls = len(disk.calls)
    assert calls
    for number in range(1, calls + 1):
        with opened(shutil.copytree(template, tmp_path / str(number))) as registry:
            with disk.fails(number, FAILURES[failure]):
                answer = operation.act(registry)
            where = f"{name}, call {number} ({disk.calls[number - 1]}): {answer.text}"
            if answer.status_code >= 400:
                assert answer.status_code in ({507, 503} if failure == "full" else {503}), where
                [error] = json.loads(answer.data)["errors"]
                assert error["code"], where
                assert error["message"], where
                assert answer.headers["Retry-After"], where
            check(registry)
            assert operation.act(registry).status_code in operation.again, where
            check(registry)
