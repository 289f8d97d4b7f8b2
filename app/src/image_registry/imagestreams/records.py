"""Records: everything that the tables know of an object, as bytes that lie in the storage beside its content.

Nobody reads them while there are tables. They follow the tables, a few seconds behind, so that tables that were lost
can be made again with what no layer and no link says: labels, wanted tags, the order of events, signatures, identity.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table

from image_registry.imagestreams.availability import available
from image_registry.imagestreams.rows import utc
from image_registry.metadata import images, records, revisions, stream_lists
from image_registry.metadata.database import Database
from image_registry.metadata.tables import Record, image_streams
from image_registry.metadata.tables import images as images_table
from image_registry.oci.digest import Digest, InvalidDigest
from image_registry.oci.reference import InvalidName, Repository

VERSION = 1
"""Of the form of a record; a reader refuses a greater one, and knows all smaller ones."""

STREAMS, IMAGES = "streams", "images"
"""Folders of the two kinds."""

POSITION = "position.json.gz"
"""The record that says which revision the records have come to."""

AT_ONCE = 200
"""Objects that are read in one look at the tables."""

_END = ".json.gz"


class DamagedRecord(Exception):
    """The bytes are no record that this program can read."""


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """What was known of a stream."""

    rows: Mapping[str, Sequence[Mapping[str, Any]]]

    @property
    def row(self) -> Mapping[str, Any]:
        """The stream's own."""
        return self.rows[image_streams.name][0]

    def of(self, table: str) -> Sequence[Mapping[str, Any]]:
        """Those of a part."""
        return self.rows.get(table, ())


