"""Executing a plan, whatever its steps do: each once, in order, written down, taken back."""

from __future__ import annotations

import copy
import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner

from image_registry.cli import ac as command
from image_registry.kube.errors import KubeError
from image_registry.migration.actions import Context, NotYet, Outcome, Saved, StepFailed, Untouched
from image_registry.migration.execution import (
    Refused,
    Stopped,
    TooEarly,
    held,
    phases_until,
    rollback,
    run,
    steps_of,
)
from image_registry.migration.facts import ObjectName
from image_registry.migration.findings import blocking
from image_registry.migration.foreseeing import foresee
from image_registry.migration.holding import lease_path
from image_registry.migration.journal import Journal, State
from image_registry.migration.object_actions import rules_before
from image_registry.migration.phases import Action, Phase
from image_registry.migration.plan import OLD, VERSION, Plan, Step, sealed
from image_registry.migration.progress import progress

PREPARE, CUTOVER = phases_until(Phase.PREPARE), phases_until(Phase.CUTOVER)
EVERYTHING = phases_until(Phase.FINALIZE)


class Server:
    """A named fake of a cluster: an address, an identity, and room for one Lease."""

    server = "https://here"

    def __init__(self, uid: str = "u1") -> None:
        self.uid, self.lease, self.version = uid, dict[str, Any](), 0

    def find(self, path: str) -> dict[str, Any] | None:
        if path == "/api/v1/namespaces/kube-system":
            return {"metadata": {"uid": self.uid}}
        assert path == lease_path("cpaas-system")
        return copy.deepcopy(self.lease) or None

    def create(self, _path: str, body: Any) -> dict[str, Any]:
        if self.lease:
            raise KubeError(409, "AlreadyExists", "it is there")
        return self._written(body)

    def replace(self, _path: str, body: Any) -> dict[str, Any]:
        if not self.lease:
            raise KubeError(404, "NotFound", "it is gone")
        if body["metadata"].get("resourceVersion") != self.lease["metadata"]["resourceVersion"]:
            raise KubeError(409, "Conflict", "somebody else was faster")
        return self._written(body)

    def delete(self, _path: str) -> None:
        self.lease = {}

    def _written(self, body: Any) -> dict[str, Any]:
        self.version += 1
        self.lease = copy.deepcopy(body)
        self.lease["metadata"]["resourceVersion"] = str(self.version)
        return copy.deepcopy(self.lease)


class Elsewhere(Server):
    """The same of another cluster."""

    server = "https://elsewhere"


@dataclass
class Recorder:
    """A named fake of every action: remembers what it was asked, and fails where it is told to."""

    done: list[str] = field(default_factory=list)
    undone: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    fails: dict[str, Exception] = field(default_factory=dict)
    unseen: dict[str, Exception] = field(default_factory=dict)
    """Raised before a step begins."""
    open: dict[str, tuple[str, ...]] = field(default_factory=dict)
    looks: int = 0

    def foresee(self, step: Step, context: Context) -> str:  # noqa: ARG002
        return f"would do {step.id}"

    def before(self, step: Step, context: Context) -> Saved:  # noqa: ARG002
        if step.id in self.unseen:
            raise self.unseen[step.id]
        self.looks += 1
        return {"look": self.looks}

    def do(self, step: Step, saved: Saved, context: Context) -> Outcome:  # noqa: ARG002
        if step.id in self.fails:
            raise self.fails[step.id]
        self.done.append(step.id)
        return Outcome(open=self.open.get(step.id, ()))

    def undo(self, step: Step, saved: Saved, context: Context) -> Outcome:  # noqa: ARG002
        if f"undo {step.id}" in self.fails:
            raise self.fails[f"undo {step.id}"]
        self.undone.append((step.id, dict(saved)))
        return Outcome()


def step(name: str, phase: Phase, action: Action = Action.PATCH, undo: str = "it goes back") -> Step:
    return Step(name, phase, action, f"Do {name}", ObjectName("ConfigMap", name), undo=undo)


STEPS = (
    step("a", Phase.PREPARE),
    step("b", Phase.PREPARE),
    step("gate/x", Phase.GATES, Action.GATE, ""),
    step("gate/y", Phase.GATES, Action.GATE, ""),
    step("c", Phase.CUTOVER),
    step("last", Phase.FINALIZE, Action.DELETE, ""),
)


