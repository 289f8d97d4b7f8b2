"""Object stores for tests that are not Go programs: Azurite from npm, OpenStack Swift from the Python index.

Each gets a folder beside the compiled programs, made from a lock file with hashes, and is made anew when that changes.
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
    """``lock`` decides what is installed; the commands are run in the store's own folder."""

    name: str
    lock: str
    commands: tuple[tuple[str, ...], ...]
    needs: str
    """The package that has the first command."""


NPM = ("npm", "ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--loglevel=error")
PIP = ("bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes")
STORES = (
    Store("azurite", "package-lock.json", (NPM,), "npm"),
    Store(
        "swift",
        "requirements.lock",
        ((sys.executable, "-m", "venv", "."), (*PIP, "-r", "requirements.lock")),
        "python3",
    ),
)


def build(store: Store, folder: Path, say: Callable[[str], None], place: str) -> bool:
    """Install below ``folder`` unless it is there already; true if something was done. Raises :class:`LabError`."""
    target, stamp = folder / store.name, folder / f".{store.name}.key"
    wanted = key(store)
    if stamp.exists() and target.is_dir() and stamp.read_text(encoding="ascii") == wanted:
        return False
    stamp.unlink(missing_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(SOURCES / store.name, target, ignore=shutil.ignore_patterns("__pycache__"))
    started = time.monotonic()
    say(f"{store.name} ({place}): installing ...")
    for command in store.commands:
        program = str(target / command[0]) if command[0].startswith("bin/") else command[0]
        if shutil.which(program) is None:
            raise LabError(f"{store.name} needs {program}: apt-get install {store.needs}")
        run = subprocess.run([program, *command[1:]], cwd=target, text=True, capture_output=True, check=False)
        if run.returncode:
            last = "\n".join(f"{run.stdout}{run.stderr}".strip().splitlines()[-10:])
            raise LabError(f"cannot install {store.name} ({' '.join(command)}):\n{last}")
    stamp.write_text(wanted, encoding="ascii")
    say(f"{store.name}: installed in {time.monotonic() - started:.0f} s")
    return True


def key(store: Store) -> str:
    """A digest of everything that decides what is installed."""
    digest = hashlib.sha256(repr((store.commands, sys.version_info[:2], os.uname().machine)).encode())
    for file in sorted((SOURCES / store.name).iterdir()):
        if file.is_file():
            digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()
