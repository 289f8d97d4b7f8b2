"""What is no request is refused in a body that clients of both doors can read."""

from __future__ import annotations

import json
import socket
from http import HTTPStatus
from typing import Any

import pytest
from gunicorn.http import errors as http  # type: ignore[import-untyped]

from image_registry.server import unreadable


def refusal(status: int, error: BaseException) -> tuple[str, dict[str, Any]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        unreadable.send(ours, HTTPStatus(status), error)
        ours.close()
        head, _, body = theirs.makefile("rb").read().partition(b"\r\n\r\n")
    return head.decode(), json.loads(body)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (http.InvalidRequestLine("x"), 400),
        (http.InvalidHeaderName("x"), 400),
        (http.LimitRequestLine(9000, 8190), 414),
        (http.LimitRequestHeaders("too many"), 431),
        (http.UnsupportedTransferCoding("gzip"), 501),
        (http.ExpectationFailed("x"), 417),
    ],
)
def test_each_kind_has_its_status_and_both_readers_find_the_reason(error: Exception, status: int) -> None:
    assert unreadable.status_of(error) == status
    head, body = refusal(status, error)
    assert head.startswith(f"HTTP/1.1 {status} ")
    assert "Connection: close" in head
    [oci] = body["errors"]
    assert oci["code"] == "UNSUPPORTED"
    assert (body["kind"], body["code"], body["message"]) == ("Status", status, oci["message"])
    assert "no request that can be read" in oci["message"]


@pytest.mark.parametrize("error", [RuntimeError("secret"), http.InvalidResponseHeader("secret")])
def test_a_failure_of_ours_is_not_told_to_the_client(error: Exception) -> None:
    assert unreadable.status_of(error) is None
    head, body = refusal(500, error)
    assert head.startswith("HTTP/1.1 500 ")
    assert "secret" not in json.dumps(body)
    assert body["errors"][0]["code"] == "UNKNOWN"


def test_the_log_names_the_kind_of_mistake_and_quotes_nothing() -> None:
    assert unreadable.kind(http.InvalidHeaderName("asic Y2FuYXJ5")) == "invalid header name"


def test_what_a_client_wrote_cannot_break_a_line() -> None:
    text = unreadable.said(http.InvalidHeaderName("a\nforged line\x1b[31m" + "x" * 1000))
    assert text.isprintable()
    assert len(text) <= unreadable.LONGEST
