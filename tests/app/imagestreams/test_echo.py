"""Links of tags follow the commit: never lost, never back, and gone with the tag."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository
from image_registry.storage.blob_store import StorageFault

APP = Repository("team", "app")


class Links(dict[str, Digest]):
    """What the links of the tags say."""

    def write(self, _repository: Repository, tags: Mapping[str, Digest]) -> None:
        self.update(tags)


def test_a_push_waits_to_be_echoed_and_is_echoed_once(registry: Any) -> None:
    links = Links()
    registry.push("team/app", "a", tag="v1")
    registry.push("team/app", "a", tag="v2")
    assert registry.streams.unechoed() == [APP]
    assert registry.streams.settle(APP, links.write) == 2
    assert links == dict.fromkeys(("v1", "v2"), registry.image("a").digest)
    assert registry.streams.unechoed() == []
    assert registry.streams.settle(APP, links.write) == 0


def test_a_push_of_what_the_tag_means_already_needs_no_echo(registry: Any) -> None:
    registry.push("team/app", "a")
    registry.streams.settle(APP, Links().write)
    registry.push("team/app", "a")
    assert registry.streams.unechoed() == []


def test_what_could_not_be_written_stays_to_be_written(registry: Any) -> None:
    registry.push("team/app", "a")

    def broken(*_: object) -> None:
        raise StorageFault("cannot write")

    with pytest.raises(StorageFault):
        registry.streams.settle(APP, broken)
    assert registry.streams.unechoed() == [APP]


def test_a_tag_that_moves_while_its_link_is_written_is_written_again(registry: Any) -> None:
    links = Links()
    registry.push("team/app", "a")

    def meanwhile(repository: Repository, tags: Mapping[str, Digest]) -> None:
        links.write(repository, tags)
        registry.push("team/app", "b")
        registry.push("team/app", "a")  # there and back: the mark tells the difference

    registry.streams.settle(APP, meanwhile)
    assert registry.streams.unechoed() == [APP]
    registry.streams.settle(APP, links.write)
    assert links == {"latest": registry.image("a").digest}


def test_a_deleted_tag_is_not_echoed(registry: Any) -> None:
    registry.push("team/app", "a")
    registry.streams.delete_tag(APP, "latest")
    links = Links()
    assert registry.streams.settle(APP, links.write) == 0
    assert links == {}


def test_many_tags_are_written_together(registry: Any) -> None:
    sizes: list[int] = []
    for number in range(7):
        registry.push("team/app", "a", tag=f"v{number}")
    registry.streams.settle(APP, lambda _repository, tags: sizes.append(len(tags)))
    assert sizes == [7]
