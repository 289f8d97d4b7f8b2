"""Bringing the schema to this version.

Migrations expand first and contract a version later, so processes of the previous version that are still serving during
a rolling upgrade keep working on the new schema.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from image_registry.metadata.database import Database, SchemaTooNew

_UPGRADE_LOCK = 7_201_900_416


def upgrade(database: Database) -> tuple[str | None, str]:
    """Run what is missing; returns the version before and after. Two processes at once: one waits for the other.

    Raises :class:`SchemaTooNew` when the database knows a version that this program does not.
    """
    config = _config()
    scripts = ScriptDirectory.from_config(config)
    head = scripts.get_current_head() or ""
    with database.write() as connection, _alone(database, connection):
        before = MigrationContext.configure(connection).get_current_revision()
        if before is not None and before not in {script.revision for script in scripts.walk_revisions()}:
            raise SchemaTooNew(
                f"the metadata database has schema {before}, which this version does not know (it knows up to {head}); "
                "run the newer version again, or restore the backup taken before the upgrade"
            )
        if before != head:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    return before, head


@contextmanager
def _alone(database: Database, connection: Connection) -> Iterator[None]:
    if database.is_postgresql:
        # a migration may take as long as it takes, and so may waiting for the process that runs it
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADE_LOCK})
    yield


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
