"""A thousand clients that want little, and some that take their time: cheap, bounded, and in nobody's way."""

from __future__ import annotations

import hashlib
import http.client
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks import usage
from tests.serve.conftest import Served, serve

pytestmark = pytest.mark.slow

IDLE = 1000
MOST = 2000
"""Connections that a worker has room for."""
SOON = 15.0
"""Seconds of a request on a busy machine; one behind clients that hold all threads waits for a minute and more."""

MIB = 1 << 20
GET = b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def few_threads(tmp_path: Path) -> Iterator[Served]:
    yield from serve(tmp_path, "--workers", "1", "--threads", "4")


def connect(served: Served) -> socket.socket:
    host, _, port = served.host.rpartition(":")
    return socket.create_connection((host, int(port)), 20)


def quick(served: Served) -> float:
    """Seconds of a request that takes a thread and the application."""
    started = time.monotonic()
    connection = http.client.HTTPConnection(served.host, timeout=20)
    connection.request("GET", "/livez")
    assert connection.getresponse().status == 200
    connection.close()
    return time.monotonic() - started


def silence(served: Served) -> float:
    """Seconds of a processor in three seconds in which nobody asks for anything."""
    before = usage.processor_seconds(served.pid)
    time.sleep(3)
    return usage.processor_seconds(served.pid) - before


def answered(connection: socket.socket) -> bool:
    """Whether the whole answer to :data:`GET` arrives; head and body may come in pieces."""
    data = b""
    while not data.endswith(b"{}\n"):
        part = connection.recv(65536)
        assert part, data
        data += part
    return data.startswith(b"HTTP/1.1 200") and data.count(b"HTTP/1.1") == 1


def test_a_thousand_idle_connections_cost_little_and_stay_open(served: Served) -> None:
    quick(served)
    before = usage.own_memory(served.pid)
    with ExitStack() as stack:
        connections = [stack.enter_context(connect(served)) for _ in range(IDLE)]
        for connection in connections[::2]:
            connection.sendall(GET)
        for connection in connections[::2]:
            assert answered(connection)
        grown = usage.own_memory(served.pid) - before
        assert grown < 40 * MIB, f"{IDLE} connections took {grown >> 20} MiB"
        spent = [silence(served)]
        while spent[-1] >= 0.3 and len(spent) < 5:  # what the answers left to do may go on for a moment
            spent.append(silence(served))
        assert spent[-1] < 0.3, f"{spent} s of a processor in 3 s of silence each"
        assert quick(served) < SOON
        for connection in connections:
            connection.sendall(GET)
        for connection in connections:
            assert answered(connection)


def test_more_connections_than_a_worker_has_room_for_cost_the_idle_ones_and_nobody_else(few_threads: Served) -> None:
    """Or whoever opens some thousands and says nothing keeps everybody else out."""
    with ExitStack() as stack:
        used = stack.enter_context(connect(few_threads))
        silent = []
        for number in range(MOST + 200):
            silent.append(stack.enter_context(connect(few_threads)))
            if number % 100 == 0:
                used.sendall(GET)
                assert answered(used)
        assert quick(few_threads) < SOON
        used.sendall(GET)
        assert answered(used)
        for connection in silent[-500:]:
            connection.sendall(GET)
        for connection in silent[-500:]:
            assert answered(connection)
        silent[0].settimeout(5)
        assert silent[0].recv(1) == b""


def test_heads_that_come_byte_by_byte_hold_no_thread(few_threads: Served) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(connect(few_threads)) for _ in range(60)]
        for at in range(20):
            for connection in slow:
                connection.sendall(GET[at : at + 1])
        assert quick(few_threads) < SOON
        for connection in slow:
            connection.sendall(GET[20:])
        for connection in slow:
            assert answered(connection)


def test_a_head_without_end_is_refused_in_words(few_threads: Served) -> None:
    with connect(few_threads) as connection:
        connection.sendall(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n")
        received = b""
        for number in range(400):
            try:
                connection.sendall(f"X-{number}: {'y' * 1000}\r\n".encode())
            except OSError:
                break
        try:
            while block := connection.recv(65536):
                received += block
        except ConnectionError:
            pass  # it was hung up on while it still sent
    assert received == b"" or (received.startswith(b"HTTP/1.1 431") and b'"errors"' in received)
    assert quick(few_threads) < SOON


def test_slow_readers_of_large_blobs_are_in_nobodys_way_and_memory_stays(served: Served) -> None:
    blob = bytes(64 * MIB)
    digest = f"sha256:{hashlib.sha256(blob).hexdigest()}"
    connection = http.client.HTTPConnection(served.host, timeout=60)
    connection.request("POST", "/v2/team/app/blobs/uploads/")
    answer = connection.getresponse()
    answer.read()
    connection.request("PUT", f"{answer.headers['Location']}?digest={digest}", blob)
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (201, b"")
    connection.close()
    before = usage.own_memory(served.pid)
    with ExitStack() as stack:
        readers = [stack.enter_context(connect(served)) for _ in range(128)]
        for reader in readers:
            reader.sendall(f"GET /v2/team/app/blobs/{digest} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        for _ in range(4):
            for reader in readers:
                assert reader.recv(65536)
            assert quick(served) < SOON
        grown = usage.own_memory(served.pid) - before
        assert grown < 64 * MIB, f"128 readers took {grown >> 20} MiB"
