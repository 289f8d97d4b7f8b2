"""What a node's files must say so that its container runtime finds and trusts the registry: plan and apply.

containerd asks ``certs.d/<host:port>/hosts.toml`` at each pull, so nothing is restarted. Its resolver is the node's,
which knows no cluster names, so the node's hosts file gets one line. Every file and line written here carries a mark;
what has no mark is somebody else's and is never changed or removed.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

MARK = "# image-registry node-ca"
"""First line of our files, end of our line."""

CA_FILE = "ca.crt"
HOSTS_TOML = "hosts.toml"


class HostsFileReplaced(OSError):
    """The hosts file that was mounted into this container has been replaced on the node by another file."""


@dataclass(frozen=True, slots=True)
class NodeFiles:
    """The files of one node as texts; ``None`` for one that does not exist."""

    hosts: str
    ca: str | None = None
    hosts_toml: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One file to write or remove. ``text`` is the whole new content."""

    file: Literal["hosts", "ca", "hosts_toml"]
    text: str | None
    sentence: str


@dataclass(frozen=True, slots=True)
class NodePlan:
    """Steps in order, and what stands in the way."""

    steps: tuple[Step, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """The registry as the node must see it. ``address`` and ``ca`` are ``None`` while they are not known."""

    host: str
    port: int
    address: str | None
    ca: str | None

    @property
    def authority(self) -> str:
        """``host:port``, as in image references and folder names."""
        return f"{self.host}:{self.port}"


def plan(found: NodeFiles, wanted: Wanted) -> NodePlan:
    """What to write. What is not known (a name that does not resolve for a moment) leaves its file as it is."""
    steps: list[Step] = []
    notes: list[str] = []
    where = f"certs.d/{wanted.authority}"
    if wanted.ca is not None:
        ca, toml = f"{MARK}\n{wanted.ca.strip()}\n", hosts_toml(wanted.authority)
        if any(text is not None and not _ours(text) for text in (found.ca, found.hosts_toml)):
            notes.append(f"left alone {where}: its files are not ours; remove them to let them be written here")
        else:
            if found.ca != ca:
                steps.append(Step("ca", ca, f"wrote {where}/{CA_FILE}"))
            if found.hosts_toml != toml:
                steps.append(Step("hosts_toml", toml, f"wrote {where}/{HOSTS_TOML}"))
    if wanted.address is not None:
        if foreign := _foreign_line(found.hosts, wanted.host):
            notes.append(f"left alone the hosts file: it names {wanted.host} already: {foreign!r}")
        lines = [] if foreign else [f"{wanted.address}\t{wanted.host} {MARK}"]
        text = _with_lines(found.hosts, lines)
        if text != found.hosts:
            steps.append(Step("hosts", text, f"the hosts file maps {wanted.host} to {wanted.address}"))
    return NodePlan(tuple(steps), tuple(notes))


def plan_removal(found: NodeFiles, authority: str) -> NodePlan:
    """What undoes exactly what :func:`plan` wrote, however often."""
    steps: list[Step] = []
    # hosts.toml first: without it containerd looks at no other file, a missing CA would fail pulls
    if found.hosts_toml is not None and _ours(found.hosts_toml):
        steps.append(Step("hosts_toml", None, f"removed certs.d/{authority}/{HOSTS_TOML}"))
    if found.ca is not None and _ours(found.ca):
        steps.append(Step("ca", None, f"removed certs.d/{authority}/{CA_FILE}"))
    text = _with_lines(found.hosts, [])
    if text != found.hosts:
        steps.append(Step("hosts", text, "removed our line from the hosts file"))
    return NodePlan(tuple(steps))


def hosts_toml(authority: str) -> str:
    """For containerd 1.5 to 2.x. A relative ``ca`` is looked for beside the file, wherever the folder is mounted."""
    url = f"https://{authority}"
    return f'{MARK}\nserver = "{url}"\n\n[host."{url}"]\n  capabilities = ["pull", "resolve"]\n  ca = "{CA_FILE}"\n'


def read(certs_dir: Path, hosts_file: Path, authority: str) -> NodeFiles:
    """What the node has now. Raises :class:`OSError`."""
    folder = certs_dir / authority
    return NodeFiles(
        hosts_file.read_bytes().decode("utf-8", "surrogateescape"),
        read_text(folder / CA_FILE),
        read_text(folder / HOSTS_TOML),
    )


def apply(steps: Sequence[Step], certs_dir: Path, hosts_file: Path, authority: str) -> None:
    """Carry out a plan. Raises :class:`OSError`; what was done before stays, the next plan goes on from there."""
    folder = certs_dir / authority
    names = {"ca": CA_FILE, "hosts_toml": HOSTS_TOML}
    for step in steps:
        if step.file == "hosts":
            _write_in_place(hosts_file, step.text or "")
        elif step.text is None:
            (folder / names[step.file]).unlink(missing_ok=True)
        else:
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            write_whole(folder / names[step.file], step.text)
    if any(step.text is None for step in steps) and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _ours(text: str) -> bool:
    return text.startswith(MARK)


def read_text(path: Path) -> str | None:
    """The whole file as text; ``None`` if it does not exist. Raises :class:`OSError`."""
    try:
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return None


def _foreign_line(hosts: str, host: str) -> str:
    """A line of somebody else that names the host; empty without one."""
    for line in hosts.splitlines():
        if host in line.partition("#")[0].split()[1:] and not line.rstrip().endswith(MARK):
            return line.strip()
    return ""


def _with_lines(hosts: str, lines: Sequence[str]) -> str:
    """The hosts file with exactly these lines of ours, at its end; every other byte stays."""
    others = [line for line in hosts.splitlines(keepends=True) if not line.rstrip().endswith(MARK)]
    text = "".join(others)
    if lines and text and not text.endswith("\n"):
        text += "\n"
    return text + "".join(f"{line}\n" for line in lines)


def write_whole(path: Path, text: str) -> None:
    """By rename: containerd may read at any moment. Raises :class:`OSError`."""
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode("utf-8", "surrogateescape"))
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), 0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _write_in_place(path: Path, text: str) -> None:
    """In place: a bind-mounted file cannot be renamed over, and the node would not see the new one."""
    content = text.encode("utf-8", "surrogateescape")
    with path.open("r+b") as file:
        status = os.fstat(file.fileno())
        if status.st_nlink == 0 and stat.S_ISREG(status.st_mode):
            raise HostsFileReplaced(
                f"{path} was replaced on the node since it was mounted here: a restart of this container mounts it anew"
            )
        file.write(content)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())
