"""Deeper names linked under names of ours: what the rebuild then finds, and what goes when it is taken back."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from image_registry.imagestreams import forgetting
from image_registry.oci.digest import Digest
from image_registry.oci.manifest import Manifest
from image_registry.oci.reference import Repository
from image_registry.rebuilding.renaming import NOTHING, PUSHED_TO, read, rename, take_back
from image_registry.storage.blob_store import StorageFault
from tests.app import content
from tests.app.rebuilding.conftest import APP, OTHER, Tree
from tests.app.rebuilding.test_rebuild import push, run, snapshot

DEEP, NEW = Repository("team", "tools/report"), Repository("team", "tools-report")
NAMES = {"team/tools/report": "team/tools-report"}


@pytest.fixture
def filled(tree: Tree) -> Tree:
    tree.image("flat", "v1")
    tree.image("deep", "v1", "latest", repository=DEEP)
    tree.image("deep by digest", repository=DEEP)
    return tree


def test_a_renamed_repository_has_everything_and_its_old_name_is_untouched(filled: Tree) -> None:
    before = snapshot(filled.store.root)
    done = rename(filled.store, NAMES)
    assert (done.repositories, done.refused) == (1, {})
    assert {path: before[path] for path in before} == {
        path: value for path, value in snapshot(filled.store.root).items() if path in before
    }
    there, deep = filled.store.links(NEW), filled.store.links(DEEP)
    assert (set(there.manifests), there.blobs) == (set(deep.manifests), deep.blobs)
    assert {tag: meant.current for tag, meant in there.tags.items()} == {
        tag: meant.current for tag, meant in deep.tags.items()
    }
    outcome = run(filled)
    assert (outcome.counts.repositories, outcome.counts.findings) == (2, 1)  # the deeper name is told as before
    assert set(filled.tags(NEW)) == {"v1", "latest"}


def test_taking_it_back_leaves_the_storage_as_it_was(filled: Tree) -> None:
    before = snapshot(filled.store.root)
    for _ in range(2):  # done twice, because it was interrupted
        rename(filled.store, NAMES)
    assert read(filled.store, NEW) is not None
    for repositories in (1, 0):
        assert take_back(filled.store, NAMES).repositories == repositories
        assert snapshot(filled.store.root) == before


def test_one_that_broke_off_in_the_middle_is_taken_back_in_full(filled: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    before = snapshot(filled.store.root)

    def broken(*_: object) -> None:
        raise StorageFault("no space left")

    monkeypatch.setattr(filled.store, "write_tags", broken)
    with pytest.raises(StorageFault):
        rename(filled.store, NAMES)
    monkeypatch.undo()
    assert filled.store.links(NEW).manifests
    take_back(filled.store, NAMES)
    assert snapshot(filled.store.root) == before


def test_a_name_that_has_content_of_its_own_is_refused_and_the_rest_goes_on(filled: Tree) -> None:
    filled.image("deep too", "v1", repository=Repository("team", "a/b"))
    before = filled.store.links(APP)
    done = rename(filled.store, {**NAMES, "team/a/b": str(APP), "team/no/where": "team/no-where"})
    assert done.repositories == 1
    assert done.refused["team/a/b"].startswith("taken: 1 manifests and 1 tags are there")
    assert done.refused["team/no/where"] == NOTHING
    assert filled.store.links(APP) == before


def test_what_was_pushed_to_since_is_not_taken_back(filled: Tree) -> None:
    rename(filled.store, NAMES)
    filled.image("pushed since", "v2", repository=NEW)
    done = take_back(filled.store, NAMES)
    assert (done.repositories, done.refused) == (0, {"team/tools/report": PUSHED_TO})
    assert set(filled.store.links(NEW).tags) == {"v1", "v2", "latest"}


def test_streams_that_storage_told_are_forgotten_and_told_again(filled: Tree) -> None:
    filled.image("other", "v1", repository=OTHER)
    run(filled)
    made: Manifest = content.image("by somebody", b"{}", layers=[])
    filled.store.put(b"{}", Digest.of(b"{}"))
    push(filled, made, "v9", OTHER)
    before, now = snapshot(filled.store.root), datetime.now(UTC)
    filled.ledger.hold_back(now + timedelta(hours=1))
    done = forgetting.forget(filled.database, (APP, OTHER, NEW), now)
    assert (done.streams, done.kept) == (1, {str(OTHER): "somebody pushed to it"})
    assert list(filled.streams.repositories(namespaces=None, limit=10).items) == [OTHER]
    assert snapshot(filled.store.root) == before
    assert filled.rebuild.run(threading.Event()) is None, "it was made anew at once"
    assert not filled.ledger.state().finished
    filled.ledger.begin_again()
    assert run(filled).complete
    assert set(filled.tags()) == {"v1"}
