"""What keeps a copy from taking away what it did not bring: pushes at the target, wrong sources, two passes at once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository
from image_registry.relocating import copying, note, wording
from image_registry.relocating.blobs import Blobs
from image_registry.relocating.links import Links
from image_registry.relocating.note import NotTheCopy
from image_registry.server.storage_commands import storage
from image_registry.storage import layout
from image_registry.storage.choice import Filesystem, open_store
from image_registry.storage.tree import open_tree
from tests.app.relocating.registry_tree import APP, Filled, blob, content, fill, run, snapshot


def meanwhile(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, happens: Callable[[], object]) -> None:
    """Let something happen once, just before a step of the pass."""
    step = getattr(owner, name)

    def first(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(owner, name, step)
        happens()
        return step(*arguments, **options)

    monkeypatch.setattr(owner, name, first)


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("complete", [True, False])
def test_a_later_pass_does_not_disarm_the_guard(source: Filesystem, target: Filesystem, complete: bool) -> None:
    run(source, target, complete=complete)
    completed = note.read(open_tree(target))
    assert run(source, target)["clean"]
    again = note.read(open_tree(target))
    assert completed is not None
    assert again is not None
    assert (again.completed, again.sum, again.run) == (completed.completed, completed.sum, "")
    Filled(open_store(target)).image(APP, "v3", blob(21))
    for wish in ({}, {"complete": True}, {"dry_run": True}):
        with pytest.raises(NotTheCopy, match="a registry serves from it"):
            run(source, target, **wish)
    assert open_store(target).tags(APP) == ["v1", "v2", "v3"]


@pytest.mark.usefixtures("filled")
def test_uploads_of_a_registry_that_serves_from_a_copy_are_not_aborted(source: Filesystem, target: Filesystem) -> None:
    run(source, target, complete=True)
    upload_id = Filled(open_store(target)).upload(b"half of it")
    with pytest.raises(NotTheCopy, match="a registry serves from it"):
        run(source, target, complete=True)
    assert open_store(target).upload_size(APP, upload_id) == 10


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("complete", [True, False])
def test_a_push_to_the_target_during_a_pass_ends_it(
    source: Filesystem, target: Filesystem, monkeypatch: pytest.MonkeyPatch, complete: bool
) -> None:
    run(source, target, complete=complete)
    meanwhile(monkeypatch, Blobs, "bring", lambda: Filled(open_store(target)).image(APP, "v3", blob(21)))
    report = run(source, target)
    assert (report["state"], report["clean"]) == ("failed", False)
    assert "a registry serves from it" in list(wording.lines(report))[-1]
    assert open_store(target).tags(APP) == ["v1", "v2", "v3"]


def test_a_pass_that_was_killed_while_it_wrote_links_is_gone_on_with_until_the_copy_was_complete(
    source: Filesystem, target: Filesystem, filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed() -> None:
        raise KeyboardInterrupt

    meanwhile(monkeypatch, Links, "bring_records", killed)
    with pytest.raises(KeyboardInterrupt):
        run(source, target)
    assert run(source, target, complete=True)["state"] == "complete"
    filled.image(APP, "v3", blob(7))
    meanwhile(monkeypatch, Blobs, "bring", killed)
    with pytest.raises(KeyboardInterrupt):
        run(source, target)
    assert run(source, target, complete=True)["state"] == "complete", "only blobs had come"
    meanwhile(monkeypatch, Links, "bring_records", killed)
    with pytest.raises(KeyboardInterrupt):
        run(source, target)
    with pytest.raises(NotTheCopy, match="was broken off"):
        run(source, target)
    assert run(source, target, complete=True, replace=True)["state"] == "complete"


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("step", [(Blobs, "bring"), (Links, "bring"), (Links, "bring_records"), (note.Hold, "end")])
def test_of_two_passes_into_one_target_the_earlier_one_stops(
    source: Filesystem, target: Filesystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: tuple[type, str]
) -> None:
    other = Filesystem(rootdirectory=tmp_path / "other")
    theirs = fill(open_store(other))
    theirs.image(APP, "theirs", blob(50))
    theirs.store.write_records({"streams/demo/app": b"theirs"})
    meanwhile(monkeypatch, *step, lambda: run(other, target, name="the other", complete=True, replace=True))
    report = run(source, target, complete=True)
    assert report["state"] == "failed"
    assert "another copy into the same target has begun" in report["why"]
    assert content(open_tree(target)).items() >= content(open_tree(other)).items()
    assert open_store(target).tags(APP) == ["theirs", "v1", "v2"]
    kept = note.read(open_tree(target))
    assert kept is not None
    assert (kept.source, kept.sum) == ("the other", note.summed(open_tree(target)))


@pytest.mark.parametrize("there", [[], [layout.BLOBS], [layout.NAMESPACES]])
def test_a_source_that_holds_no_registry_is_refused(target: Filesystem, tmp_path: Path, there: list[str]) -> None:
    source = Filesystem(rootdirectory=tmp_path / "source")
    fill(open_store(source))
    run(source, target, complete=True)
    before = snapshot(target.rootdirectory)
    for part in {layout.BLOBS, layout.NAMESPACES} - set(there):
        shutil.rmtree(source.rootdirectory / part)
    for wish in ({"complete": True}, {"dry_run": True}, {"replace": True}):
        with pytest.raises(copying.NoRegistry, match=r"is missing or empty.*is it mounted"):
            run(source, target, **wish)
    assert snapshot(target.rootdirectory) == before


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("step", [(Blobs, "bring"), (Links, "bring")])
def test_a_source_that_goes_away_in_the_middle_makes_no_complete_copy(
    source: Filesystem, target: Filesystem, monkeypatch: pytest.MonkeyPatch, step: tuple[type, str]
) -> None:
    meanwhile(monkeypatch, *step, lambda: source.rootdirectory.rename(source.rootdirectory.with_name("gone")))
    report = run(source, target, complete=True)
    assert not report["clean"]
    assert report["state"] == "failed"


def test_a_source_that_has_lost_most_links_needs_a_word(source: Filesystem, target: Filesystem, filled: Filled) -> None:
    run(source, target)
    filled.store.remove_tag(APP, "v2")
    assert run(source, target)["links"]["removed"] == 2, "as it is every day"
    before = content(open_tree(target))
    for part in ("demo", "team-b"):
        shutil.rmtree(source.rootdirectory / layout.NAMESPACES / part)
    filled.image(Repository("new", "app"), "v1", blob(60))
    report = run(source, target)
    assert report["state"] == "failed"
    assert "right source" in report["why"]
    assert {name for name in content(open_tree(target)) if layout.NAMESPACES in name} == {
        name for name in before if layout.NAMESPACES in name
    }
    assert run(source, target, replace=True)["clean"]
    assert open_store(target).stat(Digest.of(blob(60))) == 1000
    assert not (target.rootdirectory / layout.NAMESPACES / "demo").exists()


@pytest.mark.usefixtures("filled")
def test_a_target_that_is_spelled_wrong_is_not_made(source: Filesystem, tmp_path: Path) -> None:
    wrong = tmp_path / "tagret.env"
    asked = ["copy", "--from", str(source.rootdirectory), "--to", str(wrong), "--confirm"]
    done = CliRunner().invoke(storage, asked)
    assert done.exit_code == 2
    assert f"there is no folder or file {wrong}" in done.output
    assert not wrong.exists()
    wrong.mkdir()
    assert CliRunner().invoke(storage, asked).exit_code == 0
