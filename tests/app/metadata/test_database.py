"""The connection and the schema: two databases, one behaviour."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import insert, select, text

from image_registry.metadata import database as database_module
from image_registry.metadata import revisions, schema
from image_registry.metadata.database import Database, DatabaseUnavailable, SchemaTooNew, UnknownSchema
from image_registry.metadata.revisions import Change
from image_registry.metadata.tables import metadata, rebuild
from tests.at_once import at_once

NEWEST = "0018"


def test_an_upgrade_makes_exactly_the_tables_the_program_uses(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    assert database.upgrade() == (None, NEWEST)
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []
    database.dispose()


def test_a_second_upgrade_changes_nothing(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    database.upgrade()
    assert database.upgrade() == (NEWEST, NEWEST)
    database.dispose()


def test_upgrades_that_start_at_once_both_succeed(empty_database_url: str) -> None:
    databases = [Database(empty_database_url) for _ in range(4)]
    assert [after for _, after in at_once([database.upgrade for database in databases])] == [NEWEST] * 4
    for database in databases:
        database.dispose()


def test_an_upgrade_waits_longer_for_another_one_than_any_statement_may_take(
    postgresql: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgresql.url(postgresql.new_database())
    monkeypatch.setattr(database_module, "STATEMENT_TIMEOUT", 0.1)
    first, second = Database(url), Database(url)
    with ThreadPoolExecutor(1) as pool:
        with first.write() as connection, schema._alone(first, connection):
            upgrading = pool.submit(second.upgrade)
            time.sleep(0.4)
            assert not upgrading.done()
        assert upgrading.result(30) == (None, NEWEST)
    first.dispose()
    second.dispose()


def test_a_statement_that_takes_too_long_is_an_outage(postgresql: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "STATEMENT_TIMEOUT", 0.1)
    database = Database(postgresql.url("postgres"))

    def sleep() -> None:
        with database.read() as connection:
            connection.execute(text("SELECT pg_sleep(5)"))

    with pytest.raises(DatabaseUnavailable, match="statement timeout"):
        sleep()
    database.dispose()


def test_an_upgrade_of_an_older_schema_keeps_what_is_in_it(empty_database_url: str) -> None:
    from alembic import command

    database = Database(empty_database_url)
    migrate(database, command.upgrade, "0001")
    with database.write() as connection:
        connection.execute(text("UPDATE revisions SET name = 'kept'"))
    assert database.upgrade() == ("0001", NEWEST)
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        assert connection.execute(text("SELECT name FROM revisions")).scalars().all() == ["kept"]
    database.dispose()


def test_a_downgrade_leaves_no_table(empty_database_url: str) -> None:
    from alembic import command

    database = Database(empty_database_url)
    database.upgrade()
    migrate(database, command.downgrade, "base")
    with database.read() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)
    missing = {difference[1].name for difference in differences if difference[0] == "add_table"}
    assert missing == {table.name for table in metadata.sorted_tables}
    database.dispose()


def test_a_schema_of_a_newer_version_is_refused_with_a_way_out(database: Database) -> None:
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        connection.execute(text("UPDATE schema_reach SET oldest = '9998'"))
    assert not database.is_current()
    with pytest.raises(SchemaTooNew, match=r"schema 9999, which this version does not know.*database downgrade --to"):
        database.upgrade()


@pytest.mark.parametrize("oldest", ["0015", NEWEST])
def test_a_newer_schema_that_says_this_version_can_work_with_it_is_served(database: Database, oldest: str) -> None:
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        connection.execute(text("UPDATE schema_reach SET oldest = :oldest"), {"oldest": oldest})
    assert database.is_current()
    assert database.upgrade() == ("9999", "9999")
    assert schema.upgrade(database) == ("9999", "9999")


def test_a_newer_schema_that_says_nothing_is_refused(database: Database) -> None:
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        connection.execute(text("DROP TABLE schema_reach"))
    with pytest.raises(SchemaTooNew):
        database.upgrade()


def test_a_version_that_is_rolled_back_gets_its_schema_back(database: Database) -> None:
    assert schema.downgrade(database, "0013") == (NEWEST, "0013")
    assert not database.is_current()
    assert schema.downgrade(database, "0013") == ("0013", "0013")
    with pytest.raises(UnknownSchema, match="no schema 0014 before 0013; there are 0012, "):
        schema.downgrade(database, "0014")
    assert database.upgrade() == ("0013", NEWEST)


def test_a_schema_that_nobody_knows_is_not_brought_back(database: Database) -> None:
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaTooNew, match="schema 9999"):
        schema.downgrade(database, "0013")


def test_a_database_without_tables_says_how_to_make_them(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    with pytest.raises(DatabaseUnavailable, match="run `image-registry database upgrade`"), database.read() as read:
        revisions.newest(read)
    database.dispose()


def _ledger(document: Any) -> dict[str, Any]:
    return {"id": 7, "generation": 1, "after_namespace": "", "after_name": "", "counts": document, "holder": ""}


@pytest.mark.parametrize("document", [{}, [], {"a": [1, {"b": "ü\u2028"}]}, ["x"], {" ": None}, 7, "", "ab"])
def test_documents_come_back_as_they_were_written(database: Database, document: Any) -> None:
    with database.write(undo=True) as connection:
        connection.execute(insert(rebuild).values(_ledger(document)))
        assert connection.execute(select(rebuild.c.counts).where(rebuild.c.id == 7)).scalar() == document


def test_an_exception_undoes_the_transaction(database: Database) -> None:
    def fail() -> None:
        with database.write() as connection:
            connection.execute(text("DELETE FROM revisions"))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with database.read() as connection:
        assert revisions.newest(connection) == 1
        assert connection.execute(text("SELECT count(*) FROM revisions")).scalar() == 1


def test_a_snapshot_shows_one_state(database: Database) -> None:
    with database.snapshot() as reading:
        before = revisions.newest(reading)
        with database.write() as writing:
            revisions.append(database, writing, [Change("Image", "", "x", "ADDED")], _now())
        assert revisions.newest(reading) == before
    with database.read() as reading:
        assert revisions.newest(reading) == before + 1


def test_a_read_sees_what_was_committed_while_it_was_open(database: Database) -> None:
    with database.read() as reading:
        before = revisions.newest(reading)
        with database.write() as writing:
            revisions.append(database, writing, [Change("Image", "", "x", "ADDED")], _now())
        assert revisions.newest(reading) == before + 1


def test_quick_writes_are_kept_and_the_next_write_is_durable_again(database: Database) -> None:
    with database.write_quickly() as connection:
        connection.execute(text("UPDATE revisions SET namespace = 'quick'"))
    with database.write() as connection:
        assert connection.execute(text("SELECT namespace FROM revisions")).scalar() == "quick"
        question = "SHOW synchronous_commit" if database.is_postgresql else "PRAGMA synchronous"
        assert connection.execute(text(question)).scalar() in ("on", 2)


def test_no_reader_sees_a_revision_before_a_smaller_one(database: Database) -> None:
    """Writers dawdle between taking a number and committing; readers must still see a log without later insertions."""
    writers, rounds = 4, 15
    done = threading.Event()
    broken: list[tuple[int, int]] = []

    def write(number: int) -> None:
        for turn in range(rounds):
            with database.write() as connection:
                revisions.append(database, connection, [Change("Image", "", f"{number}.{turn}", "ADDED")] * 2, _now())
                time.sleep(0.002 * (number + turn % 3))

    def read() -> None:
        seen: set[int] = set()
        while not done.is_set():
            with database.read() as connection:
                now = set(connection.execute(text("SELECT revision FROM revisions")).scalars())
            late = [revision for revision in now - seen if seen and revision < max(seen)]
            if late:
                broken.append((late[0], max(seen)))
            seen = now

    with ThreadPoolExecutor(writers + 1) as pool:
        reader = pool.submit(read)
        list(pool.map(write, range(writers)))
        done.set()
        reader.result()
    assert broken == []
    with database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM revisions")).scalar() == 1 + writers * rounds * 2


def test_the_log_is_bounded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revisions, "KEPT", 10)
    monkeypatch.setattr(revisions, "_TRIM_EVERY", 5)
    with database.write() as connection:
        revisions.append(database, connection, [Change("Image", "", "x", "ADDED")] * 50, _now())
    with database.read() as connection:
        kept = list(connection.execute(text("SELECT revision FROM revisions ORDER BY revision")).scalars())
    assert len(kept) <= 15
    assert kept[-1] == 51


def test_a_process_that_stops_in_a_transaction_does_not_hold_up_the_others(
    postgresql: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its node is gone, or it hangs in its storage: its locks must not outlive it for long."""
    monkeypatch.setattr(database_module, "IDLE_TIMEOUT", 0.2)
    database = Database(postgresql.url(postgresql.new_database("with_schema")))
    change = [Change("Image", "", "x", "ADDED")]

    def stop() -> None:
        with database.write() as connection:
            revisions.append(database, connection, change, _now())
            with database.write() as other:
                assert revisions.append(database, other, change, _now()) == [3]

    with pytest.raises(DatabaseUnavailable, match="idle-in-transaction"):
        stop()
    with database.read() as connection:
        assert list(connection.execute(text("SELECT revision FROM revisions ORDER BY 1")).scalars()) == [1, 3]
    database.dispose()


