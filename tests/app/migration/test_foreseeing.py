"""What a run would do is what it then does: the same steps, the same end in the same words, and nothing written."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner

from image_registry.cli import ac as command
from image_registry.migration.actions import Context, NotYet, Outcome, StepFailed
from image_registry.migration.ahead import NotGreen
from image_registry.migration.execution import Refused, Stopped, held, phases_until, rollback, run
from image_registry.migration.facts import ObjectName
from image_registry.migration.findings import blocking
from image_registry.migration.foreseeing import Foresight, foresee, foresee_back, looked_at
from image_registry.migration.gating import Gate
from image_registry.migration.installing import Install
from image_registry.migration.journal import Journal, State
from image_registry.migration.object_actions import Delete, Patch
from image_registry.migration.opening import Asked, open_migration
from image_registry.migration.phases import Action, Phase
from image_registry.migration.plan import Plan, Step, write_plan
from image_registry.migration.rewriting import Change
from image_registry.migration.waiting import Wait
from tests.app.migration.test_before_the_end import Values
from tests.app.migration.test_execution import (
    CUTOVER,
    EVERYTHING,
    PREPARE,
    STEPS,
    Recorder,
    context_of,
    doers,
    plan_of,
    step,
)
from tests.app.migration.test_taking_back import Objects


@dataclass
class Seer(Recorder):
    """Foresees what it would do, and how that would end."""

    def foresee(self, step: Step, context: Context) -> str:
        with suppress(KeyError):
            raise self.fails[step.id]
        if step.action is Action.GATE and context.not_accepted(self.open.get(step.id, ())):
            raise NotGreen("some are open", self.open[step.id])
        return super().foresee(step, context)


class Cluster(Objects):
    """A named fake: these objects, in a cluster with a name."""

    server = "https://here"

    def find(self, path: str) -> dict[str, Any] | None:
        return {"metadata": {"uid": "u1"}} if path.endswith("/kube-system") else super().find(path)


def everything_in(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")}


def test_what_would_be_done_is_shown_without_a_line_in_the_journal(tmp_path: Path) -> None:
    plan = plan_of()
    found = foresee(context_of(plan, tmp_path), Journal(tmp_path / "j", plan), doers(Recorder()), PREPARE)
    assert [entry.change for entry in found.steps] == ["would do a", "would do b"]
    assert all(entry.writes for entry in found.steps)
    assert found.end is None
    assert not (tmp_path / "j").exists()


BY_HAND = step("by/hand", Phase.CUTOVER, Action.BY_HAND, "")
ENDS: dict[str, tuple[Plan, Seer, int]] = {
    "by hand": (plan_of((*STEPS[:4], BY_HAND, *STEPS[4:])), Seer(), 0),
    "red": (plan_of(), Seer(open={"gate/x": ("tag:a:1", "tag:b:1"), "gate/y": ("host:h",)}), 4),
    "failed": (plan_of(), Seer(fails={"b": StepFailed("the disk is full")}), 2),
    "failed at the end": (plan_of(), Seer(fails={"last": StepFailed("the disk is full")}), 6),
    "too early": (plan_of(), Seer(fails={"c": NotYet("three hours are left")}), 5),
}


@pytest.mark.parametrize("name", ENDS)
def test_a_run_that_would_end_early_is_foreseen_to_its_last_word(name: str, tmp_path: Path) -> None:
    plan, recorder, reached = ENDS[name]
    seen = foresee(context_of(plan, tmp_path), Journal(tmp_path / "j", plan), doers(recorder), EVERYTHING)
    assert [entry.step for entry in seen.steps] == list(plan.steps), "all of them are shown"
    assert sum(entry.reached for entry in seen.steps) == reached
    with pytest.raises(type(seen.end)) as ended:  # type: ignore[type-var]
        run(context_of(plan, tmp_path), Journal(tmp_path / "j", plan), doers(recorder), EVERYTHING)
    assert type(ended.value) is type(seen.end)
    assert str(ended.value) == str(seen.end)
    looking = {step.id for step in plan.steps if step.action is Action.GATE}
    assert [entry.step.id for entry in seen.steps if entry.writes and entry.step.id not in recorder.fails] == [
        done for done in recorder.done if done not in looking
    ]


def test_a_plan_with_findings_that_block_is_refused_at_once(tmp_path: Path) -> None:
    plan = plan_of(findings=(blocking("plain-http", "h", "it has no TLS", "give it one"),))
    with pytest.raises(Refused, match="stand in the way of this plan"):
        foresee(context_of(plan, tmp_path), Journal(tmp_path / "j", plan), doers(Recorder()), PREPARE)


def test_who_holds_the_cluster_is_foreseen(tmp_path: Path) -> None:
    plan, context = plan_of(), context_of(plan_of(), tmp_path)
    run(context, Journal(tmp_path / "j", plan), doers(Recorder()), PREPARE)
    lost = Journal(tmp_path / "lost", plan)
    seen = foresee(context, lost, doers(Recorder()), PREPARE)
    with pytest.raises(Refused) as refused:
        run(context, lost, doers(Recorder()), PREPARE)
    assert str(seen.end) == str(refused.value)
    with pytest.raises(Refused, match="has begun to migrate"):
        foresee_back(context, written(lost, plan), doers(Recorder()))


def written(journal: Journal, plan: Plan) -> Journal:
    for each in plan.steps[:2]:
        journal.write(each, State.BEGUN)
        journal.write(each, State.DONE)
    return journal


def test_a_phase_before_its_turn_is_refused_unless_the_others_are_assumed(tmp_path: Path) -> None:
    plan = plan_of()
    journal, context = Journal(tmp_path / "j", plan), context_of(plan, tmp_path)
    with pytest.raises(Refused, match="phase prepare comes first"):
        foresee(context, journal, doers(Recorder()), [Phase.CUTOVER])
    seen = foresee(context, journal, doers(Recorder()), [Phase.CUTOVER], [Phase.PREPARE, Phase.GATES])
    assert [entry.step.id for entry in seen.steps] == ["c"]


def test_a_rollback_is_foreseen_with_what_was_pushed_since(tmp_path: Path) -> None:
    compare = Step(
        "tags", Phase.CUTOVER, Action.COMPARE_TAGS, "Compare", undo="they are compared", parameters={"undoFirst": 3}
    )
    plan = plan_of((*STEPS[:2], compare))
    recorder = Seer(fails={"undo tags": StepFailed("moved-tag:team/app:v2")})
    journal, context = Journal(tmp_path / "j", plan), context_of(plan, tmp_path)
    assert foresee_back(context, journal, doers(recorder)) == Foresight(())
    run(context, journal, doers(recorder), CUTOVER)
    seen = foresee_back(context, journal, doers(recorder))
    with pytest.raises(Stopped) as ended:
        rollback(context, journal, doers(recorder))
    assert str(seen.end) == str(ended.value)
    recorder.fails.clear()
    seen = foresee_back(context, journal, doers(recorder))
    recorder.undone.clear()
    assert (len(seen.steps), seen.end) == (3, None)
    rollback(context, journal, doers(recorder))
    assert [entry.step.id for entry in seen.steps] == [name for name, _ in recorder.undone]


def test_who_only_looks_writes_nothing_where_the_journal_is(tmp_path: Path) -> None:
    journal = tmp_path / "new" / "folder" / "journal.jsonl"
    with looked_at(journal) as scratch:
        assert not list(scratch.iterdir())
    assert not scratch.exists()
    assert not list(tmp_path.iterdir())
    journal.parent.mkdir(parents=True)
    beside = journal.with_name("journal.jsonl.d")
    beside.mkdir()
    (beside / "frozen").write_text("a list")
    plan = plan_of()
    (tmp_path / "plan").write_text(json.dumps(write_plan(plan)))
    before = everything_in(tmp_path)
    client = cast("Any", Cluster({}))
    with looked_at(journal) as scratch:
        found = open_migration(
            Asked(plan=tmp_path / "plan", journal=journal, client=client, chart="chart", scratch=scratch)
        )
        assert (found.context.folder / "frozen").read_text() == "a list", "what was kept is known"
        (found.context.folder / "frozen").write_text("another one")
    assert everything_in(tmp_path) == before


def test_a_journal_is_looked_at_where_a_run_may_have_it_and_refused_in_its_words(tmp_path: Path) -> None:
    def refused(way: Callable[[Path], Any], path: Path) -> str:
        with pytest.raises(Refused) as error, way(path):
            pass
        return str(error.value)

    with held(tmp_path / "j"):
        assert refused(looked_at, tmp_path / "j") == refused(held, tmp_path / "j")
    with looked_at(tmp_path / "j"), looked_at(tmp_path / "j"):
        assert refused(held, tmp_path / "j")
    (tmp_path / "file").touch()
    for nowhere in (tmp_path / "file" / "journal", tmp_path / "file" / "below" / "journal"):
        assert refused(looked_at, nowhere) == refused(held, nowhere)


def test_the_command_shows_a_dry_run_and_makes_nothing(tmp_path: Path) -> None:
    (tmp_path / "plan").write_text("is none")
    named = ["--plan", str(tmp_path / "plan"), "--journal", str(tmp_path / "new" / "journal")]
    for words in (["run", "--dry-run"], ["run", "--until", "finalize"], ["rollback"]):
        CliRunner().invoke(command.cli, ["adm", "migrate", *words, *named], prog_name="ac")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plan"]


APP = ObjectName("ConfigMap", "app", "team")
PATH = "/api/v1/namespaces/team/configmaps/app"


def patch(name: str, before: str, after: str) -> Step:
    return Step(name, Phase.PREPARE, Action.PATCH, f"Do {name}", APP, (Change("/data/host", before, after),))


def test_a_step_is_seen_after_what_those_before_it_would_leave(tmp_path: Path) -> None:
    stands = {PATH: {"metadata": {"name": "app", "namespace": "team"}, "data": {"host": "one"}}}
    steps = (
        patch("first", "one", "two"),
        patch("second", "two", "three"),
        Step("away", Phase.PREPARE, Action.DELETE, "Away", APP),
        Step("again", Phase.PREPARE, Action.DELETE, "Away again", APP),
        patch("late", "three", "four"),
    )
    plan, found = plan_of(steps), Cluster(copy.deepcopy(stands))
    context = replace(context_of(plan, tmp_path), client=cast("Any", found), sleep=lambda _s: None)
    all_doers = {**doers(Recorder()), Action.PATCH: Patch(), Action.DELETE: Delete()}
    seen = foresee(context, Journal(tmp_path / "j", plan), all_doers, PREPARE)
    assert seen.end is None
    assert [entry.step.id for entry in seen.steps if entry.writes] == ["first", "second", "away"]
    assert "two -> three" in seen.steps[1].change
    assert found.documents[PATH] == stands[PATH], "it is only in mind"


def test_an_object_that_was_changed_since_is_foreseen_in_the_words_of_the_run(tmp_path: Path) -> None:
    found = Cluster({PATH: {"metadata": {"name": "app", "namespace": "team"}, "data": {"host": "other"}}})
    plan = plan_of((patch("first", "one", "two"),))
    context = replace(context_of(plan, tmp_path), client=cast("Any", found))
    all_doers = {**doers(Recorder()), Action.PATCH: Patch()}
    seen = foresee(context, Journal(tmp_path / "j", plan), all_doers, PREPARE)
    assert "stands 'other' and not 'one'" in str(seen.end)
    accepted = replace(context, accepted=(f"changed:{APP}",))
    assert [entry.change for entry in foresee(accepted, Journal(tmp_path / "j", plan), all_doers, PREPARE).steps] == [
        ""
    ]


def test_values_are_seen_after_those_that_steps_before_would_write(tmp_path: Path) -> None:
    def install(name: str, **values: Any) -> Step:
        return Step(name, Phase.PREPARE, Action.INSTALL, name, parameters={"values": values})

    steps = (install("first", state="Removed"), install("second", state="Managed"), install("same", state="Managed"))
    plan = plan_of(steps)
    context = replace(context_of(plan, tmp_path), settings=cast("Any", Values(None)))
    seen = foresee(context, Journal(tmp_path / "j", plan), {**doers(Recorder()), Action.INSTALL: Install()}, PREPARE)
    assert [entry.change for entry in seen.steps] == [
        "installs this registry",
        "config.state: Removed -> Managed",
        "",
    ]


def test_a_gate_is_asked_in_its_turn_and_before_it_nobody_says_what_it_will_find(tmp_path: Path) -> None:
    gate = Step("gate/objects", Phase.GATES, Action.GATE, "Objects", parameters={"gate": "objects"})
    later = Step("gate/limits", Phase.GATES, Action.GATE, "Limits", parameters={"gate": "limits"})
    change = replace(patch("cutover/app", "one", "two"), phase=Phase.CUTOVER)
    plan = plan_of((STEPS[0], gate, later, change))
    found = Cluster({PATH: {"metadata": {"name": "app", "namespace": "team"}, "data": {"host": "other"}}})
    context = replace(context_of(plan, tmp_path / "scratch"), client=cast("Any", found))
    seen = foresee(
        context, Journal(tmp_path / "j", plan), {**doers(Recorder()), Action.GATE: Gate()}, phases_until(Phase.GATES)
    )
    assert seen.steps[1].change.startswith("NOT GREEN: 1 looked at"), "no earlier step can change that"
    assert seen.steps[2].unknown == "it is not known before 'Do a' (prepare) is done"
    assert "1 things are not as they must be: changed:ConfigMap team/app" in str(seen.end)


def test_the_day_of_watching_ends_what_is_foreseen_unless_somebody_ends_it(tmp_path: Path) -> None:
    watch = Step(
        "observe/pulls", Phase.OBSERVE, Action.WAIT, "Watch", parameters={"seconds": 7200, "restartable": True}
    )
    plan = plan_of((STEPS[0], watch, step("stop", Phase.OBSERVE)))
    all_doers = {**doers(Recorder()), Action.WAIT: Wait()}
    journal, phases = Journal(tmp_path / "j", plan), phases_until(Phase.OBSERVE)
    seen = foresee(context_of(plan, tmp_path), journal, all_doers, phases)
    assert "for 2.0 h" in str(seen.end)
    assert [entry.writes for entry in seen.steps] == [True, False, False]
    seen = foresee(context_of(plan, tmp_path, "observe/pulls"), journal, all_doers, phases)
    assert seen.end is None
    assert [entry.writes for entry in seen.steps] == [True, False, True]


def test_a_step_that_finds_everything_as_planned_has_changed_nothing(tmp_path: Path) -> None:
    document: dict[str, Any] = {"metadata": {"name": "app", "namespace": "team"}, "data": {"host": "two"}}
    found = Cluster({PATH: document})
    context = replace(context_of(plan_of(), tmp_path), client=cast("Any", found))
    assert Patch().do(patch("first", "one", "two"), {}, context).skipped
    found.documents[PATH]["data"]["host"] = "one"
    outcome: Outcome = Patch().do(patch("first", "one", "two"), {}, context)
    assert not outcome.skipped
