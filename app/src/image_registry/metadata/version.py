"""Which version the schema has and which this program needs, without the migration tool: it takes long to load."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

_VERSIONS = Path(__file__).parent / "migrations/versions"


def newest() -> str:
    """The newest revision that there is a migration to; the files are named after theirs."""
    return max(path.name[1:].partition("_")[0] for path in _VERSIONS.glob("v*.py"))


def current(connection: Connection) -> str | None:
    """The revision of this database, which has the table that says so."""
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def served_by_this(connection: Connection) -> bool:
    """Whether this program can work with the schema: it is its own, or a newer one that says so of this version."""
    found, ours = current(connection), newest()
    return found == ours or (found is not None and found > ours and _oldest(connection) <= ours)


def _oldest(connection: Connection) -> str:
    """The oldest version that can work with this newer schema; one that does not say so can be used by nobody else."""
    if not inspect(connection).has_table("schema_reach"):
        return "none"
    return str(connection.execute(text("SELECT oldest FROM schema_reach")).scalar() or "none")
