"""What is taken for a simple request, and all that is not."""

from __future__ import annotations

import json
import time

import pytest

from image_registry.server.request_head import LONGEST, recognize, refusal

LINE = b"GET /v2/team/app/manifests/v1 HTTP/1.1\r\n"
HOST = b"Host: registry.test\r\n"


def test_the_usual_request_of_a_client_is_recognized() -> None:
    headers = b"User-Agent: containerd/2\r\nAccept: a/b, */*\r\nAuthorization: Bearer x.y.z\r\nX-Request-Id: abc-1\r\n"
    found = recognize(LINE + HOST + headers + b"\r\n")
    assert found is not None
    assert found == ("GET", "/v2/team/app/manifests/v1", "Bearer x.y.z", "abc-1", "containerd/2", "", "")


def test_one_plain_range_is_simple() -> None:
    found = recognize(LINE + HOST + b'Range: bytes=5-\r\nIf-Range: "a"\r\n\r\n')
    assert found is not None
    assert found[-2:] == ("bytes=5-", '"a"')


def test_a_request_id_that_is_not_sane_is_as_none() -> None:
    found = recognize(LINE + HOST + b"X-Request-Id: a b\r\n\r\n")
    assert found is not None
    assert found.request_id == ""


@pytest.mark.parametrize(
    "data",
    [
        LINE + b"\r\n",
        LINE + HOST,
        LINE + HOST + HOST + b"\r\n",
        LINE + HOST + b"\r\nGET",
        LINE.replace(b"GET", b"HEAD") + HOST + b"Range: bytes=0-1\r\n\r\n",
        LINE + HOST + b"Range: bytes=0-1, 4-5\r\n\r\n",
        LINE + HOST + b"Range: lines=0-1\r\n\r\n",
        LINE + HOST + b"Range: bytes=-\r\n\r\n",
        LINE + HOST + b"Range:\r\n\r\n",
        LINE + HOST + b'If-Range: "a"\r\n\r\n',
        LINE + HOST + b"If-None-Match: *\r\n\r\n",
        LINE + HOST + b"Content-Length: 0\r\n\r\n",
        LINE + HOST + b"Transfer-Encoding: chunked\r\n\r\n",
        LINE + HOST + b"Connection: close\r\n\r\n",
        LINE + HOST + b"Expect: 100-continue\r\n\r\n",
        LINE + HOST + b"Authorization: a\r\nauthorization: b\r\n\r\n",
        LINE + HOST + b"Accept : a\r\n\r\n",
        LINE + HOST + b" folded\r\n\r\n",
        LINE + HOST + b"Accept: caf\xc3\xa9\r\n\r\n",
        LINE + HOST.replace(b"\r\n", b"\n") + b"\r\n",
        b"GET /v2/team/app/manifests/v1 HTTP/1.0\r\n" + HOST + b"\r\n",
        b"PUT /v2/team/app/manifests/v1 HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET http://x/v2/team/app/manifests/v1 HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /v2/team/app/manifests/%76 HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /v2//team/app/manifests/v1 HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /v2/../v2/team/app/manifests/v1 HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET  /v2/ HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /metrics HTTP/1.1\r\n" + HOST + b"\r\n",
        LINE + HOST + b"Accept: " + b"a" * LONGEST + b"\r\n\r\n",
    ],
)
def test_anything_else_is_for_those_who_know_all_the_rules(data: bytes) -> None:
    assert recognize(data) is None


def test_a_refusal_is_an_answer_of_the_protocol_that_ends_the_connection() -> None:
    head, _, body = refusal("431 Request Header Fields Too Large", "too long").partition(b"\r\n\r\n")
    assert b"\r\nConnection: close\r\n" in head
    assert f"Content-Length: {len(body)}".encode() in head
    assert json.loads(body)["errors"][0]["message"] == "too long"


def test_a_row_of_blanks_is_read_once() -> None:
    head = LINE + b"Accept:" + b" " * (LONGEST - 100) + b"\x01\r\n\r\n"
    started = time.thread_time()
    assert recognize(head) is None
    assert time.thread_time() - started < 0.1
