"""A process for one run: started by a worker, which tells it over a pipe what to do.

A process, because Python lets one thread of a process run at a time: requests would wait for every step of the run. It
steps back behind whoever else wants the processor. The pipe is its lifeline: when the worker is gone, so is the
process, and a worker that is there goes on with the run.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from contextlib import suppress
from typing import BinaryIO

from image_registry.imagestreams.errors import MetadataUnavailable
from image_registry.server.settings import Settings

NICE = 10
"""How far it steps back: kernels give it a tenth of the processor when somebody else wants all of it."""

NOT_ENDED = 75
"""Exit status of a process that could not write down how its run ended."""


def begin(settings: Settings, run: str, me: str) -> subprocess.Popen[bytes]:
    """Start the process that makes a run."""
    command = [sys.executable, "-m", "image_registry.server.upkeep_process"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)  # noqa: S603 - ourselves
    if process.stdin is not None:
        with suppress(BrokenPipeError):  # it has ended already, and its status says so
            process.stdin.write(pickle.dumps((settings, run, me)))
            process.stdin.flush()
    return process


def main(orders: BinaryIO) -> int:
    """Make the run that ``orders`` name; returns the exit status."""
    settings, this, me = pickle.load(orders)  # noqa: S301 - written by the worker that started us, a moment ago
    threading.Thread(target=_end_with, args=(orders,), name="lifeline", daemon=True).start()
    os.nice(NICE)
    # not before there is something to do: they take longest
    from image_registry.metadata.database import Database
    from image_registry.server.logs import configure
    from image_registry.server.upkeep_making import make
    from image_registry.upkeep.ledger import Ledger

    configure(settings.log_level)
    database = Database(settings.database_url)
    try:
        ledger = Ledger(database)
        run = ledger.find(this)
        if run is not None and run.holder == me:
            make(settings, ledger, run, me)
    except MetadataUnavailable:
        return NOT_ENDED
    finally:
        database.dispose()
    return 0


def _end_with(orders: BinaryIO) -> None:
    while orders.read(1):
        pass
    os._exit(NOT_ENDED)


if __name__ == "__main__":
    sys.exit(main(sys.stdin.buffer))
