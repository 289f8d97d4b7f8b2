"""The run: some clients for some time, and what must hold all the while and afterwards.

No answer is a 5xx: nothing is wrong with the storage. Every answer comes in time. Memory stops growing. The processes
at the end are those of the beginning, and everything that is tagged can be pulled.
"""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from image_registry.server import allocator
from tests.security.fuzz import wire
from tests.security.fuzz.grammar import GARBAGE, REPOSITORIES, Grammar, Request, digest_of, mangled
from tests.security.fuzz.wire import Broken

PATIENCE = 20.0
"""Seconds for any answer, on a busy machine."""

RAW = 0.25
"""Share of what is sent as raw bytes."""

ROOM = 48 << 20
"""Bytes by which all processes together may be larger in the last third of the run than in the second."""

LONG = 300.0
"""Seconds from which a run is long enough for memory to level off."""

LEVEL = 24 << 20
"""Bytes by which all processes together may grow in the second half of a long run: what they remember is bounded, and
has reached its bounds by then or is close to them."""

WORKERS = 2
"""Processes that serve, beside the one that watches over them."""

BUFFERS = WORKERS * allocator.ARENAS * allocator.KEPT
"""Bytes that the allocators of all workers keep for the next upload once there was a large one."""

NOT_OURS = frozenset({501, 505})
"""Statuses of HTTP itself: a transfer coding or a version that is not there."""


@dataclass(frozen=True, slots=True)
class Target:
    """A served registry."""

    host: str
    pid: int
    user: str
    password: str


