"""Object stores for tests that are not Go programs: Azurite from npm, OpenStack Swift from the Python index.

Each gets a folder beside the compiled programs, made from a lock file with hashes, and is made anew when that changes.
It is made under another name and gets its own when it is whole: an installer may be cut off at any moment, and npm has
been seen to end well without having installed anything.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from image_registry_lab import places
from image_registry_lab.report import LabError

SOURCES = places.SOURCES / "stores"


@dataclass(frozen=True, slots=True)
class Store:
    """``lock`` decides what is installed; the commands are run in a folder that is moved afterwards."""

    name: str
    lock: str
    program: str
    """What is run of it, below its folder."""
    commands: tuple[tuple[str, ...], ...]
    needs: str
    """The package that has the first command."""


NPM = ("npm", "ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--loglevel=error")
PIP = ("bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes")
STORES = (
    Store("azurite", "package-lock.json", "node_modules/azurite/dist/src/blob/main.js", (NPM,), "npm"),
    Store(
        "swift",
        "requirements.lock",
        "bin/python",  # it finds what belongs to it wherever its folder lies; other commands of the folder do not
        ((sys.executable, "-m", "venv", "."), (*PIP, "-r", "requirements.lock")),
        "python3",
    ),
)


def build(store: Store, folder: Path, say: Callable[[str], None], place: str) -> bool:
    """Install below ``folder`` unless it is there already; true if something was done. Raises :class:`LabError`."""
    target, stamp = folder / store.name, folder / f".{store.name}.key"
    wanted = key(store)
    known = stamp.read_text(encoding="ascii") if stamp.exists() else ""
    if known == wanted and (target / store.program).exists():
        return False
    started = time.monotonic()
    say(f"{store.name} ({place}): installing ...")
    temporary = folder / f".{store.name}.new"
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.copytree(SOURCES / store.name, temporary, ignore=shutil.ignore_patterns("__pycache__"))
    _install(store, temporary)
    stamp.unlink(missing_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    temporary.rename(target)
    stamp.write_text(wanted, encoding="ascii")
    say(f"{store.name}: installed in {time.monotonic() - started:.0f} s")
    return True


def _install(store: Store, folder: Path) -> None:
    for command in store.commands:
        program = str(folder / command[0]) if command[0].startswith("bin/") else command[0]
        if shutil.which(program) is None:
            raise LabError(f"{store.name} needs {program}: apt-get install {store.needs}")
        run = subprocess.run([program, *command[1:]], cwd=folder, text=True, capture_output=True, check=False)
        last = "\n".join(f"{run.stdout}{run.stderr}".strip().splitlines()[-10:])
        if run.returncode:
            raise LabError(f"cannot install {store.name} ({' '.join(command)}):\n{last}")
    if not (folder / store.program).exists():
        raise LabError(f"{' '.join(command)} ended well, but there is no {store.program} of {store.name}:\n{last}")


def key(store: Store) -> str:
    """A digest of everything that decides what is installed."""
    digest = hashlib.sha256(repr((store.commands, sys.version_info[:2], os.uname().machine)).encode())
    for file in sorted((SOURCES / store.name).iterdir()):
        if file.is_file():
            digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()
