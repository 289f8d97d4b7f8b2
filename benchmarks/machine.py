"""What the machine can do at all: a figure near one of these is the machine's, not the server's."""

from __future__ import annotations

import hashlib
import os
import platform
import socket
import threading
import time
from pathlib import Path

MIB = 1 << 20


def description() -> str:
    """One line about the machine."""
    return f"{os.cpu_count()} cores, {platform.system()} {platform.release()}, Python {platform.python_version()}"


def limits(folder: Path, *, seconds: float) -> dict[str, str]:
    """Hash, disk and loopback, each for about ``seconds``."""
    return {
        "SHA-256, one core": f"{hashing(seconds):,.0f} MiB/s",
        "write 1 KiB, fsync, rename, fsync of the folder": f"{durable_files(folder, seconds):,.0f} /s",
        "write and fsync, 64 MiB": f"{disk(folder, seconds):,.0f} MiB/s",
        "loopback TCP, one stream, sendfile to MSG_TRUNC": f"{loopback(folder, seconds):,.0f} MiB/s",
    }


def hashing(seconds: float) -> float:
    """MiB per second of SHA-256."""
    block, hashed, started = bytes(MIB), hashlib.sha256(), time.perf_counter()
    done = 0
    while time.perf_counter() - started < seconds:
        hashed.update(block)
        done += 1
    return done / (time.perf_counter() - started)


def durable_files(folder: Path, seconds: float) -> float:
    """Small files per second that survive a power cut."""
    done, started = 0, time.perf_counter()
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        while time.perf_counter() - started < seconds:
            with open(folder / "limit.new", "wb") as file:
                file.write(bytes(1024))
                file.flush()
                os.fsync(file.fileno())
            os.replace(folder / "limit.new", folder / "limit")
            os.fsync(place)
            done += 1
    finally:
        os.close(place)
        (folder / "limit").unlink(missing_ok=True)
    return done / (time.perf_counter() - started)


def disk(folder: Path, seconds: float) -> float:
    """MiB per second of large files, each synced."""
    block, done, started = os.urandom(MIB), 0, time.perf_counter()
    path = folder / "limit.large"
    while done == 0 or time.perf_counter() - started < seconds:
        with open(path, "wb") as file:
            file.writelines(block for _ in range(64))
            file.flush()
            os.fsync(file.fileno())
        done += 64
    elapsed = time.perf_counter() - started
    path.unlink()
    return done / elapsed


def loopback(folder: Path, seconds: float) -> float:
    """MiB per second of one connection: sendfile on one side, bytes dropped in the kernel on the other."""
    path = folder / "limit.bytes"
    path.write_bytes(bytes(16 * MIB))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sender = threading.Thread(target=_send, args=(listener, path, seconds))
        sender.start()
        with socket.create_connection(listener.getsockname()[:2]) as connection:
            scrap, received, started = bytearray(MIB), 0, time.perf_counter()
            while taken := connection.recv_into(scrap, MIB, socket.MSG_TRUNC):
                received += taken
            elapsed = time.perf_counter() - started
        sender.join()
    path.unlink()
    return received / MIB / elapsed


def _send(listener: socket.socket, path: Path, seconds: float) -> None:
    connection, _ = listener.accept()
    started = time.perf_counter()
    with connection, open(path, "rb") as file:
        size = path.stat().st_size
        while time.perf_counter() - started < seconds:
            connection.sendfile(file, 0, size)
