"""Many processes push to and delete from one stream of one PostgreSQL: bounded in time, checked to the last row."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text

from image_registry.imagestreams import tag_events
from image_registry.imagestreams.errors import Conflict, ImageInUse, ImageUnknown, StreamUnknown, TagUnknown
from image_registry.imagestreams.service import ImageStreams
from image_registry.metadata.database import Database
from image_registry.oci.reference import Repository
from tests.at_once import at_once

APP, OTHER = Repository("team", "app"), Repository("team", "other")
PROCESSES = 4
SECONDS = 1.2

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)

SOUND = {
    "a tag without an event": """
        SELECT count(*) FROM tags t
        WHERE NOT EXISTS (SELECT FROM tag_events e WHERE e.stream_id = t.stream_id AND e.tag = t.tag)""",
    "an event without a tag": """
        SELECT count(*) FROM tag_events e
        WHERE NOT EXISTS (SELECT FROM tags t WHERE t.stream_id = e.stream_id AND t.tag = e.tag)""",
    "a tag that means something else than its newest event": """
        SELECT count(*) FROM tags t WHERE image <> (
            SELECT image FROM tag_events e
            WHERE e.stream_id = t.stream_id AND e.tag = t.tag ORDER BY id DESC LIMIT 1)""",
    "an event of a manifest that is not held": """
        SELECT count(*) FROM tag_events e WHERE NOT EXISTS (
            SELECT FROM held_manifests h WHERE h.stream_id = e.stream_id AND h.digest = e.image)""",
    "a history beyond its cap": f"""
        SELECT count(*) FROM (
            SELECT FROM tag_events GROUP BY stream_id, tag HAVING count(*) > {tag_events.HISTORY}) AS long""",  # noqa: S608
    "an object without its change in the log": """
        SELECT count(*) FROM image_streams s WHERE NOT EXISTS (
            SELECT FROM revisions r
            WHERE r.revision = s.resource_version AND r.namespace = s.namespace AND r.name = s.name)""",
    "a change later than the object": """
        SELECT count(*) FROM image_streams s WHERE resource_version < (
            SELECT max(revision) FROM revisions r WHERE r.namespace = s.namespace AND r.name = s.name)""",
}


@pytest.fixture
def doors(database_url: str) -> Iterator[list[ImageStreams]]:
    """As many processes would be: none knows of the others' connections."""
    databases = [Database(database_url) for _ in range(PROCESSES)]
    yield [ImageStreams(database, internal_hostname="host") for database in databases]
    for database in databases:
        database.dispose()


def push(door: ImageStreams, repository: Repository, manifest: Any, tag: str | None) -> None:
    door.push(
        repository,
        manifest,
        tag=tag,
        config=None,
        pushed_by="x",
        authorize_create=lambda: None,
        before_commit=lambda: None,
    )


@pytest.mark.slow
def test_pushes_and_deletions_of_one_stream_never_lock_each_other_out(registry: Any, doors: list[ImageStreams]) -> None:
    """Two streams, four images, two tags: everybody is always in everybody's way. A deadlock would be an outage."""
    manifests = [registry.image(number) for number in range(4)]
    end = time.monotonic() + SECONDS

    def caller(door: ImageStreams, seed: int) -> int:
        dice = random.Random(seed)  # noqa: S311 - not a secret
        done = 0
        while time.monotonic() < end:
            repository, manifest, tag = dice.choice([APP, APP, OTHER]), dice.choice(manifests), dice.choice("ab")
            actions: list[Callable[[], Any]] = [
                partial(push, door, repository, manifest, tag),
                partial(push, door, repository, manifest, tag),
                partial(push, door, repository, manifest, None),
                partial(door.delete_tag, repository, tag),
                partial(door.delete_tag, repository, tag, dry_run=True),
                partial(door.delete_manifest, repository, manifest.digest),
                partial(door.delete_stream, repository),
                partial(door.delete_stream, repository, dry_run=True),
                partial(door.delete_streams, "team"),
                partial(door.delete_image, manifest.digest),
                partial(door.delete_image, manifest.digest, dry_run=True),
                partial(door.clean, repository, lambda _: True),
            ]
            with suppress(StreamUnknown, TagUnknown, ImageUnknown, ImageInUse):
                dice.choice(actions)()
            done += 1
        return done

    done = at_once([partial(caller, door, number * 10 + turn) for number, door in enumerate(doors) for turn in (0, 1)])
    assert min(done) > 0
    with registry.database.read() as connection:
        for wrong, question in SOUND.items():
            assert connection.execute(text(question)).scalar() == 0, wrong


def test_of_many_deletions_with_one_precondition_exactly_one_deletes(registry: Any, doors: list[ImageStreams]) -> None:
    for number in range(3):
        push(doors[0], APP, registry.image(number), f"v{number}")
    seen = registry.streams.stream(APP).meta

    def delete(door: ImageStreams, tag: str) -> bool:
        try:
            door.delete_tag(APP, tag, uid=seen.uid, resource_version=seen.resource_version)
        except (Conflict, TagUnknown):
            return False
        return True

    results = at_once([partial(delete, door, f"v{number}") for door in doors[:3] for number in range(3)])
    assert sum(results) == 1
    assert len(registry.streams.tags(APP).items) == 2


def test_a_push_and_a_deletion_on_a_precondition_never_both_win(registry: Any, doors: list[ImageStreams]) -> None:
    """Whoever comes second finds out: the deletion by a conflict, the push by making the stream anew."""
    for turn in range(10):
        push(doors[0], APP, registry.image(("before", turn)), "latest")
        seen = registry.streams.stream(APP).meta
        manifest = registry.image(("after", turn))

        def delete() -> bool:
            try:
                doors[1].delete_stream(APP, resource_version=seen.resource_version)  # noqa: B023 - used in this turn
            except Conflict:
                return False
            return True

        _, deleted = at_once([partial(push, doors[2], APP, manifest, "latest"), delete])
        stream = registry.streams.stream(APP)
        assert (stream.meta.uid != seen.uid) is deleted
        assert registry.streams.tag(APP, "latest").digest == manifest.digest
        doors[0].delete_stream(APP)


@pytest.mark.parity(5)
def test_a_namespace_that_is_emptied_under_pushes_is_empty_when_they_end(
    registry: Any, doors: list[ImageStreams]
) -> None:
    """As its controller does it: again and again, while those who may still push do so."""
    ended = threading.Event()

    def pusher(door: ImageStreams) -> None:
        try:
            for turn in range(10):
                push(door, Repository("team", f"app{turn % 3}"), registry.image(turn), "latest")
        finally:
            ended.set()

    def controller(door: ImageStreams) -> None:
        while not ended.is_set():
            door.delete_streams("team")

    at_once([partial(pusher, doors[0]), partial(controller, doors[1]), partial(controller, doors[2])])
    registry.streams.delete_streams("team")
    assert registry.streams.streams(namespace="team").items == ()
    assert registry.streams.namespaces() == []
    pending = set(registry.streams.pending_cleanups())
    assert pending == {Repository("team", f"app{number}") for number in range(3)}, "storage is told about each"
