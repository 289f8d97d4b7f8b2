"""A prepared statement does what SQLAlchemy does with it, on both databases, and fails as it does."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Column, bindparam, insert, select
from sqlalchemy.exc import IntegrityError, OperationalError

from image_registry.metadata.database import Database, DatabaseUnavailable
from image_registry.metadata.prepared import Prepared, say
from image_registry.metadata.tables import revisions

NAMES = ("revision", "kind", "namespace", "name", "event", "created", "last_state")
ROW = {
    "revision": 4711,
    "kind": "Image",
    "namespace": "",
    "name": "a'b",
    "event": "ADDED",
    "created": datetime(2026, 1, 2, 3, 4, 5, 678901, UTC),
    "last_state": {"a": [1, None]},
}

_find = select(revisions.c.name, revisions.c.revision.label("number")).where(
    revisions.c.revision == bindparam("wanted")
)


@pytest.mark.parametrize("state", [ROW["last_state"], None])
def test_what_is_written_is_what_sqlalchemy_would_have_written(database: Database, state: object) -> None:
    first, second = {**ROW, "last_state": state}, {**ROW, "revision": 4712, "last_state": state}
    with database.write() as connection:
        Prepared(insert(revisions), NAMES).run(connection, first)
        connection.execute(insert(revisions), second)
        rows = connection.execute(select(revisions).where(revisions.c.revision >= 4711)).all()
        raw = connection.exec_driver_sql("SELECT created, last_state FROM revisions WHERE revision >= 4711").all()
    assert [tuple(row)[1:] for row in rows] == [tuple(rows[0])[1:]] * 2
    assert raw[0] == raw[1]


def test_a_row_is_known_by_its_names_and_none_is_none(database: Database) -> None:
    find, add = Prepared(_find), Prepared(insert(revisions).returning(revisions.c.revision), NAMES)
    with database.write() as connection:
        assert add.first(connection, ROW).revision == 4711
        row = find.first(connection, {"wanted": 4711})
        assert (row.name, row.number) == ("a'b", 4711)
        assert find.first(connection, {"wanted": 4713}) is None


@pytest.mark.parametrize("column", [revisions.c.created, revisions.c.last_state])
def test_what_the_driver_does_not_know_is_not_asked_for(column: Column[Any]) -> None:
    with pytest.raises(TypeError, match=column.name):
        Prepared(select(column))


def test_a_refusal_of_the_database_is_the_one_that_sqlalchemy_raises(database: Database) -> None:
    add = Prepared(insert(revisions), NAMES)
    with database.write() as connection:
        add.run(connection, ROW)
    with pytest.raises(IntegrityError), database.write() as connection:
        add.run(connection, ROW)


def test_a_database_that_fails_is_one_that_is_away(database: Database) -> None:
    if database.is_postgresql:
        pytest.skip("its statements go through SQLAlchemy")
    with pytest.raises(DatabaseUnavailable), database.write() as connection:
        say(connection, "SELECT 1 FROM nothing")
    with pytest.raises(OperationalError), database.engine.connect() as connection:
        say(connection, "SELECT 1 FROM nothing")
