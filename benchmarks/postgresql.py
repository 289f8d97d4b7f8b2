"""A PostgreSQL of one's own on a unix socket, for tests and measurements: nobody else's is ever touched."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import mkdtemp

_BINARIES = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), Path("/usr/pgsql/bin")]


HANGS = 180
"""Seconds after which a start hangs; one that has ended is noticed at once."""


class NoPostgreSQL(Exception):
    """It is not installed, or it does not do what it is told; the text says what to do or what it said."""


class PostgreSQL:
    """One private cluster; ``start`` and ``stop`` play an outage. ``options`` are lines of ``postgresql.conf``."""

    def __init__(self, folder: Path, options: Mapping[str, str]) -> None:
        self.folder = folder
        self.log = folder / "log"
        self._options = options
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
        options = {"listen_addresses": "", "unix_socket_directories": str(self.folder), **self._options}
        arguments = [argument for name, value in options.items() for argument in ("-c", f"{name}={value}")]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command("postgres", "-D", self._data, *arguments), stdout=log, stderr=log
            )
        deadline = time.monotonic() + HANGS
        while subprocess.run(
            [_binary("pg_isready"), "-q", "-h", self.folder, "-U", "postgres"], check=False
        ).returncode:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise NoPostgreSQL(f"PostgreSQL did not start; its last words:\n{self.log.read_text()[-2000:]}")
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

    def create_database(self, name: str, template: str = "template1") -> str:
        """The address of a new database of this name."""
        self._run("createdb", "-h", str(self.folder), "-U", "postgres", "-T", template, name)
        return self.url(name)

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
        if done.returncode:
            raise NoPostgreSQL(f"{name} failed: {done.stdout.decode(errors='replace')[-2000:]}")


@contextmanager
def private(options: Mapping[str, str], where: Path | None = None) -> Iterator[PostgreSQL]:
    """One that is running, and gone afterwards with everything in it."""
    # below the common folder for temporary files: those of a test may be entered by their owner alone
    folder = Path(mkdtemp(prefix="image-registry-postgresql-", dir=where))
    server = PostgreSQL(folder, options)
    try:
        server.create()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


def _binary(name: str) -> str:
    for folder in _BINARIES:
        if (folder / name).exists():
            return str(folder / name)
    found = shutil.which(name)
    if found is None:
        raise NoPostgreSQL(f"there is no {name} of PostgreSQL: install it (Debian: apt-get install postgresql)")
    return found
