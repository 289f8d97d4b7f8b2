"""Load that does not become the bottleneck: it shares two cores with what it measures.

Small answers are fetched by wrk (C, one thread), whose cost per request is a few microseconds; it looks at statuses and
not into bodies, which are compared once before. What wrk cannot do (answers without a body, operations of several
requests) runs on one epoll loop in this process; what moves megabytes runs in threads, where the bytes stay in the
kernel.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.connection import (
    HEAD_END,
    Address,
    Answer,
    Ask,
    Connection,
    Failure,
    Headers,
    Operation,
    check,
    read_head,
)

STUCK = 15.0
"""Seconds without any answer after which a server counts as stuck."""

_SCRIPT = """\
%(headers)s
local targets = {%(targets)s}
local requests, at = {}, 0
function init(args)
  for i, target in ipairs(targets) do requests[i] = wrk.format(nil, target) end
end
function request()
  at = at %% #requests + 1
  return requests[at]
end
function done(summary, latency, requests)
  local e = summary.errors
  io.stderr:write(string.format(
    '{"requests": %%d, "us": %%d, "refused": %%d, "broken": %%d, "p50": %%d, "p99": %%d}\\n',
    summary.requests, summary.duration, e.status, e.connect + e.read + e.write + e.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


class MissingTool(Exception):
    """A program that the benchmark needs is not installed; the text says how to get it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """``amount`` of something in ``seconds``; latencies in milliseconds, if they were taken."""

    amount: float
    seconds: float
    p50: float | None = None
    p99: float | None = None

    @property
    def rate(self) -> float:
        """Amount per second."""
        return self.amount / self.seconds


def requests(
    address: Address,
    targets: Sequence[str],
    *,
    connections: int,
    seconds: float,
    headers: Headers = (),
) -> Sample:
    """GETs by wrk over kept connections, the targets in turn."""
    program = shutil.which("wrk")
    if program is None:
        raise MissingTool("there is no wrk: apt-get install wrk")
    shown = {"targets": ", ".join(json.dumps(target) for target in targets)}
    shown["headers"] = "\n".join(f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in headers)
    with tempfile.TemporaryDirectory(prefix="wrk-") as folder:
        script = Path(folder) / "load.lua"
        script.touch(mode=0o600)  # it holds the token
        script.write_text(_SCRIPT % shown, encoding="utf-8")
        options = ["-t1", f"-c{connections}", f"-d{max(round(seconds), 1)}s", "--timeout", "10s", "-s", str(script)]
        command = [program, *options, f"http://{address.host}:{address.port}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 60)
    try:
        said = json.loads(done.stderr.strip().splitlines()[-1])
    except (IndexError, ValueError):
        raise Failure(f"wrk failed: {done.stderr[-300:]}{done.stdout[-300:]}") from None
    if said["broken"] or said["refused"] or not said["requests"]:
        raise Failure(f"{said['refused']} refusals and {said['broken']} broken of {said['requests']} requests")
    return Sample(said["requests"], said["us"] / 1e6, said["p50"] / 1000, said["p99"] / 1000)


def operations(
    address: Address,
    make: Callable[[int], Operation],
    *,
    connections: int,
    seconds: float = 0.0,
    count: int | None = None,
) -> Sample:
    """Operations one after the other on each of several connections, for ``seconds`` or until ``count`` are done."""
    loop = _Loop(make, count)
    channels = [_Channel(address) for _ in range(connections)]
    try:
        started = time.perf_counter()
        taken = loop.run(channels, started + seconds if count is None else None)
    finally:
        for channel in channels:
            channel.socket.close()
    taken.sort()
    return Sample(
        len(taken),
        time.perf_counter() - started,
        1000 * taken[len(taken) // 2],
        1000 * taken[len(taken) * 99 // 100],
    )


def threads(address: Address, make: Callable[[int], Operation], *, connections: int, seconds: float) -> Sample:
    """The same in threads, for operations that move many bytes; each connection does at least one."""
    done: list[float] = []
    failures: list[Exception] = []
    numbers = iter(range(1 << 60))
    opened = [Connection(address) for _ in range(connections)]

    def client(connection: Connection) -> None:
        try:
            while not failures:
                began = time.perf_counter()
                connection.run(make(next(numbers)))
                done.append(time.perf_counter() - began)
                if time.perf_counter() - started >= seconds:
                    return
        except (Failure, OSError) as error:
            failures.append(error)
        finally:
            connection.close()

    running = [threading.Thread(target=client, args=(connection,)) for connection in opened]
    started = time.perf_counter()
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    elapsed = time.perf_counter() - started
    if failures:
        raise failures[0]
    done.sort()
    return Sample(len(done), elapsed, 1000 * done[len(done) // 2], 1000 * done[len(done) * 99 // 100])


@dataclass(slots=True)
class _Channel:
    """One kept connection of the loop, and what it is in the middle of."""

    address: Address
    socket: socket.socket = field(init=False)
    received: bytearray = field(default_factory=bytearray)
    operation: Operation | None = None
    ask: Ask | None = None
    began: float = 0.0

    def __post_init__(self) -> None:
        self.socket = socket.create_connection((self.address.host, self.address.port), STUCK)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, ask: Ask) -> None:
        self.ask = ask
        self.socket.sendall(b"".join((ask.head, *ask.bodies)) if ask.bodies else ask.head)

    def answer(self) -> Answer | None:
        """The answer, when all of it is there."""
        block = self.socket.recv(1 << 18)
        if not block:
            raise Failure("the server closed the connection in the middle of an answer")
        self.received += block
        end = self.received.find(HEAD_END)
        if end < 0 or self.ask is None:
            return None
        answer = read_head(self.received, end, self.ask)
        expected = 0 if self.ask.bodiless else answer.length
        body = len(self.received) - end - 4
        if body < expected:
            return None
        if body > expected:
            raise Failure(f"{body - expected} bytes more than the answer announced")
        answer = Answer(answer.status, answer.length, answer.location, bytes(self.received[end + 4 :]))
        self.received.clear()
        check(self.ask, answer)
        return answer


class _Loop:
    def __init__(self, make: Callable[[int], Operation], count: int | None) -> None:
        self._make = make
        self._count = count
        self._begun = 0
        self._taken: list[float] = []

    def run(self, channels: Sequence[_Channel], deadline: float | None) -> list[float]:
        """Seconds of each operation that ended before the deadline."""
        busy = {channel.socket.fileno(): channel for channel in channels if self._begin(channel)}
        poll = select.epoll()
        try:
            for number in busy:
                poll.register(number, select.EPOLLIN)
            while busy and (deadline is None or time.perf_counter() < deadline):
                ready = poll.poll(STUCK)
                if not ready:
                    raise Failure(f"no answer for {STUCK:.0f} seconds")
                for number, _event in ready:
                    answer = busy[number].answer()
                    if answer is not None and not self._next(busy[number], answer):
                        poll.unregister(number)
                        del busy[number]
        finally:
            poll.close()
        if not self._taken:
            raise Failure("not one operation came to its end")
        return self._taken

    def _begin(self, channel: _Channel) -> bool:
        if self._count is not None and self._begun >= self._count:
            return False
        channel.operation = self._make(self._begun)
        channel.began = time.perf_counter()
        self._begun += 1
        channel.send(next(channel.operation))
        return True

    def _next(self, channel: _Channel, answer: Answer) -> bool:
        if channel.operation is None:
            return False
        try:
            channel.send(channel.operation.send(answer))
        except StopIteration:
            self._taken.append(time.perf_counter() - channel.began)
            return self._begin(channel)
        return True


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))