@dataclass
class Report:
    """What happened."""

    seed: int
    sent: int = 0
    raw: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    slowest: float = 0.0
    memory: list[tuple[float, int]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """For people."""
        counted = ", ".join(f"{status}: {count}" for status, count in sorted(self.statuses.items()))
        yield f"seed {self.seed}: {self.sent} requests, {self.raw} times raw bytes, slowest answer {self.slowest:.2f} s"
        yield f"statuses: {counted}"
        if self.memory:
            sizes = [size >> 20 for _, size in self.memory]
            curve = [sizes[(len(sizes) - 1) * step // 8] for step in range(9)]
            yield f"memory: {max(sizes)} MiB at most; over time {', '.join(map(str, curve))}"
            yield f"memory in the second half: {second_half(self.memory) / (1 << 20):+.0f} MiB"
        yield from self.failures


class Client(threading.Thread):
    """One client; everything it does follows from its seed."""

    def __init__(self, target: Target, seed: str, report: Report, lock: threading.Lock, until: float) -> None:
        super().__init__(name=f"fuzz {seed}", daemon=True)
        self._target = target
        self._chance = random.Random(seed)
        self._grammar = Grammar(self._chance, target.user, target.password)
        self._report = report
        self._lock = lock
        self._until = until
        self._last: deque[bytes] = deque(maxlen=3)
        self._connection: socket.socket | None = None

    def run(self) -> None:
        while time.monotonic() < self._until and not self._report.failures:
            try:
                if self._chance.random() < RAW:
                    self._throw()
                else:
                    self._ask()
            except Broken as error:
                self._fail(str(error))
        if self._connection is not None:
            self._connection.close()

    def _ask(self) -> None:
        request = self._grammar.next()
        raw = request.bytes(self._target.host)
        self._last.append(raw)
        if self._is_open_ended(request):
            self._note(wire.throw(self._target.host, raw, PATIENCE, ends=self._chance.random() < 0.8))
            return
        if self._connection is None:
            self._connection = wire.connect(self._target.host, PATIENCE)
        answer = wire.exchange(self._connection, raw, request.method)
        if answer is None or answer.closes:
            self._connection.close()
            self._connection = None
        if answer is None:
            return
        self._note([answer.status], answer.seconds)
        if answer.status >= 400 and request.method != "HEAD" and not wire.is_refusal(answer):
            self._fail(f"a refusal without an OCI error: {answer.status} {answer.body[:200]!r}")
        if "/blobs/uploads/" in answer.headers.get("location", "") and answer.status == 202:
            self._grammar.sessions.append(answer.headers["location"])
        if request.path.startswith("/v2/token") and answer.status == 200 and request.method == "GET":
            self._grammar.tokens.append(json.loads(answer.body)["token"])

    @staticmethod
    def _is_open_ended(request: Request) -> bool:
        """Whether nobody can say where it ends: then it goes on a connection of its own."""
        names = {name.lower() for name, _ in request.headers}
        framing = {"content-length", "transfer-encoding", "connection", "upgrade", "expect", "te", "trailer"}
        return (
            request.length is not None
            or bool(names & framing)
            or request.method in {"CONNECT", "PRI"}
            or (bool(request.body) and request.chunked and request.method in {"GET", "HEAD"})
        )

    def _throw(self) -> None:
        if self._chance.random() < 0.15:
            raw = self._chance.choice(GARBAGE)
        else:
            raw = mangled(self._chance, self._grammar.next().bytes(self._target.host))
        self._last.append(raw)
        statuses = wire.throw(self._target.host, raw, PATIENCE, ends=self._chance.random() < 0.7)
        with self._lock:
            self._report.raw += 1
        self._note(statuses)

    def _note(self, statuses: list[int], seconds: float = 0.0) -> None:
        with self._lock:
            self._report.sent += 1
            self._report.statuses.update(statuses)
            self._report.slowest = max(self._report.slowest, seconds)
        for status in statuses:
            if status >= 500 and status not in NOT_OURS:
                self._fail(f"status {status}")

    def _fail(self, what: str) -> None:
        with self._lock:
            shown = "\n".join(f"  {raw[:1500]!r}" for raw in self._last)
            self._report.failures.append(f"{self.name}: {what}; the last of these requests:\n{shown}")


def fuzz(target: Target, seconds: float, seed: int, clients: int = 4) -> Report:
    """Run; what is wrong is in the report."""
    report, lock = Report(seed), threading.Lock()
    deadline = time.monotonic() + 10
    while len(family(target.pid)) <= WORKERS and time.monotonic() < deadline:
        time.sleep(0.05)
    processes = family(target.pid)
    began = time.monotonic()
    running = [Client(target, f"{seed}-{number}", report, lock, began + seconds) for number in range(clients)]
    for client in running:
        client.start()
    while any(client.is_alive() for client in running):
        time.sleep(min(1.0, seconds / 20))
        report.memory.append((time.monotonic() - began, sum(resident(pid) for pid in family(target.pid))))
        if time.monotonic() - began > seconds + 3 * PATIENCE:
            report.failures.append("a client waits without end")
            break
    if family(target.pid) != processes:
        report.failures.append(
            f"processes died: there were {sorted(processes)}, there are {sorted(family(target.pid))}"
        )
    report.failures += grown(report.memory, seconds, BUFFERS)
    report.failures += level(report.memory, seconds)
    report.failures += damaged(target)
    return report


def grown(memory: list[tuple[float, int]], seconds: float, buffers: int) -> list[str]:
    """What a leak looks like: the last third of the run is larger than the second, beyond chance.

    A short run may meet its first large body late: ``buffers`` is what the processes keep for the next one, once.
    """
    second = [size for at, size in memory if seconds / 3 <= at < 2 * seconds / 3]
    last = [size for at, size in memory if at >= 2 * seconds / 3]
    if not second or not last or max(last) <= max(max(second), memory[0][1] + buffers) + ROOM:
        return []
    return [f"memory grows: {max(second) >> 20} MiB in the second third, {max(last) >> 20} MiB in the last"]


def second_half(memory: list[tuple[float, int]]) -> float:
    """Bytes by which memory grew from the middle of a run to its end; each is the middle of a tenth of the values."""
    sizes = [size for _, size in memory]
    few = max(len(sizes) // 10, 1)
    middle = (len(sizes) - few) // 2
    return median(sizes[-few:]) - median(sizes[middle : middle + few])


def level(memory: list[tuple[float, int]], seconds: float) -> list[str]:
    """Whether memory has levelled off by the end of a long run."""
    if seconds < LONG or not memory or (more := second_half(memory)) <= LEVEL:
        return []
    return [f"memory does not level off: {int(more) >> 20} MiB more in the second half, {LEVEL >> 20} are expected"]


def damaged(target: Target) -> list[str]:
    """Everything that is tagged, pulled; what is not what it should be."""
    grammar = Grammar(random.Random(0), target.user, target.password)
    found = []
    with ExitStack() as opened:
        connections: list[socket.socket] = []

        def get(path: str) -> wire.Answer:
            connection = connections.pop() if connections else opened.enter_context(wire.connect(target.host, PATIENCE))
            request = Request("GET", path, [("Authorization", grammar._known)])
            answer = wire.exchange(connection, request.bytes(target.host), "GET")
            if answer is None:
                raise Broken(f"no answer to GET {path}")
            if not answer.closes:
                connections.append(connection)
            return answer

        if get("/healthz").status != 200:
            found.append("the registry is not well afterwards")
        for repository in REPOSITORIES:
            listed = get(f"/v2/{repository}/tags/list")
            for tag in json.loads(listed.body).get("tags", ()) if listed.status == 200 else ():
                manifest = get(f"/v2/{repository}/manifests/{tag}")
                digest = manifest.headers.get("docker-content-digest", "")
                if manifest.status != 200 or digest_of(manifest.body, digest.partition(":")[0] or "sha256") != digest:
                    found.append(f"{repository}:{tag} cannot be pulled: {manifest.status} {digest}")
    return found


def family(pid: int) -> frozenset[int]:
    """A process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    try:
        below = [int(child) for child in children.read_text(encoding="ascii").split()]
    except OSError:
        below = []
    return frozenset({pid, *below})


def resident(pid: int) -> int:
    """Bytes that a process has in memory and shares with nobody."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0
    return sum(
        int(line.split()[1]) << 10 for line in text.splitlines() if line.startswith(("Private_Dirty", "Private_Clean"))
    )