def test_an_outage_is_one_clear_error_and_ends_by_itself(postgresql: Any) -> None:
    database = Database(postgresql.url(postgresql.new_database("with_schema")))
    database.ping()
    postgresql.stop()
    try:
        with pytest.raises(DatabaseUnavailable, match="metadata database at"):
            database.ping()
        with pytest.raises(DatabaseUnavailable), database.write() as connection:
            revisions.newest(connection)
    finally:
        postgresql.start()
    database.wait(10)
    database.ping()
    database.dispose()


def test_a_server_that_is_frozen_is_an_outage_and_not_a_wait_without_end(
    postgresql: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "STATEMENT_TIMEOUT", 0.3)
    monkeypatch.setattr(database_module, "MARGIN", 0.2)
    database = Database(postgresql.url(postgresql.new_database("with_schema")))
    stopped: list[int] = []

    def freeze(connection: Any) -> Any:
        stopped.append(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())
        os.kill(stopped[-1], signal.SIGSTOP)
        return connection

    try:
        began = time.monotonic()
        with pytest.raises(DatabaseUnavailable, match=r"no answer for 0\.5 seconds"), database.write() as connection:
            revisions.newest(freeze(connection))
        with database.read() as connection:
            freeze(connection)
        database.ping()  # one that is found frozen in the pool is replaced
        assert len(set(stopped)) == 2
        assert time.monotonic() - began < 10
    finally:
        for backend in stopped:
            os.kill(backend, signal.SIGCONT)
    with database.write() as connection:
        database.be_patient(connection)
        connection.execute(text("SELECT pg_sleep(0.7)"))
    with pytest.raises(DatabaseUnavailable), database.read() as connection:
        connection.execute(text("SELECT pg_sleep(0.7)"))
    database.dispose()


