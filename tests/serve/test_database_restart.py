"""PostgreSQL restarts below a data plane and an Image API that both use it: what goes on, and what comes back."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pytest

from benchmarks.api import server
from benchmarks.api.client import CALLER, ROOT
from benchmarks.api.cluster import agreeable
from benchmarks.postgresql import PostgreSQL
from tests.app.conftest import postgresql  # noqa: F401 - a fixture
from tests.at_once import at_once

from .conftest import Served, serve
from .pushing import REPOSITORY, Gone, ask, pull_image, push_image, tags

pytestmark = pytest.mark.slow

SOON = 5.0
"""Seconds in which everything works again; a busy machine needs most of them to run the client."""
AT_ONCE = 12
"""Requests that meet the pool together: more than it has connections."""
STREAMS = f"{ROOT}/namespaces/demo/imagestreams"


@dataclass(frozen=True)
class Both:
    """The two servers on one database."""

    served: Served
    api: server.ApiServer
    context: ssl.SSLContext

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, dict[str, str], Any]:
        """One request to the Image API on a connection of its own."""
        connection = http.client.HTTPSConnection("127.0.0.1", self.api.port, timeout=30, context=self.context)
        try:
            headers = {**CALLER, "Content-Type": "application/json"}
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, json.load(answer)
        finally:
            connection.close()

    def make(self, name: str) -> tuple[int, dict[str, str], Any]:
        """Create a stream."""
        body = {"apiVersion": "image.alauda.io/v1", "kind": "ImageStream", "metadata": {"name": name}}
        return self.call("POST", STREAMS, body)

    def threads(self) -> int:
        """Those of the API's processes."""
        children = Path(f"/proc/{self.api.pid}/task/{self.api.pid}/children").read_text(encoding="ascii").split()
        return sum(len(list(Path(f"/proc/{child}/task").iterdir())) for child in children)


@dataclass
class Watch:
    """An open watch of all streams, read by a thread of its own."""

    both: Both
    since: str
    events: list[tuple[str, str, int]] = field(default_factory=list)
    ended: bool = False

    def __post_init__(self) -> None:
        self._connection = http.client.HTTPSConnection(
            "127.0.0.1", self.both.api.port, timeout=60, context=self.both.context
        )
        self._connection.connect()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(20)
        self._connection.close()

    def _run(self) -> None:
        path = f"{STREAMS}?watch=1&timeoutSeconds=60&resourceVersion={self.since}"
        with suppress(OSError, http.client.HTTPException):
            self._connection.request("GET", path, headers=CALLER)
            with self._connection.getresponse() as answer:
                for line in answer:
                    event = json.loads(line)
                    metadata = event["object"]["metadata"]
                    self.events.append((event["type"], metadata.get("name", ""), int(metadata["resourceVersion"])))
        self.ended = True


@pytest.fixture
def both(tmp_path: Path, postgresql: PostgreSQL) -> Iterator[Both]:  # noqa: F811
    url = postgresql.url(postgresql.new_database())
    with ExitStack() as stack:
        running = serve(tmp_path, "--auth", "none", "--database", url)
        served = next(running)
        stack.callback(running.close)
        cluster = stack.enter_context(agreeable(tmp_path))
        api = stack.enter_context(server.running(cluster, tmp_path, url, threads=48))
        yield Both(served, api, cluster.client_context())


def soon(work: Callable[[], bool]) -> float:
    """Seconds until it works."""
    began = time.monotonic()
    while not work():
        assert time.monotonic() - began < SOON, "it does not recover"
        time.sleep(0.05)
    return time.monotonic() - began


def test_reads_go_on_writes_wait_and_watches_hear_afterwards(both: Both, postgresql: PostgreSQL) -> None:  # noqa: F811
    host = both.served.host
    digest = push_image(host, "v1")
    link = both.served.root / "docker/registry/v2/repositories/demo/app/_manifests/tags/v1/current/link"
    soon(link.exists)  # it follows the push
    _, _, listed = both.call("GET", STREAMS)
    with Watch(both, listed["metadata"]["resourceVersion"]) as watch:
        _through_an_outage(both, postgresql, watch, digest)


