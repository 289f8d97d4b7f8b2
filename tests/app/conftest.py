"""Databases for every test below: SQLite files and a private PostgreSQL, both real.

``database_url`` gives a test each of the two in turn, with the schema in place; ``empty_database_url`` without it, and
``unread_database_url`` with tables that nobody has declared whole.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.postgresql import PostgreSQL, private
from image_registry.metadata.database import Database
from tests.app.schema import migrated, upgraded

_TEMPLATE = "with_schema"
UNREAD = "unread"
"""The template of databases whose tables nobody has declared whole."""
_OPTIONS = {
    "fsync": "off",
    "shared_buffers": "32MB",
    "max_connections": "60",
    "timezone": "Pacific/Chatham",  # nobody may depend on the zone of the server
}


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    with private(_OPTIONS) as server:
        migrated(server.create_database(UNREAD))
        upgraded(server.create_database(_TEMPLATE, UNREAD))
        yield server


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


@pytest.fixture(params=["sqlite", "postgresql"])
def unread_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An address of a database with the current schema, as one is that a storage is to be read into."""
    if request.param == "sqlite":
        return migrated(f"sqlite:///{tmp_path / 'metadata.db'}")
    server: PostgreSQL = request.getfixturevalue("postgresql")
    return server.url(server.new_database(UNREAD))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An open database of each kind."""
    opened = Database(database_url)
    try:
        yield opened
    finally:
        opened.dispose()
