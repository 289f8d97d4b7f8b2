"""Reading blobs: whole, in part, and not at all (distribution-spec, "Pulling blobs"; RFC 9110 sections 13 and 14)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from werkzeug.wsgi import FileWrapper

from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository
from image_registry.storage import layout

from .conftest import Registry, basic, code

DATA = b"0123456789"
DIGEST = Digest.of(DATA)
PATH = f"/v2/demo/app/blobs/{DIGEST}"


@pytest.fixture
def blob(registry: Registry) -> Registry:
    registry.upload("demo/app", DATA)
    return registry


@pytest.mark.parametrize("wrapper", [None, FileWrapper])
@pytest.mark.parametrize(
    ("header", "status", "body", "content_range"),
    [
        (None, 200, DATA, None),
        ("bytes=0-1", 206, b"01", "bytes 0-1/10"),
        ("Bytes=0-1", 206, b"01", "bytes 0-1/10"),
        ("bytes = 0 - 1", 206, b"01", "bytes 0-1/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=0-", 206, DATA, "bytes 0-9/10"),
        ("bytes=0-9", 206, DATA, "bytes 0-9/10"),
        ("bytes=-2", 206, b"89", "bytes 8-9/10"),
        ("bytes=-99", 206, DATA, "bytes 0-9/10"),
        ("bytes=3-99", 206, b"3456789", "bytes 3-9/10"),
        ("bytes=9-9", 206, b"9", "bytes 9-9/10"),
        ("bytes=10-", 416, None, "bytes */10"),
        ("bytes=-0", 416, None, "bytes */10"),
        ("bytes=5-3", 416, None, "bytes */10"),
        ("bytes=" + "9" * 40 + "-", 416, None, "bytes */10"),
        ("bytes=0-1,3-4", 200, DATA, None),
        ("bytes=-", 200, DATA, None),
        ("lines=1-2", 200, DATA, None),
        ("bytes=" + "9" * 400 + "-", 200, DATA, None),
    ],
)
def test_ranges_of_a_blob(
    blob: Registry, wrapper: object, header: str | None, status: int, body: bytes | None, content_range: str | None
) -> None:
    options = {"environ_overrides": {"wsgi.file_wrapper": wrapper}} if wrapper else {}
    headers = {"Range": header} if header else {}
    answer = blob.client.get(PATH, headers=headers, buffered=True, **options)
    assert (answer.status_code, answer.headers.get("Content-Range")) == (status, content_range)
    if body is None:
        assert code(answer)
    else:
        assert answer.data == body
        assert answer.headers["Content-Length"] == str(len(body))


def test_head_says_what_get_says(blob: Registry) -> None:
    get, head = (blob.client.open(PATH, method=method) for method in ("GET", "HEAD"))
    assert head.status_code == get.status_code
    assert head.data == b""
    assert dict(head.headers) == dict(get.headers)


def test_only_get_has_parts(blob: Registry) -> None:
    answer = blob.client.head(PATH, headers={"Range": "bytes=2-3"})
    assert (answer.status_code, answer.headers["Content-Length"]) == (200, str(len(DATA)))


def test_every_answer_about_a_blob_carries_its_digest(blob: Registry) -> None:
    for headers in ({}, {"Range": "bytes=0-1"}, {"If-None-Match": f'"{DIGEST}"'}):
        answer = blob.client.get(PATH, headers=headers)
        assert answer.headers["Docker-Content-Digest"] == str(DIGEST)
        assert answer.headers["ETag"] == f'"{DIGEST}"'
        assert answer.headers["Accept-Ranges"] == "bytes"


def test_a_client_that_has_the_blob_is_told_so(blob: Registry) -> None:
    same = blob.client.get(PATH, headers={"If-None-Match": f'"{DIGEST}"'})
    assert (same.status_code, same.data) == (304, b"")
    other = blob.client.get(PATH, headers={"If-None-Match": f'"{Digest.of(b"x")}"'})
    assert other.status_code == 200


def test_a_range_of_something_else_is_answered_with_everything(blob: Registry) -> None:
    for condition, status in ((f'"{DIGEST}"', 206), ('"sha256:other"', 200), ("Sat, 21 Nov 2026 07:00:00 GMT", 200)):
        answer = blob.client.get(PATH, headers={"Range": "bytes=0-1", "If-Range": condition})
        assert answer.status_code == status


def test_a_blob_of_another_repository_is_unknown_here(blob: Registry) -> None:
    for method in ("GET", "HEAD", "DELETE"):
        assert blob.client.open(f"/v2/demo/other/blobs/{DIGEST}", method=method).status_code == 404
    assert code(blob.client.get(f"/v2/demo/other/blobs/{DIGEST}")) == "BLOB_UNKNOWN"


def test_a_link_without_bytes_is_unknown(blob: Registry) -> None:
    (blob.store.root / layout.blob_data(DIGEST)).unlink()
    assert code(blob.client.get(PATH)) == "BLOB_UNKNOWN"
    assert blob.client.head(PATH).status_code == 404


def test_a_blob_deleted_here_stays_readable_there_and_gone_here(blob: Registry) -> None:
    blob.upload("demo/other", DATA)
    assert blob.client.delete(PATH).status_code == 202
    assert blob.client.get(f"/v2/demo/other/blobs/{DIGEST}").data == DATA
    assert code(blob.client.get(PATH)) == "BLOB_UNKNOWN"
    assert code(blob.client.delete(PATH)) == "BLOB_UNKNOWN"


def test_bytes_that_nobody_may_read_do_not_show_by_their_digest(guarded: Registry) -> None:
    guarded.push("team/app", "v1", layer=DATA, headers=basic("ann"))
    there = f"/v2/team/app/blobs/{DIGEST}"
    never = f"/v2/team/app/blobs/{Digest.of(b'never')}"
    answers = [guarded.client.get(path, headers=basic("eve")) for path in (there, never)]
    assert {answer.status_code for answer in answers} == {403}
    assert answers[0].data == answers[1].data
    own = [guarded.client.head(path.replace("team", "other"), headers=basic("eve")) for path in (there, never)]
    assert {answer.status_code for answer in own} == {404}


@pytest.mark.parametrize(
    "digest", ["sha256:" + "A" * 64, "sha256:abc", "sha256:" + "0" * 65, "SHA256:" + "0" * 64, "md5:" + "0" * 32, "x"]
)
def test_what_is_no_digest_is_refused(blob: Registry, digest: str) -> None:
    for method in ("GET", "DELETE"):
        refused = blob.client.open(f"/v2/demo/app/blobs/{digest}", method=method)
        assert (refused.status_code, code(refused)) == (400, "DIGEST_INVALID")


def test_browsers_do_not_guess_what_a_blob_is(blob: Registry) -> None:
    answer = blob.client.get(PATH)
    assert answer.content_type == "application/octet-stream"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_blob_that_goes_away_after_the_look_is_unknown(blob: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    stat: Callable[[Digest], int | None] = blob.store.stat

    def and_gone(digest: Digest) -> int | None:
        size = stat(digest)
        (blob.store.root / layout.blob_data(digest)).unlink()
        return size

    monkeypatch.setattr(blob.store, "stat", and_gone)
    assert code(blob.client.get(PATH)) == "BLOB_UNKNOWN"
    assert blob.store.blob_linked(Repository("demo", "app"), DIGEST)
