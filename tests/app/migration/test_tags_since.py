"""Going back with a storage that both registries serve: nobody finds other tags in the old one unasked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from image_registry.migration import tags_since
from image_registry.migration.actions import RegistryDoor, StepFailed
from image_registry.migration.choices import Way
from image_registry.migration.content import ContentFile, ContentWriter, RepositoryContent
from image_registry.migration.execution import Stopped, rollback
from image_registry.migration.frozen_content import NAME
from image_registry.migration.item_results import ItemResult, ResultFile, read_results, results_path
from image_registry.migration.journal import Journal, State
from image_registry.migration.names import Rename
from image_registry.migration.phases import Action, Phase
from image_registry.migration.plan import Plan
from image_registry.migration.planning import plan
from image_registry.migration.tags_since import CompareTags
from image_registry.oci.digest import Digest
from image_registry.remote.asking import Access
from image_registry_lab.legacy.variants import VARIANTS
from tests.app.migration.test_execution import Recorder, context_of, doers, plan_of
from tests.app.migration.test_plans import case_of

A, B = (f"sha256:{letter * 64}" for letter in "ab")
BEFORE = RepositoryContent("team/app", {"v1": A, "v2": A, "v3": A}, {A: "m"}, {})


@dataclass
class Here:
    """A named fake of this registry: one repository, and what its tags mean now."""

    meant: dict[str, str]

    def tags(self, repository: str) -> list[str]:
        return list(self.meant) if repository == "team/app" else []

    def digest(self, _repository: str, tag: str) -> Digest:
        return Digest.parse(self.meant[tag])


@pytest.fixture
def steps(tmp_path: Path) -> Plan:
    """The real steps at the end of the cutover of a registry that keeps its storage."""
    found = plan(case_of(VARIANTS["4.2-pvc"], tmp_path))
    names = ("cutover/restore-mapping", "cutover/tags", "cutover/write")
    return plan_of([step for step in found.steps if step.id in names])


def back(
    steps: Plan, folder: Path, monkeypatch: pytest.MonkeyPatch, meant: dict[str, str], *accepted: str, **more: Any
) -> Recorder:
    """What a rollback takes back of a cutover that was done to its end."""
    with ContentWriter(folder / NAME, "registry", "old") as writer:
        writer.add(BEFORE)
        writer.finish(0)
    monkeypatch.setattr(tags_since, "target_of", lambda _context: Here(meant))
    made = replace(steps, **more)
    journal, recorder = Journal(folder / "journal", made), Recorder()
    for step in made.steps:
        journal.write(step, State.BEGUN)
        journal.write(step, State.DONE)
    journal.identify()
    known = {**doers(recorder), Action.COMPARE_TAGS: CompareTags()}
    try:
        rollback(context_of(made, folder, *accepted), journal, known)
    except Stopped as error:
        recorder.done.append(str(error))
    return recorder


def test_tags_that_were_moved_or_deleted_since_stop_a_rollback_before_anything_is_taken_back(
    steps: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = back(steps, tmp_path, monkeypatch, {"v1": A, "v2": B, "new": B})
    assert found.undone == [], "this registry takes pushes still, so that a tag can be put back"
    [said] = found.done
    assert f"moved-tag:team/app:v2: it means {B}, and meant {A}" in said
    assert "deleted-tag:team/app:v3" in said
    assert "v1" not in said
    assert "new" not in said
    listed = read_results(results_path(tmp_path, "cutover/tags"))
    assert {name: line["outcome"] for name, line in listed.items()} == {
        "moved-tag:team/app:v2": "open", "deleted-tag:team/app:v3": "open", "added-tag:team/app:new": "told",
    }  # fmt: skip


def test_what_was_accepted_by_name_stays_and_the_rest_is_taken_back_in_its_order(
    steps: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("moved-tag:team/app:*", "deleted-tag:team/app:v3")
    found = back(steps, tmp_path, monkeypatch, {"v1": A, "v2": B}, *names)
    assert (found.done, [name for name, _ in found.undone]) == ([], ["cutover/write", "cutover/restore-mapping"])


def test_tags_that_mean_the_same_and_new_ones_need_no_word(
    steps: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert back(steps, tmp_path, monkeypatch, {"v1": A, "v2": A, "v3": A, "v4": B}).done == []


def test_a_name_that_was_changed_has_its_old_links_as_they_were(
    steps: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert back(steps, tmp_path, monkeypatch, {}, renames=(Rename("team/app", "team/other"),)).done == []


def test_a_tag_that_the_gate_had_accepted_as_broken_is_no_news(
    steps: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ResultFile(results_path(tmp_path, "gate/tags")) as file:
        file.add([ItemResult(image="team/app:v3", outcome="accepted", id="tag:team/app:v3")])
        file.add([ItemResult(image="team/app:v2", outcome="good")])
    found = back(steps, tmp_path, monkeypatch, {"v1": A})
    assert "1 tags would not mean" in found.done[0]
    assert "deleted-tag:team/app:v2" in found.done[0]


def test_who_cannot_be_asked_is_passed_over_by_name_alone(tmp_path: Path) -> None:
    step = next(s for s in plan(case_of(VARIANTS["4.2-pvc"], tmp_path)).steps if s.action is Action.COMPARE_TAGS)
    door = RegistryDoor("http://127.0.0.1:1", Access(insecure=True))
    content = ContentFile(tmp_path / "content.jsonl")
    context = replace(context_of(plan_of([step]), tmp_path), target=door, content=content)
    with pytest.raises(StepFailed, match="--accept tags-not-compared"):
        CompareTags().undo(step, {}, context)
    accepting = replace(context, accepted=("tags-not-compared",))
    assert "tags-not-compared" in CompareTags().undo(step, {}, accepting).detail


def test_a_copy_leaves_the_tags_of_the_old_registry_alone(tmp_path: Path) -> None:
    copied = plan(case_of(VARIANTS["4.2-pvc"], tmp_path, way=Way.COPY, claim_size=1 << 40))
    assert not [step for step in copied.phase(Phase.CUTOVER) if step.action is Action.COMPARE_TAGS]
