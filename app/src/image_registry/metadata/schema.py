"""Bringing the schema to this version.

Migrations expand first and contract a version later, so processes of the previous version that are still serving during
a rolling upgrade keep working on the new schema, and so does a previous version that is rolled back to: the newer one
wrote down which versions can (ADR 63). An older one than that gets its schema back from the newer one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, delete, insert, text

from image_registry.metadata import version
from image_registry.metadata.database import Database, SchemaTooNew, UnknownSchema
from image_registry.metadata.tables import schema_reach

_UPGRADE_LOCK = 7_201_900_416

FIRST = "0017"
"""The first schema that says who can work with it.

A step that older programs can not work with has ``needs``: the oldest schema whose programs can.
"""


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
            if version.served_by_this(connection):
                return before, before
            raise SchemaTooNew(
                f"the metadata database has schema {before}, which this version does not know (it knows up to {head}); "
                f"run the newer version again, or let it run `image-registry database downgrade --to {head}` first"
            )
        if before != head:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            _say_reach(connection, scripts, head)
    return before, head


def downgrade(database: Database, revision: str) -> tuple[str, str]:
    """Bring the schema back to an older version, so that its programs start; returns the version before and after.

    What only newer versions know is lost. Raises :class:`SchemaTooNew` as :func:`upgrade` does, and
    :class:`UnknownSchema`.
    """
    config = _config()
    scripts = ScriptDirectory.from_config(config)
    known = [script.revision for script in scripts.walk_revisions()]
    with database.write() as connection, _alone(database, connection):
        before = MigrationContext.configure(connection).get_current_revision() or ""
        if before not in known:
            raise SchemaTooNew(f"the metadata database has schema {before or 'none'}, which this version does not know")
        if revision not in known[known.index(before) :]:
            older = ", ".join(known[known.index(before) + 1 :])
            raise UnknownSchema(f"no schema {revision} before {before}; there are {older or 'none'}")
        if before != revision:
            config.attributes["connection"] = connection
            command.downgrade(config, revision)
            _say_reach(connection, scripts, revision)
    return before, revision


def oldest(scripts: ScriptDirectory, revision: str) -> str:
    """The oldest schema whose programs can work with ``revision``."""
    steps = [script for script in scripts.walk_revisions() if script.revision <= revision]
    return max([FIRST, *(str(getattr(script.module, "needs", FIRST)) for script in steps)])


def _say_reach(connection: Connection, scripts: ScriptDirectory, revision: str) -> None:
    if revision >= FIRST:
        connection.execute(delete(schema_reach))
        connection.execute(insert(schema_reach).values(id=1, oldest=oldest(scripts, revision)))


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
