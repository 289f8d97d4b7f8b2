"""The connection to SQL: PostgreSQL in a cluster, SQLite on a laptop and in tests (design, D1).

Whatever is wrong with the connection becomes :class:`DatabaseUnavailable`, so the doors can say "come back" instead of
"internal error", and the next request simply tries again.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from image_registry.metadata import version
from image_registry.metadata.turns import Convoy, NoTurn, Turn

T = TypeVar("T")

CONNECT_TIMEOUT = 5
"""Seconds to wait for a TCP connection to the database."""

STATEMENT_TIMEOUT = 15
"""Seconds after which PostgreSQL gives up on a statement; no request of ours needs as long."""

LONG_STATEMENT_TIMEOUT = 600
"""The same for the few that are as long as somebody's past, such as removing a stream with a million tag events."""

MARGIN = 5
"""Seconds after the time of a statement in which the server has to say that it is over; one that is frozen does not."""

SILENCE_TIMEOUT = 20
"""Seconds after which a connection that acknowledges nothing counts as broken, on both sides."""

IDLE_TIMEOUT = 60
"""Seconds after which PostgreSQL undoes a transaction that asks nothing more; storage writes take less."""

POOL_SIZE = 8
"""Connections per worker process that stay open; as many again may be opened in a rush."""

SQLITE_TIMEOUT = 30
"""Seconds that a writer waits for the other writers of a SQLite file."""

REVISION_LOCK = 7_201_900_417
"""Key of the PostgreSQL advisory lock that puts revisions into commit order."""


_SQLITE_BEGIN = "sqlite_begin"
"""Execution option: the statement that begins a transaction in SQLite; empty for none."""

_NO_TABLE = ("no such table", "UndefinedTable", "no such column", "UndefinedColumn")
"""How the two drivers say that the schema has not been made yet, or that of this version."""


class DatabaseUnavailable(Exception):
    """The database does not answer now; the text says which, without credentials."""


class SchemaTooNew(Exception):
    """The database was made by a newer version than this one."""


class UnknownSchema(Exception):
    """No version of this name lies behind the one that the database has."""