def test_a_connection_that_breaks_in_a_transaction_is_an_outage_too(postgresql: Any) -> None:
    database = Database(postgresql.url(postgresql.new_database("with_schema")))

    def lose_the_connection() -> None:
        with database.write() as connection:
            mine = connection.execute(text("SELECT pg_backend_pid()")).scalar()
            with database.read() as other:
                other.execute(text("SELECT pg_terminate_backend(:mine, 5000)"), {"mine": mine})
            revisions.newest(connection)

    with pytest.raises(DatabaseUnavailable):
        lose_the_connection()
    database.ping()
    database.dispose()


def test_a_read_only_standby_counts_as_unavailable(postgresql: Any) -> None:
    database = Database(postgresql.url(postgresql.new_database("with_schema")))

    def write() -> None:
        with database.write() as connection:
            connection.execute(text("SET TRANSACTION READ ONLY"))
            connection.execute(text("DELETE FROM revisions"))

    with pytest.raises(DatabaseUnavailable, match="read-only"):
        write()
    database.dispose()


def test_a_password_never_shows_in_an_error() -> None:
    database = Database("postgresql+psycopg://registry:hunter2secret@127.0.0.1:1/registry")
    with pytest.raises(DatabaseUnavailable) as caught:
        database.ping()
    assert "hunter2secret" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)
    database.dispose()


def test_waiting_for_a_database_that_does_not_come_ends(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'missing' / 'metadata.db'}")
    with pytest.raises(DatabaseUnavailable, match="unable to open"):
        database.wait(0)
    database.dispose()


def migrate(database: Database, step: Callable[[Config, str], None], version: str) -> None:
    """Run a command of the migration tool."""
    config = schema._config()
    with database.write() as connection:
        config.attributes["connection"] = connection
        step(config, version)


def _now() -> datetime:
    return datetime.now(UTC)
