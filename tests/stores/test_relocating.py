"""A registry moves between a folder and an object store, by the command, killed on the way, while somebody pushes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from image_registry.oci.digest import Digest
from image_registry.storage import layout
from image_registry.storage.choice import KINDS, Filesystem, Storage, open_store
from image_registry.storage.tree import open_tree
from tests.app.relocating.registry_tree import APP, MIB, Filled, blob, content, fill, run
from tests.stores import servers
from tests.stores.serving import environment

pytestmark = pytest.mark.slow

PROGRAM = str(Path(sys.executable).parent / "image-registry")


@pytest.fixture
def folder(tmp_path: Path) -> Filesystem:
    return Filesystem(rootdirectory=tmp_path / "folder")


@pytest.fixture
def bucket(backends: Callable[[str], Storage], tmp_path: Path) -> Storage:
    return servers.apart(backends("s3"), tmp_path)


def settings(storage: Storage, folder: Path) -> str:
    """The file that says what ``storage`` is, or its folder; the secrets lie beside it."""
    if isinstance(storage, Filesystem):
        return str(storage.rootdirectory)
    kind = next(name for name, found in KINDS.items() if found is type(storage))
    variables = {"REGISTRY_STORAGE": kind, **environment(storage, folder / "credentials")}
    file = folder / "storage.env"
    file.write_text("# where it goes\n" + "".join(f"{name}={value}\n" for name, value in variables.items()))
    return str(file)


def begin(*arguments: str) -> subprocess.Popen[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("REGISTRY_")}
    return subprocess.Popen(
        [PROGRAM, "storage", "copy", *arguments], env=clean, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def command(*arguments: str) -> tuple[int, dict[str, Any]]:
    process = begin(*arguments, "-o", "json")
    said, wrong = process.communicate(timeout=120)
    assert said, wrong
    return process.returncode, json.loads(said)


@pytest.mark.parametrize(
    "kind", ["s3", *(pytest.param(kind, marks=pytest.mark.long) for kind in ("gcs", "azure", "swift"))]
)
def test_there_and_back_nothing_is_lost(
    kind: str, backends: Callable[[str], Storage], folder: Filesystem, tmp_path: Path
) -> None:
    bucket = servers.apart(backends(kind), tmp_path)
    filled = fill(open_store(folder))
    upload_id = filled.upload(b"half of it")
    assert run(folder, bucket, complete=True)["state"] == "complete"
    assert content(open_tree(bucket)) == content(open_tree(folder))
    assert open_store(bucket).upload_size(APP, upload_id) == 10
    assert list(open_tree(bucket).entries(layout.STAGING)) == [], "no pieces are left"
    there = Filled(open_store(bucket))
    there.image(APP, "v3", blob(40), blob(41, 11 * MIB))
    there.store.remove_tag(APP, "v1")
    home = Filesystem(rootdirectory=tmp_path / "home")
    assert run(bucket, home, complete=True)["state"] == "complete"
    assert content(open_tree(home)) == content(open_tree(bucket))
    with open_store(home).open_upload(APP, upload_id) as data:
        assert data.read() == b"half of it"


def test_a_command_that_is_killed_is_gone_on_with(folder: Filesystem, bucket: Storage, tmp_path: Path) -> None:
    filled = fill(open_store(folder))
    for number in range(100, 112):
        filled.image(APP, f"t{number}", blob(number, MIB))
    there, target = settings(bucket, tmp_path), open_store(bucket)
    process = begin("--from", str(folder.rootdirectory), "--to", there, "--confirm", "--rate", "4", "--parallel", "2")
    deadline = time.monotonic() + 60
    while sum(1 for _ in target.blobs(lambda _algorithm, _value: True)) < 4 and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=20)
    came = {found.digest for found in target.blobs(lambda _algorithm, _value: True)}
    assert 4 <= len(came) < 33
    assert all(Digest.of(target.read(digest)) == digest for digest in came), "what is to be seen is right"
    filled.image(APP, "pushed-meanwhile", blob(200))
    status, report = command("--from", str(folder.rootdirectory), "--to", there, "--confirm", "--complete")
    assert (status, report["state"]) == (0, "complete")
    assert report["blobs"]["copied"] == report["blobs"]["found"] - len(came)
    assert content(open_tree(bucket)) == content(open_tree(folder))


def test_a_corrupt_blob_of_a_bucket_is_named_and_the_rest_goes_on(
    folder: Filesystem, bucket: Storage, tmp_path: Path
) -> None:
    fill(open_store(bucket))
    wrong = Digest.of(blob(2, 6 * MIB))
    open_tree(bucket).write({layout.blob_data(wrong): bytes(6 * MIB)})
    there = settings(bucket, tmp_path)
    folder.rootdirectory.mkdir()
    status, plan = command("--from", there, "--to", str(folder.rootdirectory))
    assert (status, plan["state"], plan["blobs"]["toCopy"]) == (0, "planned", 9)
    assert list(folder.rootdirectory.iterdir()) == []
    status, report = command("--from", there, "--to", str(folder.rootdirectory), "--confirm", "--complete")
    assert (status, report["state"]) == (1, "copied")
    assert [failure["what"] for failure in report["failures"]] == [str(wrong)]
    assert report["blobs"]["copied"] == 8
    assert open_store(folder).stat(wrong) is None
    assert open_store(folder).tags(APP) == ["v1", "v2"]
    process = begin(
        "--from", there, "--to", str(folder.rootdirectory), "--confirm", "--complete", "--accept", str(wrong)
    )
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert said.splitlines()[-1] == "the copy is complete: let the registry use it. The source stays as it is"


def test_a_store_that_does_not_answer_ends_the_copy_with_a_sentence_and_no_secret(
    folder: Filesystem, bucket: Storage, tmp_path: Path
) -> None:
    fill(open_store(folder))
    file = Path(settings(bucket, tmp_path))
    secret = (tmp_path / "credentials/REGISTRY_STORAGE_S3_SECRETKEY").read_text()
    (tmp_path / "credentials/REGISTRY_STORAGE_S3_SECRETKEY").write_text("another")
    process = begin("--from", str(folder.rootdirectory), "--to", str(file), "--confirm")
    said, wrong = process.communicate(timeout=60)
    assert (process.returncode, said) == (1, "")
    assert "check the credentials" in wrong
    assert len(wrong.strip().splitlines()) == 1
    assert secret not in wrong
    file.write_text("REGISTRY_STORAGE=s3\n")
    process = begin("--from", str(folder.rootdirectory), "--to", str(file))
    _, wrong = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "REGISTRY_STORAGE_S3_BUCKET" in wrong
