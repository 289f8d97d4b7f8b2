"""Letting the links in storage say what tags mean, after the commit that decides it.

The commit is the moment a push exists; the links are for whoever reads the storage without the tables: a registry of
another make, and this one while its database is away. So nobody waits for them. They are written in the order in which
the tables changed: one process at a time reads what is committed and writes that, so a link never goes back. What is
not written yet is marked in the tables, and whoever looks next writes it, also after a crash.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from image_registry.metadata import echoes
from image_registry.metadata.database import Database
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository

AT_ONCE = 500
"""Tags of one repository that are written together."""

Write = Callable[[Repository, Mapping[str, Digest]], None]
"""Writes the links of some tags of a repository; durable on return."""


def waiting(database: Database, limit: int) -> list[Repository]:
    """Repositories with tags whose links may lag behind."""
    with database.read() as connection:
        return [Repository(row.namespace, row.name) for row in echoes.repositories(connection, limit)]


def lags(database: Database, repository: Repository, tag: str) -> bool:
    """Whether the link of the tag may not say yet what it means; if not, storage knows."""
    with database.read() as connection:
        return echoes.is_waiting(connection, repository.namespace, repository.name, tag)


def settle(database: Database, repository: Repository, write: Write) -> int:
    """Write the links of a repository; returns how many were written. ``write`` must not ask the database."""
    written = 0
    while True:
        with database.alone(key(repository)):
            with database.read() as connection:
                rows = echoes.of_repository(connection, repository.namespace, repository.name, AT_ONCE)
            if not rows:
                return written
            write(repository, {row.tag: Digest.parse(row.image) for row in rows})
        with database.write_quickly() as connection:  # a mark that comes back costs writing the same again
            echoes.done(connection, rows)
        written += len(rows)
        if len(rows) < AT_ONCE:
            return written


def key(repository: Repository) -> str:
    """The name of the work of writing the links of a repository's tags."""
    return f"echo:{repository}"
