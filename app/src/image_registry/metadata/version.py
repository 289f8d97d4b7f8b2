"""Which version the schema has and which this program needs, without the migration tool: it takes long to load."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, text

_VERSIONS = Path(__file__).parent / "migrations/versions"


def newest() -> str:
    """The newest revision that there is a migration to; the files are named after theirs."""
    return max(path.name[1:].partition("_")[0] for path in _VERSIONS.glob("v*.py"))


def current(connection: Connection) -> str | None:
    """The revision of this database, which has the table that says so."""
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found
