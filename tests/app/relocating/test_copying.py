"""A registry is copied from folder to folder; ``tests/stores/test_relocating.py`` has the object stores."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from image_registry.oci.digest import Digest
from image_registry.relocating import uploads, wording
from image_registry.relocating.note import NotTheCopy
from image_registry.storage import layout
from image_registry.storage.choice import Filesystem, open_store
from image_registry.storage.folder_tree import FolderTree
from image_registry.storage.tree import open_tree
from tests.app.relocating.registry_tree import APP, Filled, blob, content, run, snapshot

LATER = datetime.now(UTC) + timedelta(days=1)


def spoil(storage: Filesystem, digest: Digest) -> None:
    path = storage.rootdirectory / layout.blob_data(digest)
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.usefixtures("filled")
def test_everything_comes_along_and_the_source_is_not_touched(source: Filesystem, target: Filesystem) -> None:
    before = snapshot(source.rootdirectory)
    report = run(source, target, complete=True)
    assert report["state"] == "complete"
    assert report["clean"]
    assert report["blobs"]["copied"] == report["blobs"]["found"] == report["blobs"]["readAgain"] == 9
    assert content(open_tree(target)) == content(open_tree(source))
    assert snapshot(source.rootdirectory) == before
    assert open_store(target).tags(APP) == ["v1", "v2"]


@pytest.mark.usefixtures("filled")
def test_a_dry_run_says_what_a_run_then_does_and_writes_nothing(source: Filesystem, target: Filesystem) -> None:
    planned = run(source, target, dry_run=True)
    assert not target.rootdirectory.exists()
    done = run(source, target)
    assert planned["state"] == "planned"
    assert planned["blobs"]["toCopy"] == done["blobs"]["copied"] == 9
    assert planned["blobs"]["bytesToCopy"] == done["blobs"]["bytesCopied"] > 6 << 20
    assert planned["links"] == done["links"]
    assert planned["records"] == done["records"] == {"found": 1, "written": 1, "removed": 0}


@pytest.mark.usefixtures("filled")
def test_a_second_run_has_nothing_to_do(source: Filesystem, target: Filesystem) -> None:
    run(source, target)
    before = snapshot(target.rootdirectory)
    report = run(source, target)
    assert report["blobs"]["copied"] == report["links"]["written"] == report["records"]["written"] == 0
    after = snapshot(target.rootdirectory)
    assert {name: found for name, found in after.items() if ".copy" not in name} == {
        name: found for name, found in before.items() if ".copy" not in name
    }


def test_what_happens_between_the_passes_comes_over_with_the_next(
    source: Filesystem, target: Filesystem, filled: Filled
) -> None:
    run(source, target)
    moved = filled.image(APP, "v1", blob(7))  # the same length in every link
    filled.store.remove_tag(APP, "v2")
    filled.store.unlink_blob(APP, Digest.of(blob(3)))
    filled.store.write_records({"streams/demo/app": b"what only the tables knew!!"})
    report = run(source, target, complete=True)
    assert report["blobs"]["copied"] == 2
    assert report["links"]["removed"] == 3
    assert report["records"]["written"] == 1
    assert content(open_tree(target)).keys() >= content(open_tree(source)).keys()
    there = open_store(target)
    assert there.read_tag(APP, "v1") == moved
    assert there.tags(APP) == ["v1"]
    assert not (target.rootdirectory / layout.tag_folder(APP, "v2")).exists()
    assert there.stat(Digest.of(blob(3))) == 1000, "no blob is ever removed"


def test_a_corrupt_blob_is_named_and_the_rest_goes_on(source: Filesystem, target: Filesystem, filled: Filled) -> None:
    wrong, large = Digest.of(blob(4)), Digest.of(blob(2, 6 << 20))
    spoil(source, wrong)
    spoil(source, large)
    report = run(source, target, complete=True)
    assert not report["clean"]
    assert report["state"] == "copied"
    assert [failure["what"] for failure in report["failures"]] == sorted(map(str, (wrong, large)))
    assert "at the source are those of sha256:" in report["failures"][0]["why"]
    assert report["blobs"]["copied"] == 7
    there = open_store(target)
    assert there.stat(wrong) is None
    assert there.stat(large) is None
    assert filled.store.stat(wrong) == 1000, "the source stays as it is"
    assert not list((target.rootdirectory / layout.STAGING).iterdir())
    accepted = run(source, target, complete=True, accepted=frozenset(map(str, (wrong, large))))
    assert accepted["state"] == "complete"
    assert len(accepted["accepted"]) == 2
    assert "2 accepted failures" in "\n".join(wording.lines(accepted))


@pytest.mark.usefixtures("filled")
def test_a_target_that_reads_wrong_is_found_and_repaired_when_asked(source: Filesystem, target: Filesystem) -> None:
    run(source, target)
    spoil(target, Digest.of(blob(3)))
    assert run(source, target)["blobs"]["copied"] == 0
    report = run(source, target, check="all")
    assert report["blobs"]["copied"] == 1
    assert report["blobs"]["readAgain"] == 10
    assert open_store(target).read(Digest.of(blob(3))) == blob(3)


def test_garbage_stays_behind_unless_a_link_needs_it(source: Filesystem, target: Filesystem, filled: Filled) -> None:
    store = filled.store
    needed, garbage, aside = Digest.of(blob(3)), Digest.of(blob(8)), Digest.of(blob(9))
    for number in (8, 9):
        store.put(blob(number), Digest.of(blob(number)))
    assert store.throw_away(needed, LATER)
    assert store.throw_away(garbage, LATER)
    stored = next(found for found in store.blobs(lambda _algorithm, value: value == aside.hex))
    assert store.quarantine(stored)
    before = snapshot(source.rootdirectory)
    report = run(source, target, complete=True)
    assert report["clean"]
    assert report["state"] == "complete"
    assert report["blobs"]["fromTrash"] == 1
    assert report["leftBehind"] == {"trash": 2, "quarantine": 1, "damagedLinks": 0, "strangers": 0}
    assert snapshot(source.rootdirectory) == before, "a look into the trash brings nothing back"
    there = open_store(target)
    assert there.read(needed) == blob(3)
    assert there.stat(garbage) is None
    assert there.stat(aside) is None
    assert "1 in the trash, 1 in the quarantine" in "\n".join(wording.lines(report))


def test_deeper_names_come_along_and_damage_is_named(source: Filesystem, target: Filesystem, filled: Filled) -> None:
    digest = str(filled.digests[0])
    base = source.rootdirectory / layout.NAMESPACES
    nested = base / "a/b/c/_layers/sha256" / digest.partition(":")[2] / "link"
    alone = base / "library/_manifests/tags/v1/current/link"
    for path in (nested, alone):
        path.parent.mkdir(parents=True)
        path.write_text(digest + "\n")
    empty = base / "demo/app/_manifests/tags/v1/current/link"
    empty.write_text("")
    (base / "demo/app/notes.txt").write_text("a file of somebody else")
    report = run(source, target, complete=True)
    assert report["state"] == "complete"
    for path in (nested, alone):
        copied = target.rootdirectory / path.relative_to(source.rootdirectory)
        assert copied.read_text() == digest
    assert report["damagedLinks"] == [f"{layout.NAMESPACES}/demo/app/_manifests/tags/v1/current/link"]
    assert report["strangers"] == [f"{layout.NAMESPACES}/demo/app/notes.txt"]
    assert open_store(target).tags(APP) == ["v2"]


def test_uploads_go_on_where_they_were(source: Filesystem, target: Filesystem, filled: Filled) -> None:
    kept, ended = filled.upload(b"half of it"), filled.upload(b"some")
    report = run(source, target)
    assert report["uploads"] == {"found": 0, "copied": 0}, "they are brought when nobody adds to them"
    assert run(source, target, complete=True)["uploads"] == {"found": 2, "copied": 2}
    filled.store.abort_upload(APP, ended)
    again = run(source, target, complete=True)
    assert again["uploads"] == {"found": 1, "copied": 0}
    with open_store(target).open_upload(APP, kept) as data:
        assert data.read() == b"half of it"
    assert not (target.rootdirectory / layout.upload(APP, ended)).exists()


@pytest.mark.usefixtures("filled")
def test_a_registry_that_is_no_copy_is_not_written_over(source: Filesystem, target: Filesystem) -> None:
    other = Filled(open_store(target))
    other.image(APP, "theirs", blob(20))
    before = snapshot(target.rootdirectory)
    with pytest.raises(NotTheCopy, match=r"is no copy of the source.*--replace"):
        run(source, target)
    with pytest.raises(NotTheCopy):
        run(source, target, dry_run=True)
    assert snapshot(target.rootdirectory) == before
    report = run(source, target, complete=True, replace=True)
    assert report["links"]["removed"] > 0
    assert open_store(target).tags(APP) == ["v1", "v2"]
    with pytest.raises(NotTheCopy, match="a copy of the source, and not of another"):
        run(source, target, name="another")


@pytest.mark.usefixtures("filled")
def test_what_is_pushed_to_a_copy_in_use_is_not_taken_away(source: Filesystem, target: Filesystem) -> None:
    run(source, target, complete=True)
    assert run(source, target, complete=True)["state"] == "complete", "it may be made again as long as nobody used it"
    Filled(open_store(target)).image(APP, "v3", blob(21))
    with pytest.raises(NotTheCopy, match="a registry serves from it"):
        run(source, target)
    assert open_store(target).tags(APP) == ["v1", "v2", "v3"]


def test_the_way_back_brings_what_was_pushed_since(source: Filesystem, target: Filesystem, filled: Filled) -> None:
    run(source, target, complete=True)
    there = Filled(open_store(target))
    there.image(APP, "v3", blob(21))
    there.store.remove_tag(APP, "v2")
    report = run(target, source, name="the target", complete=True, replace=True)
    assert report["state"] == "complete"
    assert report["blobs"]["copied"] == 2
    assert filled.store.tags(APP) == ["v1", "v3"]


@pytest.mark.usefixtures("filled")
def test_a_source_that_is_still_written_to_makes_no_complete_copy(
    source: Filesystem, target: Filesystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring = uploads.bring

    def pushed_meanwhile(*places: Any, **options: Any) -> None:
        bring(*places, **options)
        Filled(open_store(source)).image(APP, "late", blob(30))
        monkeypatch.setattr(uploads, "bring", bring)

    monkeypatch.setattr(uploads, "bring", pushed_meanwhile)
    report = run(source, target, complete=True)
    assert report["state"] == "copied"
    assert not report["clean"]
    assert report["changedMeanwhile"] > 0
    assert "make it read-only first" in list(wording.lines(report))[-1]
    note = json.loads((target.rootdirectory / layout.COPY).read_text())
    assert note["completed"] == ""


@pytest.mark.usefixtures("filled")
def test_a_target_without_room_is_refused_before_anything_is_copied(
    source: Filesystem, target: Filesystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FolderTree, "free", lambda _: 1 << 20)
    report = run(source, target)
    assert (report["state"], report["clean"], report["blobs"]["found"]) == ("failed", False, 9)
    assert "room for 1048576 bytes" in report["why"]
    assert not (target.rootdirectory / layout.BLOBS).exists()


def test_half_blobs_of_a_run_that_was_killed_are_cleared(target: Filesystem) -> None:
    staging = target.rootdirectory / layout.STAGING
    staging.mkdir(parents=True)
    for name, age in (("copy-old.tmp", 7200), ("copy-young.tmp", 0), ("push.tmp", 7200)):
        (staging / name).write_bytes(b"half")
        os.utime(staging / name, (0, datetime.now(UTC).timestamp() - age))
    FolderTree(target.rootdirectory).clear(datetime.now(UTC) - timedelta(hours=1))
    assert sorted(path.name for path in staging.iterdir()) == ["copy-young.tmp", "push.tmp"]


def test_many_names_are_read_as_they_lie(tmp_path: Path) -> None:
    tree = FolderTree(tmp_path)
    names = [f"{layout.NAMESPACES}/a/b/_layers/sha256/{number:064d}/link" for number in range(300)]
    tree.write(dict.fromkeys(names, b"x"))
    assert sorted(entry.key for entry in tree.entries(layout.NAMESPACES)) == names
    assert tree.folders(f"{layout.NAMESPACES}/a") == ["b"]
    tree.remove(names)
    assert list(tree.entries(layout.NAMESPACES)) == []
    assert not (tmp_path / layout.NAMESPACES / "a").exists()
