"""The benchmark, run small against real registries, and against servers that cheat."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from benchmarks import load, usage
from benchmarks.connection import Address, Ask, Connection, Failure, Operation
from benchmarks.content import Content
from benchmarks.servers import Server, Unavailable, peer
from benchmarks.workloads import Prepared, image_pull, pull

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def answering(reply: Callable[[bytes], bytes]) -> Iterator[Address]:
    """A named fake: a server that answers every request with what ``reply`` makes of it, then hangs up."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.sendall(reply(connection.recv(65536)))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield Address("127.0.0.1", listener.getsockname()[1])
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@pytest.fixture(scope="module")
def content() -> Content:
    return Content.new(large=1000, tags=1, repositories=1, referrers=0)


def prepared(address: Address, content: Content) -> Prepared:
    return Prepared(Server("fake", address, None), content)


def answer(status: str, body: bytes) -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


def asking(address: Address) -> Operation:
    yield Ask(address.request("GET", "/"), 200)


def test_a_quick_error_is_not_counted_as_a_quick_answer() -> None:
    error = answer("503 Service Unavailable", b"{}")
    with answering(lambda _: error) as address, pytest.raises(Failure, match="503"):
        load.operations(address, lambda _: asking(address), connections=1, seconds=0.2)
    with answering(lambda _: error) as address, pytest.raises(Failure, match="503"):
        load.threads(address, lambda _: asking(address), connections=2, seconds=0.2)
    with answering(lambda _: error) as address, pytest.raises(Failure, match="refusals"):
        load.requests(address, ["/"], connections=1, seconds=1)


def test_another_body_than_the_manifest_is_a_failure(content: Content) -> None:
    other = answer("200 OK", bytes(len(content.image.data)))
    with (
        answering(lambda _: other) as address,
        closing(Connection(address)) as connection,
        pytest.raises(Failure, match="another manifest"),
    ):
        connection.run(image_pull(prepared(address, content)))


def test_a_blob_that_ends_early_is_a_failure(content: Content) -> None:
    short = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this"
    with (
        answering(lambda _: short) as address,
        closing(Connection(address)) as connection,
        pytest.raises(Failure, match="bytes to go"),
    ):
        connection.run(pull(prepared(address, content), content.large))


def test_a_blob_of_another_length_is_a_failure(content: Content) -> None:
    with (
        answering(lambda _: answer("200 OK", b"abc")) as address,
        closing(Connection(address)) as connection,
        pytest.raises(Failure, match="3 bytes"),
    ):
        connection.run(pull(prepared(address, content), content.large))


def test_an_answer_without_length_is_refused_rather_than_guessed() -> None:
    endless = b"HTTP/1.1 200 OK\r\n\r\nbody"
    with (
        answering(lambda _: endless) as address,
        closing(Connection(address)) as connection,
        pytest.raises(Failure, match="without status or length"),
    ):
        connection.run(asking(address))


def test_a_server_that_hangs_up_in_the_middle_is_a_failure_and_not_a_short_sample() -> None:
    with answering(lambda _: answer("200 OK", b"{}")) as address, pytest.raises((Failure, OSError)):
        load.operations(address, lambda _: asking(address), connections=1, seconds=1)


@pytest.mark.parametrize("text", ["x=http://192.0.2.1:5000", "x=https://127.0.0.1:5000", "http://127.0.0.1:5000", "x"])
def test_peers_are_plain_http_on_this_machine(text: str) -> None:
    with pytest.raises(Unavailable, match=r"NAME=http://127\.0\.0\.1:PORT"):
        peer(text)


def test_what_a_server_costs_counts_all_of_its_processes() -> None:
    busy = "import os, time; os.fork(); end = time.process_time() + 0.3\nwhile time.process_time() < end: pass\n"
    with subprocess.Popen([sys.executable, "-c", busy + "time.sleep(30)"]) as process:
        try:
            while usage.processor_seconds(process.pid) < 0.5:
                assert process.poll() is None
            assert len(usage.family(process.pid)) == 2
            assert usage.memory(process.pid) > 1 << 20
        finally:
            for pid in usage.family(process.pid)[::-1]:
                os.kill(pid, 9)


def test_the_process_behind_a_port_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert usage.listening(listener.getsockname()[1]) == os.getpid()


@pytest.mark.slow
def test_every_registry_is_measured_in_one_run_and_every_figure_has_its_ratio() -> None:
    small = ["--short", "--only", "c=1$|c=4$|x1$|B7", "-o", "json"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *small], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr + done.stdout
    document = json.loads(done.stdout)
    names = ["image-registry", "distribution", "static files"]
    assert list(document["servers"]) == names
    assert all(server["memory_peak_bytes"] > 1 << 20 for server in document["servers"].values())
    assert len(document["machine"]["limits"]) == 4
    for workload in document["workloads"]:
        reads = workload["name"].startswith(("B1", "B3"))
        figures = workload["servers"]
        assert figures["image-registry"]["valid"], workload
        assert figures["static files"]["valid"] == reads
        assert figures["distribution"]["valid"] == (not workload["name"].startswith("B7"))
        if not workload["name"].startswith("B7"):
            assert workload["ratios"]["distribution"] > 0
