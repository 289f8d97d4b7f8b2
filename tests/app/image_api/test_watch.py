"""A watch tells every change once, in order, and what it tells is enough to go on from anywhere."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import quote

import pytest

from image_registry.image_api import watch_hub, watching
from image_registry.image_api.app import create_app
from image_registry.imagestreams import changes
from image_registry.imagestreams.errors import MetadataUnavailable
from image_registry.metadata import revisions
from tests.at_once import at_once

ONLY_METADATA = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
STREAMS = "namespaces/team/imagestreams"


class Told:
    """The lines of one watch, read while it goes on."""

    def __init__(self, api: Any, path: str, accept: str = "") -> None:
        response = api.ask(path, accept)
        assert response.status_code == 200, response.text
        self.type = response.content_type
        self._response = response
        self._lines = (line for line in response.iter_encoded() if line)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for line in self._lines:
            yield json.loads(line)

    def next(self, number: int) -> list[tuple[str, str]]:
        """Type and name of the next events."""
        return [self._short(json.loads(next(self._lines))) for _ in range(number)]

    def event(self) -> Any:
        return json.loads(next(self._lines))

    def close(self) -> None:
        self._response.close()

    @staticmethod
    def _short(event: Any) -> tuple[str, str]:
        return event["type"], event["object"]["metadata"].get("name", "")


@pytest.fixture
def watch(either: Any) -> Iterator[Any]:
    opened: list[Told] = []

    def begin(path: str = STREAMS, accept: str = "", **options: object) -> Told:
        wanted = {"timeoutSeconds": 20, **options}
        query = "&".join(f"{name}={quote(str(value))}" for name, value in wanted.items())
        opened.append(Told(either, f"{path}?watch=true&{query}", accept))
        return opened[-1]

    yield begin
    for told in opened:
        told.close()
    hub_rests()


def hub_rests() -> None:
    """Nobody listens any more, so nobody asks the database, which goes away after the test."""
    deadline = time.monotonic() + 10
    while any(thread.name == "watch-hub" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def version(api: Any) -> int:
    return int(api.get(STREAMS)["metadata"]["resourceVersion"])


def test_what_there_is_comes_first_and_what_happens_comes_after_it(either: Any, watch: Any) -> None:
    either.push("team/a", 1)
    either.push("team/b", 1)
    either.push("other/c", 1)
    told = watch()
    assert told.next(2) == [("ADDED", "a"), ("ADDED", "b")]
    either.push("team/a", 2)
    either.push("team/d", 1)
    either.push("other/c", 2)
    assert told.next(2) == [("MODIFIED", "a"), ("ADDED", "d")]
    either.delete(f"{STREAMS}/a")
    event = told.event()
    assert event["type"] == "DELETED"
    assert event["object"]["metadata"]["name"] == "a"
    assert int(event["object"]["metadata"]["resourceVersion"]) == version(either)


def test_who_goes_on_from_a_revision_hears_what_came_after_it_and_no_more(either: Any, watch: Any) -> None:
    either.push("team/a", 1)
    seen = version(either)
    either.push("team/b", 1)
    either.push("team/b", 2)
    either.push("team/a", 2)
    told = watch(resourceVersion=seen)
    first, second = told.event(), told.event()
    assert [first["type"], second["type"]] == ["ADDED", "MODIFIED"]
    assert [first["object"]["metadata"]["name"], second["object"]["metadata"]["name"]] == ["b", "a"]
    assert len(first["object"]["status"]["tags"][0]["items"]) == 2, "changes that nobody was told of are told as one"


def test_revisions_only_grow_and_each_is_the_objects_own(either: Any, watch: Any) -> None:
    told = watch(resourceVersion=1, timeoutSeconds=30)
    numbers = range(12)
    at_once([partial(either.push, f"team/app{n % 3}", n, f"v{n}") for n in numbers])
    states: dict[str, Any] = {}
    last = 0
    while sum(len(state["status"]["tags"]) for state in states.values()) < len(numbers):
        changed = told.event()["object"]
        assert int(changed["metadata"]["resourceVersion"]) > last
        last = int(changed["metadata"]["resourceVersion"])
        states[changed["metadata"]["name"]] = changed
    for name, state in states.items():
        assert state == either.get(f"{STREAMS}/{name}")


def test_a_stream_that_is_made_again_is_told_as_gone_and_as_new(either: Any, watch: Any) -> None:
    either.push("team/a", 1)
    seen = version(either)
    either.delete(f"{STREAMS}/a")
    either.push("team/a", 2)
    told = watch(resourceVersion=seen)
    gone, made = told.event(), told.event()
    assert (gone["type"], made["type"]) == ("DELETED", "ADDED")
    assert gone["object"]["metadata"]["uid"] != made["object"]["metadata"]["uid"]


@pytest.mark.parity(7)
def test_the_beginning_ends_with_a_bookmark_where_one_is_asked_for(either: Any, watch: Any) -> None:
    either.push("team/a", 1)
    options = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}
    told = watch(**options)
    assert told.event()["type"] == "ADDED"
    mark = told.event()
    assert mark["type"] == "BOOKMARK"
    assert mark["object"]["kind"] == "ImageStream"
    assert mark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert int(mark["object"]["metadata"]["resourceVersion"]) == version(either)


def test_an_object_that_ceases_to_match_is_told_as_deleted(either: Any, watch: Any) -> None:
    for name in ("a", "b"):
        either.push(f"team/{name}", 1)
    either.write("PATCH", f"{STREAMS}/a", {"metadata": {"labels": {"app": "x"}}}, 200, MERGE)
    told = watch(labelSelector="app=x")
    assert told.next(1) == [("ADDED", "a")]
    either.write("PATCH", f"{STREAMS}/b", {"metadata": {"labels": {"app": "x"}}}, 200, MERGE)
    either.write("PATCH", f"{STREAMS}/a", {"metadata": {"labels": {"app": "y"}}}, 200, MERGE)
    either.write("PATCH", f"{STREAMS}/a", {"metadata": {"labels": {"app": "z"}}}, 200, MERGE)
    assert sorted(told.next(2)) == [("ADDED", "b"), ("DELETED", "a")]
    either.push("team/b", 2)
    assert told.next(1) == [("MODIFIED", "b")], "what does not match and did not is not told"


MERGE = "application/merge-patch+json"


def test_images_are_watched_too_and_one_object_by_its_name(either: Any, watch: Any) -> None:
    digest = either.push("team/a", 1)
    told = watch("images")
    assert told.next(1) == [("ADDED", digest)]
    other = either.push("team/a", 2)
    assert told.next(1) == [("ADDED", other)]
    one = watch(fieldSelector="metadata.name=b", resourceVersion=version(either))
    either.push("team/a", 3)
    either.push("team/b", 1)
    assert one.next(1) == [("ADDED", "b")]


def test_the_form_is_that_which_was_asked_for(either: Any, watch: Any) -> None:
    either.push("team/a", 1)
    either.push("team/b", 1)
    table = watch(accept=either.table)
    first, second = table.event()["object"], table.event()["object"]
    assert first["kind"] == second["kind"] == "Table"
    assert first["columnDefinitions"][0]["name"] == "Name"
    assert second["columnDefinitions"] is None, "columns are told once"
    assert second["rows"][0]["cells"][0] == "b"
    assert watch(accept=ONLY_METADATA).event()["object"]["kind"] == "PartialObjectMetadata"
    assert watch(accept="application/json;stream=watch").type == "application/json;stream=watch"


def test_a_watch_ends_when_its_time_is_over_and_says_how_far_it_came(watch: Any) -> None:
    began = time.monotonic()
    events = list(watch(timeoutSeconds=1, allowWatchBookmarks="true"))
    assert 0.9 < time.monotonic() - began < 5
    assert [event["type"] for event in events] == ["BOOKMARK"]


@pytest.mark.parity(7)
def test_who_comes_back_too_late_is_told_to_list_again(
    either: Any, watch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        either.push("team/a", number)
    monkeypatch.setattr(revisions, "KEPT", 3)
    [event] = list(watch(resourceVersion=1))
    assert event["type"] == "ERROR"
    assert (event["object"]["code"], event["object"]["reason"]) == (410, "Expired")


def test_who_does_not_listen_is_told_to_list_again_and_nobody_else_is(
    either: Any, watch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_hub, "MOST_WAITING", 3)
    slow, quick = watch(resourceVersion=1, timeoutSeconds=20), watch(resourceVersion=1, timeoutSeconds=20)
    heard: list[str] = []
    for number in range(6):
        either.push(f"team/app{number}", number)
        heard += [name for _, name in quick.next(1)]
    assert heard == [f"app{number}" for number in range(6)]
    assert [event["object"].get("code") for event in slow][-1] == 410


def test_what_waits_for_who_does_not_listen_is_bounded_by_its_size_too(
    either: Any, watch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_hub, "HEAVIEST", 10)
    slow, quick = watch(resourceVersion=1, timeoutSeconds=20), watch(resourceVersion=1, timeoutSeconds=20)
    for number in range(8):
        either.push("team/app", number, tag=f"v{number}")
        assert quick.next(1) == [("ADDED" if not number else "MODIFIED", "app")]
    assert [event["object"].get("code") for event in slow][-1] == 410


def test_a_change_is_made_into_a_line_once_for_each_form(
    either: Any, watch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    line = watching._line

    def note(event: str, document: Any) -> bytes:
        made.append(document["kind"])
        return line(event, document)

    monkeypatch.setattr(watching, "_line", note)
    metadata = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
    now = version(either)
    watches = [watch(accept=accept, resourceVersion=now) for accept in ("", either.table, metadata) * 3]
    elsewhere = watch("namespaces/other/imagestreams", resourceVersion=now)
    either.push("team/app", 1)
    events = [told.event() for told in watches]
    assert events[:3] * 3 == events
    assert [event["object"]["kind"] for event in events[:3]] == ["ImageStream", "Table", "PartialObjectMetadata"]
    assert sorted(made) == ["ImageStream", "PartialObjectMetadata", "Table"]
    either.push("other/app", 1)
    assert elsewhere.next(1) == [("ADDED", "app")]


def test_a_database_that_goes_while_a_watch_begins_ends_it_and_it_can_begin_again(
    either: Any, watch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    either.push("team/a", 1)

    def away(_self: object, _revision: int) -> None:
        raise MetadataUnavailable("the database is away")

    with monkeypatch.context() as patched:
        patched.setattr(changes.Changes, "since", away)
        assert list(watch(resourceVersion=1)) == []
    assert watch(resourceVersion=1).next(1) == [("ADDED", "a")]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_fault_of_the_hub_leaves_nobody_waiting(either: Any, watch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    told = watch()
    with monkeypatch.context() as patched:
        patched.setattr(changes.Changes, "since", lambda _self, _revision: 1 // 0)
        assert told.event()["object"]["code"] == 410
        told.close()
        hub_rests()
    again = watch()
    either.push("team/a", 1)
    assert again.next(1) == [("ADDED", "a")]


def test_one_watch_too_many_is_told_when_to_come_back(either: Any, watch: Any) -> None:
    either.client = create_app(replace(either.parts, most_watches=2)).test_client()
    first, _ = watch(), watch()
    status = either.reject("GET", f"{STREAMS}?watch=1", None, 429, "TooManyRequests")
    assert status["details"]["retryAfterSeconds"] > 0
    first.close()
    watch()


def test_a_long_log_is_told_in_parts_without_a_gap(either: Any, watch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "MOST", 3)
    for number in range(8):
        either.push(f"team/app{number % 4}", number, f"v{number}")
    told = watch(resourceVersion=1, timeoutSeconds=1)
    last = {event["object"]["metadata"]["name"]: event["object"] for event in told}
    assert last == {f"app{n}": either.get(f"{STREAMS}/app{n}") for n in range(4)}


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("sendInitialEvents=true", 422),
        ("resourceVersionMatch=NotOlderThan&resourceVersion=1", 422),
        ("resourceVersion=x", 400),
        ("timeoutSeconds=x", 400),
        ("labelSelector=%3D%3D", 400),
        ("fieldSelector=spec.x%3D1", 400),
    ],
)
def test_options_that_make_no_sense_are_refused_before_anything_is_told(either: Any, query: str, code: int) -> None:
    answer = either.ask(f"{STREAMS}?watch=1&{query}")
    assert answer.status_code == code
    assert answer.json["kind"] == "Status"


def test_tags_cannot_be_watched(either: Any) -> None:
    status = either.reject("GET", "namespaces/team/imagestreamtags?watch=1", None, 405, "MethodNotAllowed")
    assert "watch the imagestreams" in status["message"]


def test_the_hub_rests_when_nobody_listens(watch: Any) -> None:
    told = watch()
    assert any(thread.name == "watch-hub" for thread in threading.enumerate())
    told.close()
    hub_rests()
