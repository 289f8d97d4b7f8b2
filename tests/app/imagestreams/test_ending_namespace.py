"""A push that races the end of its namespace leaves nothing for a later namespace of that name."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from image_registry.oci.reference import Repository

APP = Repository("team", "app")


class Ending(Exception):
    """The namespace is on its way out."""


def push(registry: Any, confirm: Any, content: str = "a") -> None:
    registry.streams.push(
        APP,
        registry.image(content),
        tag="latest",
        config=None,
        pushed_by="ann",
        authorize_create=lambda: None,
        before_commit=lambda: None,
        confirm_create=confirm,
    )


def test_who_empties_a_namespace_waits_for_those_who_saw_it_alive(registry: Any) -> None:
    asked, may_answer = threading.Event(), threading.Event()

    def alive() -> None:
        asked.set()
        may_answer.wait(30)

    pusher = threading.Thread(target=push, args=(registry, alive))
    pusher.start()
    assert asked.wait(30)
    deleted: list[Any] = []
    cleaner = threading.Thread(target=lambda: deleted.extend(registry.streams.delete_streams("team")))
    cleaner.start()
    cleaner.join(0.3)
    assert cleaner.is_alive(), "it looked before the push was done"
    may_answer.set()
    pusher.join(30)
    cleaner.join(30)
    assert [stream.repository for stream in deleted] == [APP]
    assert registry.streams.namespaces() == []


def test_who_asks_later_hears_of_the_end_and_makes_nothing(registry: Any) -> None:
    registry.push("team/app", "a")
    registry.streams.delete_streams("team")

    def ending() -> None:
        raise Ending

    with pytest.raises(Ending):
        push(registry, ending)
    assert registry.streams.namespaces() == []


def test_a_stream_that_is_there_is_not_asked_about(registry: Any) -> None:
    registry.push("team/app", "a")
    push(registry, lambda: pytest.fail("nothing is made"), "b")
