"""Letting the tables forget streams that were made from storage, and that storage can tell again in full.

It is the way back from an adoption. Nothing in storage is removed, so it is not a deletion: no link is cleaned. The
tables do not speak for the storage any more before the first stream goes, or the absence of its rows would be taken for
the truth. A stream of which the tables know more than storage does is kept: somebody pushed to it, or imported, or
wrote a label.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from image_registry.imagestreams import rows
from image_registry.metadata import origins, revisions, specs, streams
from image_registry.metadata.database import Database
from image_registry.metadata.held import pushed_by_somebody
from image_registry.metadata.revisions import Change
from image_registry.metadata.tables import Record
from image_registry.oci.reference import Repository


@dataclass
class Forgotten:
    """What became of them; ``kept`` says why, by name."""

    streams: int = 0
    kept: dict[str, str] = field(default_factory=dict)


def forget(database: Database, repositories: Iterable[Repository], now: datetime) -> Forgotten:
    """Those that there are. The caller has seen to it that the tables do not speak for the storage.

    May raise ``DatabaseUnavailable``.
    """
    found = Forgotten()
    for repository in repositories:
        with database.write() as connection:
            streams.lock(database, connection, repository.namespace, repository.name)
            row = streams.find(connection, repository.namespace, repository.name)
            if row is None:
                continue
            if why := _known_here_alone(connection, row):
                found.kept[str(repository)] = why
                continue
            last = rows.last_state(rows.stream(row).meta)
            streams.remove(connection, row.id)
            change = Change(revisions.STREAM, repository.namespace, repository.name, "DELETED", last)
            revisions.append(database, connection, [change], now)
            found.streams += 1
    return found


def _known_here_alone(connection: Connection, row: Record) -> str:
    """What of a stream would be lost; empty if nothing."""
    if pushed_by_somebody(connection, row.id):
        return "somebody pushed to it"
    if origins.of_stream(connection, row.id):
        return "it holds imported images"
    if specs.of_streams(connection, [row.id]):
        return "somebody wrote tags into its spec"
    if row.labels or row.annotations or row.finalizers or row.owner_references or row.lookup_local:
        return "somebody wrote into it"
    return ""
