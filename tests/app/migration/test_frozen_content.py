"""The list after the freeze: nobody is missing from it, and a failure that passes does not stay in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from image_registry.migration.actions import RegistryDoor, StepFailed
from image_registry.migration.content import UNREADABLE, ContentFile, ContentWriter, Problem, RepositoryContent
from image_registry.migration.copying import _Copying
from image_registry.migration.frozen_content import NAME, SINCE, frozen, older_than_freeze, surveyed, unread_since
from image_registry.migration.item_results import ResultFile
from image_registry.migration.spelling import command_line
from image_registry.migration.survey_registry import LegacyRegistry
from image_registry.remote.asking import Access

A, B = (f"sha256:{letter * 64}" for letter in "ab")
ONE, TWO = (RepositoryContent(f"team/{name}", {"1": A}, {A: "x"}) for name in ("one", "two"))
LOST = RepositoryContent("team/two", problems=(Problem(UNREADABLE, "team/two", "503"),))


def written(path: Path, *found: RepositoryContent) -> ContentFile:
    with ContentWriter(path, "registry", "x") as writer:
        for repository in found:
            writer.add(repository)
        writer.finish(0)
    return ContentFile(path)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a registry of the fake says: its catalog, its repositories, and whom it was asked for."""
    state: dict[str, Any] = {"catalog": [], "has": {}, "asked": []}

    def catalog(_self: LegacyRegistry) -> Iterator[str]:
        return iter(state["catalog"])

    def repository(_self: LegacyRegistry, name: str, _known: Callable[[str], bool], _before: Any = None) -> Any:
        state["asked"].append(name)
        return state["has"].get(name, RepositoryContent(name))

    monkeypatch.setattr(LegacyRegistry, "catalog", catalog)
    monkeypatch.setattr(LegacyRegistry, "repository", repository)
    return state


def context_of(folder: Path, *surveyed: RepositoryContent) -> Any:
    door = RegistryDoor("http://127.0.0.1:1", Access(insecure=True))
    content = written(folder / "content.jsonl", *surveyed)
    return cast(
        "Any",
        SimpleNamespace(
            folder=folder,
            content=content,
            source=door,
            clock=lambda: 0.0,
            tell=lambda _line: None,
            spelling=command_line,
        ),
    )


def test_a_name_that_the_catalog_does_not_show_is_asked_for(asked: dict[str, Any], tmp_path: Path) -> None:
    asked |= {"catalog": ["team/one"], "has": {"team/one": ONE, "team/two": TWO}}
    gone = RepositoryContent("team/gone", {"1": A}, {A: "x"})
    found = frozen(context_of(tmp_path, ONE, TWO, gone))
    assert {repository.name for repository in found.repositories()} == {"team/one", "team/two"}
    assert set(asked["asked"]) == {"team/one", "team/two", "team/gone"}


def test_what_could_not_be_read_is_read_again_and_nothing_else(asked: dict[str, Any], tmp_path: Path) -> None:
    asked |= {"catalog": ["team/one", "team/two"], "has": {"team/one": ONE, "team/two": LOST}}
    context = context_of(tmp_path, ONE, TWO)
    first = frozen(context)
    assert unread_since(context.content, first) == {"team/two": ["repository:team/two"]}
    asked["has"]["team/two"] = TWO
    asked["asked"].clear()
    again = frozen(context)
    assert asked["asked"] == ["team/two"]
    assert unread_since(context.content, again) == {}
    assert {repository.name: dict(repository.tags) for repository in again.repositories()}["team/two"] == {"1": A}
    frozen(context)
    assert asked["asked"] == ["team/two"]


def test_what_the_survey_could_not_read_either_is_no_news(asked: dict[str, Any], tmp_path: Path) -> None:
    asked |= {"catalog": ["team/one", "team/two"], "has": {"team/one": ONE, "team/two": LOST}}
    context = context_of(tmp_path, ONE, LOST)
    frozen(context)
    asked["asked"].clear()
    frozen(context)
    assert asked["asked"] == []


@pytest.mark.parametrize("content", [None, "{}\n"])
def test_a_survey_that_is_gone_or_none_is_said(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "taken-elsewhere.jsonl"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(StepFailed, match=r"the survey that the plan was made from: .*taken-elsewhere\.jsonl"):
        surveyed(cast("Any", SimpleNamespace(content=ContentFile(path))))


def test_a_survey_from_before_the_freeze_is_no_list_and_one_from_after_it_is(tmp_path: Path) -> None:
    context = context_of(tmp_path, ONE)
    assert older_than_freeze(context) == "", "the registry before is asked"
    context.source = None
    assert "unknown time" in older_than_freeze(context)
    (tmp_path / SINCE).write_text("2999-01-01T00:00:00Z\n")
    assert "name the registry before" in older_than_freeze(context)
    (tmp_path / SINCE).write_text(context.content.began)
    assert older_than_freeze(context) == ""
    (tmp_path / SINCE).unlink()
    written(tmp_path / NAME, ONE)
    assert older_than_freeze(context) == "", "it was made after the freeze"


class Here:
    """A named fake of this registry: one tag, as the first pass has copied it."""

    name = "here"

    def __init__(self, digest: str) -> None:
        self.tag: str | None = digest

    def digest(self, _repository: str, _tag: str) -> str | None:
        return self.tag

    def delete_tag(self, _repository: str, _tag: str) -> None:
        self.tag = None


class Before:
    """A named fake of the registry before, where the tag is gone."""

    name = "before"

    def digest(self, _repository: str, _tag: str) -> None:
        return None


@pytest.mark.parametrize(("stands", "left"), [(A, None), (B, None), ("sha256:" + "c" * 64, "sha256:" + "c" * 64)])
def test_a_tag_that_moved_was_copied_and_then_deleted_goes(stands: str, left: str | None, tmp_path: Path) -> None:
    context = context_of(tmp_path, ONE)
    context.plan, context.max_per_registry = SimpleNamespace(renames=()), 1
    here = Here(stands)
    with ResultFile(tmp_path / "results") as results:
        run = _Copying(
            context,
            cast("Any", SimpleNamespace(parameters={})),
            cast("Any", Before()),
            cast("Any", here),
            results,
            cast("Any", None),
        )
        run.remove_gone(context.content, written(tmp_path / "now", TWO), {"tag:team/one:1": {B}})
    assert here.tag == left
