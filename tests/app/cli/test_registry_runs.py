"""Runs that are at work already: followed if they answer what was asked, else told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytest

from image_registry.cli.failures import Failed
from image_registry.cli.registry_door import Door, Refused
from image_registry.cli.registry_runs import follow


class Busy:
    """A registry in which a run is at work, that ends well as soon as somebody looks."""

    url = "https://registry.example"

    def __init__(self, options: Mapping[str, Any]) -> None:
        progress = {"stage": "", "count": 0}
        self.asked: list[tuple[str, str, object]] = []
        self.run = {"id": "one", "options": options, "askedBy": "ann", "ended": None, "progress": progress}

    def ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Refuse another one, tell of this one."""
        self.asked.append((method, path, body))
        if method == "POST":
            raise Refused("a run of this kind is at work already: one", {"run": self.run})
        return {**self.run, "ended": "now", "state": "succeeded", "report": {}}


@pytest.mark.parametrize(
    ("theirs", "ours", "said"),
    [
        ({"confirm": False}, {"confirm": True}, "its confirm is not set"),
        ({"confirm": True}, {"confirm": False}, "its confirm is true"),
        ({"namespace": "demo", "deep": False}, {"namespace": "team", "deep": False}, "its namespace is demo"),
        ({"namespace": "demo"}, {"namespace": "", "deep": True}, "its namespace is demo, its deep is not set"),
        (
            {"namespace": "team", "repository": ""},
            {"namespace": "team", "repository": "app"},
            "its repository is not set",
        ),
    ],
)
def test_a_run_that_answers_another_question_is_not_taken_for_the_answer(
    theirs: dict[str, Any], ours: dict[str, Any], said: str
) -> None:
    with pytest.raises(Failed, match=r"ac adm registry stop one") as told:
        follow(cast("Door", Busy(theirs)), "verify", ours)
    assert f"({said})" in told.value.message


def test_a_run_that_answers_the_same_question_is_followed(capsys: pytest.CaptureFixture[str]) -> None:
    theirs, ours = {"confirm": True, "grace": "24h", "rate": 0}, {"confirm": True, "grace": "48h", "rate": 5}
    assert follow(cast("Door", Busy(theirs)), "gc", ours)["state"] == "succeeded"
    assert "which ann asked for" in capsys.readouterr().err
