"""Every step of the schema goes up and down with rows in every table, and the version before goes on working on it.

During a rolling upgrade processes of two versions write to one schema. What the older one does is known from its
schema: it inserts, reads and changes the columns that were there before the step, and no others.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import (
    JSON,
    Boolean,
    Connection,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    insert,
    select,
    text,
)
from sqlalchemy import update as change

from image_registry.metadata import schema
from image_registry.metadata.database import Database

CONTRACTS: dict[str, str] = {}
"""Steps that take something away, with the version whose programs were the last to use it. Such a step may break the
version before that one and nobody else: it comes a version after the step that made the thing superfluous."""

Rows = list[dict[str, Any]]


def steps() -> list[tuple[str | None, str]]:
    """Every revision behind the one it follows, the oldest first."""
    scripts = ScriptDirectory.from_config(schema._config())
    found = [(script.down_revision, script.revision) for script in scripts.walk_revisions()]
    return [(str(before) if before else None, after) for before, after in reversed(found)]


def migrate(database: Database, go: Any, revision: str) -> None:
    config: Config = schema._config()
    with database.write() as connection:
        config.attributes["connection"] = connection
        go(config, revision)


def tables(connection: Connection) -> list[Table]:
    """As they are now, those that others refer to first."""
    found = MetaData()
    found.reflect(connection)
    return [table for table in found.sorted_tables if table.name != "alembic_version"]


def value(column: Any, seed: int) -> Any:
    while column.foreign_keys:
        column = next(iter(column.foreign_keys)).column
    kind = column.type
    if isinstance(kind, Boolean):
        return True
    if isinstance(kind, DateTime):
        return datetime(2030, 1, 1, tzinfo=UTC)
    if isinstance(kind, LargeBinary):
        return b"\x00\xff"
    if isinstance(kind, JSON):
        return {"seed": seed}
    if isinstance(kind, Integer):
        return seed
    assert isinstance(kind, String), f"{column}: say what a {kind} looks like"
    return f"{column.name[: (kind.length or 255) - 4]}{seed}"[: kind.length]


def fill(connection: Connection, found: list[Table], seed: int) -> None:
    """One row in every table, by the columns that the table has here; keys of one row lead to the other."""
    for table in found:
        connection.execute(insert(table), {column.name: value(column, seed) for column in table.columns})


def contents(connection: Connection, found: list[Table]) -> dict[str, Rows]:
    return {
        table.name: [
            dict(row._mapping) for row in connection.execute(select(table).order_by(*table.primary_key.columns))
        ]
        for table in found
    }


@pytest.fixture
def empty(empty_database_url: str) -> Iterator[Database]:
    opened = Database(empty_database_url)
    yield opened
    opened.dispose()


def test_every_step_keeps_rows_up_and_down_and_lets_the_version_before_go_on(empty: Database) -> None:
    for number, (before, after) in enumerate(steps(), start=1):
        if before is None:
            migrate(empty, command.upgrade, after)
            continue
        with empty.write() as connection:
            old = tables(connection)
            fill(connection, old, 1000 * number)
            known = contents(connection, old)
        migrate(empty, command.upgrade, after)
        with empty.write() as connection:
            assert contents(connection, old) == known, f"{before} to {after} changed what was there"
            if after not in CONTRACTS:
                fill(connection, old, 1000 * number + 1)
                for table in old:
                    plain = [column for column in table.columns if not column.primary_key and not column.foreign_keys]
                    for column in plain[-1:]:
                        connection.execute(change(table).values({column.name: value(column, 7)}))
                known = contents(connection, old)
            fill(connection, tables(connection), 1000 * number + 2)
            known = contents(connection, old)
        migrate(empty, command.downgrade, before)
        with empty.read() as connection:
            assert {table.name for table in tables(connection)} == {table.name for table in old}
            assert contents(connection, old) == known, f"{after} back to {before} changed what was there"
        migrate(empty, command.upgrade, after)


def test_who_can_work_with_a_schema_is_said_by_the_step_that_takes_something_away(empty: Database) -> None:
    scripts = ScriptDirectory.from_config(schema._config())
    for script in scripts.walk_revisions():
        last = CONTRACTS.get(script.revision)
        assert (last is None) or getattr(script.module, "needs", "") > last, (
            f"{script.revision} breaks {last}: say `needs`"
        )
    empty.upgrade()
    with empty.read() as connection:
        said = connection.execute(text("SELECT oldest FROM schema_reach")).scalar_one()
    assert said == schema.oldest(scripts, scripts.get_current_head() or "") >= schema.FIRST


def test_what_a_step_takes_away_is_said() -> None:
    assert CONTRACTS.keys() <= {after for _, after in steps()}
    for before, after in steps():
        assert before is None or before < after, "numbers grow, so that two branches are seen when they meet"
