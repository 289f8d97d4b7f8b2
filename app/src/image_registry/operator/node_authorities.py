"""Folders of authorities on a node, one for each host: what containerd, Docker and CRI-O read. Plan and apply.

``certs.d/<host:port>/ca.crt`` is the same file for all of them; containerd wants a ``hosts.toml`` beside it. A folder
whose files bear our mark and that nobody wants any more is removed; what has no mark is somebody else's and stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from image_registry.operator.node_files import CA_FILE, HOSTS_TOML, MARK, hosts_toml, read_text, write_whole


@dataclass(frozen=True, slots=True)
class Folder:
    """The two files of one host; ``None`` for one that does not exist."""

    ca: str | None = None
    hosts_toml: str | None = None

    @property
    def ours(self) -> bool:
        """True if everything there bears our mark."""
        return all(text is None or text.startswith(MARK) for text in (self.ca, self.hosts_toml))

    @property
    def empty(self) -> bool:
        """True if neither file exists."""
        return self.ca is None and self.hosts_toml is None


@dataclass(frozen=True, slots=True)
class Write:
    """One file to write, or to remove if ``text`` is ``None``."""

    authority: str
    file: str
    text: str | None
    sentence: str


def authority_of(file_name: str) -> str:
    """``host..port`` as ``host:port``: a key of a ConfigMap may hold no colon."""
    host, dots, port = file_name.rpartition("..")
    return f"{host}:{port}" if dots and port.isdigit() else file_name


def wanted(folders: Sequence[Path]) -> dict[str, str]:
    """Host and authority from files named after hosts, those of several folders together. Raises :class:`OSError`."""
    found: dict[str, str] = {}
    for folder in folders:
        files = sorted(folder.iterdir()) if folder.is_dir() else []
        for file in files:
            if file.name.startswith(".") or not file.is_file():
                continue
            text = (read_text(file) or "").strip()
            if "BEGIN CERTIFICATE" in text:
                authority = authority_of(file.name)
                found[authority] = f"{found[authority]}\n{text}" if authority in found else text
    return found


def read(certs_dir: Path) -> dict[str, Folder]:
    """What the node has now. Raises :class:`OSError`."""
    if not certs_dir.is_dir():
        return {}
    return {
        folder.name: Folder(read_text(folder / CA_FILE), read_text(folder / HOSTS_TOML))
        for folder in sorted(certs_dir.iterdir())
        if folder.is_dir()
    }


def plan(
    found: Mapping[str, Folder], wanted: Mapping[str, str], *, kept: frozenset[str] = frozenset(), toml: bool
) -> tuple[list[Write], list[str]]:
    """Steps, and what stands in the way. ``kept`` stay as they are though nothing is known of them now."""
    steps: list[Write] = []
    notes: list[str] = []
    for authority, ca in sorted(wanted.items()):
        folder = found.get(authority, Folder())
        if not folder.ours:
            notes.append(f"left alone certs.d/{authority}: its files are not ours; remove them to let them be written")
            continue
        text = f"{MARK}\n{ca.strip()}\n"
        if folder.ca != text:
            steps.append(Write(authority, CA_FILE, text, f"wrote certs.d/{authority}/{CA_FILE}"))
        if toml and folder.hosts_toml != hosts_toml(authority):
            steps.append(Write(authority, HOSTS_TOML, hosts_toml(authority), f"wrote certs.d/{authority}/{HOSTS_TOML}"))
    for authority, folder in sorted(found.items()):
        if authority not in wanted and authority not in kept and folder.ours and not folder.empty:
            # hosts.toml first: without it containerd looks at no other file, a missing CA would fail pulls
            for file, there in ((HOSTS_TOML, folder.hosts_toml), (CA_FILE, folder.ca)):
                if there is not None:
                    steps.append(Write(authority, file, None, f"removed certs.d/{authority}/{file}"))
    return steps, notes


def apply(steps: Sequence[Write], certs_dir: Path) -> None:
    """Carry out a plan. Raises :class:`OSError`."""
    for step in steps:
        folder = certs_dir / step.authority
        if step.text is not None:
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            write_whole(folder / step.file, step.text)
            continue
        (folder / step.file).unlink(missing_ok=True)
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
