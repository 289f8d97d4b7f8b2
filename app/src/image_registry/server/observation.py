"""The end of every request, told once: to the access log, to the audit log and to the metrics.

Whoever serves a request, the application or a shorter way past it, hands over one :class:`Record`. Handing over costs
about a microsecond: a thread beside the requests makes the lines and counts. What changed something or was refused is
written before the call returns, so no crash forgets it; what only read, or found nothing there, waits for a moment, and
is written at the latest when the process ends.
"""

from __future__ import annotations

import atexit
import itertools
import re
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from image_registry.server import log_lines
from image_registry.server.line_writer import LineWriter, RawStream
from image_registry.server.log_lines import SAFE, AccessLog, Audit, Record

__all__ = ["Audit", "Meter", "Observer", "Record"]

MOMENT = 0.05
"""Seconds that the lines of reads wait for company."""

MOST_WAITING = 20_000
"""Records that wait at most; then requests write them themselves, as slowly as the log takes them."""

NOTHING_THERE = 404
"""What every client that pushes is told about each of its layers."""

STARTED = ("uploads.start", 202)
"""Route and answer of an upload that has only got its name."""

PULL, ERRORS = "manifests.get", 400
"""Route of a manifest that is asked for, and the first status that says that it was not given. By ``HEAD`` clients only
look, tools that compare registries every few minutes among them."""

QUIET_PATHS = frozenset({"/livez", "/readyz", "/healthz", "/apis", "/apis/image.alauda.io", "/apis/image.alauda.io/v1"})
QUIET_FOLDER = "/openapi/"
"""Probes of the kubelet, and those by which each kube-apiserver sees every few seconds that the Image API is there.
They succeed thousands of times a day and tell about no object; only their failures are worth a line."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


class Meter(Protocol):
    """Counts; called by one thread at a time."""

    def count(self, record: Record) -> None: ...

    def lost(self, lines: int) -> None: ...


class Observer:
    """One for each worker, made after the fork."""

    def __init__(
        self,
        *,
        stream: RawStream | None = None,
        access: AccessLog = AccessLog.ALL,
        audit: Audit = Audit.WRITES,
        meter: Meter | None = None,
        pulled: Callable[[Record], None] = lambda _record: None,
    ) -> None:
        """``pulled`` is told of each manifest that somebody got."""
        self._lines = LineWriter(stream or open(1, "wb", buffering=0, closefd=False))  # noqa: SIM115 - standard output
        self._audit = audit
        self._access = access
        self._meter = meter
        self._pulled = pulled
        self._clock = log_lines.Clock()
        self._waiting: deque[tuple[float, Record]] = deque()
        self._writing = threading.Lock()
        self._some = threading.Event()
        self._closed = False
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._prefix = secrets.token_hex(8)
        self._number = itertools.count()
        atexit.register(self.close)

    def request_id(self, given: str = "") -> str:
        """What the client sent as ``X-Request-Id`` if it is sane, else a new one."""
        if given and _REQUEST_ID.fullmatch(given):
            return given
        return f"{self._prefix}{next(self._number):08x}"

    def begun(self, record: Record) -> None:
        """A request was allowed and begins; ``status`` and what comes of it are not known yet."""
        if self._audit is not Audit.NONE and record.method not in SAFE:
            with self._writing:
                self._drain()
                self._lines.write([log_lines.audit(record, self._clock(time.time()), begin=True)])

    def finished(self, record: Record) -> None:
        """A request has ended."""
        self._waiting.append((time.time(), record))
        refused = record.status >= 400 and record.status != NOTHING_THERE
        if refused or _changes(record) or len(self._waiting) > MOST_WAITING or self._closed:
            self.flush()
        elif not self._some.is_set():
            self._some.set()
            if self._thread is None:
                self._start()

    def flush(self) -> None:
        """Write what waits."""
        with self._writing:
            self._drain()

    def close(self) -> None:
        """Write what waits; what still ends afterwards is written at once."""
        self._closed = True
        self._some.set()
        self.flush()

    def _drain(self) -> None:
        lines: list[str] = []
        while self._waiting:
            moment, record = self._waiting.popleft()
            when = self._clock(moment)
            if log_lines.logged(record, self._access) and not _is_quiet(record):
                lines.append(log_lines.access(record, when))
            if log_lines.audited(record, self._audit):
                lines.append(log_lines.audit(record, when))
            if self._meter is not None:
                self._meter.count(record)
            if record.route == PULL and record.method == "GET" and record.status < ERRORS:
                self._pulled(record)
        self._lines.write(lines)
        if self._meter is not None and self._lines.lost:
            self._meter.lost(self._lines.lost)
            self._lines.lost = 0

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="observer", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while not self._closed:
            self._some.wait()
            time.sleep(MOMENT)
            self._some.clear()
            self.flush()


def _changes(record: Record) -> bool:
    """The start of an upload changes nothing: a session begins with its first byte."""
    return record.method not in SAFE and (record.route, record.status) != STARTED


def _is_quiet(record: Record) -> bool:
    return 200 <= record.status < 400 and (record.path in QUIET_PATHS or record.path.startswith(QUIET_FOLDER))