def plan_of(steps: Iterable[Step] = STEPS, **more: Any) -> Plan:
    made = Plan(VERSION, "", "s", "cpaas-system", "t", "https://here", "reuse", "", "h", "sha256:0", steps=tuple(steps))
    return sealed(replace(made, **more))


def context_of(plan: Plan, folder: Path, *accepted: str, said: list[str] | None = None) -> Context:
    tell = (said if said is not None else []).append
    return Context(
        plan=plan, client=cast("Any", Server()), folder=folder, settings=cast("Any", None), accepted=accepted, tell=tell
    )


def doers(recorder: Recorder) -> dict[Action, Any]:
    return dict.fromkeys(Action, recorder)


def test_every_step_is_done_once_in_its_order_and_told(tmp_path: Path) -> None:
    plan, recorder, said = plan_of(), Recorder(), list[str]()
    journal = Journal(tmp_path / "journal", plan)
    assert run(context_of(plan, tmp_path, said=said), journal, doers(recorder), PREPARE) == 2
    assert said[0] == "step 1 of 6 (prepare): Do a"
    assert run(context_of(plan, tmp_path), journal, doers(recorder), CUTOVER) == 3
    assert run(context_of(plan, tmp_path), journal, doers(recorder), CUTOVER) == 0
    assert recorder.done == ["a", "b", "gate/x", "gate/y", "c"]


def test_a_phase_does_not_come_before_its_turn(tmp_path: Path) -> None:
    plan, recorder = plan_of(), Recorder()
    with pytest.raises(Refused, match=r"phase prepare comes first, and 'Do a'"):
        run(context_of(plan, tmp_path), Journal(tmp_path / "j", plan), doers(recorder), [Phase.CUTOVER])
    assert recorder.done == []


def test_phases_with_a_hole_between_them_are_refused(tmp_path: Path) -> None:
    plan, recorder = plan_of(), Recorder()
    journal = Journal(tmp_path / "j", plan)
    holes = [Phase.PREPARE, Phase.CUTOVER]
    for do in (run, foresee):
        with pytest.raises(Refused, match=r"^prepare, cutover leave out gates, which the plan has between them"):
            do(context_of(plan, tmp_path), journal, doers(recorder), holes)
    with pytest.raises(Refused, match=r"phase gates comes first, and 'Do gate/x'"):
        steps_of(journal, holes)
    assert recorder.done == []
    run(context_of(plan, tmp_path), journal, doers(recorder), [Phase.PREPARE, Phase.GATES, Phase.CUTOVER])
    assert recorder.done[-1] == "c"


def test_what_failed_is_done_again_with_what_was_saved_first(tmp_path: Path) -> None:
    plan, recorder = plan_of(), Recorder(fails={"b": StepFailed("no room")})
    path = tmp_path / "journal"
    with pytest.raises(Stopped, match=r"'Do b' failed: no room\. Remove the cause and run again, or roll back"):
        run(context_of(plan, tmp_path), Journal(path, plan), doers(recorder), CUTOVER)
    recorder.fails.clear()
    run(context_of(plan, tmp_path), Journal(path, plan), doers(recorder), CUTOVER)
    assert recorder.done == ["a", "b", "gate/x", "gate/y", "c"]
    rollback(context_of(plan, tmp_path), Journal(path, plan), doers(recorder))
    assert dict(recorder.undone)["b"] == {"look": 2}


def test_a_plan_that_something_blocks_is_refused(tmp_path: Path) -> None:
    plan = plan_of(findings=(blocking("space", "claim", "too small", "make room"),))
    with pytest.raises(Refused, match="space:claim"):
        run(context_of(plan, tmp_path), Journal(tmp_path / "j", plan), doers(Recorder()), PREPARE)


