"""The control groups of nodes: the kubelet wants its root made before it starts, in every hierarchy."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

TOP = "lab"

WEIGHT = 4
"""How many busy processes of the machine all nodes together count as. A group counts as one unless it is told: beside a
few tests on two processors Pods then took two minutes to start.
"""


def hierarchies(root: Path = Path("/sys/fs/cgroup")) -> list[Path]:
    """Every mounted hierarchy: one for each controller, or the unified one alone."""
    if (root / "cgroup.controllers").exists():
        return [root]
    return sorted(path for path in root.iterdir() if not path.is_symlink() and (path / "cgroup.procs").exists())


def make(node: str) -> None:
    """Make the node's group everywhere; on the unified hierarchy hand the controllers down to it."""
    for hierarchy in hierarchies():
        group = hierarchy / TOP / node
        group.mkdir(parents=True, exist_ok=True)
        if (hierarchy / "cgroup.controllers").exists():
            for parent in (hierarchy, hierarchy / TOP):
                for controller in (parent / "cgroup.controllers").read_text(encoding="ascii").split():
                    # a controller that cannot be handed down is one that the kubelet does without
                    with contextlib.suppress(OSError):
                        (parent / "cgroup.subtree_control").write_text(f"+{controller}", encoding="ascii")
        weigh(hierarchy / TOP)


def weigh(group: Path) -> None:
    """Give the group its share of the processors, where its hierarchy shares them out."""
    for name, of_one in (("cpu.shares", 1024), ("cpu.weight", 100)):
        if (group / name).exists():
            (group / name).write_text(str(WEIGHT * of_one), encoding="ascii")


def remove(node: str | None = None, seconds: float = 10) -> None:
    """Remove a node's groups, or with None all that is left; processes that are ending get some time."""
    deadline = time.monotonic() + seconds
    while not _remove_once(node) and time.monotonic() < deadline:
        time.sleep(0.1)


def left() -> list[Path]:
    """Groups of the lab that still exist."""
    return [hierarchy / TOP for hierarchy in hierarchies() if (hierarchy / TOP).is_dir()]


def _remove_once(node: str | None) -> bool:
    complete = True
    for hierarchy in hierarchies():
        group = hierarchy / TOP / node if node else hierarchy / TOP
        for folder, _, _ in os.walk(group, topdown=False):
            try:
                Path(folder).rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                complete = False
    return complete