class Database:
    """One engine. Objects of this class must not cross a fork."""

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        self._statement_by_statement: dict[str, Any] = {_SQLITE_BEGIN: ""}
        self._one_state: dict[str, Any] = {_SQLITE_BEGIN: "BEGIN"}
        if self.is_postgresql:
            self._statement_by_statement = {"isolation_level": "AUTOCOMMIT"}
            self._one_state = {"isolation_level": "REPEATABLE READ"}
        file = None if self.is_postgresql else self._engine.url.database
        self._turn = Turn(f"{file}-turn" if file and file != ":memory:" else "")
        self._alone = Turn(f"{file}-alone" if file and file != ":memory:" else "")
        self._convoy = Convoy(self._begin_together)

    @property
    def engine(self) -> Engine:
        """For migrations and tests."""
        return self._engine

    @property
    def is_postgresql(self) -> bool:
        """True for PostgreSQL, false for SQLite."""
        return self._engine.dialect.name == "postgresql"

    def upgrade(self) -> tuple[str | None, str]:
        """Bring the schema to this version: see :func:`image_registry.metadata.schema.upgrade`."""
        if self.is_current():
            with self.read() as connection:
                found = version.current(connection) or ""
            return found, found
        from image_registry.metadata import schema  # serving processes never need to load the migration tool

        return schema.upgrade(self)

    def is_current(self) -> bool:
        """Whether there is nothing to upgrade: it is this version's, or a newer one's that this version can work with.

        False also if nobody can say. Makes no file.
        """
        file = self._engine.url.database
        if not self.is_postgresql and file and not os.path.exists(file):
            return False
        try:
            with self.read() as connection:
                return version.served_by_this(connection)
        except DatabaseUnavailable:
            return False

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection whose statements each see the newest committed state."""
        with self._unavailable(), self._engine.connect() as connection:
            yield connection.execution_options(**self._statement_by_statement)

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A connection whose statements all see one state."""
        with (
            self._unavailable(),
            self._engine.connect() as connection,
            connection.execution_options(**self._one_state).begin(),
        ):
            yield connection

    @contextmanager
    def write(self, *, undo: bool = False) -> Iterator[Connection]:
        """A transaction: committed at the end, rolled back by any exception, and in any case with ``undo``."""
        with (
            self._unavailable(),
            self._one_writer(),
            self._engine.connect() as connection,
            connection.begin() as transaction,
        ):
            yield connection
            if undo:
                transaction.rollback()

    def write_together(self, work: Callable[[Connection], T]) -> T:
        """``work`` in a transaction that it may share with others; on return it is committed.

        What ``work`` raises undoes its own changes alone. It runs in the calling thread.
        """
        if self.is_postgresql:  # which has many writers, and shares the wait for the disk by itself
            with self.write() as connection:
                return work(connection)
        with self._unavailable():
            return self._convoy.run(work)

    def _begin_together(self, held: ExitStack) -> Connection:
        with ExitStack() as opened:
            opened.enter_context(self._turn())
            connection = opened.enter_context(self._engine.connect())
            opened.enter_context(connection.begin())
            held.push(opened.pop_all())
        return connection

    @contextmanager
    def alone(self, key: str) -> Iterator[None]:
        """Keep every process from the same work; no lock of a repository is waited for within."""
        if not self.is_postgresql:
            with self._unavailable(), self._alone():
                yield
            return
        with self.write() as connection:
            self.lock(connection, f"alone:{key}")
            yield

    @contextmanager
    def alone_too(self, connection: Connection, key: str) -> Iterator[None]:
        """:meth:`alone` for who has a transaction: while all wait for a second connection, none of them gets one."""
        if not self.is_postgresql:
            with self.alone(key):
                yield
            return
        self.lock(connection, f"alone:{key}")
        yield

    def _one_writer(self) -> AbstractContextManager[None]:
        return nullcontext() if self.is_postgresql else self._turn()

    @contextmanager
    def write_quickly(self) -> Iterator[Connection]:
        """A transaction whose loss in a power cut costs nothing but a retry: upload sessions."""
        with self._unavailable(), self._engine.connect() as connection:
            if self.is_postgresql:
                with connection.begin():
                    connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
                    yield connection
                return
            driver = cast("sqlite3.Connection", connection.connection.driver_connection)
            driver.execute("PRAGMA synchronous=NORMAL")  # not possible inside of a transaction
            try:
                with self._turn(), connection.begin():
                    yield connection
            finally:
                driver.execute("PRAGMA synchronous=FULL")

    def be_patient(self, connection: Connection) -> None:
        """Let the rest of the transaction take its time: what fails after seconds would fail at every repetition."""
        if self.is_postgresql:
            connection.execute(text(f"SET LOCAL statement_timeout = {LONG_STATEMENT_TIMEOUT * 1000}"))
            cast("Any", connection.connection.driver_connection).patience = LONG_STATEMENT_TIMEOUT + MARGIN

    def lock(self, connection: Connection, key: str, *, shared: bool = False) -> None:
        """Hold ``key`` until the end of the transaction; those who share it only keep out who wants it alone.

        SQLite has one writer, which holds everything.
        """
        if self.is_postgresql:
            function = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
            connection.execute(text(f"SELECT {function}(hashtextextended(:key, 7))"), {"key": key})

    def lock_revisions(self, connection: Connection) -> None:
        """Hold the counter until commit, so that a smaller revision is never seen after a greater one.

        Taken last in a transaction: the wait of other writers is one commit long.
        """
        if self.is_postgresql:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": REVISION_LOCK})

    def ping(self) -> None:
        """Raises :class:`DatabaseUnavailable` if a trivial question is not answered."""
        with self.read() as connection:
            connection.execute(text("SELECT 1"))

    def wait(self, seconds: float) -> None:
        """Wait until the database answers; raises :class:`DatabaseUnavailable` when the time is over."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.ping()
            except DatabaseUnavailable:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(1)
            else:
                return

    def dispose(self) -> None:
        """Close every pooled connection."""
        self._engine.dispose()

    @contextmanager
    def _unavailable(self) -> Iterator[None]:
        try:
            yield
        except NoTurn as error:
            raise DatabaseUnavailable(f"metadata database at {self._engine.url.database}: {error}") from error
        except PoolTimeout as error:
            raise DatabaseUnavailable("every connection to the metadata database is busy") from error
        except (OperationalError, InterfaceError, InternalError, ProgrammingError) as error:
            # InternalError: PostgreSQL became a read-only standby under us
            if isinstance(error, ProgrammingError) and not _has_no_schema(error):
                raise
            raise DatabaseUnavailable(self._explain(error)) from error
        except DBAPIError as error:
            if error.connection_invalidated:
                raise DatabaseUnavailable(self._explain(error)) from error
            raise

    def _explain(self, error: DBAPIError) -> str:
        where = self._engine.url.host or self._engine.url.database or "?"
        if _has_no_schema(error):
            return f"metadata database at {where} has no tables yet, or old ones: run `image-registry database upgrade`"
        reason = str(error.orig).strip().splitlines()[0] if error.orig else "no answer"
        return f"metadata database at {where}: {reason}"


def _engine(url: str) -> Engine:
    if url.startswith("sqlite"):
        engine = create_engine(
            url, connect_args={"timeout": SQLITE_TIMEOUT}, pool_size=POOL_SIZE, max_overflow=64, pool_use_lifo=True
        )
        event.listen(engine, "connect", _sqlite_connect)
        event.listen(engine, "begin", _sqlite_begin)
        return engine
    engine = create_engine(
        url,
        pool_size=POOL_SIZE,
        max_overflow=POOL_SIZE,
        pool_timeout=10,
        pool_pre_ping=True,
        json_deserializer=_document,
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT,
            "options": " ".join(f"-c {name}={value}" for name, value in _session().items()),
            # a server whose node is gone says nothing more: the statement timeout is its own, so our side needs one too
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": SILENCE_TIMEOUT * 1000,
            "application_name": "image-registry",
        },
    )
    event.listen(engine, "do_connect", _patient_connection)
    event.listen(engine, "checkin", _impatient_again)
    return engine


def _patient_connection(_dialect: object, _record: object, _given: object, options: dict[str, Any]) -> Any:
    from image_registry.metadata.patience import PatientConnection  # of no use with SQLite

    connection = PatientConnection.connect(**options)
    connection.patience = STATEMENT_TIMEOUT + MARGIN
    return connection


def _impatient_again(connection: Any, _record: object) -> None:
    if connection is not None:
        connection.patience = STATEMENT_TIMEOUT + MARGIN


_decode = json.JSONDecoder().raw_decode


def _document(text: bytes | str) -> Any:
    """JSON as PostgreSQL gives it back: well-formed, in UTF-8, beginning at once.

    A page of Images has thousands of documents, most of them empty; looking for an encoding and for white space first
    takes longer than reading them.
    """
    if len(text) == 2:
        return {} if text in (b"{}", "{}") else [] if text in (b"[]", "[]") else json.loads(text)
    return _decode(text.decode() if isinstance(text, bytes) else text)[0]


def _session() -> dict[str, float]:
    """What the server is to do for our connections, whoever runs it."""
    return {
        "statement_timeout": int(STATEMENT_TIMEOUT * 1000),
        # a process that stopped or whose node is gone holds its locks, perhaps the one that every writer needs, until
        # the server notices; without these lines that takes hours
        "idle_in_transaction_session_timeout": int(IDLE_TIMEOUT * 1000),
        "tcp_keepalives_idle": 10,
        "tcp_keepalives_interval": 5,
        "tcp_keepalives_count": 2,
        "tcp_user_timeout": SILENCE_TIMEOUT * 1000,
        # every question of ours is for a few rows by their key; with the default, meant for disks that turn, the
        # server reads a whole table instead as soon as it fits into memory
        "random_page_cost": 1.1,
    }


def _sqlite_connect(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver must not begin transactions of its own; _sqlite_begin does
    cursor = connection.cursor()
    _sqlite_write_ahead(cursor)
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _sqlite_write_ahead(cursor: sqlite3.Cursor) -> None:
    """Two processes that open a new file at once: SQLite refuses one of them at once instead of letting it wait."""
    deadline = time.monotonic() + SQLITE_TIMEOUT
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def _sqlite_begin(connection: Connection) -> None:
    # a writer that begins as a reader fails when another one wrote in between; IMMEDIATE waits for its turn instead
    statement = connection.get_execution_options().get(_SQLITE_BEGIN, "BEGIN IMMEDIATE")
    if statement:
        connection.exec_driver_sql(statement)


def _has_no_schema(error: DBAPIError) -> bool:
    return type(error.orig).__name__ in _NO_TABLE or any(sign in str(error.orig) for sign in _NO_TABLE)
