"""Metrics: the documented names, several workers as one, an error code for every failure, a reader who may."""

from __future__ import annotations

import errno
import io
import os
import re
import time
import uuid
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from image_registry.auth import trail
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository
from image_registry.server import metrics, numbers
from image_registry.server.measured_store import code, measured, operations
from image_registry.server.numbers import Family, Numbers, SharedNumbers
from image_registry.server.observability import Observability, shared_folder
from image_registry.server.observation import Audit, Record
from image_registry.storage.blob_store import (
    BlobMissing,
    OffsetMismatch,
    OutOfSpace,
    StorageFault,
    UploadBusy,
    UploadMissing,
)
from image_registry.storage.filesystem import FilesystemStore

ROOT = Path(__file__).resolve().parents[3]
COUNTER = Family("things_total", "counter", "Things.", ("kind",))
GAUGE = Family("level", "gauge", "Level.")
HISTOGRAM = Family("seconds", "histogram", "Seconds.", ("kind",), (0.1, 1.0))
SUMMARY = Family("bytes", "summary", "Bytes.")
FAMILIES = (COUNTER, GAUGE, HISTOGRAM, SUMMARY)

PULL = Record("GET", "/v2/a/b/blobs/x", 200, 0.3, "r", route="blobs.get", sent=100, decision=trail.ALLOWED)


def samples(shared: SharedNumbers) -> dict[str, float]:
    """Every sample by ``name{label,…}``."""
    return {
        f"{sample.name}{{{','.join(sample.labels.values())}}}": sample.value
        for family in shared.collect()
        for sample in family.samples
    }


def page(watched: Observability) -> dict[str, float]:
    body, content_type = watched.page("")
    assert content_type.startswith("text/plain")
    return {
        f"{sample.name}{{{','.join(sample.labels.values())}}}": sample.value
        for family in parse(body.decode())
        for sample in family.samples
    }


def test_workers_count_together_and_what_an_ended_one_counted_stays(tmp_path: Path) -> None:
    one, two = SharedNumbers(FAMILIES, tmp_path), SharedNumbers(FAMILIES, tmp_path)
    for worker in (one, two):
        worker.own.add(COUNTER, ("a",), 2)
        worker.own.observe(HISTOGRAM, ("x",), 0.5)
        worker.own.observe(SUMMARY, (), 7)
        worker.own.watch(GAUGE, (), lambda: 3)
        worker.publish()
    found = samples(one)
    assert found["things_total{a}"] == 4
    assert found["seconds_count{x}"] == 2
    assert (found["seconds_bucket{x,0.1}"], found["seconds_bucket{x,1.0}"], found["seconds_bucket{x,+Inf}"]) == (
        0,
        2,
        2,
    )
    assert (found["bytes_count{}"], found["bytes_sum{}"]) == (2, 14)
    assert found["level{}"] == 6
    [gone] = [path for path in tmp_path.iterdir() if path.name == two._file]
    os.utime(gone, (time.time() - 60, time.time() - 60))
    found = samples(one)
    assert found["things_total{a}"] == 4
    assert found["level{}"] == 3


def test_a_bound_belongs_to_its_bucket() -> None:
    shared = SharedNumbers(FAMILIES)
    for value in (0.1, 1.0, 1.1):
        shared.own.observe(HISTOGRAM, ("x",), value)
    found = samples(shared)
    assert [found[f"seconds_bucket{{x,{bound}}}"] for bound in ("0.1", "1.0", "+Inf")] == [1, 2, 3]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'[["unknown", [], [1]]]'])
def test_a_file_that_cannot_be_read_costs_its_figures_alone(tmp_path: Path, content: bytes) -> None:
    shared = SharedNumbers(FAMILIES, tmp_path)
    shared.own.add(COUNTER, ("a",))
    (tmp_path / "1-broken.json").write_bytes(content)
    assert samples(shared)["things_total{a}"] == 1


def test_a_folder_that_is_gone_fails_nothing(tmp_path: Path) -> None:
    shared = SharedNumbers(FAMILIES, tmp_path / "gone")
    shared.own.add(COUNTER, ("a",))
    shared.publish()
    assert samples(shared)["bytes_count{}"] == 0


def test_the_folder_is_new_and_goes_with_its_process() -> None:
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        os._exit(0)
    os.waitpid(child, 0)
    folder = shared_folder()
    assert folder.is_dir()
    assert not list(folder.iterdir())
    folder.rmdir()