@dataclass(frozen=True, slots=True)
class Recalled:
    """What records say about a repository and the Images that it held; nothing if there are none."""

    stream: StreamRecord | None = None
    images: Mapping[Digest, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def elsewhere(self) -> frozenset[Digest]:
        """Manifests that the stream held without having their content: imported and not pulled yet."""
        if self.stream is None:
            return frozenset()
        return frozenset(Digest.parse(row["digest"]) for row in self.stream.of("remote_manifests")) & self.images.keys()

    @property
    def beyond(self) -> frozenset[Digest]:
        """What its tags meant without any manifest here to show for it: imported, or held by another stream."""
        if self.stream is None:
            return frozenset()
        held = {row["digest"] for row in self.stream.of("held_manifests")}
        meant = {row["tag"]: row["image"] for row in self.stream.of("tag_events")}
        return self.elsewhere | {Digest.parse(image) for image in meant.values() if image and image not in held}


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the log of revisions, with enough to know that log again."""

    revision: int
    fingerprint: str

    @property
    def begins(self) -> bool:
        """Whether every record has to be written anew: the tables were made from them, and are another log."""
        return not self.fingerprint


@dataclass(frozen=True, slots=True)
class Portion:
    """Records to write (``None``: to remove) by name, and the position that they lead to."""

    records: Mapping[str, bytes | None]
    position: Position


def stream_name(repository: Repository) -> str:
    """Where the record of a stream lies."""
    return f"{STREAMS}/{repository.namespace}/{repository.name}{_END}"


def image_name(digest: Digest) -> str:
    """Where the record of an Image lies."""
    return f"{IMAGES}/{digest.algorithm}/{digest.hex[:2]}/{digest.hex}{_END}"


def repository_of(name: str) -> Repository | None:
    """The stream that a record is of, by its name."""
    parts = name.removesuffix(_END).split("/")
    try:
        return Repository.of(*parts[1:]) if len(parts) == 3 and parts[0] == STREAMS else None
    except InvalidName:
        return None


def digest_of(name: str) -> Digest | None:
    """The Image that a record is of, by its name."""
    parts = name.removesuffix(_END).split("/")
    try:
        return Digest.parse(f"{parts[1]}:{parts[3]}") if len(parts) == 4 and parts[0] == IMAGES else None
    except InvalidDigest:
        return None


def written(document: Mapping[str, Any]) -> bytes:
    """A record; the same document gives the same bytes."""
    text = json.dumps({"version": VERSION, **document}, separators=(",", ":"), sort_keys=True)
    return gzip.compress(text.encode(), compresslevel=3, mtime=0)


def read(data: bytes) -> dict[str, Any]:
    """What a record says. Raises :class:`DamagedRecord`."""
    try:
        document = json.loads(gzip.decompress(data))
        version = document["version"]
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError) as error:
        raise DamagedRecord(f"it cannot be read: {error}") from error
    if version != VERSION:
        raise DamagedRecord(f"it has version {version}, this program knows {VERSION}; rebuild with a newer program")
    return dict(document)


def read_stream(data: bytes) -> StreamRecord:
    """Raises :class:`DamagedRecord`."""
    rows = read(data).get("rows")
    if not isinstance(rows, dict) or not rows.get(image_streams.name):
        raise DamagedRecord("it says nothing of a stream")
    for table in (image_streams, *records.PARTS):
        for row in rows.get(table.name, ()):
            _check(table, row)
    return StreamRecord(rows)


def read_image(data: bytes) -> Mapping[str, Any]:
    """Raises :class:`DamagedRecord`."""
    row = read(data).get("row")
    if not isinstance(row, dict) or "digest" not in row:
        raise DamagedRecord("it says nothing of an Image")
    _check(images_table, row)
    return row


POINTER = ("image", "")
"""What the event of a tag says that only points to somewhere."""


def _check(table: Table, row: Any) -> None:
    try:
        records.typed(table, row)
        for name in ("digest", "image", "manifest"):
            if name in table.columns and (name, row[name]) != POINTER:
                Digest.parse(row[name])
    except (records.Incomplete, InvalidDigest, AttributeError, TypeError) as error:
        raise DamagedRecord(str(error)) from error


def read_position(data: bytes) -> Position:
    """Raises :class:`DamagedRecord`."""
    document = read(data)
    try:
        return Position(int(document["revision"]), str(document["fingerprint"]))
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedRecord(f"it says no revision: {error}") from error


def write_position(position: Position) -> bytes:
    """The record of a position."""
    return written({"revision": position.revision, "fingerprint": position.fingerprint})


class Records:
    """What the tables have for records. Every method may raise :class:`MetadataUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep every other process from writing records."""
        with available(), self._database.alone("records"):
            yield

    def newest(self) -> Position:
        """Where the log ends now."""
        with available(), self._database.read() as connection:
            return self._position(connection, revisions.newest(connection))

    def knows(self, position: Position) -> bool | None:
        """Whether the position is one of this log; ``None`` if the log goes on before it but not back so far."""
        with available(), self._database.read() as connection:
            newest = revisions.newest(connection)
            if newest < position.revision:
                return False
            if position.begins:
                return True
            if position.revision < records.oldest_revision(connection):
                return None
            return self._position(connection, position.revision) == position

    def since(self, revision: int) -> Portion | None:
        """What changed behind a revision, the first part of it; ``None`` if nothing did."""
        with available(), self._database.snapshot() as connection:
            found = revisions.since(connection, revision, limit=AT_ONCE)
            if not found:
                return None
            names: dict[str, None] = {}
            for row in found:
                names |= dict.fromkeys(self._touched(connection, row))
            changed = {name: self._now(connection, name) for name in names}
            return Portion(changed, self._position(connection, found[-1].revision))

    def streams(self, after: Repository) -> tuple[dict[str, bytes | None], Repository | None]:
        """Records of the streams behind one, and the last of them; ``None`` at the end."""
        with available(), self._database.snapshot() as connection:
            key = (after.namespace, after.name)
            page = [Repository(*row) for row in stream_lists.names(connection, within=None, after=key, limit=AT_ONCE)]
            return {stream_name(each): self._stream(connection, each) for each in page}, page[-1] if page else None

    def images(self, after: str) -> tuple[dict[str, bytes | None], str | None]:
        """Records of the Images behind a digest, and the last of them; ``None`` at the end."""
        with available(), self._database.snapshot() as connection:
            page = [Digest.parse(row.digest) for row in images.sizes(connection, after=after, limit=AT_ONCE)]
            found = {image_name(each): self._image(connection, each) for each in page}
            return found, str(page[-1]) if page else None

    def now(self, names: Sequence[str]) -> dict[str, bytes | None]:
        """What records of these names should say; ``None`` for what is not there."""
        with available(), self._database.snapshot() as connection:
            return {name: self._now(connection, name) for name in names}

    def missing_images(self, digests: Sequence[Digest]) -> list[Digest]:
        """Those that are no Images."""
        with available(), self._database.read() as connection:
            known = records.known_images(connection, [str(digest) for digest in digests])
        return [digest for digest in digests if str(digest) not in known]

    def continue_after(self, revision: int, now: datetime) -> bool:
        """Let later revisions be greater than this one, so that nobody who knows it takes new for old."""
        with available(), self._database.write() as connection:
            if revisions.newest(connection) >= revision:
                return False
            records.continue_after(self._database, connection, revision, now)
            return True

    @staticmethod
    def _position(connection: Connection, revision: int) -> Position:
        row = records.revision(connection, revision)
        if row is None:
            return Position(revision, "")
        return Position(
            revision, f"{row.kind} {row.namespace}/{row.name} {row.event} {utc(row.created):%Y%m%d%H%M%S%f}"
        )

    @staticmethod
    def _touched(connection: Connection, row: Record) -> list[str]:
        """Records that a change makes old, each to be written once however often it changed."""
        if row.kind == revisions.STREAM:
            return [stream_name(Repository(row.namespace, row.name))]
        if row.kind != revisions.IMAGE:
            return []
        touched = [image_name(Digest.parse(row.name))]
        if row.event == "MODIFIED":  # its signatures are kept where it is held
            holders = images.holders(connection, row.name)
            touched += [stream_name(Repository(holder.namespace, holder.name)) for holder in holders]
        return touched

    def _now(self, connection: Connection, name: str) -> bytes | None:
        repository, digest = repository_of(name), digest_of(name)
        if repository is not None:
            return self._stream(connection, repository)
        return self._image(connection, digest) if digest is not None else None

    @staticmethod
    def _stream(connection: Connection, repository: Repository) -> bytes | None:
        rows = records.of_stream(connection, repository.namespace, repository.name)
        return None if rows is None else written({"rows": rows})

    @staticmethod
    def _image(connection: Connection, digest: Digest) -> bytes | None:
        row = records.of_image(connection, str(digest))
        return None if row is None else written({"row": row})
