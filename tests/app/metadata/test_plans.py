"""What PostgreSQL reads for one request when there are fifty thousand tags."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import event, text

from image_registry.imagestreams.local_names import ShortName
from image_registry.imagestreams.service import ImageStreams
from image_registry.metadata.database import Database
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository

PAGE = 100
SMALL, LARGE = Repository("ns07", "app7"), Repository("large", "monorepo")

# a thousand streams of 25 tags in fifty namespaces, and one stream with as many tags as all of them; three events each
FILL = """
INSERT INTO image_streams
    (namespace, name, uid, created, labels, annotations, lookup_local, generation, resource_version)
SELECT CASE n WHEN 0 THEN 'large' ELSE 'ns' || lpad(mod(n, 50)::text, 2, '0') END,
    CASE n WHEN 0 THEN 'monorepo' ELSE 'app' || n END, n::text, now(), '{}', '{}', false, 1, 1
FROM generate_series(0, 1000) n;

INSERT INTO images (digest, uid, created, labels, annotations, generation, resource_version, reference, media_type,
    manifest_size, content_size, layers, manifests, docker_metadata, artifact_type)
SELECT 'sha256:' || encode(sha256(n::text::bytea), 'hex'), n::text, now(), '{}', '{}', 1, 1, 'r', 'm', 1, 1,
    '[]', '[]', '{}', ''
FROM generate_series(1, 25000) n;

INSERT INTO tags (stream_id, tag, image)
SELECT id, 'v' || lpad(n::text, 5, '0'), 'sha256:' || encode(sha256((mod(id * 25 + n, 25000) + 1)::text::bytea), 'hex')
FROM image_streams, generate_series(1, 25000) n WHERE n <= 25 OR namespace = 'large';

INSERT INTO tag_events (stream_id, tag, created, image, reference, generation)
SELECT stream_id, tag, now(), image, 'r', 1 FROM tags, generate_series(1, 3);

INSERT INTO held_manifests (stream_id, digest, media_type, size, pushed, pushed_by)
SELECT DISTINCT stream_id, image, 'm', 1, now(), 'x' FROM tags;

INSERT INTO revisions (kind, namespace, name, event, created)
SELECT 'Image', '', 'x', 'ADDED', now() FROM generate_series(1, 20000);

ANALYZE;
"""


class Filled:
    """The rules on a large database; ``rows`` counts what a call makes PostgreSQL read."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.streams = ImageStreams(database, internal_hostname="host")
        self.streams.covers(SMALL)  # asked now and then, not for every request

    def rows(self, call: Callable[[ImageStreams], object]) -> int:
        """Rows that the scans of a call's statements look at."""
        statements: list[tuple[str, Any]] = []

        def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
            if statement.startswith(("SELECT", "WITH", "DELETE", "UPDATE")) and "pg_advisory" not in statement:
                statements.append((statement, parameters))

        event.listen(self.database.engine, "before_cursor_execute", note)
        try:
            call(self.streams)
        finally:
            event.remove(self.database.engine, "before_cursor_execute", note)
        assert statements
        return sum(self._explain(*statement) for statement in statements)

    def _explain(self, statement: str, parameters: Any) -> int:
        with self.database.write(undo=True) as connection:
            explain = f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}"
            (plan,) = connection.exec_driver_sql(explain, parameters).scalars()
        document = plan if isinstance(plan, list) else json.loads(plan)
        return sum(
            int(node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)))
            for node in nodes(document[0]["Plan"])
            if "Relation Name" in node and "Scan" in node["Node Type"]
        )


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


@pytest.fixture(scope="module")
def filled(postgresql: Any) -> Iterator[Filled]:
    database = Database(postgresql.url(postgresql.new_database("with_schema")))
    with database.write() as connection:
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        for statement in FILL.split(";"):
            if statement.strip():
                connection.exec_driver_sql(statement)
    try:
        yield Filled(database)
    finally:
        database.dispose()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("most", "call"),
    [
        pytest.param(3, lambda streams: streams.tag(LARGE, "v20000"), id="a tag"),
        pytest.param(40, lambda streams: streams.stream_tag(SMALL, "v00007"), id="a tag with its history"),
        pytest.param(PAGE + 5, lambda streams: streams.tags(LARGE, limit=PAGE, after="v20000"), id="tag names"),
        pytest.param(PAGE + 5, lambda streams: streams.repositories(namespaces=None, limit=PAGE), id="catalog"),
        pytest.param(
            PAGE + 5,
            lambda streams: streams.repositories(namespaces=None, limit=PAGE, after="ns30/app30"),
            id="catalog, a later page",
        ),
        pytest.param(
            60,
            lambda streams: streams.repositories(namespaces=frozenset({"ns01", "ns02"}), limit=PAGE),
            id="catalog of some namespaces",
        ),
        pytest.param(120, lambda streams: streams.namespaces(), id="namespaces"),
        pytest.param(3200, lambda streams: streams.streams(namespace="ns01", limit=PAGE), id="streams of a namespace"),
        pytest.param(
            24 * 75 + 30, lambda streams: streams.streams(limit=10, after="ns30/app30"), id="streams, a later page"
        ),
        pytest.param(
            2600,
            lambda streams: streams.streams(namespace="ns01", limit=PAGE, history=False),
            id="streams of a namespace, brief",
        ),
        pytest.param(2000, lambda streams: streams.stream_tags(namespace="ns01"), id="tags of a namespace"),
        pytest.param(
            5 * PAGE,
            lambda streams: streams.stream_tags(namespace="ns01", limit=PAGE, after="ns01/app1:v00010"),
            id="tags of a namespace, a later page",
        ),
        pytest.param(
            5 * PAGE,
            lambda streams: streams.stream_tags(limit=PAGE, after="large/monorepo:v12345"),
            id="tags, in the middle of a large stream",
        ),
        pytest.param(
            6 * PAGE,
            lambda streams: streams.stream_tags(limit=PAGE, after="ns49/app49:v00001"),
            id="tags, near the end",
        ),
        pytest.param(2 * PAGE + 5, lambda streams: streams.images(limit=PAGE, after="sha256:7"), id="images"),
        pytest.param(2, lambda streams: streams.revision(), id="the revision"),
        pytest.param(
            5,
            lambda streams: streams.resolve(ShortName(LARGE, "v20000"), any_stream=True),
            id="what a short name of a Pod means",
        ),
        pytest.param(
            8,
            lambda streams: streams.resolve(ShortName(LARGE, "", Digest.of(b"20001")), any_stream=True),
            id="the same by digest",
        ),
        pytest.param(
            60,
            lambda streams: streams.delete_manifest(LARGE, streams.tag(LARGE, "v00777").digest),
            id="deleting a manifest",
        ),
        pytest.param(20, lambda streams: streams.delete_tag(LARGE, "v00778"), id="deleting a tag"),
        pytest.param(
            60,
            lambda streams: streams.manifest(LARGE, Digest.of(b"1")) and streams.referrers(LARGE, Digest.of(b"1")),
            id="a manifest and its referrers",
        ),
    ],
)
def test_a_request_reads_what_it_shows_and_no_table(
    filled: Filled, most: int, call: Callable[[ImageStreams], object]
) -> None:
    assert filled.rows(call) <= most
