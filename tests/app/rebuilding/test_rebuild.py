"""The tables made from a tree: complete, repeatable, stopped and gone on with, beside pushes and deletions."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from image_registry.garbage.links import clean
from image_registry.imagestreams.errors import IndexUnfinished, TagUnknown
from image_registry.imagestreams.rebuild_ledger import LEASE
from image_registry.oci.digest import Digest
from image_registry.oci.manifest import Manifest
from image_registry.oci.reference import Repository
from image_registry.rebuilding import survey
from image_registry.rebuilding.rebuild import Outcome
from image_registry.storage import layout
from image_registry.storage.blob_store import StorageFault
from tests.app import content
from tests.app.rebuilding.conftest import APP, OTHER, Tree
from tests.at_once import at_once

NEVER = threading.Event()


def run(tree: Tree) -> Outcome:
    outcome = tree.rebuild.run(NEVER)
    assert outcome is not None
    return outcome


def push(tree: Tree, made: Manifest, tag: str, repository: Repository = APP, *, write_links: bool = True) -> None:
    """As the door does it."""
    tree.store.put(made.raw, made.digest)

    def link() -> None:
        tree.store.link_manifest(repository, made.digest)

    tree.streams.push(
        repository,
        made,
        tag=tag,
        config=None,
        pushed_by="somebody",
        authorize_create=lambda: None,
        before_commit=link,
    )
    if write_links:
        tree.streams.settle(repository, tree.store.write_tags)


def snapshot(root: Path) -> dict[str, tuple[int, int]]:
    """Every file with size and time."""
    return {
        str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(root.rglob("*")) if path.is_file()
    }


def test_streams_tags_images_and_referrers_are_made_and_no_file_is_touched(tree: Tree) -> None:
    first, second = tree.image(1, "v1"), tree.image(2, "v2", "latest")
    both = content.index(first, second)
    tree.link(both, "all")
    signature = tree.image(3, subject={"mediaType": first.media_type, "digest": str(first.digest), "size": 1})
    other = tree.image(1, "v1", repository=OTHER)
    before = snapshot(tree.store.root)
    outcome = run(tree)
    assert (outcome.complete, outcome.counts.repositories, outcome.counts.manifests) == (True, 2, 5)
    assert (outcome.counts.tags, outcome.counts.images, outcome.counts.findings) == (5, 4, 0)
    assert tree.tags() == {"all": both.digest, "latest": second.digest, "v1": first.digest, "v2": second.digest}
    assert [found.digest for found in tree.streams.referrers(APP, first.digest).items] == [signature.digest]
    assert tree.streams.tag(OTHER, "v1").digest == other.digest
    image = tree.streams.image(first.digest)
    assert (image.docker_metadata["Size"], image.reference) == (8, f"host:5000/{APP}@{first.digest}")
    assert snapshot(tree.store.root) == before


def test_the_history_of_a_tag_is_told_by_the_times_of_its_links(tree: Tree) -> None:
    made = [tree.image(number, "v1") for number in range(3)]
    for age, image in zip((300, 200, 100), made, strict=True):
        link = tree.store.root / layout.tag_index(APP, "v1", image.digest)
        os.utime(link, (1_700_000_000 - age, 1_700_000_000 - age))
    os.utime(tree.store.root / layout.tag_current(APP, "v1"), (1_700_000_000, 1_700_000_000))
    run(tree)
    _, history, _ = tree.streams.stream_tag(APP, "v1")
    assert [event.image for event in history.events] == [image.digest for image in reversed(made)]
    assert history.events[-1].created == datetime.fromtimestamp(1_700_000_000 - 300, UTC)


def test_doing_it_again_changes_nothing(tree: Tree) -> None:
    for number in range(3):
        tree.image(number, "v1", f"t{number}")
    run(tree)
    before, revision = tree.streams.streams(), tree.streams.revision()
    tree.ledger.begin_again()
    again = run(tree.another_process())
    assert (again.counts.manifests, again.counts.images, again.counts.tags_changed, again.counts.removed) == (
        3,
        0,
        0,
        0,
    )
    assert (tree.streams.streams(), tree.streams.revision()) == (before, revision)


def test_until_a_repository_is_reached_storage_speaks_for_it(tree: Tree) -> None:
    image = tree.image(1, "v1")
    with pytest.raises(IndexUnfinished):
        tree.streams.tag(APP, "v1")
    with pytest.raises(IndexUnfinished):
        tree.streams.manifest(APP, image.digest)
    with pytest.raises(IndexUnfinished):
        tree.streams.delete_tag(APP, "v1")
    assert run(tree).complete
    assert tree.another_process().streams.tag(APP, "v1").digest == image.digest


def test_a_repository_that_somebody_needs_is_read_before_its_turn(tree: Tree) -> None:
    image = tree.image(1, "v1", "v2")
    tree.streams.read_storage_with(tree.rebuild.read)
    assert tree.streams.held(APP, [image.digest]) == {image.digest}
    assert tree.streams.tags(APP).items == ("v1", "v2")
    tree.streams.delete_tag(APP, "v2")
    assert clean(tree.store, tree.streams, APP)
    assert tree.store.tags(APP) == ["v1"]
    run(tree)
    assert tree.tags() == {"v1": image.digest}


def test_cleaning_waits_for_the_repository_to_be_read(tree: Tree) -> None:
    """A push that fails asks for a cleaning; what was only not read yet must survive it."""
    tree.image(1, "v1")
    fails = content.image("a push that fails")

    def refuse() -> None:
        raise StorageFault("no")

    with pytest.raises(StorageFault):
        tree.streams.push(
            APP, fails, tag="v9", config=None, pushed_by="x", authorize_create=lambda: None, before_commit=refuse
        )
    assert tree.streams.pending_cleanups() == [APP]
    assert not clean(tree.store, tree.streams, APP)
    assert tree.store.tags(APP) == ["v1"]
    run(tree)
    assert clean(tree.store, tree.streams, APP)
    assert tree.store.tags(APP) == ["v1"]


def test_a_push_before_its_turn_stays_and_the_past_of_the_tag_is_added_behind_it(tree: Tree) -> None:
    old = tree.image(1, "v1")
    old_time = tree.store.root / layout.tag_index(APP, "v1", old.digest)
    os.utime(old_time, (1_700_000_000, 1_700_000_000))
    new = content.image("new")
    push(tree, new, "v1")
    run(tree)
    _, history, _ = tree.streams.stream_tag(APP, "v1")
    assert [event.image for event in history.events] == [new.digest, old.digest]


def test_a_push_whose_links_lag_behind_is_read_and_kept(tree: Tree) -> None:
    old, new = tree.image(1, "v1"), content.image("new")
    push(tree, new, "v1", write_links=False)
    push(tree, new, "v2", write_links=False)
    assert tree.streams.tag(APP, "v1").digest == new.digest
    run(tree)
    assert tree.tags() == {"v1": new.digest, "v2": new.digest}
    _, history, _ = tree.another_process().streams.stream_tag(APP, "v1")
    assert {event.image for event in history.events} == {new.digest, old.digest}
    assert tree.streams.settle(APP, tree.store.write_tags) == 2
    assert tree.store.read_tag(APP, "v2") == new.digest


def test_a_push_while_the_repository_is_read_is_not_undone(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    tree.image(1, "v1")
    new = content.image("new")
    read = survey.Survey.tags

    def slowly(self: survey.Survey) -> object:
        found = read(self)
        push(tree, new, "v1")
        push(tree, new, "v2")
        return found

    monkeypatch.setattr(survey.Survey, "tags", slowly)
    run(tree)
    assert tree.tags() == {"v1": new.digest, "v2": new.digest}


def test_storage_wins_over_a_database_that_was_restored_from_yesterday(tree: Tree) -> None:
    first, second = tree.image(1, "moved", "gone"), tree.image(2, "stays")
    run(tree)
    third = tree.image(3, "moved", "added")
    tree.store.remove_tag(APP, "gone")
    tree.store.unlink_manifest(APP, first.digest)
    tree.ledger.begin_again()
    outcome = run(tree.another_process())
    assert outcome.counts.removed == 2
    assert tree.tags() == {"moved": third.digest, "added": third.digest, "stays": second.digest}
    with pytest.raises(TagUnknown):
        tree.another_process().streams.tag(APP, "gone")


def test_a_process_that_is_stopped_is_followed_by_one_that_goes_on(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [Repository("team", f"app{number}") for number in range(5)]
    for name in names:
        tree.image(str(name), "v1", repository=name)
    monkeypatch.setattr("image_registry.rebuilding.rebuild.NOTED_EVERY", 0)
    stop = threading.Event()
    outcome = tree.rebuild.run(stop, lambda _counts, at: stop.set() if at == names[2] else None)
    assert outcome is not None
    assert (outcome.complete, outcome.counts.repositories) == (False, 3)
    assert tree.ledger.state().after == names[2]
    second = tree.another_process()
    finished = run(second)
    assert (finished.complete, finished.counts.repositories) == (True, 5)


def test_one_process_works_and_another_takes_over_when_it_gives_no_sign(tree: Tree) -> None:
    tree.image(1, "v1")
    now = datetime.now(UTC)
    assert tree.ledger.take("dead", now - LEASE + timedelta(seconds=20))
    assert tree.rebuild.run(NEVER) is None
    with tree.database.write() as connection:
        connection.exec_driver_sql("UPDATE rebuild SET held_until = '2001-01-01 00:00:00+00'")
    assert run(tree).complete
    assert not tree.ledger.advance("dead", APP, {}, now)


def test_two_processes_at_once_write_everything_once(tree: Tree) -> None:
    for number in range(20):
        tree.image(number, f"v{number % 3}", repository=Repository("team", f"app{number % 4}"))
    other = tree.another_process()
    at_once([partial(each.rebuild.read, Repository("team", f"app{n}")) for n in range(4) for each in (tree, other)])
    assert run(tree).counts.images == 0
    assert sum(len(history.events) for stream in tree.streams.streams().items for history in stream.tags) == 20


def test_a_repository_that_cannot_be_read_keeps_its_storage_speaking_and_the_others_are_done(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree.image(1, "v1")
    tree.image(2, "v1", repository=OTHER)
    links = tree.store.links

    def broken(repository: Repository) -> object:
        if repository == APP:
            raise StorageFault("cannot list it: Input/output error")
        return links(repository)

    monkeypatch.setattr(tree.store, "links", broken)
    outcome = run(tree)
    assert (outcome.complete, len(outcome.unreadable)) == (False, 1)
    other = tree.another_process()
    assert (other.streams.covers(APP), other.streams.covers(OTHER)) == (False, True)
    monkeypatch.undo()
    assert run(other).complete


def test_a_rehearsal_writes_nothing(tree: Tree) -> None:
    tree.image(1, "v1")
    tree.link(content.image("x"), repository=Repository("a", "b/c"))
    counts, found = tree.rebuild.rehearse()
    assert (counts.repositories, counts.manifests, counts.tags) == (1, 1, 1)
    assert [finding.kind for _, finding in found] == [survey.STRANGE_NAME]
    assert tree.ledger.state().started is None
    assert tree.streams.streams().items == ()


def _empty_revision(tree: Tree, image: Manifest) -> None:
    (tree.store.root / layout.revision(APP, image.digest) / "link").write_bytes(b"")


def _empty_tag(tree: Tree, _image: Manifest) -> None:
    (tree.store.root / layout.tag_current(APP, "bad")).write_bytes(b"")


def _no_manifest(tree: Tree, image: Manifest) -> None:
    (tree.store.root / layout.blob_data(image.digest)).unlink()


def _empty_manifest(tree: Tree, image: Manifest) -> None:
    (tree.store.root / layout.blob_data(image.digest)).write_bytes(b"")


def _other_bytes(tree: Tree, image: Manifest) -> None:
    (tree.store.root / layout.blob_data(image.digest)).write_bytes(b"{}" * 100)


def _no_layer(tree: Tree, image: Manifest) -> None:
    (tree.store.root / layout.blob_data(image.layers[0].digest)).unlink()


def _no_layer_link(tree: Tree, image: Manifest) -> None:
    tree.store.unlink_blob(APP, image.layers[0].digest)


@pytest.mark.parametrize(
    ("damage", "kinds", "served"),
    [
        (_empty_revision, {survey.DAMAGED_LINK, survey.DANGLING_TAG}, False),
        (_empty_tag, {survey.DAMAGED_LINK}, False),
        (_no_manifest, {survey.MISSING_MANIFEST, survey.DANGLING_TAG}, False),
        (_empty_manifest, {survey.DAMAGED_MANIFEST, survey.DANGLING_TAG}, False),
        (_other_bytes, {survey.DAMAGED_MANIFEST, survey.DANGLING_TAG}, False),
        (_no_layer, {survey.MISSING_BLOB}, True),
        (_no_layer_link, {survey.UNLINKED_BLOB}, True),
    ],
    ids=lambda value: value.__name__.strip("_") if callable(value) else "",
)
def test_damage_is_reported_left_alone_and_hides_nothing_else(
    tree: Tree, damage: Callable[[Tree, Manifest], None], kinds: set[str], *, served: bool
) -> None:
    good, bad = tree.image("good", "good"), tree.image("bad", "bad")
    damage(tree, bad)
    before = snapshot(tree.store.root)
    outcome = run(tree)
    assert outcome.complete
    assert tree.tags() == {"good": good.digest, **({"bad": bad.digest} if served else {})}
    assert kinds <= {finding.kind for _, finding in tree.ledger.findings()}
    tree.streams.clean(APP, lambda _: True)
    push(tree, content.image("new"), "new")
    tree.streams.delete_tag(APP, "new")
    assert clean(tree.store, tree.streams, APP)
    assert set(snapshot(tree.store.root)) >= set(before), "what was not understood was removed"


def test_an_image_of_dockers_first_schema_is_kept_and_listed(tree: Tree) -> None:
    layer = b"old layer"
    tree.store.put(layer, Digest.of(layer))
    tree.store.link_blob(APP, Digest.of(layer))
    raw = b'{"schemaVersion":1,"name":"x","tag":"old","fsLayers":[{"blobSum":"%s"}],"history":[]}'
    raw = raw % str(Digest.of(layer)).encode()
    tree.store.put(raw, Digest.of(raw))
    tree.store.link_manifest(APP, Digest.of(raw))
    tree.store.write_tag(APP, "old", Digest.of(raw))
    assert run(tree).counts.findings == 0
    stored = tree.streams.tag(APP, "old")
    assert (stored.digest, stored.media_type) == (
        Digest.of(raw),
        "application/vnd.docker.distribution.manifest.v1+json",
    )
    assert [entry.digest for entry in tree.streams.image(Digest.of(raw)).layers] == [Digest.of(layer)]
