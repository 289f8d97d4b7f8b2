"""Two sources are told apart by everything that makes them two, and a secret is no part of that."""

from __future__ import annotations

import platform
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from image_registry.relocating import places
from image_registry.relocating.note import NotTheCopy
from image_registry.server.storage_commands import storage
from image_registry.storage.choice import GCS, S3, Azure, Filesystem, Swift, open_store
from tests.app.relocating.registry_tree import fill, run

ONE = S3(bucket="images", regionendpoint="https://s3.store.example.com", accesskey="key", secretkey="confidential")


@pytest.mark.parametrize(
    "other",
    [
        replace(ONE, rootdirectory="team-b"),
        replace(ONE, bucket="others"),
        replace(ONE, regionendpoint="https://s3.else.example.com"),
        replace(ONE, regionendpoint="", region="eu-central-1"),
        GCS(bucket="images"),
        Azure(accountname="images", container="images"),
        Swift(authurl="https://s3.store.example.com", container="images"),
    ],
)
def test_two_places_have_two_names(other: S3) -> None:
    assert places.called(other) != places.called(ONE)
    assert "confidential" not in places.called(ONE)


def test_credentials_and_spelling_make_no_other_place() -> None:
    same = replace(ONE, secretkey="rotated", rootdirectory="/", regionendpoint="https://s3.store.example.com/")
    assert places.called(same) == places.called(ONE) == "s3 images at https://s3.store.example.com"
    assert places.called(Swift(authurl="a", container="c", tenant="x")) != places.called(
        Swift(authurl="a", container="c", tenant="y")
    )


def test_a_folder_is_named_with_who_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Filesystem(rootdirectory=tmp_path)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr(places, "NAMESPACE", tmp_path / "namespace")
    assert places.called(folder) == f"folder {tmp_path} of {platform.node()}"
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert places.called(folder) == f"folder {tmp_path}", "the next Pod has another name"
    (tmp_path / "namespace").write_text("team-b")
    assert places.called(folder) == f"folder {tmp_path} of namespace team-b"


def test_the_same_path_of_another_host_is_another_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    fill(open_store(Filesystem(rootdirectory=source)))
    target.mkdir()
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    asked = ["copy", "--from", str(source), "--to", str(target), "--confirm"]
    assert CliRunner().invoke(storage, asked).exit_code == 0
    assert CliRunner().invoke(storage, asked).exit_code == 0
    monkeypatch.setattr(platform, "node", lambda: "another")
    refused = CliRunner().invoke(storage, asked)
    assert isinstance(refused.exception, NotTheCopy)
    with pytest.raises(NotTheCopy):
        run(Filesystem(rootdirectory=source), Filesystem(rootdirectory=target), name=str(source))
    (tmp_path / "link").symlink_to(source)
    itself = CliRunner().invoke(storage, ["copy", "--from", str(source), "--to", str(tmp_path / "link")])
    assert (itself.exit_code, "that is the source itself" in itself.output) == (2, True)
