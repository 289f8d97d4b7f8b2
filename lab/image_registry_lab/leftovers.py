"""Looks for anything of the lab that is still on the machine; after ``lab down`` there is nothing.

It looks at the machine, not at the lab's own notes: what was forgotten in the notes is what must be found.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from image_registry_lab import addresses, cgroups
from image_registry_lab.machine import Machine
from image_registry_lab.places import Places

LINKS = re.compile(rf"{addresses.BRIDGE}|lab-n[1-9]|cni\d+")
LAB_ROUTE = re.compile(r"\b10\.21[345]\.")
RULE = re.compile(r"\b(KUBE-|CNI-|kube-proxy|10\.21[345]\.)")


def find(places: Places) -> list[str]:
    """One line for each thing that is left."""
    found = [f"process {pid}: {command}" for pid, command in processes(places)]
    found += [f"mount {target}" for target in mounts(places, Path("/proc/self/mountinfo"))]
    found += [f"network link {name}" for name in sorted(os.listdir("/sys/class/net")) if LINKS.fullmatch(name)]
    found += [
        f"route {line}" for line in _said(["ip", "-4", "route", "show", "table", "all"]) if LAB_ROUTE.search(line)
    ]
    found += [f"nft rule {line.strip()}" for line in _said(["nft", "list", "ruleset"]) if RULE.search(line)]
    found += [f"iptables rule {line}" for line in _said(["iptables-save"]) if RULE.search(line)]
    found += [f"control group {group}" for group in cgroups.left()]
    machine = Machine(places.run)
    found += [f"{name} is {now}, was {kept}" for name, (kept, now) in machine.changed_settings().items()]
    found += [f"folder {folder}" for folder in machine.made_folders()]
    return found


def processes(places: Places) -> Iterable[tuple[int, str]]:
    """Processes that run one of the lab's programs on its state, or live in a namespace of one of its nodes.

    The programs alone say little: tests run a kube-apiserver of their own from the same folder, beside the lab.
    """
    own = _namespace("self")
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            program = os.readlink(entry / "exe")
        except OSError:  # ended meanwhile, or a thread of the kernel
            continue
        inside = _namespace(entry.name) not in (own, None) and any(mounts(places, entry / "mountinfo"))
        runs = Path(program).is_relative_to(places.programs)
        if inside or (runs and _writes_to(entry, command, places.state)):
            yield int(entry.name), command[:150]


def _writes_to(process: Path, command: str, state: Path) -> bool:
    """Whether a process was told of the lab's state, or has its log there."""
    try:
        log = os.readlink(process / "fd/1")
    except OSError:
        log = ""
    return str(state) in command or Path(log).is_relative_to(state)


def mounts(places: Places, table: Path) -> list[str]:
    """Targets of mounts that show a folder of a node, by a kernel's table of mounts."""
    try:
        lines = table.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    nodes = str(places.nodes)
    # a bind mount names its source below the root of the file system it lies on
    top = places.root
    while not os.path.ismount(top) and top != top.parent:
        top = top.parent
    below = "/" + os.path.relpath(nodes, top)
    fields = [line.split() for line in lines]
    return [field[4] for field in fields if _is_below(field[3], below) or _is_below(field[4], nodes)]


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + "/")


def _namespace(pid: str) -> str | None:
    try:
        return os.readlink(f"/proc/{pid}/ns/mnt")
    except OSError:
        return None


def _said(command: list[str]) -> list[str]:
    if shutil.which(command[0], path="/usr/sbin:/usr/bin:/sbin:/bin") is None:
        return []
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
