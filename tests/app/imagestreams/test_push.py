"""What a push does to streams, tags and images."""

from __future__ import annotations

import json
from typing import Any

import pytest

from image_registry.imagestreams.errors import Conflict, ImageUnknown, StreamUnknown, TagUnknown
from image_registry.imagestreams.push import RENEWED, PushOutcome
from image_registry.imagestreams.tag_events import HISTORY
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository

APP = Repository("team", "app")


class Refused(Exception):
    """What a door raises to stop a push."""


def refuse() -> None:
    raise Refused


@pytest.mark.parity(9)
def test_a_first_push_makes_stream_image_and_tag(registry: Any) -> None:
    manifest = registry.image("a")
    assert registry.push("team/app", manifest, "v1") == PushOutcome(True, True, True, None)
    stream = registry.streams.stream(APP)
    image = registry.streams.image(manifest.digest)
    assert [(tag.tag, len(tag.events)) for tag in stream.tags] == [("v1", 1)]
    event = stream.tags[0].newest
    assert event.image == manifest.digest
    assert event.reference == image.reference == f"{registry.host}/team/app@{manifest.digest}"
    assert event.generation == stream.meta.generation == image.meta.generation == 1
    assert event.created == stream.meta.created == image.meta.created == registry.clock.now
    assert image.meta.annotations == {"image.alauda.io/managed": "true"}
    assert 0 < image.meta.resource_version < stream.meta.resource_version == registry.streams.revision()