def _through_an_outage(both: Both, postgresql: PostgreSQL, watch: Watch, digest: str) -> None:  # noqa: F811
    host = both.served.host
    assert both.make("before")[0] == 201
    soon(lambda: len(watch.events) == 1)
    threads = both.threads()
    postgresql.stop()
    try:
        began = time.monotonic()
        assert at_once([lambda: pull_image(host, "v1")] * AT_ONCE) == [digest] * AT_ONCE
        with pytest.raises(Gone, match="503 instead of 201"):
            push_image(host, "v2")
        assert int(ask(host, "DELETE", f"{REPOSITORY}/manifests/v1").expect(503).headers["Retry-After"]) > 0
        for answers in (
            at_once([lambda: both.call("GET", STREAMS)] * AT_ONCE),
            at_once([lambda: both.make("meanwhile")] * AT_ONCE),
        ):
            for status, headers, document in answers:
                assert (status, document["reason"]) == (503, "ServiceUnavailable")
                assert int(headers["retry-after"]) == document["details"]["retryAfterSeconds"] > 0
        assert both.call("GET", "/apis/image.alauda.io/v1")[0] == 200
        assert time.monotonic() - began < 15, "nobody waits for a database that is not there"
        assert not watch.ended
    finally:
        postgresql.start()
    # at once: what is left in the pools is found broken and made anew, by each request for itself
    assert at_once([lambda: both.call("GET", STREAMS)[0]] * AT_ONCE) == [200] * AT_ONCE
    assert [status for status, _, _ in at_once([lambda: both.make("after")] * 2)].count(201) == 1
    push_image(host, "v2")
    assert tags(host) == ["v1", "v2"]
    soon(lambda: {name for _, name, _ in watch.events} == {"before", "after", "app"})
    assert [event[:2] for event in watch.events if event[1] != "app"] == [("ADDED", "before"), ("ADDED", "after")]
    numbers = [number for *_, number in watch.events]
    assert numbers == sorted(set(numbers)), "nothing twice, and in order"
    assert not watch.ended
    soon(lambda: both.threads() <= threads + AT_ONCE)


def test_a_restart_while_everybody_works_loses_nothing_that_was_acknowledged(
    both: Both,
    postgresql: PostgreSQL,  # noqa: F811
) -> None:
    working = Working(both)

    def restart() -> None:
        for _ in range(3):
            time.sleep(0.7)
            postgresql.stop()
            time.sleep(0.3)
            postgresql.start()
        made, pushed = len(working.made), len(working.pushed)
        soon(lambda: len(working.made) > made and len(working.pushed) > pushed)
        working.over.set()

    at_once([working.create, working.push, restart])
    assert working.wrong == []
    _, _, listed = both.call("GET", STREAMS)
    assert {item["metadata"]["name"] for item in listed["items"]} >= {*working.made, "app"}
    assert {tag: pull_image(both.served.host, tag) for tag in working.pushed} == working.pushed


@dataclass
class Working:
    """Two who write without a pause until it is over, and come back when they are told to."""

    both: Both
    made: list[str] = field(default_factory=list)
    pushed: dict[str, str] = field(default_factory=dict)
    wrong: list[object] = field(default_factory=list)
    """Answers that were neither success nor "come back"."""
    over: threading.Event = field(default_factory=threading.Event)

    def create(self) -> None:
        while not self.over.is_set():
            name = f"made-{len(self.made)}"
            status, _, document = self.both.make(name)
            if status in (201, 409):  # 409: it was made, and the answer said otherwise
                self.made.append(name)
            elif status != 503:
                self.wrong.append((status, document))
            else:
                time.sleep(0.05)

    def push(self) -> None:
        while not self.over.is_set():
            tag = f"v{len(self.pushed)}"
            try:
                self.pushed[tag] = push_image(self.both.served.host, tag, 1000)
            except Gone as error:
                if not str(error).startswith("503 "):
                    self.wrong.append(str(error))
                time.sleep(0.05)
