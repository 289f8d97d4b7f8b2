"""What keeps a data plane from starting, and what does not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from werkzeug.test import Client

from image_registry.imagestreams.errors import MetadataUnavailable
from image_registry.imagestreams.service import ImageStreams
from image_registry.kube.front_proxy import FollowedTrust, FrontProxyTrust
from image_registry.metadata.database import Database
from image_registry.oci.reference import Repository
from image_registry.server import starting
from image_registry.server.settings import Settings
from image_registry.server.starting import check_storage
from image_registry.server.wiring import Rights, image_api_application
from image_registry.storage.blob_store import OutOfSpace, StorageFault
from image_registry.storage.choice import Filesystem
from image_registry.storage.filesystem import FilesystemStore


def raising(failure: Exception) -> Callable[..., None]:
    def probe(_store: object) -> None:
        raise failure

    return probe


def settings(root: Path, *, read_only: bool = False) -> Settings:
    return Settings(database_url="sqlite://", storage=Filesystem(rootdirectory=root), read_only=read_only)


def test_a_full_disk_does_not_keep_pulls_from_being_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(FilesystemStore, "probe", raising(OutOfSpace("No space left on device")))
    check_storage(settings(tmp_path))
    assert "the storage is full" in "".join(capsys.readouterr())


def test_a_folder_that_goes_with_the_pod_is_warned_about(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_storage(Settings(database_url="sqlite://", storage=Filesystem(rootdirectory=tmp_path, lasting=False)))
    assert "lost with it" in "".join(capsys.readouterr())


def test_a_broken_disk_keeps_the_registry_from_starting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FilesystemStore, "probe", raising(StorageFault("Input/output error")))
    with pytest.raises(StorageFault):
        check_storage(settings(tmp_path))


def test_a_read_only_registry_starts_on_a_volume_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FilesystemStore, "probe", raising(StorageFault("Read-only file system")))
    check_storage(settings(tmp_path, read_only=True))


@pytest.mark.parametrize("database", ["empty.db", "missing/folder.db"])
@pytest.mark.parametrize("path", ["/readyz", "/livez", "/apis/image.alauda.io/v1", "/openapi/v2"])
def test_the_image_api_is_ready_and_discovered_before_there_is_a_schema(
    tmp_path: Path, database: str, path: str
) -> None:
    def trust() -> FrontProxyTrust:
        return FrontProxyTrust(ca="")

    application = image_api_application(
        Settings(database_url=f"sqlite:///{tmp_path / database}"),
        cast(
            "Rights",
            SimpleNamespace(
                authorizer=None,
                authenticator=None,
                limits=SimpleNamespace(follow=lambda: None),
                client=None,
                namespaces=SimpleNamespace(phase=lambda _name: "Active", forget=lambda _name: None),
            ),
        ),
        cast("FollowedTrust", trust),
    )
    assert Client(cast("Any", application)).get(path).status_code == 200


def test_before_there_is_a_schema_the_database_counts_as_away(tmp_path: Path) -> None:
    """Both doors answer that with 503 and Retry-After; the text says who makes the schema."""
    database = Database(f"sqlite:///{tmp_path / 'empty.db'}")
    streams = ImageStreams(database, internal_hostname="registry:5000")
    with pytest.raises(MetadataUnavailable, match="or old ones: run `image-registry database upgrade`"):
        streams.stream(Repository.of("demo", "app"))


def test_a_serving_process_carries_neither_the_migration_tool_nor_clients_of_stores_that_it_does_not_use() -> None:
    heavy = "'alembic', 'boto3', 'google.cloud', 'azure.storage'"
    code = f"import sys, image_registry.server.starting; print(bool({{{heavy}}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "False\n"


def test_a_data_plane_that_starts_without_its_database_has_the_schema_upgraded_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, note = tmp_path / "image-registry", tmp_path / "note"
    program.write_text(f'#!/bin/sh\necho "$@" > {note}\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(program), "data-plane"])
    away = Settings(database_url=f"sqlite:///{tmp_path}/missing/folder.db")
    process = starting.upgrade_when_back(away)
    assert process is not None
    process.wait(20)
    assert note.read_text().startswith("database upgrade --wait ")
    assert starting.upgrade_when_back(Settings(database_url=f"sqlite:///{tmp_path}/there.db")) is None


def test_an_upgrade_that_may_wait_does_not_fail_without_a_database(tmp_path: Path) -> None:
    environment = {**os.environ, "REGISTRY_DATABASE_URL": f"sqlite:///{tmp_path}/missing/folder.db"}
    command = [Path(sys.executable).parent / "image-registry", "database", "upgrade", "--wait", "0"]
    run = partial(subprocess.run, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert run(command).returncode == 1
    later = run([*command, "--or-later"])
    assert (later.returncode, "pulls are served without it" in later.stderr) == (0, True)
