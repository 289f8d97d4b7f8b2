"""When a kept answer ends."""

from __future__ import annotations

import pytest

from image_registry.auth.trail import Keep
from image_registry.oci.reference import Repository
from image_registry.server import kept_answers
from image_registry.server.kept_answers import Answer, KeptAnswers

KEY = ("GET", "/v2/team/app/tags/list", "")


def answer(repository: str = "team/app", *, at: int = 10, body: bytes = b"{}") -> Answer:
    return Answer(
        status=b"200 OK",
        head=b"",
        body=body,
        file="",
        length=len(body),
        keep=Keep("pull", repository),
        named=repository,
        repository=Repository.parse(repository) if repository else None,
        witnesses=(),
        at=at,
        route="manifests.tags",
        reference="",
        digest="",
        decision="allowed",
    )


@pytest.fixture
def kept() -> KeptAnswers:
    found = KeptAnswers()
    found.note(None, 10)
    found.keep(KEY, answer())
    return found


def test_it_lives_while_others_change(kept: KeptAnswers) -> None:
    kept.note([(11, "team", "other"), (12, "", "sha256:0")], 12)
    assert kept.find(KEY) is not None


def test_it_ends_with_a_change_of_its_repository(kept: KeptAnswers) -> None:
    kept.note([(11, "team", "app")], 11)
    assert kept.find(KEY) is None
    assert KEY not in kept


def test_what_was_made_before_a_change_that_came_first_is_never_given(kept: KeptAnswers) -> None:
    """A thread asked the application, then the change came, then the thread was done."""
    kept.note([(11, "team", "app")], 11)
    kept.keep(KEY, answer(at=10))
    assert kept.find(KEY) is None


def test_what_was_made_after_the_change_is_given(kept: KeptAnswers) -> None:
    kept.note([(11, "team", "app")], 11)
    kept.keep(KEY, answer(at=11))
    assert kept.find(KEY) is not None


def test_an_answer_about_all_repositories_ends_with_any_change(kept: KeptAnswers) -> None:
    everything = ("GET", "/v2/_catalog", "")
    kept.keep(everything, answer("", at=10))
    assert kept.find(everything) is not None
    kept.note([(11, "some", "where")], 11)
    assert kept.find(everything) is None


def test_after_anything_may_have_changed_nothing_is_left(kept: KeptAnswers) -> None:
    kept.note(None, 11)
    assert kept.find(KEY) is None


def test_changes_of_very_many_repositories_end_everything_rather_than_fill_the_memory(
    kept: KeptAnswers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_answers, "MANY", 3)
    kept.note([(11 + number, "team", f"r{number}") for number in range(5)], 15)
    assert kept.find(KEY) is not None
    kept.note([(16, "team", "r9")], 16)
    assert kept.find(KEY) is None


def test_room_is_made_by_the_answer_that_nobody_asked_for(kept: KeptAnswers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_answers, "ROOM", 3 * (kept_answers.OVERHEAD + 100))
    for number in range(2):
        kept.keep(("GET", f"/{number}", ""), answer(body=bytes(100)))
    kept.used(KEY)
    kept.keep(("GET", "/2", ""), answer(body=bytes(100)))
    assert KEY in kept
    assert ("GET", "/0", "") not in kept
    assert ("GET", "/2", "") in kept
