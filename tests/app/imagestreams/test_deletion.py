"""Deleting: what goes, what stays, and what must be refused."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from image_registry.imagestreams.errors import Conflict, ImageInUse, ImageUnknown, StreamUnknown, TagUnknown
from image_registry.imagestreams.service import ImageStreams
from image_registry.metadata import database as database_module
from image_registry.metadata.tables import revisions
from image_registry.oci.reference import Repository

APP = Repository("team", "app")


def test_deleting_a_tag_keeps_image_and_manifest(registry: Any) -> None:
    manifest = registry.image("a")
    registry.push("team/app", manifest, "v1")
    registry.push("team/app", manifest, "v2")
    before = registry.streams.stream(APP).meta.resource_version
    registry.streams.delete_tag(APP, "v1")
    assert [tag.tag for tag in registry.streams.stream(APP).tags] == ["v2"]
    assert registry.streams.stream(APP).meta.resource_version > before
    registry.streams.delete_tag(APP, "v2")
    assert registry.streams.manifest(APP, manifest.digest)
    assert registry.streams.image(manifest.digest)


def test_a_deleted_tag_comes_back_without_its_past(registry: Any) -> None:
    registry.push("team/app", "a")
    registry.push("team/app", "b")
    registry.streams.delete_tag(APP, "latest")
    registry.push("team/app", "c")
    assert [len(tag.events) for tag in registry.streams.stream(APP).tags] == [1]


def test_deleting_what_is_not_there_says_so(registry: Any) -> None:
    digest = registry.image("a").digest
    with pytest.raises(StreamUnknown):
        registry.streams.delete_tag(APP, "v1")
    with pytest.raises(StreamUnknown):
        registry.streams.delete_manifest(APP, digest)
    with pytest.raises(StreamUnknown):
        registry.streams.delete_stream(APP)
    registry.push("team/app", "b")
    before = registry.streams.revision()
    with pytest.raises(TagUnknown):
        registry.streams.delete_tag(APP, "v1")
    with pytest.raises(ImageUnknown):
        registry.streams.delete_manifest(APP, digest)
    with pytest.raises(ImageUnknown):
        registry.streams.delete_image(digest)
    assert registry.streams.revision() == before
    assert registry.streams.pending_cleanups() == []


def test_deleting_a_manifest_removes_the_tags_that_mean_it(registry: Any) -> None:
    old, new = registry.image("old"), registry.image("new")
    registry.push("team/app", old, "moved")
    registry.push("team/app", new, "moved")
    registry.push("team/app", old, "b")
    registry.push("team/app", old, "a")
    assert registry.streams.delete_manifest(APP, old.digest) == ("a", "b")
    (moved,) = registry.streams.stream(APP).tags
    assert [event.image for event in moved.events] == [new.digest], "the past offers nothing that cannot be pulled"
    with pytest.raises(ImageUnknown):
        registry.streams.manifest(APP, old.digest)
    assert registry.streams.image(old.digest), "the Image stays until somebody deletes it"


def test_deleting_a_stream_takes_everything_but_images(registry: Any) -> None:
    manifest = registry.image("a")
    registry.push("team/app", manifest)
    registry.push("team/other", manifest)
    deleted = registry.streams.delete_stream(APP)
    assert [tag.newest.image for tag in deleted.tags] == [manifest.digest]
    with pytest.raises(StreamUnknown):
        registry.streams.stream(APP)
    assert registry.streams.image(manifest.digest)
    assert registry.streams.stream(Repository("team", "other")).tags
    with registry.database.read() as connection:
        for table in ("tags", "tag_events", "held_manifests"):
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() == 1  # noqa: S608


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_stream_whose_deletion_takes_long_can_be_deleted(registry: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or its namespace would never end. A trigger plays a past of a million events."""
    registry.push("team/app", "a")
    slowly = "RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.8); RETURN OLD; END $$"
    with registry.database.write() as connection:
        connection.exec_driver_sql(f"CREATE FUNCTION slowly() {slowly}")
        connection.exec_driver_sql(
            "CREATE TRIGGER slowly BEFORE DELETE ON image_streams FOR EACH ROW EXECUTE FUNCTION slowly()"
        )
    monkeypatch.setattr(database_module, "STATEMENT_TIMEOUT", 0.5)
    database = database_module.Database(registry.database.engine.url.render_as_string(hide_password=False))
    ImageStreams(database, internal_hostname="host").delete_stream(APP)
    assert registry.streams.namespaces() == []
    with database.write() as connection:
        assert connection.exec_driver_sql("SHOW statement_timeout").scalar() == "500ms", "of that transaction alone"
    database.dispose()


def test_a_stream_made_again_is_another_stream(registry: Any) -> None:
    registry.push("team/app", "a", "old")
    before = registry.streams.delete_stream(APP)
    registry.push("team/app", "b", "new")
    after = registry.streams.stream(APP)
    assert after.meta.uid != before.meta.uid
    assert [tag.tag for tag in after.tags] == ["new"]
    assert after.meta.resource_version > before.meta.resource_version


