"""Tags with ``reference: true``: they say where an image is, nobody looks there, and their history says so."""

from __future__ import annotations

from typing import Any

import pytest

from image_registry.metadata import cleanups, echoes
from image_registry.oci.reference import Repository
from tests.app.image_api.test_stream_writes import COLLECTION, ONE, meant, tag, want

FAR, FARTHER = "quay.io/team/app:1", "quay.io/team/app:2"
APP = Repository("team", "app")


def points(name: str, source: str) -> Any:
    return tag(name, "DockerImage", source, reference=True)


def events(stream: Any, name: str) -> list[tuple[str, str, int]]:
    """Image, reference and generation of the events of a tag, the newest first."""
    return [
        (item["image"], item["dockerImageReference"], item["generation"])
        for entry in stream["status"].get("tags", ())
        if entry["tag"] == name
        for item in entry["items"]
    ]


@pytest.mark.parity(11)
def test_a_pointer_is_an_event_without_an_image(either: Any) -> None:
    either.write("POST", COLLECTION, {"metadata": {"name": "app"}, "spec": {"tags": [points("far", FAR)]}}, 201)
    stream = either.get(ONE)
    assert events(stream, "far") == [("", FAR, 1)]
    again = want(either, points("far", FAR))
    assert again["metadata"]["resourceVersion"] == stream["metadata"]["resourceVersion"]
    created = stream["status"]["tags"][0]["items"][0]["created"]
    moved = want(either, points("far", FARTHER))
    assert events(moved, "far") == [("", FARTHER, 2)], "no image and no image are the same image: changed in place"
    assert moved["status"]["tags"][0]["items"][0]["created"] == created


@pytest.mark.parity(11)
def test_a_pointer_takes_the_place_of_an_image_and_an_image_that_of_a_pointer(either: Any) -> None:
    first = either.push("team/app", "one", "v1")
    stream = want(either, points("v1", FAR))
    assert meant(stream, "v1") == ["", first]
    assert either.streams.tags(APP).items == (), "who pulls finds no such tag"
    with either.database.read() as connection:
        assert cleanups.find(connection, "team", "app") is not None, "its link in storage goes"
        assert not echoes.is_waiting(connection, "team", "app", "v1"), "and is not written again"
    second = either.push("team/app", "two", "v1")
    assert meant(either.get(ONE), "v1") == [second, "", first]
    assert either.streams.tags(APP).items == ("v1",)


def test_a_pointer_is_shown_as_where_it_points(either: Any) -> None:
    either.write("POST", COLLECTION, {"metadata": {"name": "app"}}, 201)
    want(either, {**points("far", FAR), "referencePolicy": {"type": "Local"}})
    either.refuse("namespaces/team/imagestreamtags/app:far", 404, "NotFound")
    [listed] = either.get("namespaces/team/imagestreamtags")["items"]
    assert (listed["image"]["dockerImageReference"], listed["image"]["metadata"]["name"]) == (FAR, "")
    found = either.get("namespaces/team/imagetags/app:far")
    assert "image" not in found
    assert found["status"]["items"][0]["dockerImageReference"] == FAR
    [row] = either.get("namespaces/team/imagetags", either.table)["rows"]
    assert row["cells"][1:4] == ["Ref", FAR, "1"]
    assert either.get(f"{ONE}/layers")["images"] == {}


def test_tags_that_follow_a_pointer_point_there_too(either: Any) -> None:
    first = either.push("team/app", "one", "v1")
    stream = want(either, points("far", FAR), tag("alias", source="far"), tag("kept", source="v1", reference=True))
    assert events(stream, "alias") == [("", FAR, 2)]
    assert meant(stream, "kept") == [first], "of this registry it is known what is there"
    moved = want(either, points("far", FARTHER))
    assert events(moved, "alias") == [("", FARTHER, 2)]


def test_a_pointer_that_is_to_be_an_image_is_imported(either: Any) -> None:
    either.write("POST", COLLECTION, {"metadata": {"name": "app"}}, 201)
    want(either, points("far", FAR))
    now = either.streams.imports.now()
    assert either.streams.imports.candidates(now, 10) == []
    want(either, {"name": "far", "reference": False})
    assert [found.spec.name for found in either.streams.imports.candidates(now, 10)] == ["far"]


def test_a_status_with_pointers_can_be_written_back_but_not_made(either: Any) -> None:
    either.write("POST", COLLECTION, {"metadata": {"name": "app"}}, 201)
    stream = want(either, points("far", FAR))
    assert either.write("PUT", f"{ONE}/status", stream, 200)["status"] == stream["status"]
    digest = either.push("team/plain", "one", "v1")
    plain = either.get(f"{COLLECTION}/plain")
    [entry] = plain["status"]["tags"]
    assert entry["items"][0]["image"] == digest
    entry["items"].insert(0, {**entry["items"][0], "dockerImageReference": FAR, "image": ""})
    refused = either.write("PUT", f"{COLLECTION}/plain/status", plain, 422)
    assert refused["details"]["causes"][0]["field"] == "status.tags[v1].items[0].image"
