"""One bucket, CNCF distribution and this registry in turns: adoption in place, and the way back."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from image_registry.storage.choice import S3, Storage
from tests.serve.conftest import free_port, program
from tests.serve.test_adoption import DISTRIBUTIONS, Writer
from tests.stores import servers
from tests.stores.serving import serving

pytestmark = pytest.mark.slow


@contextmanager
def distribution(bucket: S3, folder: Path) -> Iterator[str]:
    """CNCF distribution's newest module, on the bucket."""
    host, config = f"127.0.0.1:{free_port()}", folder / "distribution.yml"
    settings = {
        "bucket": bucket.bucket,
        "region": bucket.region,
        "regionendpoint": bucket.regionendpoint,
        "forcepathstyle": True,
        "rootdirectory": f"/{bucket.rootdirectory}",
        "accesskey": bucket.accesskey,
        "secretkey": bucket.secretkey,
    }
    storage = {"s3": settings, "redirect": {"disable": True}, "delete": {"enabled": True}}
    config.touch(0o600)
    config.write_text(json.dumps({"version": 0.1, "storage": storage, "http": {"addr": host}}), encoding="utf-8")
    command = [program("distribution", DISTRIBUTIONS["distribution"]), "serve", str(config)]
    with servers.running(command, host, folder / "distribution.log"):
        yield host


def test_a_bucket_goes_to_this_registry_and_back_and_back_again(
    backends: Callable[[str], Storage], tmp_path: Path
) -> None:
    bucket = servers.apart(backends("s3"), tmp_path)
    assert isinstance(bucket, S3)
    bucket = dataclasses.replace(bucket, redirect=False)
    writer = Writer(11)
    with distribution(bucket, tmp_path) as theirs:
        writer.write(theirs, 15)
    with serving(bucket, tmp_path) as (ours, _):
        writer.check(ours)
        writer.write(ours, 20)
        writer.check(ours)
    with distribution(bucket, tmp_path) as theirs:
        writer.check(theirs)
        writer.write(theirs, 5)
    (tmp_path / "again").mkdir()
    with serving(bucket, tmp_path / "again") as (ours, _):  # with tables of its own, made from the bucket
        writer.check(ours)
