"""A plan of a large registry fits into little memory."""

from __future__ import annotations

import hashlib
import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from image_registry.pruning.planner import Planner
from image_registry.pruning.references import Hosts
from image_registry.pruning.rules import Rules
from image_registry.pruning.usage import Usage

MADE, NOW = "2030-01-01T00:00:00Z", 2_000_000_000
UID = "2f2dd5ef-1c30-4e3b-aefa-1849d4c6a43b"
IN_A_STREAM = 100
AN_IMAGE, FIXED = 250, 2 << 20
"""Bytes for each image with eight blobs, tagged and held, and for all: a million and Python itself in under 300 MB."""


def digest(*parts: object) -> str:
    return f"sha256:{hashlib.sha256(repr(parts).encode()).hexdigest()}"


def name_of(number: int) -> str:
    """In order, as the Image API lists them."""
    return f"sha256:{number:08x}{number:056x}"


def image(number: int) -> dict[str, Any]:
    """Five layers that it shares with its like, and two of its own."""
    layers = [("base", number % 50, layer) for layer in range(5)] + [("own", number, layer) for layer in range(2)]
    config = digest("config", number)
    return {
        "metadata": {"name": name_of(number), "creationTimestamp": MADE, "annotations": {}},
        "dockerImageLayers": [{"name": digest(*layer), "size": 1000} for layer in layers],
        "dockerImageMetadata": {"Id": config, "Size": 7100},
    }


def stream(number: int) -> dict[str, Any]:
    """Half of its tags have an older event."""
    images = [name_of(number * IN_A_STREAM + place) for place in range(IN_A_STREAM)]
    name, tags = f"app-{number:06}", []
    where = f"host/team/{name}"
    for place in range(0, IN_A_STREAM, 2):
        two = images[place : place + 2]
        pair = [{"created": MADE, "image": digest_, "dockerImageReference": f"{where}@{digest_}"} for digest_ in two]
        tags.append({"tag": f"v1.{place}.0", "items": pair})
    metadata = {"namespace": "team", "name": name, "uid": UID, "resourceVersion": "1", "creationTimestamp": MADE}
    return {"metadata": metadata, "status": {"tags": tags}}


def held(number: int) -> Iterator[dict[str, Any]]:
    for name in (name_of(number * IN_A_STREAM + place) for place in range(IN_A_STREAM)):
        place = {"namespace": "team", "name": f"app-{number:06}@{name}", "creationTimestamp": MADE}
        yield {"metadata": place}


def plan(count: int) -> Planner:
    """Images, their streams and what those hold."""
    planner = Planner(Rules(now=NOW, keep_tag_revisions=1), Usage(Hosts(["host"])))
    for number in range(count):
        planner.add_image(image(number))
    planner.close_images()
    for number in range(count // IN_A_STREAM):
        planner.add_stream(stream(number))
    for number in range(count // IN_A_STREAM):
        for entry in held(number):
            planner.add_held(entry)
    planner.finish()
    return planner


def resident() -> int:
    """The most memory that this process ever had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.slow
def test_an_image_costs_a_few_bytes() -> None:
    """In a process of its own; ``python -m tests.app.pruning.test_memory 1000000`` measures as many as one likes."""
    count = 20_000
    done = subprocess.run(
        [sys.executable, "-m", "tests.app.pruning.test_memory", str(count)],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    measured = json.loads(done.stdout)
    assert measured["goes"] == [count // 2] * 3
    assert measured["bytes"] < FIXED + AN_IMAGE * count, measured


if __name__ == "__main__":
    plan(IN_A_STREAM)  # what is made once
    before = resident()
    totals = plan(int(sys.argv[1])).plan.totals
    goes = [totals.deleted_images, totals.released, totals.dropped_events]
    sys.stdout.write(json.dumps({"bytes": resident() - before, "all": resident(), "goes": goes}))
