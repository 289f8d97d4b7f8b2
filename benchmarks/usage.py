"""What a server costs: processor seconds and memory of all its processes together, read from /proc.

Memory is the proportional set size: what forked processes share counts once, so that a server of several processes is
neither punished nor flattered beside one of a single process.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

TICKS = os.sysconf("SC_CLK_TCK")
INTERVAL = 0.25
"""Seconds between two looks at the memory."""


def listening(port: int) -> int | None:
    """The process that listens on a port of this machine: the oldest one, when several share the socket."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError):
            for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
                cells = line.split()
                if cells[3] == "0A" and int(cells[1].rpartition(":")[2], 16) == port:
                    inodes.add(f"socket:[{cells[9]}]")
    holders = [pid for pid in _processes() if inodes.intersection(_sockets(pid))]
    return min(holders, default=None)


def family(root: int) -> list[int]:
    """A process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for pid in _processes():
        with suppress(OSError, IndexError):
            parent = int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(pid)
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def processor_seconds(root: int) -> float:
    """User and system time of the family so far."""
    total = 0
    for pid in family(root):
        with suppress(OSError, IndexError):
            cells = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            total += int(cells[11]) + int(cells[12])
    return total / TICKS


def memory(root: int) -> int:
    """Bytes of the family now."""
    return _share(root, "Pss:")


def own_memory(root: int) -> int:
    """The same without pages of files: what a family has of those grows when another process ends that had them too."""
    return _share(root, "Pss_Anon:")


def _share(root: int, field: str) -> int:
    total = 0
    for pid in family(root):
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
                if line.startswith(field):
                    total += int(line.split()[1]) << 10
    return total


def own_peak() -> int:
    """Bytes that this process has had at most. ``getrusage`` would tell of the process that started it, too."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM:"))


class PeakMemory:
    """Looks at the memory of one family while it works."""

    def __init__(self, root: int) -> None:
        self.root = root
        self.peak = memory(root)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self.look()

    def look(self) -> None:
        """Look now."""
        self.peak = max(self.peak, memory(self.root))

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL):
            self.look()


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _sockets(pid: int) -> Iterator[str]:
    with suppress(OSError):
        for descriptor in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                yield os.readlink(f"/proc/{pid}/fd/{descriptor}")
