"""Who looks for runs goes on looking, whatever happens."""

from __future__ import annotations

import subprocess
import threading
from datetime import UTC, datetime

from image_registry.metadata.database import Database
from image_registry.server.upkeep_keeper import Keeper
from image_registry.upkeep.ledger import Kind, Ledger


def test_a_process_that_can_not_be_begun_does_not_end_the_looking(database: Database) -> None:
    ledger, begun, twice = Ledger(database), list[str](), threading.Event()

    def begin(run: str, _: str) -> subprocess.Popen[bytes]:
        begun.append(run)
        if len(begun) == 2:
            twice.set()
        raise OSError(11, "Resource temporarily unavailable")

    keeper = Keeper(ledger, begin, interval=0.05)
    asked = [ledger.ask(kind, {}, "ann", datetime.now(UTC)).id for kind in (Kind.COLLECT, Kind.SCRUB)]
    keeper.start()
    try:
        assert twice.wait(10)
    finally:
        keeper.stop()
    assert begun == asked