def test_the_image_shows_what_the_manifest_and_the_configuration_say(registry: Any) -> None:
    subject = registry.image("subject")
    descriptor = {"mediaType": subject.media_type, "digest": str(subject.digest), "size": len(subject.raw)}
    layer = {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": str(Digest.of(b"a")), "size": 10}
    manifest = registry.image("a", subject=descriptor, artifactType="application/example", layers=[layer, layer])
    registry.push("team/app", manifest, config=json.dumps({"os": "linux", "config": {"User": "1"}}).encode())
    image = registry.streams.image(manifest.digest)
    assert image.media_type == manifest.media_type
    assert image.manifest_size == len(manifest.raw)
    assert image.content_size == 7 + 10, "a layer that is listed twice is counted once"
    assert image.config == manifest.config.digest
    assert [(layer.digest, layer.size, layer.media_type) for layer in image.layers] == [
        (layer.digest, layer.size, layer.media_type) for layer in manifest.layers
    ]
    assert image.docker_metadata["Os"] == "linux"
    assert image.docker_metadata["Config"] == {"User": "1"}
    assert image.subject == subject.digest
    assert image.artifact_type == "application/example"


def test_a_repeated_push_changes_nothing(registry: Any) -> None:
    registry.push("team/app", "a", "v1")
    before = registry.streams.revision(), registry.streams.stream(APP)
    assert registry.push("team/app", "a", "v1") == PushOutcome(False, False, False, None)
    assert (registry.streams.revision(), registry.streams.stream(APP)) == before


def test_a_repeated_push_still_lets_the_door_repair_its_links(registry: Any) -> None:
    registry.push("team/app", "a")
    calls: list[int] = []
    registry.push("team/app", "a", before_commit=lambda: calls.append(1))
    assert calls == [1]


def test_a_tag_that_moves_keeps_its_history_and_names_what_it_meant(registry: Any) -> None:
    first, second = registry.image("a"), registry.image("b")
    registry.push("team/app", first)
    assert registry.push("team/app", second) == PushOutcome(False, True, True, first.digest)
    assert registry.push("team/app", first) == PushOutcome(False, False, True, second.digest)
    (history,) = registry.streams.stream(APP).tags
    assert [event.image for event in history.events] == [first.digest, second.digest, first.digest]
    assert registry.streams.tag(APP, "latest").digest == first.digest


def test_history_is_capped(registry: Any) -> None:
    for number in range(HISTORY + 3):
        registry.push("team/app", number)
    (history,) = registry.streams.stream(APP).tags
    assert len(history.events) == HISTORY
    assert history.newest.image == registry.image(HISTORY + 2).digest
    assert history.events[-1].image == registry.image(3).digest


@pytest.mark.parity(10)
def test_a_push_by_digest_makes_stream_and_image_but_no_tag(registry: Any) -> None:
    manifest = registry.image("a")
    assert registry.push("team/app", manifest, None) == PushOutcome(True, True, False, None)
    assert registry.streams.stream(APP).tags == ()
    assert registry.streams.manifest(APP, manifest.digest).size == len(manifest.raw)
    assert registry.streams.image(manifest.digest)


def test_a_manifest_that_is_pushed_again_without_a_tag_is_young_and_who_was_about_to_take_it_out_is_told(
    registry: Any,
) -> None:
    manifest = registry.image("a")
    registry.push("team/app", manifest, None)
    image = registry.streams.image(manifest.digest)
    _, _, since, _ = registry.streams.editor.stream_image(APP, str(manifest.digest))
    before = registry.streams.stream(APP).meta.resource_version
    registry.push("team/app", manifest, None)
    assert registry.streams.stream(APP).meta.resource_version == before, "a moment later nothing is written"
    registry.clock.now += 2 * RENEWED
    assert registry.push("team/app", manifest, None) == PushOutcome(False, False, False, None)
    _, _, now, _ = registry.streams.editor.stream_image(APP, str(manifest.digest))
    assert now - since >= 2 * RENEWED
    assert registry.streams.image(manifest.digest) == image, "the Image is as old as it was"
    with pytest.raises(Conflict):
        registry.streams.editor.release_image(APP, manifest.digest, uid=None, resource_version=before, dry_run=False)


def test_an_index_records_its_children(registry: Any) -> None:
    amd64, arm = registry.image("amd64"), registry.image("arm")
    for child in (amd64, arm):
        registry.push("team/app", child, None)
    index = registry.index(amd64, arm)
    registry.push("team/app", index, "v1")
    image = registry.streams.image(index.digest)
    assert [(child.digest, child.architecture, child.os, child.size) for child in image.manifests] == [
        (amd64.digest, "amd64", "linux", len(amd64.raw)),
        (arm.digest, "arm", "linux", len(arm.raw)),
    ]
    assert image.layers == ()
    assert image.docker_metadata == {}


def test_an_index_does_not_open_images_of_other_repositories(registry: Any) -> None:
    secret = registry.image("secret")
    registry.push("other/app", secret)
    registry.push("team/app", registry.index(secret))
    with pytest.raises(ImageUnknown):
        registry.streams.manifest(APP, secret.digest)


def test_an_image_in_two_streams_exists_once(registry: Any) -> None:
    manifest = registry.image("a")
    registry.push("team/app", manifest)
    assert registry.push("team/copy", manifest) == PushOutcome(True, False, True, None)
    assert registry.streams.image(manifest.digest).reference == f"{registry.host}/team/app@{manifest.digest}"
    copy = registry.streams.stream(Repository("team", "copy"))
    assert copy.tags[0].newest.reference == f"{registry.host}/team/copy@{manifest.digest}"


@pytest.mark.parity(9)
def test_nothing_is_made_when_creating_the_stream_is_refused(registry: Any) -> None:
    before = registry.streams.revision()
    with pytest.raises(Refused):
        registry.push("team/app", "a", authorize_create=refuse)
    with pytest.raises(StreamUnknown):
        registry.streams.stream(APP)
    with pytest.raises(ImageUnknown):
        registry.streams.image(registry.image("a").digest)
    assert registry.streams.revision() == before


def test_creating_is_asked_only_for_a_stream_that_does_not_exist(registry: Any) -> None:
    registry.push("team/app", "a")
    registry.push("team/app", "b", authorize_create=refuse)


def test_nothing_is_made_when_the_door_cannot_write_its_links(registry: Any) -> None:
    registry.push("team/app", "a")
    before = registry.streams.stream(APP), registry.streams.revision()
    with pytest.raises(Refused):
        registry.push("team/app", "b", before_commit=refuse)
    assert (registry.streams.stream(APP), registry.streams.revision()) == before


def test_characters_that_no_database_stores_do_not_break_a_push(registry: Any) -> None:
    manifest = registry.image("a", artifactType="a\0b\ud800c", annotations={"k": "\0"})
    registry.push("team/app", manifest, config=b'{"os": "\\u0000", "config": {"x": "\\ud800"}}')
    image = registry.streams.image(manifest.digest)
    assert image.artifact_type == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c"
    assert image.docker_metadata["Os"] == "\0"


def test_lookups_say_what_is_missing(registry: Any) -> None:
    digest = registry.image("a").digest
    with pytest.raises(StreamUnknown, match="no ImageStream team/app"):
        registry.streams.tag(APP, "v1")
    with pytest.raises(StreamUnknown):
        registry.streams.manifest(APP, digest)
    registry.push("team/app", "b", "v1")
    with pytest.raises(TagUnknown, match="no tag 'v2'"):
        registry.streams.tag(APP, "v2")
    with pytest.raises(ImageUnknown, match="holds no manifest"):
        registry.streams.manifest(APP, digest)


def test_each_changed_object_gets_a_revision_of_its_own(registry: Any) -> None:
    registry.push("team/app", "a")
    registry.push("team/app", "b")
    with registry.database.read() as connection:
        log = connection.exec_driver_sql("SELECT kind, namespace, name, event FROM revisions ORDER BY revision").all()
    a, b = str(registry.image("a").digest), str(registry.image("b").digest)
    assert [tuple(row) for row in log[1:]] == [
        ("Image", "", a, "ADDED"),
        ("ImageStream", "team", "app", "ADDED"),
        ("Image", "", b, "ADDED"),
        ("ImageStream", "team", "app", "MODIFIED"),
    ]