def test_what_stands_in_the_way_is_asked_once_between_what_nobody_notices_and_the_freeze(tmp_path: Path) -> None:
    steps = (*STEPS[:2], step("f", Phase.FREEZE), *STEPS[2:])
    plan, recorder, asked = plan_of(steps), Recorder(), list[list[str]]()
    path = tmp_path / "j"

    def look() -> None:
        asked.append(list(recorder.done))
        if len(asked) == 1:
            raise Stopped("somebody has the host, too")

    run(context_of(plan, tmp_path), Journal(path, plan), doers(recorder), PREPARE, look)
    assert asked == [], "who prepares has not asked for the freeze yet"
    with pytest.raises(Stopped, match="somebody has the host"):
        run(context_of(plan, tmp_path), Journal(path, plan), doers(recorder), CUTOVER, look)
    assert recorder.done == ["a", "b"]
    run(context_of(plan, tmp_path), Journal(path, plan), doers(recorder), CUTOVER, look)
    assert asked == [["a", "b"], ["a", "b"]]
    assert recorder.done[-1] == "c"


def test_a_plan_of_an_earlier_version_goes_on_only_by_name_and_is_taken_back_without(tmp_path: Path) -> None:
    plan, recorder, path = plan_of(version=VERSION - 1), Recorder(), tmp_path / "j"
    said = rf"of version {VERSION - 1}.*Roll back.*plan anew; or .*--accept {OLD}"
    with pytest.raises(Refused, match=said):
        run(context_of(plan, tmp_path), Journal(path, plan), doers(recorder), PREPARE)
    seen = foresee(context_of(plan, tmp_path), Journal(path, plan), doers(recorder), PREPARE).end
    assert re.search(said, str(seen))
    run(context_of(plan, tmp_path, OLD), Journal(path, plan), doers(recorder), PREPARE)
    assert recorder.done == ["a", "b"]
    assert rollback(context_of(plan, tmp_path), Journal(path, plan), doers(recorder)) == 2


def test_a_plan_of_another_cluster_is_refused(tmp_path: Path) -> None:
    plan = plan_of(server="https://elsewhere")
    with pytest.raises(Refused, match="https://elsewhere and this one is https://here"):
        run(context_of(plan, tmp_path), Journal(tmp_path / "j", plan), doers(Recorder()), PREPARE)


def test_a_gate_that_is_not_green_stops_the_cutover_until_each_exception_is_accepted(tmp_path: Path) -> None:
    plan, recorder = plan_of(), Recorder(open={"gate/x": ("tags:t/a:1", "tags:t/a:2")})
    journal = Journal(tmp_path / "j", plan)
    with pytest.raises(Stopped, match=r"2 things are not as they must be: tags:t/a:1, tags:t/a:2"):
        run(context_of(plan, tmp_path), journal, doers(recorder), CUTOVER)
    assert recorder.done == ["a", "b", "gate/x", "gate/y"]  # the other gates are asked all the same
    with pytest.raises(Stopped, match="tags:t/a:2"):
        run(context_of(plan, tmp_path, "tags:t/a:1"), journal, doers(recorder), CUTOVER)
    run(context_of(plan, tmp_path, "tags:t/a:*"), journal, doers(recorder), CUTOVER)
    assert recorder.done[-1] == "c"
    assert journal.detail(plan.steps[2]) == "; accepted: tags:t/a:1, tags:t/a:2"


def test_what_a_person_does_is_asked_for_before_anything_is_done(tmp_path: Path) -> None:
    steps = (*STEPS[:2], step("by-hand", Phase.CUTOVER, Action.BY_HAND, ""))
    plan, recorder = plan_of(steps), Recorder()
    with pytest.raises(Refused, match="by-hand"):
        run(context_of(plan, tmp_path), Journal(tmp_path / "j", plan), doers(recorder), CUTOVER)
    assert recorder.done == []
    run(context_of(plan, tmp_path, "by-hand"), Journal(tmp_path / "j", plan), doers(recorder), CUTOVER)


def test_what_takes_a_day_is_looked_at_again(tmp_path: Path) -> None:
    plan, recorder = plan_of(), Recorder(fails={"b": NotYet("3 h are left")})
    journal = Journal(tmp_path / "j", plan)
    with pytest.raises(TooEarly, match=r"^3 h are left$"):
        run(context_of(plan, tmp_path), journal, doers(recorder), PREPARE)
    assert journal.state(plan.steps[1]) is State.BEGUN


