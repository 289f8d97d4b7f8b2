"""Blobs: whole, in parts, not again, and only from the repository that holds them."""

from __future__ import annotations

import os

import pytest

from tests.conformance.protocol import Answer, Repository, digest_of

DATA = bytes(range(256)) * 40
SIZE = len(DATA)


def pull(repository: Repository, **headers: str) -> Answer:
    return repository.client.get(f"{repository.base}/blobs/{repository.blob(DATA)}", **headers)


def test_a_blob_comes_back_whole_with_its_digest(here: Repository) -> None:
    answer = pull(here).expect(200)
    assert answer.body == DATA
    assert answer["content-length"] == str(SIZE)
    assert answer["docker-content-digest"] == digest_of(DATA)
    assert answer["accept-ranges"] == "bytes"


def test_a_sha512_blob_has_a_sha512_digest(here: Repository) -> None:
    digest = here.blob(DATA, "sha512")
    for method in ("GET", "HEAD"):
        answer = here.client.ask(method, f"{here.base}/blobs/{digest}").expect(200)
        assert answer["docker-content-digest"] == digest
    assert here.client.get(f"{here.base}/blobs/{digest}").body == DATA


@pytest.mark.parametrize("data", [b"", b"{}", b"\0", os.urandom(3_000_000)], ids=["empty", "{}", "one byte", "3 MB"])
def test_head_says_what_get_says_for_blobs_of_every_size(here: Repository, data: bytes) -> None:
    path = f"{here.base}/blobs/{here.blob(data)}"
    get, head = here.client.get(path).expect(200), here.client.head(path).expect(200)
    assert (get.body, head.body) == (data, b"")
    assert head["content-length"] == str(len(data))
    varying = {"date", "x-request-id"}
    assert {k: v for k, v in head.headers if k not in varying} == {k: v for k, v in get.headers if k not in varying}


@pytest.mark.parametrize(
    ("span", "first", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-99", 0, 100),
        ("bytes=100-199", 100, 200),
        ("bytes=100-", 100, SIZE),
        ("bytes=0-", 0, SIZE),
        ("bytes=-1", SIZE - 1, SIZE),
        ("bytes=-100", SIZE - 100, SIZE),
        (f"bytes=-{SIZE * 2}", 0, SIZE),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE),
        (f"bytes=10-{SIZE * 2}", 10, SIZE),
        ("Bytes=1-2", 1, 3),
    ],
)
def test_a_part_is_the_part_that_was_asked_for(here: Repository, span: str, first: int, stop: int) -> None:
    answer = pull(here, Range=span).expect(206)
    assert answer.body == DATA[first:stop]
    assert answer["content-range"] == f"bytes {first}-{stop - 1}/{SIZE}"
    assert answer["content-length"] == str(stop - first)
    assert answer["docker-content-digest"] == digest_of(DATA)


@pytest.mark.parametrize("span", [f"bytes={SIZE}-", f"bytes={SIZE}-{SIZE + 5}", "bytes=500-0", "bytes=-0"])
def test_a_part_that_is_not_there_is_refused_with_the_size(here: Repository, span: str) -> None:
    answer = pull(here, Range=span)
    assert str(SIZE) in answer.refuse(416, "BLOB_UPLOAD_INVALID")
    assert answer["content-range"] == f"bytes */{SIZE}"


@pytest.mark.parametrize("span", ["", "bytes=", "bytes=-", "bytes=a-b", "lines=1-2", "bytes=0-1,3-4", "0-1"])
def test_what_is_no_single_part_gets_the_whole(here: Repository, span: str) -> None:
    assert pull(here, Range=span).expect(200).body == DATA


def test_only_get_has_parts(here: Repository) -> None:
    answer = here.client.head(f"{here.base}/blobs/{here.blob(DATA)}", Range="bytes=1-2").expect(200)
    assert answer["content-length"] == str(SIZE)


def test_a_part_of_something_else_by_now_is_the_whole(here: Repository) -> None:
    etag = pull(here)["etag"]
    assert pull(here, Range="bytes=1-2", If_Range=etag).expect(206).body == DATA[1:3]
    assert pull(here, Range="bytes=1-2", If_Range='"other"').expect(200).body == DATA


def test_a_client_that_has_the_blob_is_told_so(here: Repository) -> None:
    etag = pull(here)["etag"]
    for known in (etag, f"W/{etag}", "*"):
        answer = pull(here, If_None_Match=known).expect(304)
        assert (answer.body, answer["docker-content-digest"]) == (b"", digest_of(DATA))
    pull(here, If_None_Match='"other"').expect(200)


def test_a_client_that_asks_for_the_rest_and_hangs_up_hurts_nobody(here: Repository) -> None:
    """containerd splits layers by open ranges and drops the connection when it has its part."""
    data = os.urandom(4_000_000)
    path = f"{here.base}/blobs/{here.blob(data)}"
    host, authorization = here.client.host, here.client.authorization(path)
    for first in (0, 1_000_000, 2_000_000):
        with here.client.connect() as connection:
            head = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{authorization}Range: bytes={first}-\r\n\r\n"
            connection.sendall(head.encode())
            assert connection.recv(12) == b"HTTP/1.1 206"
    assert here.client.get(path, Range="bytes=3000000-").expect(206).body == data[3_000_000:]


def test_a_blob_that_is_not_there_is_unknown(here: Repository) -> None:
    for digest in (digest_of(b"absent"), digest_of(b"absent", "sha512")):
        assert "push it" in here.client.get(f"{here.base}/blobs/{digest}").refuse(404, "BLOB_UNKNOWN")
        here.client.head(f"{here.base}/blobs/{digest}").expect(404)
        here.delete(f"blobs/{digest}").refuse(404, "BLOB_UNKNOWN")


def test_a_blob_of_another_repository_is_not_served(here: Repository, there: Repository) -> None:
    digest = here.blob(DATA + here.name.encode())
    for other in (here.sibling(), there):
        other.client.get(f"{other.base}/blobs/{digest}").refuse(404, "BLOB_UNKNOWN")


@pytest.mark.parametrize("digest", ["x", "sha256:x", "sha256:" + "g" * 64, "sha1:" + "a" * 40, "sha256-" + "a" * 64])
def test_what_is_no_digest_is_refused(here: Repository, digest: str) -> None:
    here.client.get(f"{here.base}/blobs/{digest}").refuse(400, "DIGEST_INVALID")
    here.delete(f"blobs/{digest}").refuse(400, "DIGEST_INVALID")
