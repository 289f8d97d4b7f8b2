"""A soak: first without, then with a collector that never rests and is killed now and then; then the accounts."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import urllib3

from image_registry.garbage.collection import Collector, Report, Rules
from image_registry.imagestreams.errors import ImageInUse, ImageUnknown
from image_registry.imagestreams.inventory import Inventory
from image_registry.imagestreams.service import ImageStreams
from image_registry.metadata.database import Database
from image_registry.storage.filesystem import FilesystemStore
from tests.soak.clients import Client, Memory

PROMISE, GRACE = 4.0, 8.0
"""Seconds that a blob is sure to stay for who was told of it, and that garbage is left alone: so short that a soak of
a minute sees blobs grow old many times."""


@dataclass
class Result:
    """What came of a soak."""

    memory: Memory
    cycles: int = 0
    kills: int = 0
    links: int = 0
    thrown_away: int = 0
    taken_back: int = 0
    removed: int = 0
    left_over: set[str] = field(default_factory=set)
    """Blobs that nothing needs and that the last runs did not take."""
    lost: set[str] = field(default_factory=set)
    """Blobs that something needs and that are not there."""
    quiet: float = 0.0
    """99th percentile of reads without a collector, in seconds."""
    busy: float = 0.0
    """The same beside it."""

    @property
    def failures(self) -> list[str]:
        return self.memory.failures


def soak(host: str, root: Path, seconds: float, *, clients: int, seed: int, say: Callable[[str], None]) -> Result:
    """Soak the registry that ``image-registry serve`` serves from ``root`` at ``host``."""
    memory = Memory()
    result, stop, collecting = Result(memory), threading.Event(), threading.Event()
    database = Database(f"sqlite:///{root / 'metadata.db'}")
    workers = [threading.Thread(target=_work, args=(host, memory, seed + n, stop), daemon=True) for n in range(clients)]
    gardener = threading.Thread(
        target=_garden, args=(host, root, database, result, stop, collecting, seed), daemon=True
    )
    for thread in (*workers, gardener):
        thread.start()
    time.sleep(seconds / 4)
    result.quiet = _percentile(memory.pulls)
    memory.pulls.clear()
    collecting.set()
    say(f"without a collector: {_said(memory)}")
    time.sleep(seconds * 3 / 4)
    stop.set()
    for thread in (*workers, gardener):
        thread.join(120)
        if thread.is_alive():
            memory.fail(f"{thread.name} does not end")
    result.busy = _percentile(memory.pulls)
    _account(host, root, database, result)
    database.dispose()
    return result


def _work(host: str, memory: Memory, seed: int, stop: threading.Event) -> None:
    client = Client(host, memory, seed)
    try:
        while not stop.is_set():
            client.step()
    finally:
        client.close()


def _garden(
    host: str,
    root: Path,
    database: Database,
    result: Result,
    stop: threading.Event,
    collecting: threading.Event,
    seed: int,
) -> None:
    """Prune Images that nobody holds and let the registry collect, again and again; beside it some are killed."""
    mind = random.Random(seed)  # noqa: S311 - a choice that can be made again, not a secret
    try:
        while not stop.wait(0.05):
            _prune(database)
            if not collecting.is_set():
                continue
            if result.cycles % 10 == 9:
                _kill_one(root, mind.uniform(0.5, 2.5))
                result.kills += 1
            _add_run(result, _ask(host))
    except Exception as error:
        result.memory.fail(f"the collector: {error!r}")
        raise


def _ask(host: str) -> dict[str, Any]:
    """Let the registry collect, in its own process as it does in a cluster; the run after its end."""
    options = {"confirm": True, "grace": f"{GRACE:.0f}s", "trash": "0s", "atMost": 100}
    door = f"http://{host}/extensions/v2/upkeep"
    run = urllib3.request("POST", door, json={"kind": "gc", "options": options}, timeout=30).json()
    deadline = time.monotonic() + 120
    while not run.get("ended"):
        if "id" not in run or time.monotonic() > deadline:
            raise RuntimeError(f"no collection: {run}")
        time.sleep(0.1)
        run = urllib3.request("GET", f"{door}/{run['id']}", timeout=30).json()
    if run["state"] != "succeeded":
        raise RuntimeError(f"a collection {run['state']}: {run['error']}")
    found: dict[str, Any] = run["report"]["totals"]
    return found


def _add_run(result: Result, totals: dict[str, Any]) -> None:
    result.cycles += 1
    result.links += totals["links"]
    result.thrown_away += totals["thrownAway"]["blobs"]
    result.taken_back += totals["takenBack"]
    result.removed += totals["removed"]["blobs"]


def _collect(root: Path, database: Database) -> Report:
    rules = Rules(timedelta(seconds=GRACE), timedelta(0), 1.0)
    return Collector(FilesystemStore(root, renew_after=PROMISE), Inventory(database), rules).run(dry_run=False)


def _prune(database: Database) -> None:
    streams = ImageStreams(database, internal_hostname="soak")
    for image in streams.images().items:
        with suppress(ImageInUse, ImageUnknown):
            streams.delete_image(image.digest)


def _kill_one(root: Path, after: float) -> None:
    command = [str(Path(sys.executable).parent / "image-registry"), "garbage-collect", "--root", str(root), "--confirm"]
    command += ["--grace", f"{GRACE:.0f}s", "--trash", "0s", "--at-most", "100"]
    environment = {**os.environ, "REGISTRY_BLOB_PROMISE": f"{PROMISE:.0f}s"}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment) as process:
        with suppress(subprocess.TimeoutExpired):
            process.wait(after)
        process.send_signal(signal.SIGKILL)


def _add(result: Result, report: Report) -> None:
    result.cycles += 1
    result.links += len(report.links)
    result.thrown_away += len(report.thrown_away)
    result.taken_back += len(report.taken_back)
    result.removed += len(report.removed)


def _account(host: str, root: Path, database: Database, result: Result) -> None:
    """Pull everything that was promised; then let all grow old, collect, and compare what lies there with what must."""
    checker = Client(host, result.memory, 0)
    for key in sorted(result.memory.held):
        checker.check(key)
    time.sleep(GRACE + 1)
    _prune(database)
    _add(result, _collect(root, database))
    for key in sorted(result.memory.held):
        checker.check(key)
    checker.close()
    needed = set(Inventory(database).digests())
    store = FilesystemStore(root)
    found = {str(blob.digest) for blob in store.blobs(lambda _algorithm, _value: True)}
    result.left_over, result.lost = found - needed, needed - found


def _percentile(times: list[float]) -> float:
    found = sorted(times)
    return found[int(len(found) * 0.99)] if found else 0.0


def _said(memory: Memory) -> str:
    return ", ".join(f"{count} {what}" for what, count in sorted(memory.counts.items()))


def lines(result: Result) -> list[str]:
    """The accounts for people."""
    taken = (
        f"{result.links} links removed, {result.thrown_away} blobs thrown away, {result.taken_back} taken back, "
        f"{result.removed} removed for good"
    )
    quiet, busy = result.quiet * 1000, result.busy * 1000
    return [
        f"with it, in all: {_said(result.memory)}",
        f"{result.cycles} runs of the collector, {result.kills} more killed: {taken}",
        f"99th percentile of reads: {quiet:.1f} ms without a collector, {busy:.1f} ms beside it",
        f"{len(result.failures)} failed requests, {len(result.lost)} blobs lost, {len(result.left_over)} left over",
    ]
