"""Overload: bounded, answered in time, first come first served, and nobody's place is lost."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from werkzeug.test import Client

from image_registry.server.limiter import Bounds, Full, Limits, Places
from image_registry.server.metrics import FAMILIES
from image_registry.server.numbers import SharedNumbers

NONE = Bounds()


class Slow:
    """An application that answers when it is told to."""

    def __init__(self) -> None:
        self.go = threading.Semaphore(0)
        self.inside = threading.Semaphore(0)

    def __call__(self, _environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self.inside.release()
        assert self.go.acquire(timeout=10)
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]


def limited(application: Any, read: Bounds = NONE, write: Bounds = NONE) -> tuple[Client, SharedNumbers]:
    shared = SharedNumbers(FAMILIES)
    return Client(Limits(read, write, shared.own).around(application)), shared


def value(shared: SharedNumbers, name: str, *labels: str) -> float:
    return sum(
        sample.value
        for family in shared.collect()
        for sample in family.samples
        if sample.name == name and tuple(sample.labels.values()) == labels
    )


def ask(client: Client, method: str = "GET", path: str = "/v2/a/b/tags/list") -> tuple[int, dict[str, str], bytes]:
    with client.open(path, method=method, buffered=True) as answer:
        return answer.status_code, dict(answer.headers), answer.data


def background(*calls: Callable[[], Any]) -> tuple[list[threading.Thread], list[Any]]:
    results: list[Any] = []
    threads = [threading.Thread(target=lambda call=call: results.append(call())) for call in calls]
    for thread in threads:
        thread.start()
    return threads, results


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_what_is_too_much_is_told_when_to_come_back_in_the_words_of_the_protocol() -> None:
    slow = Slow()
    client, shared = limited(slow, read=Bounds(1))
    threads, results = background(lambda: ask(client))
    assert slow.inside.acquire(timeout=5)
    status, headers, body = ask(client)
    assert (status, headers["Retry-After"]) == (429, "1")
    [error] = json.loads(body)["errors"]
    assert error["code"] == "TOOMANYREQUESTS"
    assert "read requests" in error["message"]
    slow.go.release()
    threads[0].join(5)
    assert results[0][0] == 200
    assert value(shared, "imageregistry_requests_rejected_total", "read", "queue") == 1
    slow.go.release()
    assert ask(client)[0] == 200


def test_reads_and_writes_have_places_of_their_own() -> None:
    slow = Slow()
    client, _ = limited(slow, read=Bounds(1), write=Bounds(1))
    threads, _ = background(lambda: ask(client, "PUT"))
    assert slow.inside.acquire(timeout=5)
    assert ask(client, "POST")[0] == 429
    assert ask(client, "DELETE")[0] == 429
    assert ask(client, "PATCH")[1]["Retry-After"] == "5"
    slow.go.release(4)
    assert ask(client, "GET")[0] == ask(client, "HEAD")[0] == ask(client, "OPTIONS")[0] == 200
    threads[0].join(5)


def test_a_refused_head_has_no_body() -> None:
    slow = Slow()
    client, _ = limited(slow, read=Bounds(1))
    threads, _ = background(lambda: ask(client))
    assert slow.inside.acquire(timeout=5)
    status, _, body = ask(client, "HEAD")
    assert (status, body) == (429, b"")
    slow.go.release()
    threads[0].join(5)


@pytest.mark.parametrize("path", ["/livez", "/healthz", "/metrics", "/extensions/v2/metrics", "/"])
def test_probes_and_metrics_need_no_place(path: str) -> None:
    slow = Slow()
    client, _ = limited(slow, read=Bounds(1))
    threads, _ = background(lambda: ask(client))
    assert slow.inside.acquire(timeout=5)
    slow.go.release(2)
    assert ask(client, path=path)[0] == 200
    threads[0].join(5)


def test_who_waits_longest_is_next() -> None:
    places = Places("read", Bounds(1, 3))
    places.take()
    order: list[int] = []

    def turn(number: int) -> None:
        places.take()
        order.append(number)
        places.give_back()

    threads = []
    for number in range(3):
        threads += background(lambda number=number: turn(number))[0]  # type: ignore[misc]
        until(lambda number=number: places.queued == number + 1)  # type: ignore[misc]
    with pytest.raises(Full, match="no more may wait"):
        places.take()
    places.give_back()
    for thread in threads:
        thread.join(5)
    assert order == [0, 1, 2]
    assert (places.running, places.queued) == (0, 0)


def test_waiting_ends() -> None:
    places = Places("write", Bounds(1, 1, 0.05))
    places.take()
    with pytest.raises(Full, match="no place became free in time") as full:
        places.take()
    assert full.value.reason == "wait"
    assert places.queued == 0
    places.give_back()
    places.take()
    assert places.running == 1


def test_no_place_is_lost_when_giving_up_and_giving_back_meet() -> None:
    places = Places("read", Bounds(2, 50, 0.001))
    served = [0]

    def work() -> None:
        for _ in range(200):
            try:
                places.take()
            except Full:
                continue
            served[0] += 1
            time.sleep(0.0005)
            places.give_back()

    threads, _ = background(*[work] * 8)
    for thread in threads:
        thread.join(30)
    assert served[0] > 0
    assert (places.running, places.queued) == (0, 0)


def test_a_place_is_held_until_the_last_byte_and_given_back_when_the_application_fails() -> None:
    closed = []

    class Body:
        def __iter__(self) -> Any:
            return iter([b"x"])

        def close(self) -> None:
            closed.append(True)

    def failing(_environ: dict[str, Any], _start: Callable[..., Any]) -> Iterable[bytes]:
        raise RuntimeError("broken")

    shared = SharedNumbers(FAMILIES)
    limits = Limits(Bounds(1), NONE, shared.own)
    around = limits.around(lambda _environ, start: [start("200 OK", []), Body()][1])
    body: Any = around({"PATH_INFO": "/v2/", "REQUEST_METHOD": "GET"}, lambda *_: None)
    assert value(shared, "imageregistry_requests_running", "read") == 1
    body.close()
    assert closed == [True]
    assert value(shared, "imageregistry_requests_running", "read") == 0
    for _ in range(3):
        with pytest.raises(RuntimeError):
            limits.around(failing)({"PATH_INFO": "/v2/", "REQUEST_METHOD": "GET"}, lambda *_: None)


def test_without_limits_there_is_nothing_in_the_way() -> None:
    def application(_environ: dict[str, Any], _start: Callable[..., Any]) -> Iterable[bytes]:
        return []

    limits = Limits(NONE, NONE, SharedNumbers(FAMILIES).own)
    assert limits.around(application) is application
    assert limits.take("GET") is None


@pytest.mark.parametrize(
    ("bounds", "workers", "threads", "expected"),
    [
        (Bounds(10, 20, 3.0), 2, 256, Bounds(5, 10, 3.0)),
        (Bounds(3, 3), 2, 256, Bounds(2, 2)),
        (Bounds(1, 0), 4, 256, Bounds(1, 0)),
        (Bounds(10, 1000), 1, 64, Bounds(10, 46)),
        (Bounds(100, 1000), 1, 64, Bounds(100, 0)),
        (Bounds(0, 1000, 9.0), 2, 64, Bounds(0, 1000, 9.0)),
    ],
)
def test_a_worker_gets_an_equal_part_and_never_lets_all_its_threads_wait(
    bounds: Bounds, workers: int, threads: int, expected: Bounds
) -> None:
    assert bounds.share(workers, threads) == expected
