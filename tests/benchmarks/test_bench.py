"""The benchmark, run small against a real registry, and against servers that cheat."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from benchmarks.connection import Address, Connection, Failure
from benchmarks.servers import Unavailable, peer
from benchmarks.workloads import Prepared, manifest_rate, pull_speed

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


def prepared(address: Address, manifest: bytes = b"{}") -> Prepared:
    return Prepared(address, f"sha256:{'0' * 64}", f"sha256:{'1' * 64}", manifest)


def test_a_quick_error_is_not_counted_as_a_quick_answer() -> None:
    error = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}"
    with answering(lambda _: error) as address, pytest.raises(Failure, match="503"):
        manifest_rate(prepared(address), 1, 0.2)


def test_another_body_than_the_manifest_is_a_failure() -> None:
    other = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"
    with answering(lambda _: other) as address, pytest.raises(Failure, match="instead of the manifest"):
        manifest_rate(prepared(address), 1, 0.2)


def test_a_blob_that_ends_early_is_a_failure() -> None:
    short = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this"
    with answering(lambda _: short) as address, pytest.raises(Failure, match="bytes to go"):
        pull_speed(prepared(address), 1000)


def test_a_blob_of_another_length_is_a_failure() -> None:
    other = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
    with answering(lambda _: other) as address, pytest.raises(Failure, match="3 bytes"):
        pull_speed(prepared(address), 1000)


def test_an_answer_without_length_is_refused_rather_than_guessed() -> None:
    endless = b"HTTP/1.1 200 OK\r\n\r\nbody"
    with (
        answering(lambda _: endless) as address,
        closing(Connection(address)) as connection,
        pytest.raises(Failure, match="without status or length"),
    ):
        connection.exchange(address.request("GET", "/"))


@pytest.mark.parametrize("text", ["x=http://192.0.2.1:5000", "x=https://127.0.0.1:5000", "http://127.0.0.1:5000", "x"])
def test_peers_are_plain_http_on_this_machine(text: str) -> None:
    with pytest.raises(Unavailable, match=r"NAME=http://127\.0\.0\.1:PORT"):
        peer(text)


@pytest.mark.slow
def test_both_registries_are_measured_in_one_run_and_every_figure_has_its_ratio() -> None:
    small = ["--repeats", "1", "--seconds", "0.2", "--large", "4", "-o", "json"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *small], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert len(document["workloads"]) == 6
    for workload in document["workloads"]:
        assert set(workload["servers"]) == {"image-registry", "docker-registry"}
        assert all(figure["valid"] for figure in workload["servers"].values())
        assert workload["ratios"]["docker-registry"] > 0
