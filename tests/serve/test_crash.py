"""What was acknowledged survives: a killed registry, a killed worker, a database that goes away and comes back."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from benchmarks.postgresql import PostgreSQL
from tests.app.conftest import postgresql  # noqa: F401 - a fixture

from .conftest import Served, serve
from .pushing import REPOSITORY, Gone, Pusher, ask, digest_of, pull_image, push_image, tags

pytestmark = pytest.mark.slow


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """Options of ``serve`` for each kind of database."""
    if request.param == "sqlite":
        return ()
    server: PostgreSQL = request.getfixturevalue("postgresql")
    return ("--database", server.url(server.new_database()))


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


def kill_all(served: Served) -> None:
    """The parent first, so that it replaces nobody."""
    for pid in (served.pid, *children(served.pid)):
        os.kill(pid, signal.SIGKILL)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def have_pushed(pushers: list[Pusher], number: int) -> bool:
    return sum(len(pusher.acknowledged) for pusher in pushers) >= number


def pushing(host: str, prefix: str) -> list[Pusher]:
    pushers = [Pusher(host, f"{prefix}{number}") for number in range(3)]
    for pusher in pushers:
        pusher.start()
    return pushers


def test_nothing_acknowledged_is_lost_when_the_registry_is_killed_while_many_push(
    tmp_path: Path, database: tuple[str, ...]
) -> None:
    acknowledged: dict[str, str] = {}
    for attempt in range(3):
        running = serve(tmp_path, "--auth", "none", *database)
        served = next(running)
        pushers = pushing(served.host, f"r{attempt}p")
        wait_for(partial(have_pushed, pushers, 4 + attempt))
        time.sleep(0.07 * attempt)  # somewhere in the middle of the next
        kill_all(served)
        for pusher in pushers:
            pusher.stop()
            acknowledged |= pusher.acknowledged
        running.close()
    for served in serve(tmp_path, "--auth", "none", *database):
        assert {tag: pull_image(served.host, tag) for tag in acknowledged} == acknowledged
        for tag in set(tags(served.host)) - set(acknowledged):
            pull_image(served.host, tag)  # the answer was lost, not the image
        push_image(served.host, "after")


def test_a_killed_worker_is_replaced_and_loses_nothing(tmp_path: Path) -> None:
    for served in serve(tmp_path, "--auth", "none"):
        pushers = pushing(served.host, "p")
        wait_for(partial(have_pushed, pushers, 3))
        for pid in children(served.pid):
            os.kill(pid, signal.SIGKILL)
        for pusher in pushers:
            pusher.stop()

        def back(host: str = served.host) -> bool:
            try:
                return ask(host, "GET", "/livez").status == 200
            except Gone:
                return False

        wait_for(back)
        for pusher in pushers:
            for tag, digest in pusher.acknowledged.items():
                assert pull_image(served.host, tag) == digest


def test_an_upload_goes_on_after_the_registry_was_killed(tmp_path: Path, database: tuple[str, ...]) -> None:
    running = serve(tmp_path, "--auth", "none", *database)
    served = next(running)
    location = ask(served.host, "POST", f"{REPOSITORY}/blobs/uploads/").expect(202).headers["Location"]
    ask(served.host, "PATCH", location, b"first half, ").expect(202)
    kill_all(served)
    running.close()
    whole = b"first half, second half"
    for again in serve(tmp_path, "--auth", "none", *database):
        assert ask(again.host, "GET", location).expect(204).headers["Range"] == "0-11"
        ask(again.host, "PUT", f"{location}?digest={digest_of(whole)}", b"second half").expect(201)


def test_pulls_go_on_without_the_database_and_pushes_wait_for_it(
    tmp_path: Path,
    postgresql: PostgreSQL,  # noqa: F811
) -> None:
    for served in serve(tmp_path, "--auth", "none", "--database", postgresql.url(postgresql.new_database())):
        digest = push_image(served.host, "v1")
        link = served.root / "docker/registry/v2/repositories/demo/app/_manifests/tags/v1/current/link"
        wait_for(link.exists)  # it follows the push, for those who have no tables
        postgresql.stop()
        try:
            assert pull_image(served.host, "v1") == digest
            assert pull_image(served.host, digest) == digest
            assert ask(served.host, "GET", "/healthz").status == 200
            with pytest.raises(Gone, match="503 instead of 201"):
                push_image(served.host, "v2")
            answer = ask(served.host, "DELETE", f"{REPOSITORY}/manifests/v1").expect(503)
            assert int(answer.headers["Retry-After"]) > 0
        finally:
            postgresql.start()
        push_image(served.host, "v2")
        assert tags(served.host) == ["v1", "v2"]
