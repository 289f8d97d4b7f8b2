"""Concurrent pushes and pulls of one tag have an order that explains every answer, on each kind of database.

Histories are made by threads over two replicas and judged by the definition: there is one sequence of all operations,
in which none comes before one that had ended when it began, and every pull finds what the push before it wrote.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from functools import cache, partial

import pytest
from werkzeug.test import Client

from image_registry.distribution_api.app import create_app
from image_registry.oci import media_types
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository
from tests.at_once import at_once

from .conftest import Registry, manifest_of

CONFIG = b'{"architecture": "amd64", "os": "linux", "rootfs": {}}'
LAYER = b"layer"
APP = Repository("demo", "app")
TAG = "/v2/demo/app/manifests/moving"


@dataclass(frozen=True)
class Step:
    """One request: from when to when, and what it wrote or found; ``None`` for "there is no such tag"."""

    begun: float
    ended: float
    writes: bool
    value: str | None


def explained(history: list[Step], first: str | None = None) -> bool:
    """Whether some sequence explains the history (Wing and Gong); exponential only in what overlaps."""
    steps = sorted(history, key=lambda step: step.begun)

    @cache
    def possible(done: frozenset[int], value: str | None) -> bool:
        waiting = [number for number in range(len(steps)) if number not in done]
        if not waiting:
            return True
        limit = min(steps[number].ended for number in waiting)
        for number in waiting:
            step = steps[number]
            if step.begun > limit:
                break
            if step.writes:
                if possible(done | {number}, step.value):
                    return True
            elif step.value == value:
                return possible(done | {number}, value)  # to read at once what is there forbids nothing
        return False

    return possible(frozenset(), first)


def test_the_judge_knows_a_lie() -> None:
    one, two = Step(0, 1, True, "a"), Step(2, 3, True, "b")
    assert explained([one, two, Step(4, 5, False, "b")])
    assert explained([one, Step(0.5, 5, True, "b"), Step(6, 7, False, "a")])
    assert not explained([one, two, Step(4, 5, False, "a")])
    assert not explained([one, two, Step(2.5, 4, False, "b"), Step(4.5, 5, False, "a")])
    assert not explained([one, Step(2, 3, False, None)])


def manifests(number: int) -> list[bytes]:
    return [manifest_of(CONFIG, LAYER, annotations={"number": str(one)}) for one in range(number)]


@pytest.mark.parametrize("seed", range(3))
def test_pushes_and_pulls_of_one_tag_have_an_order(everywhere: Registry, seed: int) -> None:
    everywhere.upload("demo/app", CONFIG)
    everywhere.upload("demo/app", LAYER)
    chance = random.Random(seed)  # noqa: S311 - not a secret
    history: list[Step] = []
    failures: list[str] = []
    plans = [[chance.choice((None, None, raw)) for raw in manifests(8)] for _ in range(4)]

    def work(plan: list[bytes | None], client: Client) -> None:
        for raw in plan:
            begun = time.monotonic()
            if raw is None:
                answer = client.get(TAG)
                value = answer.headers.get("Docker-Content-Digest")
                good = answer.status_code == (200 if value else 404)
            else:
                answer = client.put(TAG, data=raw, headers={"Content-Type": media_types.OCI_MANIFEST})
                value, good = str(Digest.of(raw)), answer.status_code == 201
            history.append(Step(begun, time.monotonic(), raw is not None, value))
            if not good:
                failures.append(answer.text)

    at_once([partial(work, plan, Client(create_app(everywhere.parts))) for plan in plans])
    assert failures == []
    assert explained(history), history
    last = everywhere.client.get(TAG).headers["Docker-Content-Digest"]
    assert str(everywhere.store.read_tag(APP, "moving")) == last


def test_pushes_of_one_blob_at_once_are_all_acknowledged_and_make_one_file(everywhere: Registry) -> None:
    data = random.Random(7).randbytes(200_000)  # noqa: S311 - not a secret
    digest = Digest.of(data)
    replicas = [Client(create_app(everywhere.parts)) for _ in range(8)]
    locations = [
        replica.post(f"/v2/demo/app{number % 2}/blobs/uploads/").headers["Location"]
        for number, replica in enumerate(replicas)
    ]

    def push(number: int) -> int:
        client, location = replicas[number], locations[number]
        if number % 4 < 2:
            client.patch(location, data=data[:100_000])
            return client.put(f"{location}?digest={digest}", data=data[100_000:]).status_code
        return client.put(f"{location}?digest={digest}", data=data).status_code

    assert at_once([partial(push, number) for number in range(8)]) == [201] * 8
    for number in range(2):
        assert everywhere.client.get(f"/v2/demo/app{number}/blobs/{digest}").data == data
    assert len(list(everywhere.store.root.glob("docker/registry/v2/blobs/*/*/*/data"))) == 1
    assert not list(everywhere.store.root.glob("docker/registry/v2/.staging/*"))
