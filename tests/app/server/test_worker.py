"""Clients that fall silent do not take the server out of service; a real server process with two threads."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from image_registry.operator import certificates
from image_registry.server import errands

pytestmark = pytest.mark.slow

SCRIPT = """
import sys
from pathlib import Path
from image_registry.server import hot_worker, process, worker
from image_registry.server.tls import ReloadingContext

worker.FIRST_PATIENCE, worker.PATIENCE = 0.3, 0.6
hot_worker.FIRST_PATIENCE, hot_worker.PATIENCE = 0.3, 0.6

def application(environ, start_response):
    if environ["PATH_INFO"] == "/endless":
        start_response("200 OK", [("Content-Length", str(1 << 30))])
        return [bytes(1 << 20)] * 1024
    try:
        body = environ["wsgi.input"].read(1 << 20)
    except TimeoutError:
        start_response("408 Request Timeout", [("Content-Length", "0")])
        return [b""]
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]

port, folder = sys.argv[1:]
tls = ReloadingContext(Path(folder) / "tls.crt", Path(folder) / "tls.key") if folder else None
process.run(process.Profile(
    name="test", bind=f"127.0.0.1:{port}", workers=1, threads=2, build=lambda: application, tls=tls,
))
"""

GET = b"GET / HTTP/1.1\r\nHost: x\r\n"
LAST = b"Connection: close\r\n\r\n"


class Server:
    def __init__(self, port: int, log: Path, *, tls: bool) -> None:
        self.port = port
        self.log = log
        self.tls = tls

    def plain(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), 10)

    def connect(self) -> socket.socket:
        if not self.tls:
            return self.plain()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context.wrap_socket(self.plain())

    def answers_within(self, seconds: float, path: str = "/") -> bool:
        started = time.monotonic()
        with self.connect() as connection:
            connection.settimeout(seconds)
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n".encode() + LAST)
            try:
                return connection.recv(12) == b"HTTP/1.1 200" and time.monotonic() - started < seconds
            except TimeoutError:
                return False


@pytest.fixture(params=["plain", "tls"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    tls = request.param == "tls"
    if tls:
        now = datetime.now(UTC)
        leaf = certificates.make_leaf(certificates.make_authority("test", now), ["127.0.0.1"], now)
        (tmp_path / "tls.crt").write_bytes(leaf.certificate)
        (tmp_path / "tls.key").write_bytes(leaf.key)
    log = tmp_path / "log"
    with log.open("wb") as output:
        arguments = [str(port), str(tmp_path) if tls else ""]
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, *arguments], stdout=output, stderr=output)
    found = Server(port, log, tls=tls)
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if found.answers_within(5):
                    break
            assert process.poll() is None, log.read_text(encoding="utf-8")
            time.sleep(0.05)
        yield found
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def held() -> Iterator[list[socket.socket]]:
    connections: list[socket.socket] = []
    yield connections
    for connection in connections:
        connection.close()


@contextlib.contextmanager
def trickling(connections: list[socket.socket]) -> Iterator[None]:
    """One byte now and then on each."""
    ended = threading.Event()

    def trickle() -> None:
        while not ended.wait(0.1):
            for connection in connections:
                connection.sendall(b"x")

    thread = threading.Thread(target=trickle, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(10)


def test_silence_in_the_middle_of_a_head_ends(server: Server, held: list[socket.socket]) -> None:
    for _ in range(4):
        held.append(server.connect())
        held[-1].sendall(GET[:9])
    assert server.answers_within(4)
    assert "Traceback" not in server.log.read_text(encoding="utf-8")


def test_silence_in_the_middle_of_a_body_ends_and_the_application_hears_of_it(
    server: Server, held: list[socket.socket]
) -> None:
    for _ in range(4):
        held.append(server.connect())
        held[-1].sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc")
    assert server.answers_within(6)
    assert held[0].recv(12) == b"HTTP/1.1 408"
    assert "Traceback" not in server.log.read_text(encoding="utf-8")


def test_a_reader_that_does_not_read_is_left(server: Server, held: list[socket.socket]) -> None:
    for _ in range(4):
        held.append(server.connect())
        held[-1].sendall(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
    assert server.answers_within(8)
    assert "Traceback" not in server.log.read_text(encoding="utf-8")


def test_a_slow_client_that_does_go_on_is_served(server: Server, held: list[socket.socket]) -> None:
    held.append(server.connect())
    held[0].sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n")
    for part in (b"\r\n", b"a", b"b", b"c", b"d", b"e", b"f"):
        time.sleep(0.15)
        held[0].sendall(part)
    assert held[0].recv(12) == b"HTTP/1.1 200"


def test_requests_that_follow_at_once_and_later_are_all_answered(server: Server, held: list[socket.socket]) -> None:
    held.extend(server.connect() for _ in range(5))
    for round_ in range(20):
        for connection in held:
            connection.sendall(GET + b"\r\n")
        for connection in held:
            assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        time.sleep(0.004 * (round_ % 3))
    for connection in held[:2]:
        for _ in range(50):
            connection.sendall(GET + b"\r\n")
            assert connection.recv(4096).startswith(b"HTTP/1.1 200")


def test_connections_opened_in_advance_hold_no_thread_and_serve_later(
    server: Server, held: list[socket.socket]
) -> None:
    held.extend(server.connect() for _ in range(20))
    assert server.answers_within(1.0)
    time.sleep(0.7)
    for connection in held:
        connection.sendall(GET + b"\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")


def test_a_kept_connection_is_served_again(server: Server, held: list[socket.socket]) -> None:
    held.append(server.connect())
    for _ in range(3):
        held[0].sendall(GET + b"\r\n")
        assert held[0].recv(4096).startswith(b"HTTP/1.1 200")
        time.sleep(0.6)


def test_clients_that_do_not_hang_up_keep_nobody_waiting_at_the_door(server: Server, held: list[socket.socket]) -> None:
    for _ in range(6):
        held.append(server.connect())
        held[-1].sendall(GET + LAST)
    assert server.answers_within(3)


def test_silence_in_the_middle_of_a_handshake_ends(server: Server, held: list[socket.socket]) -> None:
    for _ in range(4):
        held.append(server.plain())
        held[-1].sendall(b"\x16\x03\x01\x02\x00\x01\x00")
    assert server.answers_within(4)
    assert "Traceback" not in server.log.read_text(encoding="utf-8")


@pytest.mark.parametrize("server", ["tls"], indirect=True)
def test_handshakes_that_stop_in_their_middle_hold_no_thread_and_end(server: Server, held: list[socket.socket]) -> None:
    for _ in range(60):
        held.append(server.plain())
        held[-1].sendall(b"\x16\x03\x01\x02\x00\x01\x00")
    assert server.answers_within(4)
    held[0].settimeout(5)
    assert held[0].recv(12) == b""


@pytest.mark.parametrize("server", ["tls"], indirect=True)
def test_probes_are_answered_while_slow_clients_hold_every_thread(server: Server, held: list[socket.socket]) -> None:
    for _ in range(4):
        held.append(server.connect())
        held[-1].sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
    with trickling(held):
        time.sleep(0.3)
        assert not server.answers_within(0.5)
        for path in ("/livez", "/healthz", "/readyz"):
            assert server.answers_within(5, path), path


def test_no_request_but_a_bare_probe_goes_before_others() -> None:
    head = b"GET /livez HTTP/1.1\r\nHost: x\r\n%b\r\n"
    assert errands.probe(head % b"") == errands.probe(head % b"User-Agent: kube-probe\r\n") == errands.LIVE
    for more in (b"Content-Length: 5\r\n", b"transfer-encoding: chunked\r\n", b"Expect: 100-continue\r\n"):
        assert errands.probe(head % more) is None
    assert errands.probe(head % b"" + b"GET / HTTP/1.1\r\n") is None
    assert errands.probe(head.replace(b"GET", b"POST") % b"") is None
    assert errands.probe(head.replace(b"/livez", b"/livez/v2") % b"") is None
