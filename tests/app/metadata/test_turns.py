"""Writers that share a transaction: each undoes its own failure alone, and none is told of success too early."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from image_registry.metadata.database import Database, DatabaseUnavailable
from tests.at_once import at_once


@pytest.fixture
def table(database: Database) -> Database:
    with database.write() as connection:
        connection.execute(text("CREATE TABLE numbers (number INTEGER)"))
    return database


def numbers(database: Database) -> list[int]:
    with database.read() as connection:
        return sorted(connection.execute(text("SELECT number FROM numbers")).scalars())


def adding(number: int, then: Callable[[], None] = lambda: None) -> Callable[[Connection], int]:
    def work(connection: Connection) -> int:
        connection.execute(text("INSERT INTO numbers VALUES (:number)"), {"number": number})
        then()
        return number

    return work


def test_what_one_raises_undoes_its_own_changes_alone(table: Database) -> None:
    outcomes: dict[int, object] = {}

    def refuse() -> None:
        raise LookupError("no")

    def write(number: int) -> None:
        try:
            outcomes[number] = table.write_together(adding(number, refuse if number % 2 else lambda: None))
        except LookupError as error:
            outcomes[number] = str(error)

    at_once([partial(write, number) for number in range(8)])
    assert outcomes == {number: "no" if number % 2 else number for number in range(8)}
    assert numbers(table) == [0, 2, 4, 6]


def test_work_that_another_thread_does_is_done_in_the_context_of_who_asked(table: Database) -> None:
    asker: ContextVar[int] = ContextVar("asker")
    seen: dict[int, tuple[int, int]] = {}
    leading, waiting = threading.Event(), threading.Event()

    def write(number: int) -> None:
        asker.set(number)

        def note() -> None:
            seen[number] = (asker.get(), threading.get_ident())
            if number == 0:
                leading.set()
                waiting.wait(0.2)

        if number:
            leading.wait(10)
        table.write_together(adding(number, note))

    at_once([partial(write, number) for number in range(4)])
    assert {number: who for number, (who, _) in seen.items()} == {number: number for number in range(4)}
    # PostgreSQL has many writers: there everybody works in a thread of their own
    assert (len({thread for _, thread in seen.values()}) < 4) is not table.is_postgresql


def test_every_answer_is_committed(table: Database) -> None:
    missing: list[int] = []

    def write(first: int) -> None:
        for number in range(first, first + 20):
            table.write_together(adding(number))
            if number not in numbers(table):
                missing.append(number)

    at_once([partial(write, first) for first in range(0, 160, 20)])
    assert missing == []
    assert numbers(table) == list(range(160))


def test_a_commit_that_fails_is_told_to_everybody_whose_work_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(f"sqlite:///{tmp_path / 'metadata.db'}")
    with database.write() as connection:
        connection.execute(text("CREATE TABLE numbers (number INTEGER)"))
    first_waits, others_wait = threading.Event(), threading.Event()
    failures: list[str] = []

    def commit(_connection: object) -> None:
        import sqlite3

        raise sqlite3.OperationalError("disk I/O error")

    def write(number: int) -> None:
        def wait() -> None:
            if number == 0:
                first_waits.set()
                others_wait.wait(10)

        try:
            database.write_together(adding(number, wait))
        except DatabaseUnavailable as error:
            failures.append(str(error))

    with monkeypatch.context() as patched:
        patched.setattr(database.engine.dialect, "do_commit", commit)
        threads = [threading.Thread(target=write, args=(number,)) for number in range(3)]
        threads[0].start()
        first_waits.wait(10)
        for thread in threads[1:]:
            thread.start()
        others_wait.wait(0.2)
        others_wait.set()
        for thread in threads:
            thread.join(30)
    assert len(failures) == 3
    assert all("disk I/O error" in failure for failure in failures)
    assert numbers(database) == []
    assert database.write_together(adding(7)) == 7
    assert numbers(database) == [7]
    database.dispose()


def test_a_folder_that_is_not_there_is_a_database_that_is_not_available() -> None:
    with pytest.raises(DatabaseUnavailable, match="/nonexistent"):
        Database("sqlite:////nonexistent/metadata.db").write_together(adding(1))