def test_a_rollback_goes_backwards_and_on_where_it_was_interrupted(tmp_path: Path) -> None:
    plan, recorder = plan_of(), Recorder(fails={"c": StepFailed("half done"), "undo b": StepFailed("not now")})
    path = tmp_path / "journal"
    with pytest.raises(Stopped):
        run(context_of(plan, tmp_path), Journal(path, plan), doers(recorder), CUTOVER)
    with pytest.raises(Stopped, match=r"could not be taken back: not now\. Remove the cause and roll back again"):
        rollback(context_of(plan, tmp_path), Journal(path, plan), doers(recorder))
    recorder.fails.clear()
    assert rollback(context_of(plan, tmp_path), Journal(path, plan), doers(recorder)) == 2
    assert [name for name, _ in recorder.undone] == ["c", "b", "a"]
    assert rollback(context_of(plan, tmp_path), Journal(path, plan), doers(recorder)) == 0
    run(context_of(plan, tmp_path), Journal(path, plan), doers(recorder), CUTOVER)  # and forward again
    assert recorder.done[-5:] == ["a", "b", "gate/x", "gate/y", "c"]  # gates say nothing of what came in between


def test_a_rollback_of_another_cluster_is_refused(tmp_path: Path) -> None:
    plan, recorder = plan_of(), Recorder()
    journal = Journal(tmp_path / "j", plan)
    run(context_of(plan, tmp_path), journal, doers(recorder), CUTOVER)
    elsewhere = replace(context_of(plan, tmp_path), client=cast("Any", Elsewhere()))
    with pytest.raises(Refused, match=r"https://here and this one is https://elsewhere"):
        rollback(elsewhere, journal, doers(recorder))
    assert recorder.undone == []


def test_behind_the_last_phase_there_is_no_way_back(tmp_path: Path) -> None:
    plan, recorder = plan_of(), Recorder()
    journal = Journal(tmp_path / "j", plan)
    run(context_of(plan, tmp_path), journal, doers(recorder), EVERYTHING)
    with pytest.raises(Refused, match=r"'Do last' was done, behind which there is no way back"):
        rollback(context_of(plan, tmp_path), journal, doers(recorder))
    assert recorder.undone == []


def test_a_last_step_that_failed_before_it_began_keeps_nobody_from_going_back(tmp_path: Path) -> None:
    plan, recorder = plan_of(), Recorder()
    journal = Journal(tmp_path / "j", plan)
    run(context_of(plan, tmp_path), journal, doers(recorder), CUTOVER)
    recorder.unseen["last"] = StepFailed("the object cannot be read")
    with pytest.raises(Stopped, match="cannot be read"):
        run(context_of(plan, tmp_path), journal, doers(recorder), EVERYTHING)
    assert journal.state(plan.steps[-1]) is State.FAILED
    assert progress(plan, journal).can_roll_back
    rollback(context_of(plan, tmp_path), journal, doers(recorder))
    assert [name for name, _ in recorder.undone] == ["c", "b", "a"]
    assert not journal.touched


def test_a_last_step_that_was_refused_keeps_nobody_from_going_back_unless_it_was_begun_before(tmp_path: Path) -> None:
    plan = plan_of()
    for begun, advice, back in ((False, "run again, or roll back$", True), (True, "run again$", False)):
        recorder = Recorder(fails={"last": Untouched("you may not")})
        journal = Journal(tmp_path / f"j{begun}", plan)
        run(context_of(plan, tmp_path), journal, doers(recorder), CUTOVER)
        if begun:
            journal.write(plan.steps[-1], State.BEGUN)  # and killed: it may be done
        with pytest.raises(Stopped, match=advice):
            run(context_of(plan, tmp_path), journal, doers(recorder), EVERYTHING)
        found = Journal(tmp_path / f"j{begun}", plan)
        assert found.state(plan.steps[-1]) is State.FAILED
        assert progress(plan, found).can_roll_back is back
        if back:
            rollback(context_of(plan, tmp_path), found, doers(recorder))
            assert [name for name, _ in recorder.undone] == ["c", "b", "a"]


