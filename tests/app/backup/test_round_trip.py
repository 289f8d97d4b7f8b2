"""A registry is saved, lost, made anew and brought back: every digest, every tag, its history and what was written."""

from __future__ import annotations

import json
import shutil
import stat
from typing import Any

import pytest

from image_registry.backup import restoring, saving
from image_registry.backup.content import Image
from image_registry.backup.errors import BackupError, Damaged, Incomplete, Refused
from image_registry.backup.folder import Folder
from image_registry.backup.reading import Reading
from image_registry.backup.restore_plan import RESTORING, Plan
from image_registry.backup.restoring import Restoring
from image_registry.backup.saving import Saved, Saving
from image_registry.kube.errors import KubeError
from image_registry.remote.errors import Unreadable
from tests.app.backup.conftest import Registry

SYSTEM = "image-registry-system"


def saver(one: Registry, folder: Folder, **wish: Any) -> Saving:
    reading = Reading(one.office, SYSTEM, wish.get("namespaces", ()))
    return Saving(reading, one.door, folder, saving.Wish(**wish))


def save(one: Registry, folder: Folder, **wish: Any) -> Saved:
    return saver(one, folder, **wish).save()


def restorer(one: Registry, folder: Folder, **wish: Any) -> Restoring:
    return Restoring(one.office, one.door, folder, restoring.Wish(**wish))


def restore(one: Registry, folder: Folder, name: str = "", **wish: Any) -> Plan:
    engine = restorer(one, folder, **wish)
    plan = engine.plan(name)
    engine.apply(plan)
    return plan


@pytest.mark.slow
def test_a_lost_registry_comes_back_whole_and_the_second_run_changes_nothing(
    old: Registry, new: Registry, folder: Folder
) -> None:
    foreseen = saver(old, folder).foresee()
    assert foreseen.changed
    assert not folder.path.exists()
    saved = save(old, folder)
    assert (saved.copied.bytes, saved.content) == (foreseen.copied.bytes, foreseen.content)
    assert not saver(old, folder).foresee().changed
    assert (save(old, folder).changed, folder.names()) == (False, [saved.name])

    plan = restorer(new, folder).plan()
    assert (new.told(), plan.changed) == ({}, True)
    done = restorer(new, folder).apply(plan)
    assert done.images == plan.copies.images
    assert new.told() == old.told()
    for name, digest in old.pushed.items():
        repository, tag = name.split(":")
        wanted = old.pulled(repository, tag)
        assert new.pulled(repository, tag) == wanted
        assert wanted == digest or tag == "latest"
    for image in saved.content.images:
        assert new.pulled(image.repository, image.digest) == image.digest
    assert new.signatures() == old.signatures()
    assert len(new.signatures()) == 1
    assert not restorer(new, folder).plan().changed


@pytest.mark.slow
def test_a_restore_that_was_interrupted_goes_on_and_what_is_another_one_is_refused_by_name(
    old: Registry, new: Registry, folder: Folder
) -> None:
    # tags that follow others took earlier images from there, and follow one that follows
    old.push("team/app", "better", "v1")
    source = {"kind": "ImageStreamTag", "namespace": "team", "name": "app:v1"}
    old.rewrite("other/tool", tags=[{"name": "followed", "from": source, "generation": 0}])
    chained = {"kind": "ImageStreamTag", "name": "tool:followed"}
    old.office.api.write("POST", "namespaces/other/imagestreams", _stream("other", "chain", [("of", chained)]), 201)
    save(old, folder)

    engine = restorer(new, folder)
    plan = engine.plan()
    new.office.failures["PATCH", "/apis/image.alauda.io/v1/namespaces/team/imagestreams/app/status"] = [500]
    with pytest.raises(KubeError, match="planned failure"):
        engine.apply(plan)
    assert new.told() != old.told()
    restore(new, folder)
    assert new.told() == old.told()
    assert not restorer(new, folder).plan().changed

    new.push("team/app", "pushed since", "v1")
    new.push("team/apart", "of somebody else", "v1")
    with pytest.raises(Refused, match=r"ImageStream/team/app.*overwrite"):
        restorer(new, folder).plan()
    apart = new.stream("team/apart")
    restore(new, folder, overwrite=("ImageStream/team/app",))
    found = new.told()
    assert {name: found[name] for name in old.told()} == old.told()
    assert new.stream("team/apart") == apart


