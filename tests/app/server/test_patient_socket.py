"""A file goes to its reader in as few calls as the reader lets it, and a reader that takes nothing is left."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from image_registry.server import worker
from image_registry.server.hot_worker import HotWorker
from image_registry.server.worker import FIRST_PATIENCE, PatientSocket, patient


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        reader = socket.create_connection(listener.getsockname())
        sender = patient(listener.accept()[0])
    with reader, sender:
        yield sender, reader


def test_a_part_of_a_file_arrives_whole(pair: tuple[socket.socket, socket.socket], tmp_path: Path) -> None:
    sender, reader = pair
    content = os.urandom(9 << 20)
    (tmp_path / "file").write_bytes(content)
    sender.settimeout(10)
    received = bytearray()

    def read() -> None:
        while len(received) < len(content) - 1000:
            received.extend(reader.recv(1 << 20))

    thread = threading.Thread(target=read)
    thread.start()
    with open(tmp_path / "file", "rb") as file:
        assert sender.sendfile(file, 1000, len(content) - 1000) == len(content) - 1000
    thread.join()
    assert received == content[1000:]
    assert sender.gettimeout() == 10


@pytest.mark.parametrize("near", [True, False])
def test_little_is_under_way_to_a_client_on_this_machine_and_only_while_a_long_answer_is_sent(
    pair: tuple[socket.socket, socket.socket], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, near: bool
) -> None:
    """A far client needs as much under way as its line is long; small answers go out in one piece."""
    sender, reader = pair
    assert sender.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 152)
    monkeypatch.setattr(worker, "NEAR", 1_000_000 if near else -1)
    usual = sender.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
    sender.settimeout(10)
    seen: list[int] = []

    def read(count: int) -> None:
        while count:
            seen.append(sender.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF))
            count -= len(reader.recv(min(count, 1 << 20)))

    with open(tmp_path / "file", "wb+") as file:
        file.truncate(worker.LONG)
        for count, bounded in ((worker.LONG, near), (worker.LONG - 1, False)):
            seen.clear()
            thread = threading.Thread(target=read, args=(count,))
            thread.start()
            assert sender.sendfile(file, 0, count) == count
            thread.join(10)
            assert (min(seen[1:-1]) <= 2 * worker.UNDER_WAY) is bounded
            assert sender.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) >= usual


def test_a_reader_that_takes_nothing_is_left_and_one_that_takes_a_little_is_not(
    pair: tuple[socket.socket, socket.socket], tmp_path: Path
) -> None:
    sender, reader = pair
    with open(tmp_path / "file", "wb+") as file:
        file.truncate(64 << 20)
        sender.settimeout(0.5)
        stop = threading.Event()

        def read_slowly() -> None:
            for _ in range(6):
                reader.recv(4 << 20, socket.MSG_WAITALL)
                time.sleep(0.2)
            stop.set()

        thread = threading.Thread(target=read_slowly)
        thread.start()
        with pytest.raises(TimeoutError):
            sender.sendfile(file, 0, 64 << 20)
        assert stop.is_set()
        thread.join()


def test_a_file_that_became_shorter_ends_early(pair: tuple[socket.socket, socket.socket], tmp_path: Path) -> None:
    sender, _ = pair
    (tmp_path / "file").write_bytes(b"short")
    sender.settimeout(5)
    with open(tmp_path / "file", "rb") as file:
        assert sender.sendfile(file, 0, 100) == 5


def test_a_connection_whose_file_ended_early_is_not_used_again(
    pair: tuple[socket.socket, socket.socket], tmp_path: Path
) -> None:
    """What is announced and not sent would be taken from the next answer."""
    sender, reader = pair
    (tmp_path / "file").write_bytes(b"short")
    told: list[bool] = []
    worker = HotWorker.__new__(HotWorker)
    worker._hot = cast("Any", SimpleNamespace(finished=lambda *_, complete: told.append(complete)))
    answer = SimpleNamespace(file=str(tmp_path / "file"), start=0, length=100)
    given = cast("Any", SimpleNamespace(sends_file=True, answer=answer))
    conn = cast("Any", SimpleNamespace(sock=sender, client=("127.0.0.1", 1)))
    reader.shutdown(socket.SHUT_WR)
    assert worker._send(conn, given, b"", b"head ", 0.0) is False
    assert told == [False]
    assert reader.recv(100) + reader.recv(100) + reader.recv(100) == b"head short"


def test_what_the_system_does_not_take_at_once_arrives_too(pair: tuple[socket.socket, socket.socket]) -> None:
    sender, reader = pair
    content = os.urandom(9 << 20)
    sender.settimeout(10)
    received = bytearray()

    def read() -> None:
        while len(received) < len(content):
            received.extend(reader.recv(1 << 20))

    thread = threading.Thread(target=read)
    thread.start()
    sender.sendall(content)
    thread.join()
    assert received == content


def test_a_look_at_what_is_there_does_not_wait(pair: tuple[socket.socket, socket.socket]) -> None:
    sender, reader = pair
    assert isinstance(sender, PatientSocket)
    sender.settimeout(10)
    with pytest.raises(BlockingIOError):
        sender.at_once(10)
    reader.sendall(b"hello")
    while True:
        with contextlib.suppress(BlockingIOError):
            assert sender.at_once(10) == b"hello"
            break
    reader.close()


def test_a_reader_that_has_gone_is_a_broken_connection(pair: tuple[socket.socket, socket.socket]) -> None:
    sender, reader = pair
    sender.settimeout(10)
    reader.close()

    def insist() -> None:
        while True:
            sender.sendall(bytes(1 << 16))

    with pytest.raises(ConnectionError):
        insist()


def test_blocking_again_keeps_the_patience_that_was_chosen(pair: tuple[socket.socket, socket.socket]) -> None:
    sender, _ = pair
    sender.settimeout(3)
    sender.setblocking(True)
    assert sender.gettimeout() == 3
    sender.setblocking(False)
    sender.setblocking(True)
    assert sender.gettimeout() == FIRST_PATIENCE
