"""The benchmark of a migration makes the tree it speaks of, tells every client of every image, and hides no failure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import migration, migration_copies, migration_storage, mirror
from benchmarks.connection import Address
from benchmarks.migration_copies import CLIENTS, OURS
from benchmarks.migration_tree import Different, Shape, lay_down, stored
from benchmarks.mirror import Invalid
from benchmarks.servers import LOOPBACK, Server
from image_registry.migration.content import ContentFile, ContentWriter
from image_registry.migration.survey_storage import survey_storage
from image_registry.storage.filesystem import FilesystemStore

SHAPE = Shape(3, 2)
HERE, THERE = (Server(name, Address("127.0.0.1", port), None) for name, port in (("a", 1), ("b", 2)))


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kept")
    lay_down(folder, SHAPE)
    return folder


@pytest.fixture
def content(kept: Path, tmp_path: Path) -> ContentFile:
    with ContentWriter(tmp_path / "content", "storage", "kept") as writer:
        survey_storage(FilesystemStore(kept / "data"), writer)
    return ContentFile(tmp_path / "content")


def test_the_tree_is_what_its_shape_says(kept: Path, content: ContentFile) -> None:
    number, size = stored(kept / "data")
    assert number == SHAPE.blobs
    found = {repository.name: repository for repository in content.repositories()}
    assert set(found) == {"team-0/deep/app-0", "team-1/app-1", "team-2/app-2"}
    assert all(len(one.tags) == 2 and not one.problems for one in found.values())
    assert 0 < migration_copies._size(content) < size  # without the manifests
    shared = set(found["team-1/app-1"].blobs) & set(found["team-2/app-2"].blobs)
    assert len(shared) == 3


def test_a_tree_that_is_kept_is_not_taken_for_another_one(kept: Path, tmp_path: Path) -> None:
    before = stored(kept / "data")
    lay_down(kept, SHAPE)
    assert stored(kept / "data") == before
    with pytest.raises(Different, match="tree of"):
        lay_down(kept, Shape(3, 1))
    (tmp_path / "data").mkdir()
    with pytest.raises(Different, match="not finished"):
        lay_down(tmp_path, SHAPE)


def test_the_namespace_that_all_copy_has_every_base_and_no_name_too_deep() -> None:
    shape = Shape(2000, 5)
    names = list(shape.sample(migration_copies.NAMESPACE))
    assert len(names) == 50
    assert all(name.count("/") == 1 and name.startswith("team-7/") for name in names)
    assert {shape.base(int(name.rpartition("-")[2])) for name in names} == set(range(20))


def test_every_client_is_told_of_the_same_images_and_of_nothing_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: ContentFile
) -> None:
    monkeypatch.setattr(mirror, "_program", lambda name: name)
    tags = sorted(tag for tag in migration_copies._tags(content) if tag.startswith("team-1/"))
    told: dict[str, str] = {}
    for name, client in CLIENTS.items():
        folder = tmp_path / name
        folder.mkdir()
        commands = client(HERE, THERE, tags, folder)
        files = [path.read_text() for path in folder.rglob("*") if path.is_file()]
        told[name] = "\n".join([*(" ".join(command) for command in commands), *files])
    for name in ("skopeo sync", "crane copy", "4 crane copy"):
        assert "team-1/app-1" in told[name]
        assert "team-2" not in told[name]
    assert all(f"{LOOPBACK[0]}:2" in text for text in told.values())
    assert "--jobs 16" in told["crane copy"]
    assert "-P 4" in told["4 crane copy"]
    assert "--jobs 4" in told["4 crane copy"]


def test_a_client_that_fails_makes_the_figures_invalid(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="no such image"):
        migration_copies._run(["sh", "-c", "echo no such image >&2; exit 3"], tmp_path)


def measured(**parts: Any) -> Callable[..., Any]:
    return lambda *_arguments: parts


def test_the_page_has_cutover_bytes_and_ratios_round_by_round(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rounds = {
        OURS: [{"seconds": 2.0, "load": 1.0, "peak": 50 << 20}, {"seconds": 4.0, "load": 3.0, "peak": 60 << 20}],
        "crane copy": [{"seconds": 6.0, "load": 2.0}, {"seconds": 4.0, "load": 2.0}],
    }
    workload = {"name": "one", "about": "some", "tags": 2, "bytes": 12 << 20, "clients": rounds}
    reuse = {"seconds": {"backfill": 7.0}, "cutover": 7.5, "bytes copied": 0, "bytes": 3 << 20}
    monkeypatch.setattr(migration_storage, "reuse", measured(**reuse))
    monkeypatch.setattr(migration_copies, "compared", lambda *_arguments: [workload])
    arguments = ["--repositories", "3", "--tags", "2", "--only", "reuse", "--only", "copy", "--folder", str(tmp_path)]
    assert migration.main(arguments) == 0
    page = capsys.readouterr().out
    assert "cutover time, from the freeze to green gates: 7.5 s" in page
    assert "bytes copied: 0 of 3 MiB" in page
    assert f"| {OURS} | 3.00 (2.00 to 4.00) | 4.0 | 1.00 (1.00 to 1.00) |" in page
    assert "| crane copy | 5.00 (4.00 to 6.00) | 2.4 | 2.00 (1.00 to 3.00) |" in page
    assert "load of the machine 1.0 to 3.0; memory of the engine 60 MiB" in page


def test_what_is_invalid_is_the_exit_status(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_arguments: object) -> None:
        raise Invalid("an image is missing")

    monkeypatch.setattr(migration_storage, "reuse", fails)
    arguments = ["--repositories", "2", "--tags", "1", "--only", "reuse", "--folder", str(tmp_path), "-o", "json"]
    assert migration.main(arguments) == 1
    said = capsys.readouterr()
    assert "invalid: an image is missing" in said.err
    assert not said.out
