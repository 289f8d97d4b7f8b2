"""Kills a process at every write step of every request of a push, and looks at what it left.

usage: python killing.py FOLDER. One line of JSON for each step that left something wrong, and a last one with counts.
Everything is imported once; each victim is a fork of this process with a copy of one prepared registry.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from image_registry.garbage.links import clean_pending
from image_registry.oci.reference import Repository
from image_registry.storage import syncing
from tests.app.distribution_api.conftest import Registry
from tests.app.distribution_api.test_failing_disk import LAYER, OPERATIONS, check, opened
from tests.app.schema import upgraded
from tests.app.storage.conftest import SYNCING, WRITING

APP = Repository("demo", "app")
NEVER = 1 << 30


class Steps:
    """Counts the writing system calls and the two sides of each commit; at the fatal one the process is gone."""

    def __init__(self, fatal: int) -> None:
        self.count, self.fatal = 0, fatal

    def step(self) -> None:
        self.count += 1
        if self.count == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self, registry: Registry) -> None:
        for name in WRITING:
            setattr(os, name, self._counted(getattr(os, name), creates=name == "open"))
        for name in SYNCING:
            setattr(syncing, name, self._counted(getattr(syncing, name)))
        dialect: Any = registry.database.engine.dialect
        commit = dialect.do_commit

        def committed(connection: object) -> None:
            self.step()
            commit(connection)
            self.step()

        dialect.do_commit = committed

    def _counted(self, real: Any, *, creates: bool = False) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            if not creates or arguments[1] & os.O_CREAT:
                self.step()
            return real(*arguments, **options)

        return call


def forked(work: Callable[[], str]) -> str | None:
    """What ``work`` says in a process of its own; ``None`` if it was killed before it said anything."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            said = work()
        except BaseException:  # noqa: BLE001 - told to the parent, whatever it is
            said = traceback.format_exc()
        os.write(writer, said.encode()[-4000:])
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(child, 0)
    return said or None


def act(folder: Path, name: str, fatal: int) -> str:
    """Make the request; the number of steps, if it lived to be acknowledged."""
    with opened(folder) as registry:
        steps = Steps(fatal)
        steps.watch(registry)
        answer = OPERATIONS[name].act(registry)
        return f"{steps.count}" if answer.status_code < 300 else f"refused: {answer.text}"


def look(folder: Path, name: str) -> str:
    """What is wrong after a restart; empty for nothing."""
    with opened(folder) as registry:
        check(registry)
        if not name.startswith("delete") and registry.client.get("/v2/demo/app/manifests/v1").status_code != 200:
            return "what was there before is lost"
        again = OPERATIONS[name].act(registry)
        if again.status_code not in OPERATIONS[name].again:
            return f"a second attempt is answered {again.status_code}: {again.text}"
        check(registry)
        clean_pending(registry.store, registry.streams)
        registry.streams.settle(APP, registry.store.write_tags)
        registry.store.sweep(datetime.now(UTC) + timedelta(days=1))
        check(registry)
        root = registry.store.root
        rests = [str(path.relative_to(root)) for path in root.rglob("*") if path.name.endswith(".tmp")]
        rests += [str(path.relative_to(root)) for path in root.glob("docker/registry/v2/repositories/*/*/_uploads/*")]
        if rests:
            return f"left after the sweep: {rests}"
        said = {tag: str(registry.store.read_tag(APP, tag)) for tag in registry.store.tags(APP)}
        meant = {tag: str(registry.streams.tag(APP, tag).digest) for tag in registry.streams.tags(APP).items}
        return "" if said == meant else f"links say {said}, tables say {meant}"


def prepare(folder: Path) -> str:
    upgraded(f"sqlite:///{folder / 'metadata.db'}")
    with opened(folder) as registry:
        assert registry.push("demo/app", "v1", layer=LAYER).status_code == 201
    return str(folder)


def main(base: Path) -> None:
    (base / "template").mkdir()
    said = forked(partial(prepare, base / "template"))
    assert said == str(base / "template"), said
    killed = 0
    for name in OPERATIONS:
        folder = base / "victim"
        steps = forked(partial(act, shutil.copytree(base / "template", folder), name, NEVER))
        shutil.rmtree(folder)
        if steps is None or not steps.isdigit():
            sys.exit(f"{name}: {steps}")
        for fatal in range(1, int(steps) + 1):
            shutil.copytree(base / "template", folder)
            killed += forked(partial(act, folder, name, fatal)) is None
            if wrong := forked(partial(look, folder, name)):
                say({"request": name, "step": fatal, "of": int(steps), "wrong": wrong})
            shutil.rmtree(folder)
    say({"killed": killed})


def say(line: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
