"""Imports image archives into a node's containerd, each once for each content."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from image_registry_lab.process import run


def archives(folder: Path) -> list[Path]:
    """What every node holds, small ones first so that a start sees its first Pods early."""
    if not folder.is_dir():
        return []
    return sorted((path for path in folder.glob("*.tar") if not path.name.startswith(".")), key=_size)


def mark(archive: Path) -> str:
    """What tells one content of a file from the next without reading it."""
    stat = archive.stat()
    return f"{archive.name} {stat.st_size} {stat.st_mtime_ns} {stat.st_ino}"


def split(found: list[Path], marks: Path, needed: Iterable[str]) -> tuple[list[Path], list[Path]]:
    """Archives that a kubelet must find when it starts, and those that may follow while it works.

    A Pod that is already bound to this node can only want an image that the node had in some version, or one that the
    cluster itself is made of (``needed``, file names).
    """
    names = set(needed)
    first = [archive for archive in found if archive.name in names or (marks / archive.name).exists()]
    return first, [archive for archive in found if archive not in first]


def import_new(found: list[Path], socket: str, marks: Path, say: Callable[[str], None]) -> int:
    """Import archives that the node has not taken yet; the number of those. ``marks`` lies beside containerd's data."""
    marks.mkdir(parents=True, exist_ok=True)
    done = 0
    for archive in found:
        wanted, kept = mark(archive), marks / archive.name
        if kept.exists() and kept.read_text(encoding="utf-8") == wanted:
            continue
        run(["ctr", "--address", socket, "--namespace", "k8s.io", "images", "import", str(archive)])
        kept.write_text(wanted, encoding="utf-8")
        say(f"imported {archive.name}")
        done += 1
    return done


def _size(path: Path) -> int:
    return path.stat().st_size
