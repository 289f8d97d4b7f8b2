import io
import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from structlog.contextvars import get_contextvars
from werkzeug.test import Client

from image_registry.auth import trail
from image_registry.server.observation import Observer
from image_registry.server.peer import WSGIApplication
from image_registry.server.request_log import RequestLog


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    trail.of(environ).caller = "system:serviceaccount:demo:builder"
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


def ending(status: str) -> WSGIApplication:
    def answer(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response(status, [])
        return []

    return answer


class Log:
    """What an observer wrote."""

    def __init__(self) -> None:
        self.stream = io.BytesIO()
        self.observer = Observer(stream=self.stream)

    def lines(self) -> list[dict[str, Any]]:
        self.observer.flush()
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    def around(self, application: WSGIApplication) -> Client:
        return Client(RequestLog(application, self.observer))


def test_a_request_leaves_one_line_that_names_the_caller_and_the_end() -> None:
    log = Log()
    with log.around(application).get("/v2/demo/app/tags/list?n=2") as reply:
        assert reply.data == b"ok"
    [line] = log.lines()
    assert line["path"] == "/v2/demo/app/tags/list"
    assert line["status"] == 200
    assert line["caller"] == "system:serviceaccount:demo:builder"
    assert line["request_id"] == reply.headers["X-Request-Id"]


def test_a_sane_request_id_is_kept_and_a_hostile_one_replaced() -> None:
    client = Log().around(application)
    assert client.get("/v2/", headers={"X-Request-Id": "abc-1"}).headers["X-Request-Id"] == "abc-1"
    assert client.get("/v2/", headers={"X-Request-Id": "a b"}).headers["X-Request-Id"] != "a b"


PROBES = [
    "/livez",
    "/readyz",
    "/healthz",
    "/apis",
    "/apis/image.alauda.io",
    "/apis/image.alauda.io/v1",
    "/openapi/v2",
    "/openapi/v3",
    "/openapi/v3/apis/image.alauda.io/v1?hash=abc",
]


@pytest.mark.parametrize("path", PROBES)
@pytest.mark.parametrize("status", ["200 OK", "304 Not Modified"])
def test_successful_probes_are_not_logged(path: str, status: str) -> None:
    log = Log()
    log.around(ending(status)).get(path).close()
    assert log.lines() == []


@pytest.mark.parametrize("path", PROBES)
@pytest.mark.parametrize("status", ["404 Not Found", "503 Service Unavailable"])
def test_failing_probes_are_logged(path: str, status: str) -> None:
    log = Log()
    log.around(ending(status)).get(path).close()
    [line] = log.lines()
    assert (line["path"], line["status"]) == (path.partition("?")[0], int(status[:3]))


@pytest.mark.parametrize("path", ["/apis/image.alauda.io/v1/images", "/apis/other", "/openapi", "/v2/livez", "/v2/"])
def test_what_only_looks_like_a_probe_is_logged(path: str) -> None:
    log = Log()
    log.around(application).get(path).close()
    assert [line["path"] for line in log.lines()] == [path]


def test_what_the_doors_learn_stands_in_the_line() -> None:
    def serving(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        left = trail.of(environ)
        left.route, left.repository, left.digest = "blobs.get", "demo/app", "sha256:" + "0" * 64
        start_response("200 OK", [("Content-Length", "3")])
        return [b"abc"]

    log = Log()
    log.around(serving).get("/v2/demo/app/blobs/x").close()
    [line] = log.lines()
    assert (line["route"], line["repository"], line["bytes"]) == ("blobs.get", "demo/app", 3)
    assert line["digest"] == "sha256:" + "0" * 64


def test_bytes_without_an_announced_length_are_counted() -> None:
    def streaming(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [b"ab", b"cde"]

    log = Log()
    with log.around(streaming).get("/v2/") as reply:
        assert reply.data == b"abcde"
    assert log.lines()[0]["bytes"] == 5


def test_a_head_sends_no_bytes_whatever_its_length_says() -> None:
    log = Log()
    log.around(application).head("/v2/").close()
    assert log.lines()[0]["bytes"] == 0


def test_an_answer_that_broke_off_says_so() -> None:
    log = Log()
    body = RequestLog(application, log.observer)({"REQUEST_METHOD": "GET", "PATH_INFO": "/v2/"}, lambda *_: None)
    try:
        raise BrokenPipeError  # noqa: TRY301 - as gunicorn closes the body of a connection that broke
    except BrokenPipeError:
        body.close()  # type: ignore[attr-defined]
    [line] = log.lines()
    assert line["complete"] is False


def test_log_lines_of_a_request_carry_its_id_and_those_of_the_next_another() -> None:
    seen = []

    def speaking(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        seen.append(get_contextvars()["request_id"])
        start_response("200 OK", [])
        return []

    client = Log().around(speaking)
    first, second = client.get("/v2/"), client.get("/v2/")
    assert seen == [first.headers["X-Request-Id"], second.headers["X-Request-Id"]]
    assert seen[0] != seen[1]
