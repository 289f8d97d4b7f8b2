"""Content of imported images comes from where they were imported, once, and only what was verified stays."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from image_registry.auth.local import AllowAll
from image_registry.auth.trail import TRAIL, Trail
from image_registry.distribution_api.app import create_app
from image_registry.distribution_api.parts import Parts
from image_registry.importing.pull_through import PullThrough
from image_registry.importing.refetching import Refetching
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository
from image_registry.remote.credentials import Keyring
from image_registry.remote.registry import Registries
from image_registry.storage import layout
from image_registry.storage.blob_store import OutOfSpace
from image_registry.storage.filesystem import FilesystemStore
from image_registry.upkeep.hashing import Hashing
from image_registry.upkeep.scrubbing import scrub
from tests.app.importing.conftest import STREAM, Importing
from tests.app.remote.conftest import Remote
from tests.app.remote.faulting_proxy import Fault


@dataclass
class Pulling:
    """A data plane over what was imported."""

    importing: Importing
    content: Any
    store: FilesystemStore
    pull_through: PullThrough
    client: Client
    paused: list[str]

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.client.get(f"/v2/{STREAM}/{path}", **options)

    def blob(self, digest: Digest | None = None, **options: Any) -> TestResponse:
        return self.get(f"blobs/{digest or self.content.blob}", **options)

    def asked(self, part: str) -> int:
        return len(self.importing.proxy.asked(part))


@pytest.fixture
def database_url(sqlite_template: Path, tmp_path: Path) -> str:
    """One kind of database is enough here: what differs between them is tested beside the queries."""
    path = tmp_path / "metadata.db"
    shutil.copy(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def pulling(
    importing: Importing, client: Callable[..., Registries], open_distribution: Remote, tmp_path: Path
) -> Iterator[Pulling]:
    importing.run(importing.image(), importing.image("multi", mode="PreserveOriginal"))
    importing.proxy.seen.clear()
    found = over(importing, FilesystemStore(tmp_path / "blobs"), client(), open_distribution)
    yield found
    assert found.pull_through.wait(20)


def over(importing: Importing, store: FilesystemStore, registries: Registries, remote: Remote) -> Pulling:
    """One process."""
    paused: list[str] = []
    pull_through = PullThrough(
        registries, importing.streams.imports, store, lambda _namespace: Keyring(), paused=lambda: bool(paused)
    )
    parts = Parts(
        store=store,
        streams=importing.streams,
        authorizer=AllowAll(),
        pull_through=pull_through,
        read_only=lambda: paused[0] if paused else None,
    )
    return Pulling(importing, remote.content, store, pull_through, Client(create_app(parts)), paused)


def test_an_imported_image_is_pulled_as_if_it_were_here(pulling: Pulling) -> None:
    content = pulling.content
    manifest = pulling.get("manifests/v1")
    assert manifest.status_code == 200
    assert Digest.of(manifest.data) == content.image
    assert pulling.get(f"manifests/{content.index}").status_code == 200
    assert pulling.get(f"manifests/{content.arm}").status_code == 200
    layer = pulling.blob()
    assert (layer.status_code, layer.data) == (200, content.layer)
    assert layer.headers["Docker-Content-Digest"] == str(content.blob)
    assert pulling.blob(Digest.of(content.config)).data == content.config


@pytest.mark.parity(15)
def test_what_was_fetched_is_kept_and_served_when_the_other_registry_is_gone(pulling: Pulling) -> None:
    pulling.get("manifests/v1")
    pulling.blob()
    asked = len(pulling.importing.proxy.seen)
    pulling.importing.proxy.faults.append(Fault("", 503, always=True))
    assert pulling.get("manifests/v1").status_code == 200
    assert pulling.blob().data == pulling.content.layer
    assert pulling.blob(headers={"Range": "bytes=10-19"}).data == pulling.content.layer[10:20]
    assert len(pulling.importing.proxy.seen) == asked


def test_looking_fetches_nothing(pulling: Pulling) -> None:
    head = pulling.client.head(f"/v2/{STREAM}/blobs/{pulling.content.blob}")
    assert (head.status_code, head.content_length) == (200, len(pulling.content.layer))
    assert pulling.client.head(f"/v2/{STREAM}/manifests/v1").status_code == 200
    assert pulling.importing.proxy.seen == []


def test_a_part_of_what_is_not_here_is_a_part_of_what_comes(pulling: Pulling) -> None:
    answer = pulling.blob(headers={"Range": "bytes=5-9"})
    assert (answer.status_code, answer.data) == (206, pulling.content.layer[5:10])


def test_a_crowd_causes_one_fetch(pulling: Pulling) -> None:
    with ThreadPoolExecutor(20) as pool:
        blobs = [pool.submit(pulling.blob) for _ in range(20)]
        assert all(blob.result(30).data == pulling.content.layer for blob in blobs)
        manifests = [pool.submit(pulling.get, "manifests/v1") for _ in range(20)]
        assert all(manifest.result(30).status_code == 200 for manifest in manifests)
    assert pulling.asked("/blobs/") == 1
    assert pulling.asked("/manifests/") == 1


def test_processes_that_share_a_database_cause_one_fetch(
    pulling: Pulling, client: Callable[..., Registries], open_distribution: Remote
) -> None:
    other = over(pulling.importing, pulling.store, client(), open_distribution)
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(process.blob) for process in (pulling, other) for _ in range(2)]
        assert all(answer.result(30).data == pulling.content.layer for answer in answers)
    assert other.pull_through.wait(20)
    assert pulling.asked("/blobs/") == 1


def test_the_first_reader_has_bytes_before_the_last_have_come(
    pulling: Pulling, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived, go_on = threading.Event(), threading.Event()
    fetch = pulling.pull_through._registries.blob

    @contextmanager
    def slow(*args: Any, **options: Any) -> Iterator[Iterator[bytes]]:
        def parts(inner: Iterator[bytes]) -> Iterator[bytes]:
            yield next(inner)
            arrived.set()
            assert go_on.wait(20)
            yield from inner

        with fetch(*args, **options) as inner:
            yield parts(inner)

    monkeypatch.setattr(pulling.pull_through._registries, "blob", slow)
    flight = pulling.pull_through.blob(STREAM, pulling.content.blob)
    assert flight is not None
    chunks = flight.chunks()
    first = next(chunks)
    assert arrived.wait(20)
    assert 0 < len(first) < len(pulling.content.layer)
    assert not pulling.store.blob_linked(STREAM, pulling.content.blob)
    go_on.set()
    assert first + b"".join(chunks) == pulling.content.layer


def test_changed_bytes_are_neither_kept_nor_served_whole(pulling: Pulling) -> None:
    pulling.importing.proxy.faults.append(Fault("/blobs/", change=True))
    flight = pulling.pull_through.blob(STREAM, pulling.content.blob)
    assert flight is not None
    got = 0
    with pytest.raises(Exception, match="nothing is taken"):  # noqa: PT012
        for chunk in flight.chunks():
            got += len(chunk)
    assert got < len(pulling.content.layer)
    assert pulling.store.stat(pulling.content.blob) is None
    pulling.importing.proxy.faults.append(Fault("/manifests/", change=True))
    refused = pulling.get("manifests/v1")
    assert refused.status_code == 404
    assert "nothing is taken" in refused.text
    assert pulling.store.stat(pulling.content.image) is None


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (Fault("", 404, always=True), 404, "UNKNOWN"),
        (Fault("", 403, always=True), 404, "UNKNOWN"),
        (Fault("", 503, always=True), 503, "UNAVAILABLE"),
        (Fault("", 429, {"Retry-After": "77"}, always=True), 429, "TOOMANYREQUESTS"),
    ],
)
def test_what_cannot_be_had_is_said_with_its_reason(pulling: Pulling, fault: Fault, status: int, code: str) -> None:
    pulling.importing.proxy.faults.append(fault)
    for answer in (pulling.get("manifests/v1"), pulling.blob()):
        assert answer.status_code == status
        error = answer.json["errors"][0]  # type: ignore[index]
        assert error["code"].endswith(code)
        assert pulling.importing.proxy.host in error["message"]
    if status == 429:
        assert int(answer.headers["Retry-After"]) in range(70, 78)


def test_a_failure_is_not_asked_for_by_everybody(pulling: Pulling) -> None:
    pulling.importing.proxy.faults.append(Fault("/blobs/", 404, always=True))
    assert {pulling.blob().status_code for _ in range(10)} == {404}
    assert pulling.asked("/blobs/") == 1


def test_only_what_an_import_lists_is_fetched(pulling: Pulling) -> None:
    """A digest that is known opens nothing, whether it is in the other registry or in another repository here."""
    assert pulling.blob(Digest.of(b"other")).status_code == 404
    assert pulling.blob(pulling.content.index).status_code == 404
    assert pulling.client.get(f"/v2/team/other/blobs/{pulling.content.blob}").status_code == 404
    assert pulling.importing.proxy.seen == []


def test_a_blob_that_is_nowhere_says_nothing_of_those_that_an_import_lists(pulling: Pulling) -> None:
    """Where images were imported the answer about one blob is not kept for the next."""
    for repository, holds_for_all in ((STREAM, False), ("team/other", True)):
        left = Trail()
        answer = pulling.client.get(f"/v2/{repository}/blobs/{Digest.of(b'nowhere')}", environ_overrides={TRAIL: left})
        assert answer.status_code == 404
        assert (left.keep is not None) == holds_for_all


def test_bytes_of_another_repository_prove_nothing(pulling: Pulling) -> None:
    """Whoever imports a manifest that lists somebody's private layer must have the layer from where they import."""
    pulling.store.put_blob(Repository("secret", "app"), pulling.content.layer, pulling.content.blob)
    pulling.importing.proxy.faults.append(Fault("/blobs/", 404, always=True))
    assert pulling.blob().status_code == 404


