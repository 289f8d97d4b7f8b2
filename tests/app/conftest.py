"""Databases for every test below: SQLite files and a private PostgreSQL, both real.

``database_url`` gives a test each of the two in turn, with the schema in place; ``empty_database_url`` without it.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from image_registry.metadata.database import Database
from tests.app.schema import upgraded

_BINARIES = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), Path("/usr/pgsql/bin")]
_TEMPLATE = "with_schema"


class PostgreSQL:
    """One private cluster on a unix socket; ``start`` and ``stop`` let a test play an outage."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = count()

    def create(self) -> None:
        """Make the cluster, as a user that is not root: initdb and postgres refuse root."""
        if os.geteuid() == 0:
            owner = pwd.getpwnam("postgres")
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
        # a language's order, as an administrator may have chosen it: ours must not depend on it
        order = ("-E", "UTF8", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en")
        self._run("initdb", "-D", self._data, "-U", "postgres", "-A", "trust", "--no-sync", *order)

    def start(self) -> None:
        """Start and wait until it answers."""
        options = (
            "listen_addresses=",
            f"unix_socket_directories={self.folder}",
            "fsync=off",
            "shared_buffers=32MB",
            "max_connections=60",
            "timezone=Pacific/Chatham",  # nobody may depend on the zone of the server
        )
        arguments = [argument for option in options for argument in ("-c", option)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command("postgres", "-D", self._data, *arguments), stdout=log, stderr=log
            )
        deadline = time.monotonic() + 30
        while subprocess.run(
            [_binary("pg_isready"), "-q", "-h", self.folder, "-U", "postgres"], check=False
        ).returncode:
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        """Break every connection and stop."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(30)
            self._process = None

    def url(self, name: str) -> str:
        """Address of one database of the cluster."""
        return f"postgresql+psycopg://postgres@/{name}?host={self.folder}"

    def new_database(self, template: str = "template0") -> str:
        """Name of a new database."""
        name = f"test_{next(self._numbers)}"
        self._run("createdb", "-h", str(self.folder), "-U", "postgres", "-T", template, "--strategy=file_copy", name)
        return name

    def make_template(self) -> None:
        """A database with the schema, to copy."""
        self._run("createdb", "-h", str(self.folder), "-U", "postgres", _TEMPLATE)
        upgraded(self.url(_TEMPLATE))

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    def _command(self, name: str, *arguments: str) -> list[str]:
        drop = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
        return [*drop, _binary(name), *arguments]

    def _run(self, name: str, *arguments: str) -> None:
        done = subprocess.run(
            self._command(name, *arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, cwd="/"
        )
        assert done.returncode == 0, done.stdout.decode()


def _binary(name: str) -> str:
    for folder in _BINARIES:
        if (folder / name).exists():
            return str(folder / name)
    found = shutil.which(name)
    assert found, f"the tests need PostgreSQL's {name}: install it (Debian: apt-get install postgresql)"
    return found


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    # pytest's own folders may be entered by their owner alone
    folder = Path(tempfile.mkdtemp(prefix="image-registry-postgresql-"))
    server = PostgreSQL(folder)
    try:
        server.create()
        server.start()
        server.make_template()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    upgraded(f"sqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An address of a database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'metadata.db'}"
    server: PostgreSQL = request.getfixturevalue("postgresql")
    return server.url(server.new_database())


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An address of a database with the current schema and nothing in it."""
    if request.param == "sqlite":
        path = tmp_path / "metadata.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        return f"sqlite:///{path}"
    server: PostgreSQL = request.getfixturevalue("postgresql")
    return server.url(server.new_database(_TEMPLATE))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An open database of each kind."""
    opened = Database(database_url)
    try:
        yield opened
    finally:
        opened.dispose()
