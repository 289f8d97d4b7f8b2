"""Statements of every push, compiled once and handed to SQLite's driver as they are.

SQLAlchemy prepares an execution anew each time: for a statement of a few microseconds that takes ten times as long,
under the lock that all threads share and inside of a transaction that other writers wait for. The text and the order
of the values never change, so they are kept here. What the driver raises is raised as SQLAlchemy would, and PostgreSQL,
where the round trip is what counts, is asked through SQLAlchemy.
"""

from __future__ import annotations

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import JSON, Connection, DateTime, Executable
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement

_DIALECT = sqlite.dialect()

_Value = tuple[str, Callable[[Any], Any] | None, Any]
"""The name of a value, how it is turned into one of the driver's, and what it is if nobody names it."""


class Prepared:
    """One statement; ``names`` are the columns that an INSERT is given values for.

    Its rows are the driver's: text and numbers, a truth as 0 or 1. Raises ``TypeError`` for a statement that answers
    with times or documents, which SQLAlchemy would have made of text.
    """

    def __init__(self, statement: Executable, names: Sequence[str] | None = None) -> None:
        self._statement = statement
        element = cast("ClauseElement", statement)
        compiled = cast("SQLCompiler", element.compile(dialect=_DIALECT, column_keys=names))
        self._text = str(compiled)
        self._values = [_value(compiled, name) for name in compiled.positiontup or ()]
        for column in getattr(statement, "exported_columns", ()):
            if isinstance(column.type, (DateTime, JSON)):
                raise TypeError(f"{column.name} is {column.type}, which the driver does not know")
        columns = [column.name for column in getattr(statement, "exported_columns", ())]
        self._row: Callable[..., Any] | None = namedtuple("Row", columns) if columns else None  # noqa: PYI024

    def run(self, connection: Connection, values: Mapping[str, Any]) -> None:
        """Execute it for its effect."""
        if connection.dialect.name == "sqlite":
            self._ask(connection, values).close()
        else:
            connection.execute(self._statement, values)

    def first(self, connection: Connection, values: Mapping[str, Any]) -> Any:
        """The first row with its columns by name; ``None`` for no row."""
        if connection.dialect.name != "sqlite":
            return connection.execute(self._statement, values).first()
        try:
            found = self._ask(connection, values).fetchall()
        except sqlite3.Error as error:
            raise DBAPIError.instance(self._text, None, error, sqlite3.Error, hide_parameters=True) from error
        return self._row(*found[0]) if found and self._row is not None else None

    def _ask(self, connection: Connection, values: Mapping[str, Any]) -> sqlite3.Cursor:
        given = [
            value if turn is None else turn(value)
            for name, turn, default in self._values
            for value in (values.get(name, default),)
        ]
        return say(connection, self._text, given)


def say(connection: Connection, words: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
    """Hand a statement to SQLite's driver as it is; raises what SQLAlchemy would raise."""
    driver = cast("sqlite3.Connection", connection.connection.driver_connection)
    try:
        return driver.execute(words, values)
    except sqlite3.Error as error:
        raise DBAPIError.instance(words, None, error, sqlite3.Error, hide_parameters=True) from error


def _value(compiled: SQLCompiler, name: str) -> _Value:
    parameter = compiled.binds[name]
    turn = parameter.type.dialect_impl(_DIALECT).bind_processor(_DIALECT)
    return parameter.key, turn, None if parameter.required else parameter.effective_value
