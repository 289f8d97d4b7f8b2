"""What a run has done is noted before it ends, however it ends."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from image_registry.metadata.database import Database
from image_registry.server.upkeep_making import Making, Stopped
from image_registry.upkeep.findings import judge
from image_registry.upkeep.ledger import Kind, Ledger, Outcome


def test_a_scrub_that_is_stopped_has_noted_what_it_put_aside(database: Database) -> None:
    ledger = Ledger(database)
    ledger.ask(Kind.SCRUB, {"confirm": True}, "ann", datetime.now(UTC))
    run = ledger.take("me", datetime.now(UTC), changing=True)
    assert run is not None
    with Making(ledger, run, "me", interval=0.01) as making:
        ledger.stop(run.id)
        assert making._over.wait(20), "it was told to end"
        notes = {"corrupt": [{"digest": "sha256:aa"}], "unreadable": [], "put_aside": 1, "fetched": 0}
        with pytest.raises(Stopped):
            making.advance("sha256:aa", notes)
        making.end(Outcome.STOPPED)
    found = judge(ledger.looks()).integrity
    assert found.reason == "CorruptBlobsPutAside"