def test_a_gate_before_the_end_changes_nothing_so_there_is_a_way_back(tmp_path: Path) -> None:
    plan = plan_of((*STEPS[:-1], step("gate/z", Phase.FINALIZE, Action.GATE, ""), STEPS[-1]))
    recorder = Recorder(open={"gate/z": ("consumer:x",)})
    journal = Journal(tmp_path / "j", plan)
    with pytest.raises(Stopped, match="consumer:x"):
        run(context_of(plan, tmp_path), journal, doers(recorder), EVERYTHING)
    assert progress(plan, journal).can_roll_back
    assert rollback(context_of(plan, tmp_path), journal, doers(recorder)) == 3


def test_what_a_person_has_to_do_first_at_the_end_has_given_nothing_up(tmp_path: Path) -> None:
    plan, recorder = plan_of(), Recorder(unseen={"last": NotYet("remove it there")})
    journal = Journal(tmp_path / "j", plan)
    with pytest.raises(TooEarly, match="remove it there"):
        run(context_of(plan, tmp_path), journal, doers(recorder), EVERYTHING)
    assert progress(plan, journal).can_roll_back
    recorder.unseen.clear()
    run(context_of(plan, tmp_path), journal, doers(recorder), EVERYTHING)
    assert not progress(plan, journal).can_roll_back


def test_a_journal_is_for_one_process_at_a_time(tmp_path: Path) -> None:
    with held(tmp_path / "j"), pytest.raises(Refused, match="in use by another process"), held(tmp_path / "j"):
        pass


def test_nobody_reads_a_journal_that_another_process_writes(tmp_path: Path) -> None:
    (tmp_path / "journal").write_bytes(b"is being written\n")
    (tmp_path / "plan").write_text("is not looked at")
    named = ["--plan", str(tmp_path / "plan"), "--journal", str(tmp_path / "journal")]
    for verb in ("run", "rollback"):
        with held(tmp_path / "journal"):
            result = CliRunner().invoke(command.cli, ["adm", "migrate", verb, *named], prog_name="ac")
        assert "is in use by another process" in result.output, result.output


def test_a_role_gets_its_rules_back_and_keeps_those_of_others() -> None:
    old = {"apiGroups": ["registry.alauda.io"], "resources": ["images"], "verbs": ["get", "update"]}
    frozen_ = {**old, "verbs": ["get"]}
    other, theirs = {"apiGroups": [""], "resources": ["pods"]}, {"apiGroups": [""], "resources": ["secrets"]}
    parameters = {"legacyRules": [frozen_]}
    assert rules_before([other, frozen_], [old, other], parameters) == [old, other]
    assert rules_before([other, frozen_, theirs], [old, other], parameters) == [other, theirs, old]
    assert rules_before([old, other], [old, other], parameters) == [old, other]


def test_an_action_that_nobody_knows_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    plan, recorder = plan_of(), Recorder()
    known: dict[Action, Any] = {action: recorder for action in Action if action is not Action.GATE}
    with pytest.raises(Refused, match="cannot be executed by this version"):
        run(context_of(plan, tmp_path), Journal(tmp_path / "j", plan), known, CUTOVER)
    assert recorder.done == []


def test_a_secret_is_not_written_into_a_journal_wherever_it_hides(tmp_path: Path) -> None:
    plan = plan_of()
    with pytest.raises(ValueError, match="Secrets"):
        Journal(tmp_path / "j", plan).write(plan.steps[0], State.BEGUN, saved={"object": [{"kind": "Secret"}]})


def test_nothing_of_a_secret_is_written_though_its_kind_was_taken_off(tmp_path: Path) -> None:
    plan = plan_of((replace(step("a", Phase.PREPARE), object=ObjectName("Secret", "a", "b")),))
    journal = Journal(tmp_path / "j", plan)
    journal.write(plan.steps[0], State.BEGUN, saved={"kept": True})
    for saved in ({"object": {"data": {"password": "eA=="}}}, {"values": {"/data/password": "eA=="}}):
        with pytest.raises(ValueError, match="Secrets"):
            journal.write(plan.steps[0], State.BEGUN, saved=saved)


def test_the_name_of_a_new_journal_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bool] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(stat.S_ISDIR(os.fstat(descriptor).st_mode)))
    plan = plan_of()
    journal = Journal(tmp_path / "j", plan)
    journal.write(plan.steps[0], State.BEGUN)
    journal.write(plan.steps[0], State.DONE)
    assert synced == [True, False, False]
