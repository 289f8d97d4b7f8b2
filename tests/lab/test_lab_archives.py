from __future__ import annotations

import hashlib
import json
import os
import tarfile
from pathlib import Path

import pytest

from image_registry_lab import archives
from image_registry_lab.archives import Image
from image_registry_lab.places import Places
from image_registry_lab.report import LabError


def quiet(_: str) -> None:
    """Nothing is said."""


@pytest.fixture
def image(tmp_path: Path) -> Image:
    program = tmp_path / "program"
    program.write_bytes(b"#!/bin/sh\n")
    program.chmod(0o755)
    return Image("lab.local/thing:1", (("/usr/bin/thing", program),), ("/usr/bin/thing",), (("/bin/alias", "thing"),))


def test_the_archive_holds_one_layer_whose_digest_the_configuration_names(image: Image, tmp_path: Path) -> None:
    target = tmp_path / "thing.tar"
    archives.write(image, target)
    with tarfile.open(target) as archive:
        (listing,) = json.load(archive.extractfile("manifest.json") or pytest.fail("no manifest"))
        layer = (archive.extractfile(listing["Layers"][0]) or pytest.fail("no layer")).read()
        config = (archive.extractfile(listing["Config"]) or pytest.fail("no config")).read()
    assert listing["RepoTags"] == ["lab.local/thing:1"]
    assert listing["Config"] == f"{hashlib.sha256(config).hexdigest()}.json"
    assert json.loads(config)["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]
    assert json.loads(config)["config"]["Entrypoint"] == ["/usr/bin/thing"]


def test_programs_stay_executable_and_belong_to_root(image: Image, tmp_path: Path) -> None:
    target = tmp_path / "thing.tar"
    archives.write(image, target)
    with tarfile.open(target) as archive, tarfile.open(fileobj=archive.extractfile("layer.tar")) as layer:
        members = {member.name: member for member in layer}
    assert list(members) == ["tmp", "usr", "usr/bin", "usr/bin/thing", "bin/alias"]
    assert members["usr/bin/thing"].mode == 0o755
    assert members["tmp"].mode == 0o1777
    assert members["bin/alias"].linkname == "thing"
    assert {(member.uid, member.mtime) for member in members.values()} == {(0, 0)}


def test_the_same_files_make_the_same_bytes(image: Image, tmp_path: Path) -> None:
    archives.write(image, tmp_path / "1.tar")
    os.utime(image.files[0][1], (1, 1))
    archives.write(image, tmp_path / "2.tar")
    assert (tmp_path / "1.tar").read_bytes() == (tmp_path / "2.tar").read_bytes()


def test_an_archive_is_written_once_and_again_when_a_program_changes(image: Image, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    assert archives.ensure(image, folder, quiet)
    assert not archives.ensure(image, folder, quiet)
    image.files[0][1].write_bytes(b"#!/bin/sh\necho changed\n")
    assert archives.ensure(image, folder, quiet)
    assert [path.name for path in folder.iterdir() if not path.name.startswith(".")] == ["thing.tar"]


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    image = Image("lab.local/thing:1", (("/thing", tmp_path / "nowhere"),), ("/thing",))
    with pytest.raises(LabError, match=r"lab\.local/thing:1 needs .*nowhere"):
        archives.ensure(image, tmp_path, quiet)


def test_no_image_has_the_tag_latest_so_that_nothing_is_pulled(tmp_path: Path) -> None:
    for image in archives.standard(Places(tmp_path)):
        assert image.name.startswith("lab.local/")
        assert image.name.rpartition(":")[2] not in ("", "latest")
