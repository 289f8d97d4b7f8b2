"""What the logs promise: nothing lost, nothing late, nothing that breaks the line."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from image_registry.auth import trail
from image_registry.server import line_writer
from image_registry.server.log_lines import SAFE, AccessLog
from image_registry.server.observation import Audit, Observer, Record

PULL = Record(
    method="GET",
    path="/v2/demo/app/manifests/v1",
    status=200,
    seconds=0.0123,
    request_id="r1",
    route="manifests.get",
    sent=500,
    remote="10.0.0.1",
    agent="skopeo/1.9",
    caller="ann",
    uid="u-1",
    repository="demo/app",
    reference="v1",
    digest="sha256:" + "0" * 64,
    decision=trail.ALLOWED,
)
PUSH = PULL._replace(method="PUT", status=201, route="manifests.put", received=500, sent=0)
DENIED = PULL._replace(status=403, decision=trail.DENIED, error="DENIED: no")


def written(stream: io.BytesIO, event: str) -> list[dict[str, Any]]:
    return [line for line in map(json.loads, stream.getvalue().splitlines()) if line["event"] == event]


def observed(record: Record, audit: Audit = Audit.WRITES) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    stream = io.BytesIO()
    observer = Observer(stream=stream, audit=audit)
    observer.finished(record)
    observer.flush()
    return written(stream, "request"), written(stream, "audit")


def test_a_pull_leaves_one_access_line_soon() -> None:
    stream = io.BytesIO()
    Observer(stream=stream).finished(PULL)
    deadline = time.monotonic() + 5
    while not stream.getvalue() and time.monotonic() < deadline:
        time.sleep(0.01)
    [line] = written(stream, "request")
    assert line["caller"] == "ann"
    assert (line["status"], line["bytes"], line["ms"]) == (200, 500, 12.3)
    assert line["time"].endswith("+00:00")


@pytest.mark.parametrize("record", [PUSH, DENIED, PULL._replace(status=500)])
def test_what_changed_something_or_failed_is_written_before_the_answer_ends(record: Record) -> None:
    stream = io.BytesIO()
    Observer(stream=stream).finished(record)
    assert written(stream, "request")


def test_lines_keep_their_order() -> None:
    stream = io.BytesIO()
    observer = Observer(stream=stream)
    for number in range(100):
        observer.finished((PUSH if number % 10 == 9 else PULL)._replace(request_id=str(number)))
    assert [line["request_id"] for line in written(stream, "request")] == [str(number) for number in range(100)]


@pytest.mark.parametrize("value", ['a"b', "a\nb", "\\", "\x00", "ü", "\ud800", '","status":200'])
def test_nothing_that_a_client_sends_can_forge_or_break_a_line(value: str) -> None:
    hostile = PUSH._replace(path=value, agent=value, caller=value, repository=value, reference=value, error=value)
    [access], [audit] = observed(hostile)
    assert access["path"] == audit["reference"] == value
    assert access["status"] == 201


@pytest.mark.parametrize(
    ("record", "wanted", "expected"),
    [
        (PULL, Audit.WRITES, False),
        (PULL, Audit.ALL, True),
        (PUSH, Audit.WRITES, True),
        (PUSH, Audit.NONE, False),
        (DENIED, Audit.WRITES, True),
        (PULL._replace(status=401, decision=trail.REFUSED), Audit.WRITES, True),
        (PULL._replace(status=401, decision=trail.CHALLENGED), Audit.WRITES, False),
        (PULL._replace(status=401, decision=trail.CHALLENGED), Audit.ALL, True),
        (PULL._replace(route="", decision=""), Audit.ALL, False),
    ],
)
def test_the_audit_log_holds_what_was_asked_for(record: Record, wanted: Audit, expected: bool) -> None:
    assert bool(observed(record, wanted)[1]) is expected


@pytest.mark.parametrize(
    ("record", "wanted", "expected"),
    [
        (PULL, AccessLog.ALL, True),
        (PULL, AccessLog.FAILURES, False),
        (DENIED, AccessLog.FAILURES, True),
        (PULL._replace(complete=False), AccessLog.FAILURES, True),
        (DENIED, AccessLog.NONE, False),
    ],
)
def test_the_access_log_holds_what_was_asked_for_and_the_audit_log_all_the_same(
    record: Record, wanted: AccessLog, expected: bool
) -> None:
    stream = io.BytesIO()
    observer = Observer(stream=stream, access=wanted, audit=Audit.ALL)
    observer.finished(record)
    observer.flush()
    assert bool(written(stream, "request")) is expected
    assert len(written(stream, "audit")) == 1


def test_an_audit_record_says_who_what_which_digest_from_where_and_the_decision() -> None:
    _, [line] = observed(PUSH)
    del line["time"]
    assert line == {
        "event": "audit",
        "outcome": "success",
        "request_id": "r1",
        "user": "ann",
        "userid": "u-1",
        "remote": "10.0.0.1",
        "agent": "skopeo/1.9",
        "operation": "manifests.put",
        "method": "PUT",
        "repository": "demo/app",
        "reference": "v1",
        "digest": "sha256:" + "0" * 64,
        "decision": "allowed",
        "status": 201,
        "received": 500,
        "bytes": 0,
    }


def test_a_refusal_is_an_error_with_its_reason() -> None:
    _, [line] = observed(DENIED)
    assert (line["outcome"], line["decision"], line["error"]) == ("error", "denied", "DENIED: no")


def test_a_transfer_that_the_client_left_is_an_error() -> None:
    _, [line] = observed(PUSH._replace(complete=False))
    assert (line["outcome"], line["error"]) == ("error", "the client went away")


def test_the_beginning_of_a_write_is_on_record_before_anything_happens() -> None:
    stream = io.BytesIO()
    observer = Observer(stream=stream)
    observer.begun(PUSH)
    [line] = written(stream, "audit")
    assert line["outcome"] == "begin"
    assert "status" not in line
    observer.begun(PULL)
    assert len(written(stream, "audit")) == 1


def test_what_ends_after_the_observer_is_closed_is_still_written() -> None:
    stream = io.BytesIO()
    observer = Observer(stream=stream)
    observer.finished(PULL)
    observer.close()
    observer.finished(PULL)
    assert len(written(stream, "request")) == 2


def test_a_process_that_ends_loses_no_line(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_observation import PULL, Observer\n"
        "observer = Observer()\n"
        "for _ in range(1000): observer.finished(PULL)\n"
    )
    log = tmp_path / "log"
    with log.open("wb") as stream:
        subprocess.run([sys.executable, "-c", code, str(Path(__file__).parent)], stdout=stream, check=True, timeout=60)
    assert len(log.read_text().splitlines()) == 1000


def test_processes_that_share_a_pipe_do_not_mix_their_lines() -> None:
    """With a reader that is slow, so that the pipe is full most of the time."""
    read, write = os.pipe()
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_observation import PULL, Observer\n"
        "observer = Observer()\n"
        "for n in range(400): observer.finished(PULL._replace(agent=sys.argv[2] * 100))\n"
    )
    arguments = [sys.executable, "-c", code, str(Path(__file__).parent)]
    writers = [subprocess.Popen([*arguments, letter], stdout=write) for letter in "ab"]
    os.close(write)
    data = b""
    while part := os.read(read, 512):
        data += part
    os.close(read)
    assert [writer.wait(60) for writer in writers] == [0, 0]
    agents = [json.loads(line)["agent"] for line in data.splitlines()]
    assert sorted(agents) == ["a" * 100] * 400 + ["b" * 100] * 400


def test_a_stream_that_takes_no_more_fails_no_request() -> None:
    class Full:
        def write(self, _data: bytes) -> int:
            raise BlockingIOError

    lines = line_writer.LineWriter(Full())
    lines.write(["one\n", "two\n"])
    assert lines.lost == 2


def test_a_log_that_takes_nothing_for_a_while_is_waited_for_without_bound_of_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("image_registry.server.observation.MOST_WAITING", 10)
    stream = io.BytesIO()
    observer = Observer(stream=stream)
    with observer._writing:  # as if a write was stuck
        threads = [threading.Thread(target=observer.finished, args=(PULL,)) for _ in range(20)]
        for thread in threads:
            thread.start()
        time.sleep(0.1)
        assert sum(thread.is_alive() for thread in threads) >= 9
    for thread in threads:
        thread.join(5)
    observer.flush()
    assert len(written(stream, "request")) == 20


def test_request_ids_are_unique_and_short_enough_for_audit_ids_of_kubernetes() -> None:
    observer = Observer(stream=io.BytesIO())
    made = {observer.request_id() for _ in range(1000)}
    assert len(made) == 1000
    assert max(map(len, made)) <= 64
    assert observer.request_id("given-1") == "given-1"
    assert observer.request_id("x" * 65) != "x" * 65


def test_handing_a_record_over_is_cheap() -> None:
    """Far above what is measured (about a microsecond), so that it fails for a lost idea and not for a busy machine."""
    observer = Observer(stream=io.BytesIO())
    started = time.thread_time()
    for _ in range(10_000):
        observer.finished(PULL)
    assert (time.thread_time() - started) / 10_000 < 60e-6
    observer.close()


def test_only_methods_without_effect_may_wait() -> None:
    assert {"GET", "HEAD", "OPTIONS"} == SAFE
