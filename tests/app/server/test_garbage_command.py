"""``image-registry garbage-collect`` as people and machines use it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from image_registry.garbage.collection import CollectionRefused
from image_registry.imagestreams.rebuild_ledger import RebuildLedger
from image_registry.imagestreams.records import POSITION, Position, write_position
from image_registry.metadata.database import Database
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository
from image_registry.server.command import cli
from image_registry.storage.filesystem import FilesystemStore
from tests.app.schema import upgraded

OLD = 3 * 24 * 3600


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A registry with three blobs of long ago that belong to no image, and a young one."""
    Database(upgraded(f"sqlite:///{tmp_path / 'metadata.db'}")).dispose()
    store = FilesystemStore(tmp_path)
    for number in range(3):
        data = b"%d" % number * 1024
        store.put_blob(Repository("demo", "app"), data, Digest.of(data))
    for path in (tmp_path / "docker").rglob("*"):
        os.utime(path, (time.time() - OLD,) * 2)
    store.put_blob(Repository("demo", "app"), b"young", Digest.of(b"young"))
    return tmp_path


def collect(root: Path, *options: str) -> Result:
    return CliRunner().invoke(cli, ["garbage-collect", "--root", str(root), *options], catch_exceptions=False)


def blobs(root: Path) -> int:
    return len(list((root / "docker/registry/v2/blobs").rglob("data")))


def test_without_confirm_it_says_what_would_be_done_and_does_nothing(root: Path) -> None:
    done = collect(root)
    assert done.exit_code == 0
    assert "3 blobs (3.0 KiB) would be thrown away that no image needs" in done.stdout
    assert "3 links would be removed" in done.stdout
    assert "nothing was changed; --confirm does it" in done.stdout
    assert blobs(root) == 4


def test_with_confirm_it_is_done_and_the_bytes_come_back_when_the_trash_is_emptied(root: Path) -> None:
    assert "3 blobs (3.0 KiB) thrown away" in collect(root, "--confirm").stdout
    assert blobs(root) == 1
    done = collect(root, "--confirm", "--trash", "0s")
    assert "3 blobs (3.0 KiB) removed for good" in done.stdout
    assert not [path for path in (root / "docker/registry/v2/.trash").rglob("*") if path.is_file()]


def test_machines_get_every_digest(root: Path) -> None:
    plan = json.loads(collect(root, "-o", "json", "--trash", "0s").stdout)
    assert plan["dryRun"] is True
    assert (plan["blobs"], len(plan["links"]), len(plan["removed"]), plan["bytesFreed"]) == (4, 3, 3, 0)
    done = json.loads(collect(root, "-o", "json", "--trash", "0s", "--confirm").stdout)
    assert {blob["digest"] for blob in done["removed"]} == {blob["digest"] for blob in plan["removed"]}
    assert done["bytesFreed"] == 3 * 1024


def test_wide_names_them_for_people(root: Path) -> None:
    said = collect(root, "-o", "wide").stdout
    assert f"link: demo/app {Digest.of(b'0' * 1024)}" in said
    assert f"thrown away: {Digest.of(b'0' * 1024)} 1.0 KiB" in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--grace", "10m"), "is less than 7200 s"),
        (("--grace", "a day"), "write it like 60m, 1h30m"),
        (("--trash", "-1"), "write it like 60m, 1h30m"),
        (("--at-most", "101"), "101"),
    ],
)
def test_an_option_that_is_wrong_is_named(root: Path, options: tuple[str, str], said: str) -> None:
    done = collect(root, *options)
    assert done.exit_code == 2
    assert options[0] in done.stderr
    assert said in done.stderr
    assert blobs(root) == 4


def test_while_tables_are_being_made_it_refuses(root: Path) -> None:
    database = Database(f"sqlite:///{root / 'metadata.db'}")
    RebuildLedger(database).begin_again()
    database.dispose()
    with pytest.raises(Exception, match="metadata rebuild"):
        collect(root, "--confirm")
    assert blobs(root) == 4


def test_a_database_that_is_older_than_the_records_is_refused(root: Path) -> None:
    store = FilesystemStore(root)
    store.write_records({POSITION: write_position(Position(1_000_000, "another log"))})
    with pytest.raises(CollectionRefused, match="rebuild --apply"):
        collect(root)
    assert blobs(root) == 4
