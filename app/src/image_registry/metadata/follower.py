"""Which repositories changed since the last look, asked between two requests and answered in microseconds.

Whoever keeps answers asks this before giving one again: every change that a reader can see has a revision, in commit
order (:mod:`~image_registry.metadata.revisions`), so what was committed before the question is known after it. The
question must not stop a process that serves everybody: SQLite never waits here, and PostgreSQL has a few milliseconds.
"""

from __future__ import annotations

import select
import sqlite3
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol

from sqlalchemy.engine import make_url

MOST = 500
"""Changes that are told one by one; after more of them everything counts as changed."""

SOON = 0.005
"""Seconds that PostgreSQL has for an answer."""

PAUSE = 2.0
"""Seconds after a failure for which nobody is asked."""

_NEWEST = "SELECT coalesce(max(revision), 0) FROM revisions"
_SINCE = "SELECT revision, namespace, name FROM revisions WHERE revision > {} ORDER BY revision LIMIT {}"

Change = tuple[int, str, str]
"""Revision, namespace and name; Images have no namespace."""


class NotNow(Exception):
    """Nobody knows at the moment."""


class _Log(Protocol):
    def changed(self) -> bool:
        """False if nothing at all was committed since the last question."""
        ...

    def newest(self) -> int: ...

    def since(self, revision: int) -> Sequence[Change]: ...

    def close(self) -> None: ...


class Follower:
    """Asked by one thread. It connects beside it: until then, and after a failure, nobody knows."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._log: _Log | None = None
        self._begun = False
        self._opening: threading.Thread | None = None
        self._asleep_until = 0.0
        self.revision = 0
        """The newest revision that is known; read by other threads too."""

    def changes(self) -> Sequence[Change] | None:
        """What was committed since the last call; ``None`` for "anything". Raises :class:`NotNow`."""
        log = self._log
        if log is None:
            self._begin()
            raise NotNow
        try:
            if not self._begun:
                self.revision = log.newest()
                self._begun = True
                return None
            if not log.changed():
                return ()
            found = log.since(self.revision)
            if len(found) > MOST:
                self.revision = max(log.newest(), self.revision)
                return None
        except (sqlite3.Error, OSError, NotNow):
            self.close()
            raise NotNow from None
        if found:
            self.revision = found[-1][0]
        return found

    def close(self) -> None:
        """Let go of the database, and leave it alone for a while."""
        log, self._log, self._begun = self._log, None, False
        self._asleep_until = time.monotonic() + PAUSE
        if log is not None:
            log.close()

    def _begin(self) -> None:
        if time.monotonic() < self._asleep_until or (self._opening is not None and self._opening.is_alive()):
            return
        self._opening = threading.Thread(target=self._connect, name="revision-follower", daemon=True)
        self._opening.start()

    def _connect(self) -> None:
        try:
            self._log = _open(self._url)
        except (sqlite3.Error, OSError, NotNow):
            self._asleep_until = time.monotonic() + PAUSE


def _open(url: str) -> _Log:
    parts = make_url(url)
    return _SQLite(parts.database or "") if parts.get_backend_name() == "sqlite" else _PostgreSQL(url)


class _SQLite:
    """SQLite itself tells whether another connection has committed; this one never writes."""

    def __init__(self, path: str) -> None:
        # made by one thread and used by another, never by two
        self._connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        self._version = -1

    def changed(self) -> bool:
        version = self._connection.execute("PRAGMA data_version").fetchone()[0]
        if version == self._version:
            return False
        self._version = version
        return True

    def newest(self) -> int:
        self.changed()
        number: int = self._connection.execute(_NEWEST).fetchone()[0]
        return number

    def since(self, revision: int) -> Sequence[Change]:
        return self._connection.execute(_SINCE.format(int(revision), MOST + 1)).fetchall()

    def close(self) -> None:
        self._connection.close()


class _PostgreSQL:
    """One query, sent and waited for without the driver's own patience."""

    def __init__(self, url: str) -> None:
        import psycopg

        self._driver = psycopg
        dsn = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        try:
            self._connection = psycopg.connect(dsn, autocommit=True, connect_timeout=5)
        except psycopg.Error:
            raise NotNow from None
        self._socket = select.poll()
        self._socket.register(self._connection.pgconn.socket, select.POLLIN)

    def changed(self) -> bool:
        return True

    def newest(self) -> int:
        return int(self._ask(_NEWEST)[0][0])

    def since(self, revision: int) -> Sequence[Change]:
        rows = self._ask(_SINCE.format(int(revision), MOST + 1))
        return [(int(number), namespace.decode(), name.decode()) for number, namespace, name in rows]

    def close(self) -> None:
        with suppress(self._driver.Error):
            self._connection.close()

    def _ask(self, query: str) -> list[tuple[Any, ...]]:
        try:
            return self._answer(query)
        except self._driver.Error:
            raise NotNow from None

    def _answer(self, query: str) -> list[tuple[Any, ...]]:
        wire, deadline = self._connection.pgconn, time.monotonic() + SOON
        wire.send_query(query.encode())
        while wire.flush() or wire.is_busy():
            left = deadline - time.monotonic()
            if left <= 0 or not self._socket.poll(left * 1000):
                raise NotNow
            wire.consume_input()
        result = wire.get_result()
        if result is None or result.status != self._driver.pq.ExecStatus.TUPLES_OK:
            raise NotNow
        columns, rows = range(result.nfields), range(result.ntuples)
        found = [tuple(result.get_value(row, column) for column in columns) for row in rows]
        while wire.get_result() is not None:
            pass
        return found
