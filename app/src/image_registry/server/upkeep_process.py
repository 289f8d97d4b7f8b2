"""A process for one run: started by a worker, which tells it over a pipe what to do.

A process, because Python lets one thread of a process run at a time: requests would wait for every step of the run. It
steps back behind whoever else wants the processor, unless pushes are refused until the run has ended (ADR 93). The pipe
is its lifeline: when the worker is gone, so is the process, and a worker that is there goes on with the run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from image_registry.imagestreams.errors import MetadataUnavailable
from image_registry.server.proxy_settings import read_proxies
from image_registry.server.settings import AuthMode, LogLevel, Settings
from image_registry.storage.choice import KINDS, Filesystem, Storage
from image_registry.upkeep.runs import WHILE_READ_ONLY, Run

_FILES = {"trustedca"}
_PATHS = {"rootdirectory", *_FILES}
"""What is a path of a storage; a ``rootdirectory`` only of a file system."""

NICE = 10
"""How far it steps back: kernels give it a tenth of the processor when somebody else wants all of it."""

NOT_ENDED = 75
"""Exit status of a process that could not write down how its run ended."""


def begin(settings: Settings, run: Run, me: str) -> subprocess.Popen[bytes]:
    """Start the process that makes a run."""
    command = [sys.executable, "-m", "image_registry.server.upkeep_process"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)  # noqa: S603 - ourselves
    if process.stdin is not None:
        with suppress(BrokenPipeError):  # it has ended already, and its status says so
            process.stdin.write(json.dumps(_orders(settings, run, me)).encode() + b"\n")
            process.stdin.flush()
    return process


def main(lifeline: BinaryIO) -> int:
    """Make the run that the first line names; returns the exit status."""
    orders = json.loads(lifeline.readline())
    threading.Thread(target=_end_with, args=(lifeline,), name="lifeline", daemon=True).start()
    os.nice(orders["nice"])
    # not before there is something to do: they take longest
    from image_registry.metadata.database import Database
    from image_registry.server.logs import configure
    from image_registry.server.upkeep_making import make
    from image_registry.upkeep.ledger import Ledger

    settings, me = _settings(orders), orders["me"]
    configure(settings.log_level)
    database = Database(settings.database_url)
    try:
        ledger = Ledger(database)
        run = ledger.find(orders["run"])
        if run is not None and run.holder == me:
            make(settings, ledger, run, me)
    except MetadataUnavailable:
        return NOT_ENDED
    finally:
        database.dispose()
    return 0


def _orders(settings: Settings, run: Run, me: str) -> dict[str, Any]:
    """What the process needs to know; it holds secrets."""
    awaited = run.changes and run.kind in WHILE_READ_ONLY
    kind = next(name for name, known in KINDS.items() if isinstance(settings.storage, known))
    storage = {key: str(value) if isinstance(value, Path) else value for key, value in asdict(settings.storage).items()}
    storage.pop("proxies", None)  # its environment is ours
    return {
        "run": run.id,
        "me": me,
        "nice": 0 if awaited else NICE,
        "kind": kind,
        "storage": storage,
        "database": settings.database_url,
        "promise": settings.blob_promise,
        "hostname": settings.internal_hostname,
        "imports": settings.imports,
        "logLevel": str(settings.log_level),
    }


def _settings(orders: Mapping[str, Any]) -> Settings:
    storage: dict[str, Any] = orders["storage"]
    kind: Callable[..., Storage] = KINDS[orders["kind"]]
    proxies = read_proxies(os.environ)
    if kind is not Filesystem:
        storage = {**storage, "proxies": proxies}
    paths = {name for name in _PATHS if storage.get(name) is not None and (name in _FILES or kind is Filesystem)}
    return Settings(
        storage=kind(**{key: Path(value) if key in paths else value for key, value in storage.items()}),
        database_url=orders["database"],
        auth=AuthMode.NONE,
        blob_promise=orders["promise"],
        internal_hostname=orders["hostname"],
        imports=orders["imports"],
        proxy=proxies,
        log_level=LogLevel(orders["logLevel"]),
    )


def _end_with(lifeline: BinaryIO) -> None:
    while lifeline.read(1):
        pass
    os._exit(NOT_ENDED)


if __name__ == "__main__":
    # without a buffer, whose lock a thread that waits in it would hold when the interpreter ends
    sys.exit(main(os.fdopen(sys.stdin.fileno(), "rb", buffering=0, closefd=False)))
