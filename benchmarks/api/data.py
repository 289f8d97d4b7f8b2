"""Fills a database as a platform of this size would have filled it, by ``COPY`` instead of a push for each tag.

The rows are those of the rules themselves: manifests and configurations are read by what reads them in a push, and
only digests differ from image to image. What a namespace, a stream or an image has is made from its number.
"""

from __future__ import annotations

import hashlib
import json
import random
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg import Connection, sql
from sqlalchemy import Table
from sqlalchemy.engine import make_url

from benchmarks.api import HOST
from image_registry.imagestreams import rows
from image_registry.imagestreams.rebuild_ledger import RebuildLedger
from image_registry.metadata.database import Database
from image_registry.metadata.revisions import STREAM
from image_registry.metadata.tables import held_manifests, image_streams, images, revisions, tag_events, tags
from image_registry.oci import media_types
from image_registry.oci.digest import Digest
from image_registry.oci.manifest import Manifest, parse_manifest

LAYERS = 8
TEMPLATES = 20
SMALL_NAMESPACE = 50
"""Streams of an ordinary namespace."""

LARGE = "large"
"""One namespace has a tenth of all streams."""

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Size:
    """How much there is."""

    images: int
    streams: int
    tags: int

    def part(self, by: int) -> Size:
        """The same platform, smaller."""
        return Size(max(self.images // by, 1), max(self.streams // by, 2), max(self.tags // by, 2))

    @property
    def in_large(self) -> int:
        """Streams of the large namespace."""
        return max(self.streams // 10, 1)

    def place(self, number: int) -> tuple[str, str]:
        """Namespace and name of a stream."""
        if number < self.in_large:
            return LARGE, f"app-{number:06d}"
        number -= self.in_large
        return f"team-{number // SMALL_NAMESPACE:05d}", f"app-{number:06d}"

    def tag_names(self, number: int) -> list[str]:
        """Tags of a stream."""
        each, more = divmod(self.tags, self.streams)
        return [f"v1.{tag}.0" for tag in range(each + (number < more))]

    def image(self, stream: int, tag: int) -> int:
        """The number of the image that a tag means: those of a stream are its own as far as there are enough."""
        each = max(self.images // self.streams, 1)
        return (stream * each + tag % each) % self.images

    def __str__(self) -> str:
        return f"{self.images:,} Images, {self.streams:,} ImageStreams, {self.tags:,} tags"


def digest(what: str) -> str:
    """The digest of an image, configuration or layer of this name."""
    return f"sha256:{hashlib.sha256(what.encode()).hexdigest()}"


def manifest_of(name: str) -> tuple[Manifest, bytes]:
    """A manifest with its configuration, as builders make them; another name gives another one."""
    choose = random.Random(name)  # noqa: S311 - content, not a secret
    config = json.dumps(
        {
            "created": "2026-01-01T00:00:00Z",
            "author": "builder",
            "architecture": "amd64",
            "os": "linux",
            "config": {
                "User": "1000:1000",
                "ExposedPorts": {"8080/tcp": {}},
                "Env": [f"SETTING_{number}={choose.randbytes(12).hex()}" for number in range(12)],
                "Entrypoint": ["/usr/bin/app", "--serve"],
                "Cmd": ["--port", "8080"],
                "WorkingDir": "/srv/app",
                "Labels": {f"org.example.label-{number}": choose.randbytes(8).hex() for number in range(8)},
            },
            "rootfs": {"type": "layers", "diff_ids": [digest(f"{name} diff {n}") for n in range(LAYERS)]},
        }
    ).encode()
    layers = [
        {
            "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
            "digest": digest(f"{name} layer {number}"),
            "size": choose.randint(1000, 90_000_000),
        }
        for number in range(LAYERS)
    ]
    document = {
        "schemaVersion": 2,
        "mediaType": media_types.OCI_MANIFEST,
        "config": {"mediaType": media_types.OCI_CONFIG, "digest": str(Digest.of(config)), "size": len(config)},
        "layers": layers,
    }
    return parse_manifest(json.dumps(document).encode(), ""), config


def fill(url: str, size: Size) -> None:
    """Make the schema and everything in it."""
    database = Database(url)
    try:
        database.upgrade()
        ledger, now = RebuildLedger(database), datetime.now(UTC)
        if ledger.take("benchmark", now):  # the tables are whole: there is no storage beside them
            ledger.finish("benchmark", {}, [], now)
    finally:
        database.dispose()
    dsn = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with Connection.connect(dsn, autocommit=False) as connection:
        connection.execute("SET synchronous_commit = off")
        _copy(connection, images, _images(size))
        _copy(connection, image_streams, _streams(size))
        _copy(connection, held_manifests, _held(size))
        _copy(connection, tags, _tags(size))
        _copy(connection, tag_events, _events(size))
        _copy(connection, revisions, _revisions(size))
        for table, key in (("image_streams", "id"), ("revisions", "revision")):
            connection.execute(
                sql.SQL("SELECT setval(pg_get_serial_sequence({}, {}), (SELECT max({}) FROM {}))").format(
                    sql.Literal(table), sql.Literal(key), sql.Identifier(key), sql.Identifier(table)
                )
            )
        connection.commit()
        connection.autocommit = True
        connection.execute("VACUUM ANALYZE")


def _copy(connection: Connection[Any], table: Table, found: Iterable[Row]) -> None:
    given = iter(found)
    first = next(given, None)
    if first is None:
        return
    names = [column.name for column in table.c if column.name in first]
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table.name), sql.SQL(", ").join(map(sql.Identifier, names))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write_row([first[name] for name in names])
        for row in given:
            copy.write_row([row[name] for name in names])


def _images(size: Size) -> Iterator[Row]:
    templates = []
    for number in range(TEMPLATES):
        manifest, given = manifest_of(f"template {number}")
        row = rows.image_row(manifest, given, uid="", created=BEGIN, reference="")
        texts = {name: json.dumps(row[name]) for name in ("labels", "annotations", "layers", "manifests")}
        templates.append((row, texts, row["docker_metadata"], json.dumps(row["docker_metadata"])))
    for number in range(size.images):
        row, texts, document, text = templates[number % TEMPLATES]
        name, config = digest(f"image {number}"), digest(f"config {number}")
        stream = min(number // max(size.images // size.streams, 1), size.streams - 1)
        yield {
            **row,
            **texts,
            "digest": name,
            "uid": str(uuid.UUID(int=number)),
            "created": BEGIN + timedelta(seconds=number),
            "reference": f"{HOST}/{'/'.join(size.place(stream))}@{name}",
            "config": config,
            "docker_metadata": text.replace(document["Id"], config),
            "resource_version": 1,
        }


def _streams(size: Size) -> Iterator[Row]:
    for number in range(size.streams):
        namespace, name = size.place(number)
        yield {
            "id": number + 1,
            "namespace": namespace,
            "name": name,
            "uid": str(uuid.UUID(int=1 << 64 | number)),
            "created": BEGIN + timedelta(seconds=number),
            "labels": json.dumps({"app": name, "team": namespace}),
            "annotations": "{}",
            "lookup_local": False,
            "generation": 1,
            "resource_version": number + 2,
        }


def _held(size: Size) -> Iterator[Row]:
    for number in range(size.streams):
        for image in dict.fromkeys(size.image(number, tag) for tag in range(len(size.tag_names(number)))):
            yield {
                "stream_id": number + 1,
                "digest": digest(f"image {image}"),
                "media_type": media_types.OCI_MANIFEST,
                "size": 1500,
                "pushed": BEGIN,
                "pushed_by": "system:serviceaccount:team:builder",
            }


def _tags(size: Size) -> Iterator[Row]:
    for number in range(size.streams):
        for place, tag in enumerate(size.tag_names(number)):
            image = digest(f"image {size.image(number, place)}")
            yield {"stream_id": number + 1, "tag": tag, "image": image, "unechoed": None}


def _events(size: Size) -> Iterator[Row]:
    """One for most tags, three for every third."""
    for number in range(size.streams):
        where = f"{HOST}/{'/'.join(size.place(number))}"
        for place, tag in enumerate(size.tag_names(number)):
            many = 3 if place % 3 == 0 else 1
            for event in range(many):
                image = digest(f"image {size.image(number, place + many - 1 - event)}")
                yield {
                    "stream_id": number + 1,
                    "tag": tag,
                    "created": BEGIN + timedelta(hours=event, seconds=number),
                    "image": image,
                    "reference": f"{where}@{image}",
                    "generation": 1,
                }


def _revisions(size: Size) -> Iterator[Row]:
    for number in range(size.streams):
        namespace, name = size.place(number)
        yield {
            "revision": number + 2,
            "kind": STREAM,
            "namespace": namespace,
            "name": name,
            "event": "ADDED",
            "created": BEGIN,
            "last_state": None,
        }
