"""Many callers at once, on both databases: nobody fails, nobody waits in a circle, orders agree."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from image_registry.imagestreams.errors import ImageInUse, ImageUnknown, StreamUnknown, TagUnknown
from image_registry.imagestreams.service import ImageStreams
from image_registry.oci.reference import Repository
from tests.at_once import at_once

APP = Repository("team", "app")
CALLERS = 6


def test_first_pushes_of_one_stream_all_succeed(registry: Any) -> None:
    calls = [partial(registry.push, "team/app", number, f"v{number}") for number in range(CALLERS)]
    outcomes = at_once(calls)
    assert sum(outcome.created_stream for outcome in outcomes) == 1
    assert len(registry.streams.stream(APP).tags) == CALLERS


def test_first_pushes_of_one_image_all_succeed(registry: Any) -> None:
    outcomes = at_once([partial(registry.push, f"team/app{number}", "same") for number in range(CALLERS)])
    assert sum(outcome.created_image for outcome in outcomes) == 1
    assert all(outcome.created_stream for outcome in outcomes)


def test_tag_order_and_link_order_agree(registry: Any) -> None:
    links: list[Any] = []

    def push(number: int) -> None:
        manifest = registry.image(number)
        registry.push("team/app", manifest, before_commit=lambda: links.append(manifest.digest))

    at_once([partial(push, number) for number in range(CALLERS)])
    (history,) = registry.streams.stream(APP).tags
    assert [event.image for event in reversed(history.events)] == links
    assert registry.streams.tag(APP, "latest").digest == links[-1]


def test_a_slow_door_holds_up_only_its_own_repository(registry: Any) -> None:
    if not registry.database.is_postgresql:
        return  # SQLite has one writer; that is what it is
    entered, go = threading.Event(), threading.Event()

    def slow() -> None:
        entered.set()
        assert go.wait(10)

    with ThreadPoolExecutor(1) as pool:
        pushing = pool.submit(registry.push, "team/app", "a", before_commit=slow)
        assert entered.wait(10)
        registry.push("team/other", "b")
        assert registry.streams.tag(Repository("team", "other"), "latest")
        go.set()
        pushing.result(10)


def test_an_image_is_never_deleted_under_a_push(registry: Any) -> None:
    manifest = registry.image("contested")

    def push(number: int) -> None:
        for turn in range(8):
            repository = Repository("team", f"app{number}-{turn}")
            registry.push(str(repository), manifest)
            assert registry.streams.image(manifest.digest)
            registry.streams.delete_stream(repository)

    def delete() -> None:
        for _ in range(30):
            try:
                registry.streams.delete_image(manifest.digest)
            except (ImageInUse, ImageUnknown):
                continue

    at_once([partial(push, number) for number in range(3)] + [delete, delete])


def test_everything_at_once_ends_without_deadlock(registry: Any) -> None:
    """Pushes, deletes of every kind, lists and cleanings on few names; only the expected refusals may happen."""
    names = [Repository("team", f"app{number}") for number in range(3)]
    manifests = [registry.image(number) for number in range(3)]

    def caller(seed: int) -> None:
        dice = random.Random(seed)  # noqa: S311 - not a secret
        streams: ImageStreams = registry.streams
        for _ in range(25):
            repository, manifest, tag = dice.choice(names), dice.choice(manifests), dice.choice("ab")
            actions: list[Callable[[], Any]] = [
                partial(registry.push, str(repository), manifest, tag),
                partial(registry.push, str(repository), manifest, None),
                partial(streams.delete_tag, repository, tag),
                partial(streams.delete_manifest, repository, manifest.digest),
                partial(streams.delete_stream, repository),
                partial(streams.delete_image, manifest.digest),
                partial(streams.clean, repository, lambda _: True),
                streams.stream_tags,
                streams.streams,
            ]
            try:
                dice.choice(actions)()
            except (StreamUnknown, TagUnknown, ImageUnknown, ImageInUse):
                continue

    at_once([partial(caller, number) for number in range(CALLERS)])


def test_many_processes_of_one_sqlite_file_wait_for_each_other(registry: Any) -> None:
    """Two engines do not know of each other's transactions, like two workers."""
    from image_registry.metadata.database import Database

    others = [Database(registry.database.engine.url.render_as_string(hide_password=False)) for _ in range(3)]
    doors = [ImageStreams(other, internal_hostname="host") for other in others]

    def push(door: ImageStreams, number: int) -> None:
        for turn in range(10):
            door.sessions.note(APP, f"{number}-{turn}", algorithm="sha256", offset=1, hash_state=b"")
            door.push(
                APP,
                registry.image((number, turn)),
                tag=f"v{number}-{turn}",
                config=None,
                pushed_by="x",
                authorize_create=lambda: None,
                before_commit=lambda: None,
            )
            door.sessions.end(APP, f"{number}-{turn}")

    at_once([partial(push, door, number) for number, door in enumerate(doors)])
    assert len(registry.streams.tags(APP).items) == 30
    for other in others:
        other.dispose()