def test_deleting_the_streams_of_a_namespace_leaves_the_others(registry: Any) -> None:
    for number in range(5):
        registry.push(f"team/app{number}", number)
    registry.push("team-b/app", "b")
    deleted = registry.streams.delete_streams("team")
    assert [str(stream.repository) for stream in deleted] == [f"team/app{number}" for number in range(5)]
    assert registry.streams.namespaces() == ["team-b"]
    assert registry.streams.delete_streams("team") == ()


@pytest.mark.parametrize("precondition", [{"uid": "other"}, {"resource_version": 1}])
def test_a_precondition_that_does_not_hold_is_a_conflict(registry: Any, precondition: dict[str, Any]) -> None:
    manifest = registry.image("a")
    registry.push("team/app", manifest)
    with pytest.raises(Conflict, match="look at it again"):
        registry.streams.delete_tag(APP, "latest", **precondition)
    assert registry.streams.tag(APP, "latest")
    with pytest.raises(Conflict, match="look at it again"):
        registry.streams.delete_stream(APP, **precondition)
    assert registry.streams.stream(APP)
    registry.streams.delete_stream(APP)
    with pytest.raises(Conflict, match="look at it again"):
        registry.streams.delete_image(manifest.digest, **precondition)
    assert registry.streams.image(manifest.digest)


def test_preconditions_that_hold_let_the_delete_pass(registry: Any) -> None:
    manifest = registry.image("a")
    registry.push("team/app", manifest)
    stream = registry.streams.stream(APP).meta
    registry.streams.delete_tag(APP, "latest", uid=stream.uid, resource_version=stream.resource_version)
    stream, image = registry.streams.stream(APP).meta, registry.streams.image(manifest.digest).meta
    registry.streams.delete_stream(APP, uid=stream.uid, resource_version=stream.resource_version)
    registry.streams.delete_image(manifest.digest, uid=image.uid, resource_version=image.resource_version)


def test_a_tag_that_is_not_there_is_unknown_whatever_the_preconditions(registry: Any) -> None:
    registry.push("team/app", "a")
    with pytest.raises(TagUnknown):
        registry.streams.delete_tag(APP, "v1", uid="other", resource_version=1)


def test_a_dry_run_answers_as_the_deletion_would_and_changes_nothing(registry: Any) -> None:
    manifest = registry.image("a")
    registry.push("team/app", manifest)
    before = registry.streams.stream(APP), registry.streams.image(manifest.digest), registry.streams.revision()
    registry.streams.delete_tag(APP, "latest", dry_run=True)
    assert registry.streams.delete_stream(APP, dry_run=True) == before[0]
    with pytest.raises(ImageInUse):
        registry.streams.delete_image(manifest.digest, dry_run=True)
    with pytest.raises(TagUnknown):
        registry.streams.delete_tag(APP, "v1", dry_run=True)
    with pytest.raises(Conflict):
        registry.streams.delete_tag(APP, "latest", uid="other", dry_run=True)
    assert before == (
        registry.streams.stream(APP),
        registry.streams.image(manifest.digest),
        registry.streams.revision(),
    )
    assert registry.streams.pending_cleanups() == []
    registry.streams.delete_stream(APP)
    assert registry.streams.delete_image(manifest.digest, dry_run=True) == before[1]
    assert registry.streams.revision() == before[2] + 1
    assert registry.streams.delete_image(manifest.digest) == before[1]
    assert registry.streams.revision() == before[2] + 2, "dry runs use up no revisions"


def test_an_image_that_a_stream_holds_is_not_deleted(registry: Any) -> None:
    manifest = registry.image("a")
    registry.push("team/app", manifest)
    registry.streams.delete_tag(APP, "latest")
    with pytest.raises(ImageInUse, match="held by ImageStream team/app"):
        registry.streams.delete_image(manifest.digest)
    registry.streams.delete_manifest(APP, manifest.digest)
    assert registry.streams.delete_image(manifest.digest).digest == manifest.digest
    with pytest.raises(ImageUnknown):
        registry.streams.image(manifest.digest)


def test_a_deleted_image_can_be_pushed_again(registry: Any) -> None:
    manifest = registry.image("a")
    registry.push("team/app", manifest)
    registry.streams.delete_stream(APP)
    old = registry.streams.delete_image(manifest.digest)
    assert registry.push("team/app", manifest).created_image
    assert registry.streams.image(manifest.digest).meta.uid != old.meta.uid


def test_the_log_remembers_what_a_watch_must_say_about_deleted_objects(registry: Any) -> None:

    manifest = registry.image("a")
    registry.push("team/app", manifest)
    stream = registry.streams.delete_stream(APP)
    image = registry.streams.delete_image(manifest.digest)
    with registry.database.read() as connection:
        log = connection.execute(select(revisions).order_by(revisions.c.revision)).all()[-2:]
    assert [(row.kind, row.name, row.event) for row in log] == [
        ("ImageStream", "app", "DELETED"),
        ("Image", str(manifest.digest), "DELETED"),
    ]
    assert [row.last_state["uid"] for row in log] == [stream.meta.uid, image.meta.uid]
    assert log[1].last_state["annotations"] == {"image.alauda.io/managed": "true"}
