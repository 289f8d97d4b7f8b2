"""What ``ac image mirror`` shows while it works."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from image_registry.cli.mirror_output import Watcher
from image_registry.mirroring.places import parse_mapping
from image_registry.mirroring.planner import Plan
from image_registry.mirroring.results import FAILED, Result

RESULT = Result(parse_mapping("a.example.com/n/r:1=b.example.com/n/r:1", Path(), Path()), FAILED, error="no [bold]room")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()], ids=["a file", "a terminal"])
def test_an_image_has_its_line_as_it_is_whether_somebody_watches_or_not(stream: io.StringIO) -> None:
    with Watcher(stream) as watcher:
        watcher.looking("a.example.com/n/r", 1)
        watcher.planned(Plan())
        watcher.sent(5)
        watcher.image(RESULT)
    lines = stream.getvalue().splitlines()
    assert any(line.rstrip().endswith("b.example.com/n/r:1: no [bold]room") for line in lines), lines
    assert ("Copying" in stream.getvalue()) == stream.isatty()
    assert len(lines) == 1 or stream.isatty()
