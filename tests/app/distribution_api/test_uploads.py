"""Uploads as careful, careless and hostile clients make them (distribution-spec, "Pushing blobs")."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable
from http import HTTPStatus

import pytest
from werkzeug.test import Client

from image_registry.distribution_api import running_hashes
from image_registry.distribution_api.app import create_app
from image_registry.distribution_api.memory import Memory
from image_registry.kube.errors import ClusterUnreachable, KubeError
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository
from image_registry.storage.blob_store import StorageFault
from image_registry.storage.resumable_hash import ResumableHash

from .conftest import Registry, code

APP = Repository("demo", "app")


def begin(registry: Registry, query: str = "") -> str:
    answer = registry.client.post(f"/v2/demo/app/blobs/uploads/{query}")
    assert answer.status_code == HTTPStatus.ACCEPTED, answer.text
    return answer.headers["Location"]


def finish(registry: Registry, location: str, whole: bytes, last: bytes = b"") -> None:
    digest = Digest.of(whole)
    end = registry.client.put(f"{location}?digest={digest}", data=last)
    assert (end.status_code, end.headers["Docker-Content-Digest"]) == (201, str(digest))
    assert registry.store.read(digest) == whole


@pytest.mark.parametrize("header", ["0-2", "bytes 0-2/*", "bytes=0-2", "bytes 0-2/3"])
def test_every_usual_way_to_write_a_content_range_is_read(registry: Registry, header: str) -> None:
    location = begin(registry)
    sent = registry.client.patch(location, data=b"abc", headers={"Content-Range": header})
    assert (sent.status_code, sent.headers["Range"]) == (202, "0-2")
    finish(registry, location, b"abc")


@pytest.mark.parametrize("header", ["", "abc", "2-1", "-3", "0-", "0-2-4", "0x0-0x2", "\u0660-\u0662", "0-" + "9" * 40])
def test_a_content_range_that_means_nothing_is_refused_and_the_upload_goes_on(registry: Registry, header: str) -> None:
    location = begin(registry)
    refused = registry.client.patch(location, data=b"abc", headers={"Content-Range": header})
    assert (refused.status_code, code(refused)) == (400, "BLOB_UPLOAD_INVALID")
    finish(registry, location, b"abc", b"abc")


def test_a_range_that_is_not_the_length_is_refused_before_a_byte_is_kept(registry: Registry) -> None:
    location = begin(registry)
    refused = registry.client.patch(location, data=b"abc", headers={"Content-Range": "0-9"})
    assert (refused.status_code, code(refused)) == (400, "SIZE_INVALID")
    assert registry.client.get(location).headers["Range"] == "0-0"
    finish(registry, location, b"abc", b"abc")


@pytest.mark.parametrize("method", ["patch", "put"])
def test_a_chunk_out_of_order_is_told_where_the_upload_stands(registry: Registry, method: str) -> None:
    location = begin(registry)
    registry.client.patch(location, data=b"abc", headers={"Content-Range": "0-2"})
    for header in ("4-6", "0-2", "2-4"):
        target = f"{location}?digest={Digest.of(b'x')}" if method == "put" else location
        refused = registry.client.open(target, method=method.upper(), data=b"xyz", headers={"Content-Range": header})
        assert refused.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
        assert (refused.headers["Range"], refused.headers["Location"]) == ("0-2", location)
        assert code(refused) == "BLOB_UPLOAD_INVALID"
    finish(registry, location, b"abcdef", b"def")


def test_a_chunk_of_no_bytes_changes_nothing(registry: Registry) -> None:
    location = begin(registry)
    registry.client.patch(location, data=b"abc")
    empty = registry.client.patch(location, data=b"")
    assert (empty.status_code, empty.headers["Range"]) == (202, "0-2")
    finish(registry, location, b"abc")


def test_the_empty_blob_can_be_pushed_in_every_way(registry: Registry) -> None:
    finish(registry, begin(registry), b"")
    empty = Digest.of(b"")
    answer = registry.client.post(f"/v2/demo/other/blobs/uploads/?digest={empty}", data=b"")
    assert answer.status_code == HTTPStatus.CREATED
    head = registry.client.head(answer.headers["Location"])
    assert (head.status_code, head.headers["Content-Length"]) == (200, "0")


def test_a_start_without_the_last_slash_is_a_start(registry: Registry) -> None:
    assert registry.client.post("/v2/demo/app/blobs/uploads").status_code == HTTPStatus.ACCEPTED


@pytest.mark.parametrize("query", ["", "?digest=", "?digest=sha256:abc", "?digest=md5:" + "0" * 32, "?digest=x"])
def test_an_end_without_a_digest_is_refused_and_the_upload_goes_on(registry: Registry, query: str) -> None:
    location = begin(registry)
    refused = registry.client.put(location + query, data=b"abc")
    assert (refused.status_code, code(refused)) == (400, "DIGEST_INVALID")
    finish(registry, location, b"abc", b"abc")


def test_an_upload_belongs_to_its_repository(registry: Registry) -> None:
    location = begin(registry)
    foreign = location.replace("/demo/app/", "/demo/other/")
    target = f"{foreign}?digest={Digest.of(b'x')}"
    for method, path in (("GET", foreign), ("PATCH", foreign), ("PUT", target), ("DELETE", foreign)):
        refused = registry.client.open(path, method=method, data=b"x" if method[0] == "P" else None)
        assert (refused.status_code, code(refused)) == (404, "BLOB_UPLOAD_UNKNOWN")
    finish(registry, location, b"abc", b"abc")


@pytest.mark.parametrize("upload_id", ["x", "..", "%00", "a" * 400, "00000000-0000-0000-0000-000000000000", "%ff"])
def test_an_upload_nobody_began_is_unknown(registry: Registry, upload_id: str) -> None:
    refused = registry.client.patch(f"/v2/demo/app/blobs/uploads/{upload_id}", data=b"x")
    assert (refused.status_code, code(refused)) == (404, "BLOB_UPLOAD_UNKNOWN")


class Interrupting(io.BytesIO):
    """A body in whose middle something else happens."""

    def __init__(self, data: bytes, meanwhile: Callable[[], None]) -> None:
        super().__init__(data)
        self._meanwhile: Callable[[], None] | None = meanwhile

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        meanwhile, self._meanwhile = self._meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return data


def test_a_second_writer_is_told_to_wait_and_harms_nothing(registry: Registry) -> None:
    location = begin(registry)
    digest = Digest.of(b"abc")

    def meanwhile() -> None:
        for method, target in (("PATCH", location), ("PUT", f"{location}?digest={digest}")):
            refused = registry.client.open(target, method=method, data=b"xyz")
            assert (refused.status_code, code(refused)) == (409, "BLOB_UPLOAD_INVALID")
            assert refused.headers["Location"] == location

    body = Interrupting(b"abc", meanwhile)
    sent = registry.client.patch(location, input_stream=body, content_length=3)
    assert (sent.status_code, sent.headers["Range"]) == (202, "0-2")
    finish(registry, location, b"abc")


def test_bytes_that_arrive_between_the_check_and_the_end_keep_the_blob_invisible(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = begin(registry)
    commit = registry.store.commit_upload

    def late(repository: Repository, upload_id: str, digest: Digest, size: int) -> None:
        registry.store.append(repository, upload_id, size, io.BytesIO(b"late"), None)
        commit(repository, upload_id, digest, size)

    monkeypatch.setattr(registry.store, "commit_upload", late)
    registry.client.patch(location, data=b"abc")
    refused = registry.client.put(f"{location}?digest={Digest.of(b'abc')}")
    assert (refused.status_code, refused.headers["Range"]) == (416, "0-6")
    assert registry.store.stat(Digest.of(b"abc")) is None


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
@pytest.mark.parametrize("silent", [True, False])
def test_an_upload_whose_client_vanished_goes_on_where_the_bytes_end(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, method: str, *, silent: bool
) -> None:
    monkeypatch.setattr(running_hashes, "NOTED", 1)
    location = begin(registry)
    target = f"{location}?digest={Digest.of(b'abcdef')}"
    if silent:  # the server just reports the end of the stream
        body: io.BytesIO = io.BytesIO(b"abc")
    else:
        chunks = [b"abc"]

        class Breaking(io.BytesIO):
            def read(self, _size: int | None = -1, /) -> bytes:
                if not chunks:
                    raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
                return chunks.pop()

        body = Breaking()
    environ = {"CONTENT_LENGTH": "6", "wsgi.input_terminated": True}
    refused = registry.client.open(target, method=method, input_stream=body, environ_overrides=environ)
    assert (refused.status_code, code(refused)) == (400, "SIZE_INVALID")
    status = registry.client.get(location)
    assert (status.status_code, status.headers["Range"]) == (204, "0-2")

    def never(*_: object) -> None:
        pytest.fail("what arrived is hashed already")

    if method == "PATCH":  # a small PUT was held in memory: so little is hashed again
        monkeypatch.setattr(registry.store, "open_upload", never)
    finish(registry, location, b"abcdef", b"def")


def test_a_chunked_body_that_is_not_as_long_as_announced_is_reported_with_the_truth(registry: Registry) -> None:
    location = begin(registry)
    headers = {"Content-Range": "0-5", "Transfer-Encoding": "chunked"}
    environ = {"wsgi.input_terminated": True}
    sent = registry.client.patch(location, input_stream=io.BytesIO(b"abc"), headers=headers, environ_overrides=environ)
    assert (sent.status_code, sent.headers["Range"]) == (416, "0-2")
    finish(registry, location, b"abcdef", b"def")


def test_a_hash_that_does_not_belong_to_the_bytes_is_made_anew(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = begin(registry)
    registry.client.patch(location, data=b"abc")
    other = ResumableHash("sha256")
    other.update(b"xy")
    monkeypatch.setattr(running_hashes, "NOTED", 1)
    upload_id = location.rpartition("/")[2]
    registry.streams.sessions.note(APP, upload_id, algorithm="sha256", offset=2, hash_state=other.state())
    registry.client = Client(create_app(registry.parts))  # one that has not hashed the first bytes itself
    finish(registry, location, b"abcdef", b"def")


def test_what_a_process_has_just_received_it_need_not_read(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    location = begin(registry)
    registry.client.patch(location, data=b"abc")
    monkeypatch.setattr(registry.store, "open_upload", lambda *_: pytest.fail("it is hashed already"))
    finish(registry, location, b"abcdef", b"def")


def test_what_another_replica_has_added_is_hashed_too(registry: Registry) -> None:
    location = begin(registry)
    registry.client.patch(location, data=b"abc")
    Client(create_app(registry.parts)).patch(location, data=b"def")
    finish(registry, location, b"abcdefghi", b"ghi")


def test_a_process_remembers_the_hashes_of_so_many_uploads(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running_hashes, "REMEMBERED", 2)
    found = [begin(registry) for _ in range(4)]
    for location in found:
        registry.client.patch(location, data=b"abc")
    for location in found:
        finish(registry, location, b"abcdef", b"def")


def test_a_session_may_end_with_another_algorithm(registry: Registry) -> None:
    location = begin(registry, "?digest-algorithm=sha512")
    registry.client.patch(location, data=b"abc")
    finish(registry, location, b"abcdef", b"def")
    location = begin(registry)
    registry.client.patch(location, data=b"abc")
    digest = Digest.of(b"abcdef", "sha512")
    assert registry.client.put(f"{location}?digest={digest}", data=b"def").status_code == HTTPStatus.CREATED
    assert registry.store.read(digest) == b"abcdef"


def test_an_unknown_algorithm_is_refused_at_the_start(registry: Registry) -> None:
    for query in ("?digest-algorithm=md5", "?digest=md5:00", "?mount=sha256:zz&from=demo/other"):
        refused = registry.client.post(f"/v2/demo/app/blobs/uploads/{query}")
        assert (refused.status_code, code(refused)) == (400, "DIGEST_INVALID")


@pytest.mark.parametrize("source", ["&from=", "&from=demo", "&from=a/b/c", "&from=../x", "&from=demo/none"])
def test_a_mount_that_cannot_be_done_is_an_upload(registry: Registry, source: str) -> None:
    digest = registry.upload("demo/other", b"abc")
    begin(registry, f"?mount={digest}{source}")
    begin(registry, f"?mount={Digest.of(b'never')}&from=demo/other")


def test_a_blob_of_the_same_namespace_is_found_without_its_repository(registry: Registry) -> None:
    digest = registry.upload("demo/other", b"abc")
    registry.upload("else/where", b"xyz")
    mounted = registry.client.post(f"/v2/demo/app/blobs/uploads/?mount={digest}")
    assert (mounted.status_code, mounted.headers["Docker-Content-Digest"]) == (201, digest)
    assert registry.client.get(mounted.headers["Location"]).data == b"abc"
    begin(registry, f"?mount={Digest.of(b'xyz')}")


def test_a_full_disk_is_said_and_the_part_that_fills_it_is_given_up(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = begin(registry)
    registry.client.patch(location, data=b"abc")

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    refused = registry.client.patch(location, data=b"def")
    monkeypatch.undo()
    assert refused.status_code == HTTPStatus.INSUFFICIENT_STORAGE
    assert refused.headers["Retry-After"]
    assert "storage is full; free space or extend the volume" in refused.text
    assert code(registry.client.get(location)) == "BLOB_UPLOAD_UNKNOWN"


def test_a_failing_disk_is_told_without_its_secrets(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    location = begin(registry)

    def broken(*_: object) -> None:
        raise StorageFault("cannot write docker/registry/v2/secret-place: Input/output error")

    monkeypatch.setattr(registry.store, "put_blob", broken)
    refused = registry.client.put(f"{location}?digest={Digest.of(b'abc')}", data=b"abc")
    assert (refused.status_code, code(refused)) == (503, "UNAVAILABLE")
    assert "secret-place" not in refused.text


@pytest.mark.parametrize("trouble", [ClusterUnreachable("kube at 10.0.0.1"), KubeError(500, "Internal", "etcd")])
def test_a_push_waits_for_an_answer_about_the_namespace(build: Callable[..., Registry], trouble: Exception) -> None:
    def nobody_knows(_name: str) -> bool:
        raise trouble

    registry = build(namespace_exists=nobody_knows)
    refused = registry.client.post("/v2/demo/app/blobs/uploads/")
    assert (refused.status_code, code(refused)) == (503, "UNAVAILABLE")
    assert refused.headers["Retry-After"]


def test_a_push_into_a_missing_namespace_names_the_cure(build: Callable[..., Registry]) -> None:
    registry = build(namespace_exists=lambda _name: False)
    refused = registry.client.post("/v2/demo/app/blobs/uploads/")
    assert (refused.status_code, code(refused)) == (404, "NAME_UNKNOWN")
    assert "create it" in refused.text


def test_a_small_blob_goes_to_its_place_without_a_session(registry: Registry) -> None:
    digest = registry.upload("demo/app", b"abc")
    assert not list((registry.store.root / "docker/registry/v2/repositories/demo/app").glob("_uploads/*"))
    assert registry.client.get(f"/v2/demo/app/blobs/{digest}").data == b"abc"


def test_blobs_in_memory_have_an_end_and_what_is_beyond_goes_through_sessions(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Memory, "take", lambda _memory, _size: None)
    digest = registry.upload("demo/app", b"abc")
    assert registry.client.get(f"/v2/demo/app/blobs/{digest}").data == b"abc"


def test_memory_is_given_back_once() -> None:
    memory = Memory(3)
    held = memory.take(2)
    assert held is not None
    assert memory.take(2) is None
    held.close()
    held.close()
    whole = memory.take(3)
    assert whole is not None
    with whole.holding(b"abc"):
        assert memory.take(1) is None
    assert memory.take(3) is not None


@pytest.mark.parametrize("first", [b"", b"abc"])
def test_a_cancelled_session_takes_nothing_more_from_any_replica(everywhere: Registry, first: bytes) -> None:
    location = everywhere.client.post("/v2/demo/app/blobs/uploads/").headers["Location"]
    if first:
        everywhere.client.patch(location, data=first)
    assert everywhere.client.delete(location).status_code == HTTPStatus.NO_CONTENT
    replica = Client(create_app(everywhere.parts))
    for client in (everywhere.client, replica):
        for method in ("GET", "PATCH", "DELETE"):
            refused = client.open(location, method=method, data=b"x")
            assert (refused.status_code, code(refused)) == (404, "BLOB_UPLOAD_UNKNOWN"), method


def test_a_session_goes_on_in_a_replica_that_has_never_heard_of_it(everywhere: Registry) -> None:
    location = everywhere.client.post("/v2/demo/app/blobs/uploads/").headers["Location"]
    replica = Client(create_app(everywhere.parts))
    assert replica.get(location).headers["Range"] == "0-0"
    assert replica.patch(location, data=b"abc").headers["Range"] == "0-2"
    assert everywhere.client.patch(location, data=b"def").headers["Range"] == "0-5"
    assert replica.put(f"{location}?digest={Digest.of(b'abcdef')}").status_code == HTTPStatus.CREATED
