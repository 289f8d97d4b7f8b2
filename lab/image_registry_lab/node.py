"""Nodes from outside: start one, ask how it is, cut its power.

A node is a set of namespaces (mount, network, UTS, IPC, pid) below a tiny init. Killing that init is what a power cut
is to a machine, and takes processes, mounts, links and packet rules with it; only control groups must be removed.
"""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import time
from pathlib import Path

from image_registry_lab import addresses, cgroups, network, node_config, places
from image_registry_lab.places import Places
from image_registry_lab.process import Processes, wait
from image_registry_lab.report import LabError, last_lines

NAMESPACES = ("--mount", "--propagation", "private", "--net", "--uts", "--ipc", "--pid", "--mount-proc")
TOO_OFTEN = 3
"""A program of a node that ended this often while the node was starting will not come up."""


class Node:
    """One node of the lab in ``places``."""

    def __init__(self, name: str, places: Places, processes: Processes) -> None:
        addresses.number(name)  # refuses names that no node can have
        self.name = name
        self.folder = places.node(name)
        self._places = places
        self._processes = processes
        self._outer, self._init = f"node-{name}", f"node-{name}-init"

    def pid(self) -> int | None:
        """The node's pid 1, as the host sees it."""
        return self._processes.pid(self._init)

    def socket(self) -> str:
        """containerd's socket, reachable from the host."""
        return f"/proc/{self.pid()}/root{node_config.CONTAINERD_SOCKET}"

    def marks(self) -> Path:
        """Where the node remembers which image archives it took."""
        return self.folder / "containerd/imported"

    def complete(self) -> bool:
        """Whether it runs and its cable is plugged in."""
        return self.pid() is not None and Path("/sys/class/net", addresses.link(self.name)).exists()

    def start(self) -> bool:
        """Start it unless it runs; true if it was started. It is not Ready yet then."""
        if self.complete():
            return False
        self.cut_power()  # what a start that was interrupted left
        cgroups.make(self.name)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "status.json").unlink(missing_ok=True)
        (self.folder / "started").write_text(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), encoding="ascii")
        inside = [sys.executable, "-B", "-m", "image_registry_lab.node_init", self.name, str(self._places.root)]
        package = f"PYTHONPATH={places.SOURCES}"
        command = ["unshare", *NAMESPACES, "--fork", "--kill-child", "catatonit", "--", "env", package, *inside]
        self._processes.start(self._outer, command)
        self._processes.await_ready(self._outer, lambda: self._child() is not None, 10)
        child = self._child()
        if child is None:
            raise LabError(f"node {self.name} ended at once; {last_lines(self._processes.log(self._outer))}")
        self._processes.record(self._init, child)
        network.connect(self.name, child)
        return True

    def started(self) -> str:
        """The moment of its start, as Kubernetes writes times."""
        try:
            return (self.folder / "started").read_text(encoding="ascii")
        except OSError:
            return ""

    def stage(self) -> str:
        """What it is doing while it starts."""
        return str(self._status().get("stage", "starting"))

    def check(self) -> None:
        """Raises :class:`LabError` with the log that matters when the node will not come up."""
        if self.pid() is None:
            raise LabError(f"node {self.name} ended; {last_lines(self._processes.log(self._outer))}")
        ended = self._status().get("ended")
        for program, count in ended.items() if isinstance(ended, dict) else ():
            if count >= TOO_OFTEN:
                log = self._places.logs / f"{self.name}-{program}.log"
                raise LabError(f"{program} of node {self.name} ended {count} times; {last_lines(log)}")

    def cut_power(self) -> bool:
        """End it as a power cut would; true if it ran."""
        ran = self.pid() is not None or self._processes.pid(self._outer) is not None
        self._processes.signal(self._init, signal.SIGKILL)
        if self._processes.pid(self._init) is None or wait(lambda: self.pid() is None, 10, 0.02):
            self._processes.forget(self._init)
        self._processes.stop([self._outer], 5)
        network.disconnect(self.name)
        cgroups.remove(self.name)
        return ran

    def _status(self) -> dict[str, object]:
        with contextlib.suppress(OSError, ValueError):
            content = json.loads((self.folder / "status.json").read_text(encoding="ascii"))
            if isinstance(content, dict):
                return content
        return {}

    def _child(self) -> int | None:
        outer = self._processes.pid(self._outer)
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{outer}/task/{outer}/children").read_text(encoding="ascii").split()
            return int(children[0]) if children else None
        return None
