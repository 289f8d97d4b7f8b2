"""A database that is ready for tests."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from image_registry.imagestreams.rebuild_ledger import RebuildLedger
from image_registry.metadata.database import Database

SQLITE = "sqlite:///"


def upgraded(url: str) -> str:
    """Bring the database at ``url`` to the current schema; its storage is empty, so its tables are whole.

    A new SQLite file is a copy of one that was brought there before: every migration for every test takes minutes of
    a run. That the migrations themselves do well is what ``tests/app/metadata`` holds.
    """
    return _brought(url, whole=True)


def migrated(url: str) -> str:
    """The same, but nobody has said yet that its tables are whole."""
    return _brought(url, whole=False)


def declare_whole(database: Database) -> None:
    """End a rebuild that has nothing to read."""
    ledger, now = RebuildLedger(database), datetime.now(UTC)
    assert ledger.take("test", now)
    assert ledger.finish("test", {}, [], now)


def _brought(url: str, *, whole: bool) -> str:
    file = Path(url.removeprefix(SQLITE))
    if url.startswith(SQLITE) and not file.exists():
        file.write_bytes(_new_file(whole))
    else:
        _migrate(url, whole=whole)
    return url


@cache
def _new_file(whole: bool) -> bytes:
    """A SQLite database with the current schema and nothing in it."""
    with TemporaryDirectory(prefix="image-registry-schema-") as folder:
        file = Path(folder, "template.db")
        _migrate(f"{SQLITE}{file}", whole=whole)
        return file.read_bytes()


def _migrate(url: str, *, whole: bool) -> None:
    database = Database(url)
    try:
        database.upgrade()
        if whole:
            declare_whole(database)
    finally:
        database.dispose()
