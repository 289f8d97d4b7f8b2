"""What a running registry tells about itself: one log of several processes, one page of figures, one mode."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.serve.conftest import Served, serve

pytestmark = pytest.mark.slow

UPLOADS = "/v2/demo/app/blobs/uploads/"


def ask(served: Served, path: str, method: str = "GET") -> tuple[int, bytes]:
    """One request over a connection of its own, so that every worker has its turn."""
    request = urllib.request.Request(f"http://{served.host}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_no_line_is_lost_and_all_workers_are_counted_together(tmp_path: Path) -> None:
    running = serve(tmp_path, "--workers", "3", "--audit", "all")
    served = next(running)
    for number in range(120):
        assert ask(served, UPLOADS, "POST")[0] == 202
        assert ask(served, f"/v2/demo/app/manifests/missing{number}")[0] == 404
        assert ask(served, "/v2/")[0] == 200
    time.sleep(1.5)
    page = ask(served, "/metrics")[1].decode()
    running.close()
    figures = dict(line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#"))
    assert figures['imageregistry_http_requests_total{code="202",method="POST"}'] == "120.0"
    assert figures['imageregistry_http_requests_total{code="404",method="GET"}'] == "120.0"
    version = next(name for name in figures if name.startswith("imageregistry_build_info"))
    assert figures[version] == "3.0"
    lines = [json.loads(line) for line in (tmp_path / "serve.log").read_text().splitlines() if line.startswith("{")]
    requests = [line for line in lines if line.get("event") == "request"]
    assert len(requests) == 361
    assert len({line["request_id"] for line in requests}) == 361
    begun = [line for line in lines if line.get("event") == "audit" and line["outcome"] == "begin"]
    assert len(begun) == 120


def test_a_file_makes_every_worker_read_only_and_back_again(tmp_path: Path) -> None:
    mode = tmp_path / "mode"
    running = serve(tmp_path, "--workers", "3", "--read-only-file", str(mode))
    served = next(running)

    def until_all(status: int) -> None:
        deadline = time.monotonic() + 10
        while {ask(served, UPLOADS, "POST")[0] for _ in range(12)} != {status}:
            assert time.monotonic() < deadline
            time.sleep(0.2)

    until_all(202)
    mode.write_text("true: the disk is copied")
    until_all(405)
    [error] = json.loads(ask(served, UPLOADS, "POST")[1])["errors"]
    assert error["code"] == "UNSUPPORTED"
    assert "the disk is copied" in error["message"]
    assert ask(served, "/healthz")[0] == 200
    assert ask(served, "/v2/_catalog")[0] == 200
    mode.write_text("false")
    until_all(202)
    running.close()
