import io
import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from werkzeug.test import Client

from image_registry.server.peer import WSGIApplication
from image_registry.server.request_log import CALLER, RequestLog


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    environ[CALLER] = "system:serviceaccount:demo:builder"
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


def ending(status: str) -> WSGIApplication:
    def answer(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response(status, [])
        return []

    return answer


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_request_leaves_one_line_that_names_the_caller_and_the_end() -> None:
    stream = io.StringIO()
    with Client(RequestLog(application, stream)).get("/v2/demo/app/tags/list?n=2") as reply:
        assert reply.data == b"ok"
    [line] = lines(stream)
    assert line["path"] == "/v2/demo/app/tags/list"
    assert line["status"] == 200
    assert line["caller"] == "system:serviceaccount:demo:builder"
    assert line["request_id"] == reply.headers["X-Request-Id"]


def test_a_sane_request_id_is_kept_and_a_hostile_one_replaced() -> None:
    client = Client(RequestLog(application, io.StringIO()))
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
    stream = io.StringIO()
    Client(RequestLog(ending(status), stream)).get(path).close()
    assert stream.getvalue() == ""


@pytest.mark.parametrize("path", PROBES)
@pytest.mark.parametrize("status", ["404 Not Found", "503 Service Unavailable"])
def test_failing_probes_are_logged(path: str, status: str) -> None:
    stream = io.StringIO()
    Client(RequestLog(ending(status), stream)).get(path).close()
    [line] = lines(stream)
    assert (line["path"], line["status"]) == (path.partition("?")[0], int(status[:3]))


@pytest.mark.parametrize("path", ["/apis/image.alauda.io/v1/images", "/apis/other", "/openapi", "/v2/livez", "/v2/"])
def test_what_only_looks_like_a_probe_is_logged(path: str) -> None:
    stream = io.StringIO()
    Client(RequestLog(application, stream)).get(path).close()
    assert [line["path"] for line in lines(stream)] == [path]
