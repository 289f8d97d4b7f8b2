"""A database that is ready for tests."""

from __future__ import annotations

from datetime import UTC, datetime

from image_registry.imagestreams.rebuild_ledger import RebuildLedger
from image_registry.metadata.database import Database


def upgraded(url: str) -> str:
    """Bring the database at ``url`` to the current schema; its storage is empty, so its tables are whole."""
    database = Database(url)
    try:
        database.upgrade()
        declare_whole(database)
    finally:
        database.dispose()
    return url


def declare_whole(database: Database) -> None:
    """End a rebuild that has nothing to read."""
    ledger, now = RebuildLedger(database), datetime.now(UTC)
    assert ledger.take("test", now)
    assert ledger.finish("test", {}, [], now)
