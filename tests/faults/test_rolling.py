"""Two replicas on one storage and one PostgreSQL are restarted one after the other while clients pull and push.

A replica that ends is taken out of the rotation first and killed when its time is over, as kubelet does. No pull may
fail; every upload that is cut must go on from where it stands, in whichever replica it meets next.
"""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.postgresql import PostgreSQL
from tests.app.conftest import postgresql  # noqa: F401 - a fixture
from tests.serve.conftest import free_port, wait_for_port
from tests.serve.pushing import REPOSITORY, ask, digest_of, pull_image, push_image, tags

from .balancer import Balancer

pytestmark = pytest.mark.slow

GRACE = 2.0
"""Seconds that a replica has to end; uploads here take longer."""

PIECE, PIECES, PAUSE = 1 << 20, 40, 0.25
"""Of a slow upload: bytes and number of the pieces that its client sends, and seconds between them."""


class Replica:
    """One ``image-registry serve``; several share root and database."""

    def __init__(self, folder: Path, root: Path, database: str) -> None:
        self.host = f"127.0.0.1:{free_port()}"
        self._log = folder / f"{self.host.rpartition(':')[2]}.log"
        command = [Path(sys.executable).parent / "image-registry", "serve", "--auth", "none", "--threads", "32"]
        command += ["--root", root, "--listen", self.host, "--database", database]
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                list(map(str, command)), stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        wait_for_port(self.host, self._process, self._log)

    def end(self) -> None:
        """SIGTERM, some time, and the end."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(GRACE)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()


class Loop(threading.Thread):
    """Does something again and again until it is stopped or fails."""

    def __init__(self, act: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self._act, self._stopped = act, threading.Event()
        self.done, self.failure = 0, ""
        self.start()

    def run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._act()
            except Exception as error:  # noqa: BLE001 - the test says what it was
                self.failure = repr(error)
                return
            self.done += 1

    def stop(self) -> int:
        self._stopped.set()
        self.join(60)
        assert not self.failure, self.failure
        return self.done


class SlowUpload(threading.Thread):
    """Sends a blob in one request that lasts long, and goes on after every cut from where the registry says it is."""

    def __init__(self, host: str) -> None:
        super().__init__(daemon=True)
        self._host = host
        self.data = os.urandom(PIECE) * PIECES
        self.cuts, self.acknowledged = 0, False
        self.start()

    def run(self) -> None:
        location = ask(self._host, "POST", f"{REPOSITORY}/blobs/uploads/").expect(202).headers["Location"]
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                status = ask(self._host, "GET", location).expect(204)
                start = int(status.headers["Range"].partition("-")[2]) + 1 if self.cuts else 0
                self._send(location, start if start > 1 else 0)
            except (OSError, http.client.HTTPException):
                self.cuts += 1
                time.sleep(0.3)  # a replica that is killed lets go of the upload
                continue
            ask(self._host, "PUT", f"{location}?digest={digest_of(self.data)}").expect(201)
            self.acknowledged = True
            return

    def _send(self, location: str, start: int) -> None:
        def pieces() -> Iterator[bytes]:
            for place in range(start, len(self.data), PIECE):
                yield self.data[place : place + PIECE]
                time.sleep(PAUSE)

        connection = http.client.HTTPConnection(self._host, timeout=30)
        try:
            headers = {"Content-Length": str(len(self.data) - start), "Content-Range": f"{start}-{len(self.data) - 1}"}
            connection.request("PATCH", location, pieces(), headers)
            answer = connection.getresponse()
            if answer.status != 202:
                raise http.client.HTTPException(f"{answer.status}: {answer.read()[:300]!r}")
        finally:
            connection.close()


def test_a_rolling_restart_fails_no_pull_and_cuts_no_upload_for_good(
    tmp_path: Path,
    postgresql: PostgreSQL,  # noqa: F811
) -> None:
    database, root, balancer = postgresql.url(postgresql.new_database()), tmp_path / "registry", Balancer()
    with ExitStack() as until_done:
        until_done.callback(balancer.close)
        replicas = [Replica(tmp_path, root, database) for _ in range(4)]
        for replica in replicas:
            until_done.callback(replica.end)
        for replica in replicas[:2]:
            balancer.add(replica.host)
        digest = push_image(balancer.host, "v1", 3_000_000)
        until_cut = [SlowUpload(balancer.host) for _ in range(4)]

        def pull() -> None:
            assert pull_image(balancer.host, "v1") == digest

        pullers = [Loop(pull) for _ in range(3)]
        time.sleep(1)
        for old, fresh in zip(replicas[:2], replicas[2:], strict=True):
            balancer.add(fresh.host)
            balancer.drain(old.host)
            time.sleep(0.5)  # what was on its way to the replica arrives
            old.end()
        for upload in until_cut:
            upload.join(120)
        pulls = sum(puller.stop() for puller in pullers)
        assert pulls > 10
        assert all(upload.acknowledged for upload in until_cut)
        assert sum(upload.cuts for upload in until_cut) > 0, "no upload was cut: the test shows nothing"
        for upload in until_cut:
            assert ask(balancer.host, "GET", f"{REPOSITORY}/blobs/{digest_of(upload.data)}").body == upload.data
        push_image(balancer.host, "v2")
        assert tags(balancer.host) == ["v1", "v2"]
