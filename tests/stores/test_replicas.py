"""Two replicas on one bucket under load, one of which dies: nothing that was acknowledged is lost, no pull fails."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from image_registry.storage.choice import S3, Storage
from tests.serve.pushing import Pusher, pull_image, push_image
from tests.stores import servers
from tests.stores.serving import serving

pytestmark = pytest.mark.slow


def kill(process: subprocess.Popen[bytes]) -> None:
    """Without a warning, with its workers."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii").split()
    for pid in (*children, str(process.pid)):
        os.kill(int(pid), signal.SIGKILL)
    process.wait(10)


def test_a_replica_that_dies_under_load_loses_nothing_and_the_other_goes_on(
    backends: Callable[[str], Storage], tmp_path: Path
) -> None:
    bucket = servers.apart(backends("s3"), tmp_path)
    assert isinstance(bucket, S3)
    bucket = dataclasses.replace(bucket, redirect=False)
    with serving(bucket, tmp_path) as (staying, _), serving(bucket, tmp_path) as (dying, process):
        first = push_image(staying, "first")
        pushers = [Pusher(staying, "a"), Pusher(dying, "b")]
        for pusher in pushers:
            pusher.start()
        pulls, begun, killed = 0, time.monotonic(), False
        while time.monotonic() - begun < 5:
            assert pull_image(staying, "first") == first
            pulls += 1
            if not killed and time.monotonic() - begun > 2:
                kill(process)
                killed = True
        for pusher in pushers:
            pusher.stop()
        acknowledged = pushers[0].acknowledged | pushers[1].acknowledged
        assert pulls
        assert pushers[0].acknowledged
        assert pushers[1].acknowledged
        for tag, digest in acknowledged.items():
            assert pull_image(staying, tag) == digest