@pytest.mark.slow
def test_what_is_damaged_is_refused_by_name_and_mended_by_the_next_backup(old: Registry, folder: Folder) -> None:
    saved = save(old, folder)
    image = next(image for image in saved.content.images if image.repository == "team/app")
    blobs = folder.images / "v2/team/app/blobs"
    path = next(path for path in sorted(blobs.iterdir()) if path.name != image.digest and path.stat().st_size < 2000)
    whole = path.read_bytes()
    for bytes_, deep in ((b"?" + whole[1:], True), (whole[1:], False)):
        path.write_bytes(bytes_)
        with pytest.raises(Damaged, match=f"nothing was changed.*{path.name}"):
            restorer(old, folder, deep=deep).plan()
    assert save(old, folder).copied.images  # a short file is noticed without reading it
    assert path.read_bytes() == whole
    assert not restorer(old, folder).plan().changed

    for file in sorted((folder.path / saved.name).iterdir()):
        whole = file.read_bytes()
        file.write_bytes(whole.replace(b"a", b"b", 1) if b"a" in whole else whole + b" ")
        with pytest.raises(Damaged, match=file.name):
            restorer(old, folder).plan()
        file.write_bytes(whole)
    with pytest.raises(BackupError, match="there is no backup 'other'"):
        restorer(old, folder).plan("other")
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    folder.path.chmod(0o755)
    with pytest.raises(BackupError, match="chmod 700"):
        save(old, folder)


