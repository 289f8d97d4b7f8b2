"""Bytes on the wire that no HTTP library would send, against the real server."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from .conftest import Served, serve
from .pushing import REPOSITORY, ask, digest_of, pull_image, push_image

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    yield from serve(tmp_path_factory.mktemp("wire"), "--auth", "none")


def say(served: Served, text: bytes, *, end: bool = False) -> bytes:
    """Everything the server answers to these bytes until it hangs up or falls silent."""
    host, _, port = served.host.rpartition(":")
    heard = b""
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall(text)
        if end:
            connection.shutdown(socket.SHUT_WR)
        connection.settimeout(1.0)
        try:
            while part := connection.recv(65536):
                heard += part
        except TimeoutError:
            pass
    return heard


def head(method: str, path: str, *lines: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *lines, "", ""]).encode()


def statuses(heard: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3})", heard)]


@pytest.fixture
def location(running: Served) -> str:
    return ask(running.host, "POST", f"{REPOSITORY}/blobs/uploads/").expect(202).headers["Location"]


def test_who_begins_with_tls_is_told_at_once_that_there_is_none(running: Served) -> None:
    started = time.monotonic()
    heard = say(running, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200))
    assert statuses(heard) == [400]
    assert b"without TLS" in heard
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"Content-Length: +3\r\n\r\nabc",
        b"Content-Length: 3, 3\r\n\r\nabc",
        b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: identity, chunked, chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n-1\r\na\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n",
        b"Content-Length : 3\r\n\r\nabc",
        b" Content-Length: 3\r\n\r\nabc",
    ],
)
def test_a_body_of_two_lengths_smuggles_no_second_request(running: Served, location: str, body: bytes) -> None:
    smuggled = head("DELETE", location)
    heard = say(running, head("PATCH", location)[:-2] + body + smuggled)
    [status] = statuses(heard)
    assert 400 <= status <= 501
    ask(running.host, "GET", location).expect(204)


@pytest.mark.parametrize("coding", ["Content-Length: 100", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_an_upload_survives_a_connection_that_ends_in_its_middle(
    running: Served, location: str, method: str, coding: str
) -> None:
    whole = b"x" * 100
    target = f"{location}?digest={digest_of(whole)}" if method == "PUT" else location
    part = whole[:40] if "Length" in coding else b"28\r\n" + whole[:40] + b"\r\n3c\r\nxxx"
    say(running, head(method, target, coding) + part, end=True)
    status = ask(running.host, "GET", location).expect(204)
    received = int(status.headers["Range"].partition("-")[2]) + 1
    assert received <= 43
    if received == 1:  # an empty upload has no better way to say so
        received = 0
    ask(running.host, "PUT", f"{location}?digest={digest_of(whole)}", whole[received:]).expect(201)


def test_a_manifest_whose_connection_ended_is_not_there(running: Served) -> None:
    push_image(running.host, "whole")
    document = ask(running.host, "GET", f"{REPOSITORY}/manifests/whole").expect(200).body
    request = head("PUT", f"{REPOSITORY}/manifests/cut", f"Content-Length: {len(document) + 1}")
    assert statuses(say(running, request + document, end=True)) == [400]
    ask(running.host, "GET", f"{REPOSITORY}/manifests/cut").expect(404)


def test_docker_streams_a_layer_of_unknown_length(running: Served, location: str) -> None:
    chunks = b"".join(b"5\r\nabcde\r\n" for _ in range(1000)) + b"0\r\n\r\n"
    heard = say(running, head("PATCH", location, "Transfer-Encoding: Chunked", "Connection: close") + chunks)
    assert statuses(heard) == [202]
    assert b"Range: 0-4999\r\n" in heard
    ask(running.host, "PUT", f"{location}?digest={digest_of(b'abcde' * 1000)}").expect(201)


def test_a_huge_manifest_is_refused_without_reading_it(running: Served) -> None:
    started = time.monotonic()
    heard = say(running, head("PUT", f"{REPOSITORY}/manifests/big", f"Content-Length: {1 << 40}") + b"x" * 100_000)
    assert statuses(heard) == [413]
    assert time.monotonic() - started < 8


def test_a_client_that_waits_is_told_to_go_on_when_its_body_is_wanted(running: Served, location: str) -> None:
    host, _, port = running.host.rpartition(":")
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall(head("PATCH", location, "Expect: 100-continue", "Content-Length: 5"))
        assert statuses(connection.recv(1000)) == [100]
        connection.sendall(b"abcde")
        accepted = connection.recv(1000)
        assert statuses(accepted) == [202]
        assert b"Connection: keep-alive" in accepted
        connection.sendall(head("GET", "/livez", "Connection: close"))  # the connection is good for more
        assert statuses(connection.recv(1000)) == [200]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("PATCH", f"{REPOSITORY}/blobs/uploads/none", 404), ("PUT", f"{REPOSITORY}/manifests/v1", 413)],
)
def test_a_client_that_waits_sends_nothing_to_a_refusal(running: Served, method: str, path: str, status: int) -> None:
    started = time.monotonic()
    heard = say(running, head(method, path, "Expect: 100-continue", f"Content-Length: {1 << 40}"))
    assert statuses(heard) == [status]
    assert b"Connection: close" in heard
    assert time.monotonic() - started < 3


def test_an_answer_to_head_has_no_body(running: Served) -> None:
    digest = push_image(running.host, "heads")
    for path in (f"manifests/{digest}", "manifests/none", f"blobs/{digest_of(b'none')}", "tags/list"):
        heard = say(running, head("HEAD", f"{REPOSITORY}/{path}", "Connection: close"))
        assert heard.endswith(b"\r\n\r\n")
        assert re.search(rb"\r\nContent-Length: [1-9]", heard)


def test_requests_on_one_connection_are_answered_in_turn(running: Served) -> None:
    heard = say(running, head("GET", "/livez") + head("GET", "/nothing") + head("GET", "/v2/", "Connection: close"))
    assert statuses(heard) == [200, 404, 200]


@pytest.mark.parametrize("header", ["Host: evil.example", "X-Forwarded-Host: evil.example", "Forwarded: host=evil"])
def test_no_header_sends_an_upload_elsewhere(running: Served, header: str) -> None:
    text = f"POST {REPOSITORY}/blobs/uploads/ HTTP/1.1\r\n{header}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    heard = say(running, text.encode())
    assert b"evil" not in heard
    assert re.search(rb"\r\nLocation: /v2/demo/app/blobs/uploads/", heard)


def test_parts_of_a_blob_come_from_the_file_whoever_hangs_up(running: Served) -> None:
    push_image(running.host, "ranges", size=5_000_000)
    manifest = json.loads(ask(running.host, "GET", f"{REPOSITORY}/manifests/ranges").body)
    path = f"{REPOSITORY}/blobs/{manifest['layers'][0]['digest']}"
    whole = ask(running.host, "GET", path).expect(200).body
    heard = say(running, head("GET", path, "Range: bytes=4999000-", "Connection: close"))
    assert heard.endswith(whole[4_999_000:])
    assert statuses(heard) == [206]
    middle = say(running, head("GET", path, "Range: bytes=1000-1999", "Connection: close"))
    assert middle.partition(b"\r\n\r\n")[2] == whole[1000:2000]
    host, _, port = running.host.rpartition(":")
    for _ in range(5):  # clients that split a layer ask for all the rest, and hang up when they have their part
        with socket.create_connection((host, int(port)), 10) as connection:
            connection.sendall(head("GET", path, "Range: bytes=0-"))
            connection.recv(1000)
    pull_image(running.host, "ranges")
    log = (running.root.parent / "serve.log").read_text(encoding="utf-8")
    assert "Traceback" not in log


def test_many_slow_pulls_do_not_make_the_probes_wait(running: Served) -> None:
    push_image(running.host, "slow", size=16_000_000)
    manifest = json.loads(ask(running.host, "GET", f"{REPOSITORY}/manifests/slow").body)
    path = f"{REPOSITORY}/blobs/{manifest['layers'][0]['digest']}"
    host, _, port = running.host.rpartition(":")
    with ExitStack() as opened:
        for _ in range(100):
            connection = opened.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            connection.connect((host, int(port)))
            connection.sendall(head("GET", path))
            connection.recv(1000)
        started = time.monotonic()
        for _ in range(8):
            ask(running.host, "GET", "/livez").expect(200)
            ask(running.host, "GET", f"{REPOSITORY}/manifests/slow").expect(200)
        assert time.monotonic() - started < 5


def test_the_log_of_all_this_holds_no_failure_of_the_server(running: Served) -> None:
    log = (running.root.parent / "serve.log").read_text(encoding="utf-8")
    assert "Traceback" not in log
    assert "unexpected failure" not in log
    assert '"status": 5' not in log