def test_a_request_is_counted_once_under_every_documented_name() -> None:
    watched = Observability(Audit.NONE)
    watched.observer = type(watched.observer)(stream=io.BytesIO(), meter=metrics.RequestMeter(watched.numbers))
    watched.observer.finished(PULL)
    watched.observer.finished(PULL._replace(method="HEAD", sent=0))
    watched.observer.finished(PULL._replace(status=403, decision=trail.DENIED, error="DENIED: no", sent=0))
    watched.observer.finished(PULL._replace(method="BREW", complete=False))
    watched.observer.finished(PULL._replace(method="HEAD", kept=True, sent=0))
    found = page(watched)
    assert found["imageregistry_request_duration_seconds_count{blobs.get}"] == 3
    assert found["imageregistry_request_duration_seconds_count{blobs.head}"] == 2
    assert found["imageregistry_digest_cache_requests_total{hit}"] == 1
    assert found["imageregistry_digest_cache_requests_total{miss}"] == 3
    assert found["imageregistry_http_requests_total{200,GET}"] == 1
    assert found["imageregistry_http_requests_total{403,GET}"] == 1
    assert found["imageregistry_http_response_size_bytes_sum{GET}"] == 100
    assert found["imageregistry_access_decisions_total{denied}"] == 1
    assert found["imageregistry_refusals_total{DENIED}"] == 1
    assert found["imageregistry_http_incomplete_total{other}"] == 1


def test_the_page_is_there_in_both_formats_of_prometheus() -> None:
    watched = Observability(Audit.NONE)
    body, content_type = watched.page("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    parsed = openmetrics(body.decode())  # type: ignore[no-untyped-call]
    assert {family.name for family in parsed} >= {"imageregistry_http_requests"}


def test_every_operation_of_a_storage_is_timed(tmp_path: Path) -> None:
    shared = SharedNumbers(metrics.FAMILIES)
    store = measured(FilesystemStore(tmp_path), shared.own)
    digest = Digest.of(b"x")
    store.put(b"x", digest)
    assert store.read(digest) == b"x"
    with pytest.raises(BlobMissing):
        store.open(Digest.of(b"y"))
    assert list(store.repositories()) == []
    found = samples(shared)
    assert found["imageregistry_storage_duration_seconds_count{put}"] == 1
    assert found["imageregistry_storage_duration_seconds_count{open}"] == 1
    assert found["imageregistry_storage_errors_total{open,PATH_NOT_FOUND}"] == 1
    assert {"stat", "append", "commit_upload", "probe"} <= set(operations())


def test_a_client_that_vanishes_is_no_failure_of_the_storage(tmp_path: Path) -> None:
    class Vanishing:
        def read(self, _size: int) -> bytes:
            raise ConnectionResetError

    shared = SharedNumbers(metrics.FAMILIES)
    store = measured(FilesystemStore(tmp_path), shared.own)
    repository = Repository.of("a", "b")
    store.begin_upload(repository, str(uuid.UUID(int=1)))
    with pytest.raises(ConnectionResetError):
        store.append(repository, str(uuid.UUID(int=1)), 0, Vanishing(), None)
    assert not [name for name in samples(shared) if name.startswith("imageregistry_storage_errors_total{")]


def caused_by(number: int) -> StorageFault:
    fault = StorageFault("it failed")
    fault.__cause__ = OSError(number, os.strerror(number))
    return fault


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (OutOfSpace("full"), "DEVICE_OUT_OF_SPACE"),
        (BlobMissing(), "PATH_NOT_FOUND"),
        (UploadMissing(), "PATH_NOT_FOUND"),
        (OffsetMismatch(3), "INVALID_OFFSET"),
        (UploadBusy(), "UPLOAD_BUSY"),
        (caused_by(errno.EROFS), "READ_ONLY_FILESYSTEM"),
        (caused_by(errno.EFBIG), "FILE_TOO_LARGE"),
        (caused_by(errno.EIO), "UNKNOWN"),
    ],
)
def test_every_failure_of_a_storage_has_its_documented_code(failure: Exception, expected: str) -> None:
    assert code(failure) == expected
    assert f"`{expected}`" in (ROOT / "docs/reference/metrics.md").read_text(encoding="utf-8")


def test_the_reference_lists_every_metric_with_its_labels_and_nothing_else() -> None:
    text = (ROOT / "docs/reference/metrics.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(imageregistry_\w+)(?:\{[\w, ]*\})?` \| (\w+) \|", text, re.MULTILINE))
    assert rows == {family.name: family.kind for family in metrics.FAMILIES}
    for family in metrics.FAMILIES:
        labels = f"{{{', '.join(family.labels)}}}" if family.labels else ""
        assert f"`{family.name}{labels}`" in text, family.name


def test_counting_is_cheap() -> None:
    """Far above what is measured, so that it fails for a lost idea and not for a busy machine."""
    meter = metrics.RequestMeter(Numbers())
    started = time.thread_time()
    for _ in range(10_000):
        meter.count(PULL)
    assert (time.thread_time() - started) / 10_000 < 60e-6


def test_numbers_that_nobody_asks_for_are_published_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numbers, "INTERVAL", 0.01)
    shared = SharedNumbers(FAMILIES, tmp_path)
    shared.own.add(COUNTER, ("a",))
    shared.start()
    deadline = time.monotonic() + 5
    while not list(tmp_path.glob("*.json")) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert list(tmp_path.glob("*.json"))