@pytest.mark.slow
def test_what_goes_while_it_is_saved_is_read_again_and_what_is_lost_is_named(old: Registry, folder: Folder) -> None:
    old.push("zoo/last", "the last one", "v1")
    victim = old.pulled("team/app", "v1")

    def delete(_method: str, path: str) -> None:
        if path.endswith("zoo/imagestreams/last/layers"):
            old.ask("DELETE", f"/v2/team/app/manifests/{victim}")

    old.office.before = delete
    saved = save(old, folder)
    assert Image("team/app", victim) not in saved.content.images
    by_name = {stream["metadata"]["name"]: stream for stream in saved.content.streams}
    assert victim not in json.dumps(by_name["app"])
    assert victim not in json.dumps(by_name["tool"])  # nobody can pull what followed it
    assert not restorer(old, folder, overwrite=("ImageStream/other/tool",)).plan().copies.images

    old.office.before = lambda _method, _path: None
    lost = old.pulled("zoo/last", "v1")
    layer = json.loads(old.ask("GET", f"/v2/zoo/last/manifests/{lost}")[1])["layers"][1]["digest"]
    for data in (old.root, folder.images):
        for path in data.rglob(f"*{layer.removeprefix('sha256:')}*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(Incomplete, match=f"no backup was made: zoo/last@{lost}"):
        save(old, folder)
    assert folder.names() == [saved.name]
    accepted = save(old, folder, accept=("zoo/*",))
    assert accepted.content.missing == (f"zoo/last@{lost}",)
    with pytest.raises(Damaged, match=f"zoo/last@{lost}: its blob {layer} is not in the folder"):
        restorer(old, folder).plan(saved.name)


@pytest.mark.slow
def test_a_lost_storage_is_noticed_though_the_database_names_every_image_and_is_filled_again(
    old: Registry, folder: Folder
) -> None:
    save(old, folder)
    assert not restorer(old, folder).plan().changed
    before = old.told()
    blobs = next(old.root.rglob("docker/registry/v2/blobs"))
    shutil.rmtree(blobs)
    digest = old.pushed["team/app:v1"]
    assert old.ask("HEAD", f"/v2/team/app/manifests/{digest}")[0] == 200  # the tables still say so
    with pytest.raises(AssertionError):
        old.pulled("team/app", "v1")
    plan = restorer(old, folder).plan()
    assert set(plan.images) == plan.lost
    assert plan.copies.images >= len(plan.images)
    restorer(old, folder).apply(plan)
    for image in plan.images:
        assert old.pulled(image.repository, image.digest) == image.digest
    assert old.told() == before
    assert not restorer(old, folder).plan().changed


@pytest.mark.slow
def test_no_backup_of_what_was_lost_or_is_half_restored_becomes_the_newest(
    old: Registry, new: Registry, folder: Folder
) -> None:
    saved = save(old, folder)
    with pytest.raises(Refused, match=f"since the backup {saved.name}, so no backup was made: 0 streams instead of 2"):
        save(new, folder)
    with pytest.raises(Refused, match="much is gone"):
        saver(new, folder).foresee()
    assert folder.names() == [saved.name]
    emptied = save(new, folder, allow_fewer=True)
    plan = restorer(new, folder).plan()
    assert plan.document()["counts"]["streams"] == 0
    assert plan.document()["previous"] == {
        "name": saved.name,
        "made": folder.read(saved.name).manifest["made"],
        "counts": {key: saved.content.counts[key] for key in ("streams", "tags", "images")},
    }
    assert plan.backup.name == emptied.name

    old.rewrite("other/tool", annotations={RESTORING: "true"})
    with pytest.raises(Refused, match=r"1 streams are being restored.*other/tool"):
        save(old, folder)
    damaged = folder.path / emptied.name / "streams.json"
    damaged.write_bytes(b"[ ]")
    old.rewrite("other/tool", annotations={})
    shutil.rmtree(folder.path / saved.name)
    assert save(new, folder, allow_fewer=True).changed  # the newest one says the same, and is damaged


@pytest.mark.slow
def test_a_pointer_that_was_does_not_keep_a_stream_from_coming_back(
    old: Registry, new: Registry, folder: Folder
) -> None:
    away = {"kind": "DockerImage", "name": "registry.example.com/team/app:v1"}
    for tags in ([{"name": "v1", "reference": True, "from": away}], []):
        old.rewrite("team/app", tags=tags)
    old.push("team/app", "after the pointer", "v1")
    history = next(tag for tag in old.stream("team/app")["status"]["tags"] if tag["tag"] == "v1")["items"]
    assert any(not event.get("image") for event in history)
    save(old, folder)
    restore(new, folder)
    assert new.pulled("team/app", "v1") == old.pulled("team/app", "v1")
    assert not restorer(new, folder).plan().changed
    assert not restorer(old, folder).plan().changed


@pytest.mark.slow
def test_a_full_folder_is_no_reason_to_give_images_up(
    old: Registry, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: Any) -> int:
        raise Unreadable("/folder cannot be written: No space left on device")

    monkeypatch.setattr("image_registry.mirroring.in_files.write_blob", full)
    with pytest.raises(Incomplete, match=r"reasons beside them.*No space left.*run again"):
        save(old, folder, accept=("*",))
    assert folder.names() == []


@pytest.mark.slow
def test_without_images_a_backup_is_good_beside_its_storage_alone(old: Registry, new: Registry, folder: Folder) -> None:
    save(old, folder, images=False)
    assert not folder.images.exists()
    with pytest.raises(Refused, match=r"was made without images.*Bring the storage back first"):
        restorer(new, folder).plan()
    assert not restorer(old, folder).plan().changed
    old.rewrite("team/app", labels={"since": "then"})
    restore(old, folder, overwrite=("ImageStream/*",))
    assert "labels" not in old.stream("team/app")["metadata"]


@pytest.mark.slow
def test_secrets_that_may_not_be_listed_are_not_called_none(old: Registry, folder: Folder) -> None:
    old.office.failures["GET", f"/api/v1/namespaces/{SYSTEM}/secrets"] = [403]
    assert saver(old, folder, images=False).foresee().content.left_out == (f"Secret/{SYSTEM}/*",)


@pytest.mark.slow
def test_a_backup_of_one_namespace_says_so_and_brings_no_other_back(
    old: Registry, new: Registry, folder: Folder
) -> None:
    new.push("team/app", "what it follows", "v1")
    kept = new.stream("team/app")
    save(old, folder, namespaces=("other",))
    plan = restore(new, folder)
    assert plan.document()["namespaces"] == ["other"]
    assert new.told()["other/tool"] == old.told()["other/tool"]
    assert new.stream("team/app") == kept
    assert new.pulled("other/tool", "latest") == old.pushed["other/tool:latest"]
    assert not restorer(new, folder).plan().changed


def _stream(namespace: str, name: str, tags: list[tuple[str, dict[str, str]]]) -> dict[str, Any]:
    wanted = [{"name": tag, "from": source} for tag, source in tags]
    head = {"apiVersion": "image.alauda.io/v1", "kind": "ImageStream"}
    return {**head, "metadata": {"namespace": namespace, "name": name}, "spec": {"tags": wanted}}
