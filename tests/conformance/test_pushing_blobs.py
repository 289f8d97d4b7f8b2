"""Uploads: in one request, in two, in many; what goes wrong is said, and nothing unverified becomes visible."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from tests.conformance.protocol import OCTETS, Answer, Repository, digest_of

ALGORITHMS = pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
DATA = b"0123456789" * 10


def visible(repository: Repository, data: bytes, algorithm: str = "sha256") -> bool:
    answer = repository.client.get(f"{repository.base}/blobs/{digest_of(data, algorithm)}").expect(200, 404)
    assert answer.status == 404 or answer.body == data
    return answer.status == 200


def created(answer: Answer, repository: Repository, digest: str) -> None:
    """The blob exists, its location can be pulled, and carries the digest it was pushed by."""
    answer.expect(201)
    assert answer["location"] == f"{repository.base}/blobs/{digest}"
    assert answer["docker-content-digest"] == digest
    repository.client.get(answer["location"]).expect(200)


def test_an_upload_begins_with_a_place_of_its_own(here: Repository) -> None:
    answers = [here.client.ask("POST", f"{here.base}/blobs/uploads/").expect(202) for _ in range(3)]
    assert len({answer["location"] for answer in answers}) == 3
    for answer in answers:
        assert re.fullmatch(rf"{re.escape(here.base)}/blobs/uploads/[0-9a-f-]{{36}}(\?.*)?", answer["location"])
        assert answer["range"] in {"0-0", "0--1"}


def test_the_place_does_not_need_its_last_slash(here: Repository) -> None:
    answer = here.client.ask("POST", f"{here.base}/blobs/uploads").expect(202)
    here.finish(answer["location"], digest_of(DATA), DATA).expect(201)


@pytest.mark.parametrize("header", ["Host", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "X-Original-URL"])
def test_no_header_sends_the_client_elsewhere(here: Repository, header: str) -> None:
    path = f"{here.base}/blobs/uploads/"
    host = "" if header == "Host" else f"Host: {here.client.host}\r\n"
    heard = here.client.talk(
        f"POST {path} HTTP/1.1\r\n{host}{header}: evil.example\r\n{here.client.authorization(path)}"
        "Content-Length: 0\r\nConnection: close\r\n\r\n".encode()
    )
    assert b"evil" not in heard
    assert re.search(rb"\r\nLocation: /v2/", heard), heard


@ALGORITHMS
def test_two_requests_are_enough(here: Repository, algorithm: str) -> None:
    digest = digest_of(DATA, algorithm)
    created(here.finish(here.begin(), digest, DATA), here, digest)
    query = f"?digest-algorithm={algorithm}"
    created(here.finish(here.begin(query), digest, DATA), here, digest)


@ALGORITHMS
def test_one_request_is_enough(here: Repository, algorithm: str) -> None:
    digest = digest_of(DATA, algorithm)
    path = f"{here.base}/blobs/uploads/?digest={digest}"
    created(here.client.ask("POST", path, DATA, {"Content-Type": OCTETS}), here, digest)


def test_one_request_with_other_bytes_leaves_nothing(here: Repository) -> None:
    path = f"{here.base}/blobs/uploads/?digest={digest_of(DATA)}"
    here.client.ask("POST", path, b"other", {"Content-Type": OCTETS}).refuse(400, "DIGEST_INVALID")
    assert not visible(here, DATA)
    assert not visible(here, b"other")


@pytest.mark.parametrize("query", ["digest-algorithm=md5", "digest-algorithm=", "digest=md5:abc", "digest=sha256:x"])
def test_a_hash_that_nobody_can_check_is_refused_before_the_upload(here: Repository, query: str) -> None:
    here.client.ask("POST", f"{here.base}/blobs/uploads/?{query}").refuse(400, "DIGEST_INVALID")


@ALGORITHMS
@pytest.mark.parametrize("declared", ["sha256", "sha512"])
def test_chunks_add_up_whatever_algorithm_the_session_began_with(
    here: Repository, algorithm: str, declared: str
) -> None:
    location = here.begin(f"?digest-algorithm={declared}")
    for first in range(0, 100, 40):
        chunk = DATA[first : first + 40]
        last = first + len(chunk) - 1
        answer = here.patch(location, chunk, f"{first}-{last}").expect(202)
        assert answer["range"] == f"0-{last}"
        location = answer["location"]
    created(here.finish(location, digest_of(DATA, algorithm)), here, digest_of(DATA, algorithm))
    assert visible(here, DATA, algorithm)


def test_the_last_chunk_may_come_with_the_end(here: Repository) -> None:
    location = here.patch(here.begin(), DATA[:60], "0-59").expect(202)["location"]
    created(here.finish(location, digest_of(DATA), DATA[60:], Content_Range="60-99"), here, digest_of(DATA))


def test_a_stream_of_unknown_length_is_taken(here: Repository) -> None:
    """Docker sends layers while it compresses them: chunked, and without Content-Range."""

    def stream() -> Iterator[bytes]:
        for first in range(0, 100, 7):
            yield DATA[first : first + 7]

    answer = here.patch(here.begin(), stream()).expect(202)
    assert answer["range"] == "0-99"
    created(here.finish(answer["location"], digest_of(DATA)), here, digest_of(DATA))


def test_the_whole_may_be_streamed_with_the_end(here: Repository) -> None:
    path = f"{here.begin()}?digest={digest_of(DATA)}"
    created(here.client.ask("PUT", path, iter([DATA[:30], DATA[30:]])), here, digest_of(DATA))


@pytest.mark.parametrize(("chunk", "span"), [(DATA[20:40], "20-39"), (DATA[:10], "0-9"), (DATA[5:15], "5-14")])
def test_a_chunk_out_of_order_is_refused_with_the_place_to_go_on_from(
    here: Repository, chunk: bytes, span: str
) -> None:
    location = here.patch(here.begin(), DATA[:10], "0-9").expect(202)["location"]
    answer = here.patch(location, chunk, span)
    assert "10 bytes" in answer.refuse(416, "BLOB_UPLOAD_INVALID")
    assert answer["range"] == "0-9"
    assert answer["location"]
    here.patch(answer["location"], DATA[10:], "10-99").expect(202)
    created(here.finish(location, digest_of(DATA)), here, digest_of(DATA))


def test_the_first_chunk_begins_at_nought(here: Repository) -> None:
    here.patch(here.begin(), DATA[10:20], "10-19").refuse(416, "BLOB_UPLOAD_INVALID")


def test_an_end_out_of_order_is_refused_and_the_session_lives(here: Repository) -> None:
    location = here.patch(here.begin(), DATA[:10], "0-9").expect(202)["location"]
    for span, chunk in (("50-99", DATA[50:]), ("0-9", DATA[:10])):
        here.finish(location, digest_of(DATA), chunk, Content_Range=span).refuse(416, "BLOB_UPLOAD_INVALID")
    assert here.client.get(location).expect(204)["range"] == "0-9"
    created(here.finish(location, digest_of(DATA), DATA[10:], Content_Range="10-99"), here, digest_of(DATA))


@pytest.mark.parametrize("span", ["x", "0", "-", "9-0", "a-b", "0-9999999999999999999999", "bytes 0-9 "])
def test_a_span_that_is_none_is_refused(here: Repository, span: str) -> None:
    location = here.begin()
    if span == "bytes 0-9 ":
        here.patch(location, DATA[:10], span).expect(202)  # as older clients write it
        return
    here.patch(location, DATA[:10], span).refuse(400, "BLOB_UPLOAD_INVALID")
    here.client.get(location).expect(204)


def test_a_span_of_another_length_than_the_body_is_refused(here: Repository) -> None:
    location = here.begin()
    assert "10 bytes" in here.patch(location, DATA[:5], "0-9").refuse(400, "SIZE_INVALID")
    here.finish(location, digest_of(DATA), DATA).expect(201)


def test_the_state_of_an_upload_can_be_asked_for(here: Repository) -> None:
    location = here.begin()
    assert here.client.get(location).expect(204)["location"]
    here.patch(location, DATA[:33]).expect(202)
    answer = here.client.get(location).expect(204)
    assert (answer["range"], answer.body) == ("0-32", b"")
    here.patch(answer["location"], DATA[33:], "33-99").expect(202)


@ALGORITHMS
def test_wrong_bytes_never_become_visible(here: Repository, algorithm: str) -> None:
    location = here.patch(here.begin(), b"wrong").expect(202)["location"]
    message = here.finish(location, digest_of(DATA, algorithm)).refuse(400, "DIGEST_INVALID")
    assert digest_of(b"wrong", algorithm) in message
    assert not visible(here, DATA, algorithm)
    assert not visible(here, b"wrong", algorithm)


@pytest.mark.parametrize("query", ["", "?digest=", "?digest=x", "?digest=sha256:x", "?digest=md5:x"])
def test_an_end_without_a_digest_is_refused(here: Repository, query: str) -> None:
    location = here.begin()
    here.client.ask("PUT", location + query, DATA).refuse(400, "DIGEST_INVALID")


def test_an_upload_can_be_cancelled(here: Repository) -> None:
    location = here.patch(here.begin(), DATA).expect(202)["location"]
    here.client.ask("DELETE", location).expect(204)
    here.client.get(location).refuse(404, "BLOB_UPLOAD_UNKNOWN")
    here.client.ask("DELETE", location).refuse(404, "BLOB_UPLOAD_UNKNOWN")


@pytest.mark.parametrize("end", ["cancelled", "failed", "never begun", "another repository's"])
def test_an_upload_that_is_over_or_elsewhere_is_unknown_to_every_method(here: Repository, end: str) -> None:
    location = here.begin()
    ends: dict[str, Callable[[], object]] = {
        "cancelled": lambda: here.client.ask("DELETE", location).expect(204),
        "failed": lambda: here.finish(location, digest_of(DATA), b"wrong").expect(400),
        "never begun": lambda: None,
        "another repository's": lambda: None,
    }
    ends[end]()
    if end == "never begun":
        location = f"{here.base}/blobs/uploads/00000000-0000-0000-0000-000000000000"
    if end == "another repository's":
        location = location.replace(here.name, here.sibling().name)
    for method, path in (
        ("GET", location),
        ("PATCH", location),
        ("DELETE", location),
    ):
        assert "begin" in here.client.ask(method, path).refuse(404, "BLOB_UPLOAD_UNKNOWN")
    # what comes whole in the last request needs no session, but it must be what it says it is
    here.client.ask("PUT", f"{location}?digest={digest_of(DATA)}", b"wrong").expect(400, 404)
    assert not visible(here, DATA)


def test_nothing_can_be_added_to_an_upload_that_is_finished(here: Repository) -> None:
    location = here.patch(here.begin(), DATA).expect(202)["location"]
    here.finish(location, digest_of(DATA)).expect(201)
    here.patch(location, b"more", "100-103").expect(404, 416)
    here.patch(location, b"more")
    here.client.ask("DELETE", location)
    assert visible(here, DATA)


@pytest.mark.parametrize("data", [b"", b"{}"], ids=["empty", "{}"])
@ALGORITHMS
def test_the_smallest_blobs_can_be_pushed_in_every_way(here: Repository, data: bytes, algorithm: str) -> None:
    digest = digest_of(data, algorithm)
    created(here.finish(here.begin(), digest, data), here, digest)
    created(here.client.ask("POST", f"{here.base}/blobs/uploads/?digest={digest}", data), here, digest)
    assert here.client.head(f"{here.base}/blobs/{digest}").expect(200)["content-length"] == str(len(data))


def test_a_blob_can_be_pushed_again(here: Repository) -> None:
    for _ in range(3):
        created(here.finish(here.begin(), digest_of(DATA), DATA), here, digest_of(DATA))


def wait(repository: Repository, method: str, path: str, length: int, authorization: str) -> tuple[bytes, bytes]:
    """What a client hears that waits for 100 Continue: before it sends its body, and after."""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: {repository.client.host}\r\n{authorization}"
        f"Content-Length: {length}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    )
    with repository.client.connect() as connection:
        connection.settimeout(10)
        connection.sendall(head.encode())
        first = connection.recv(65536)
        if b" 100 " not in first.split(b"\r\n")[0]:
            return first, b""
        connection.sendall(DATA[:length])
        rest = b""
        while part := connection.recv(65536):
            rest += part
        return first, rest


def test_a_client_that_waits_is_told_to_go_on(here: Repository) -> None:
    location = here.begin()
    first, rest = wait(here, "PATCH", location, len(DATA), here.client.authorization(location))
    assert first == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert rest.startswith(b"HTTP/1.1 202 ")
    created(here.finish(location, digest_of(DATA)), here, digest_of(DATA))


def test_a_client_that_waits_sends_nothing_to_a_refusal(here: Repository) -> None:
    location = here.begin()
    authorization = here.client.authorization(location)
    huge = 1 << 40
    for method, path, allowed, status in (
        ("PATCH", location, "", b"401"),
        ("PATCH", location, "Authorization: Bearer x.y.z\r\n", b"401"),
        ("PATCH", location + "0", authorization, b"404"),
        ("PUT", f"{here.base}/manifests/v1", authorization, b"413"),
    ):
        first, rest = wait(here, method, path, huge, allowed)
        assert (first.split(b" ")[1], rest) == (status, b"")
        assert b"\r\nConnection: close\r\n" in first