def test_while_read_only_content_passes_through_and_is_not_kept(pulling: Pulling) -> None:
    pulling.paused.append("maintenance")
    for _ in range(2):
        assert pulling.blob().data == pulling.content.layer
        assert pulling.get("manifests/v1").status_code == 200
    assert pulling.asked("/blobs/") == 2
    assert pulling.store.stat(pulling.content.blob) is None


def test_a_full_disk_fails_the_pull_and_leaves_nothing(pulling: Pulling, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OutOfSpace("no space left")

    monkeypatch.setattr(pulling.store, "begin_upload", full)
    assert pulling.blob().status_code == 507
    monkeypatch.undo()
    assert pulling.blob().data == pulling.content.layer


def test_what_was_deleted_is_not_fetched_again(pulling: Pulling) -> None:
    pulling.blob()
    pulling.get("manifests/v1")
    for digest in (pulling.content.index, pulling.content.image, pulling.content.arm):
        assert pulling.client.delete(f"/v2/{STREAM}/manifests/{digest}").status_code == 202
    before = len(pulling.importing.proxy.seen)
    assert pulling.get(f"manifests/{pulling.content.image}").status_code == 404
    assert len(pulling.importing.proxy.seen) == before


def test_reading_makes_no_repository_and_no_right(pulling: Pulling) -> None:
    before = pulling.importing.streams.repositories(namespaces=None)
    pulling.blob()
    pulling.client.get(f"/v2/nobody/app/blobs/{pulling.content.blob}")
    assert pulling.importing.streams.repositories(namespaces=None).items == before.items


def test_what_a_scrub_puts_aside_is_fetched_again_from_where_it_was_imported(pulling: Pulling, tmp_path: Path) -> None:
    content, store = pulling.content, pulling.store
    pulling.get("manifests/v1")
    assert pulling.blob().data == content.layer
    assert pulling.pull_through.wait(20)
    alone = Digest.of(b"pushed, not imported")
    store.put_blob(STREAM, b"pushed, not imported", alone)
    for digest in (content.image, content.blob, alone):
        path = tmp_path / "blobs" / layout.blob_data(digest)
        path.write_bytes(b"x" + path.read_bytes()[1:])
    fetch = Refetching(pulling.importing.streams.imports, pulling.pull_through, store)
    found = scrub(store, Hashing(store), confirm=True, fetch=fetch)
    assert (found.put_aside, found.fetched) == (3, 2)
    cures = {entry["digest"]: entry.get("cure", "") for entry in found.corrupt}
    assert cures == {
        str(content.image): f"fetched again for {STREAM}",
        str(content.blob): f"fetched again for {STREAM}",
        str(alone): "",
    }
    assert scrub(store, Hashing(store), confirm=False).clean
    assert pulling.blob().data == content.layer


def test_a_place_that_does_not_answer_is_told_and_ends_no_scrub(pulling: Pulling, tmp_path: Path) -> None:
    assert pulling.blob().data == pulling.content.layer
    assert pulling.pull_through.wait(20)
    path = tmp_path / "blobs" / layout.blob_data(pulling.content.blob)
    path.write_bytes(b"x" + path.read_bytes()[1:])
    pulling.importing.proxy.faults.append(Fault("", 503, always=True))
    fetch = Refetching(pulling.importing.streams.imports, pulling.pull_through, pulling.store)
    found = scrub(pulling.store, Hashing(pulling.store), confirm=True, fetch=fetch)
    assert (found.put_aside, found.fetched) == (1, 0)
    assert found.corrupt[0]["cure"].startswith(f"it could not be fetched again for {STREAM}: ")
