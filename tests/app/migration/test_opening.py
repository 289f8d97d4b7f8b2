"""What somebody says beside a plan reaches those who execute it, and what makes no sense is refused before anything."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from image_registry.kube.errors import KubeError
from image_registry.migration.actions import MOST_PER_REGISTRY, PER_REGISTRY
from image_registry.migration.execution import Refused, rollback, run
from image_registry.migration.foreseeing import foresee
from image_registry.migration.journal import Journal, State
from image_registry.migration.opening import Asked, open_migration
from image_registry.migration.phases import Action, Phase
from image_registry.migration.plan import Plan, Step, sealed, write_plan
from tests.app.migration.test_execution import EVERYTHING, Recorder, Server, context_of, plan_of


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    plan = sealed(Plan(1, "", "image-registry", "cpaas-system", "ours", "https://here", "copy", "", "host", ""))
    (tmp_path / "plan.json").write_text(json.dumps(write_plan(plan)), encoding="utf-8")
    empty = SimpleNamespace(find=lambda _path: None)  # a named fake of a cluster with nothing in it
    return Asked(plan=tmp_path / "plan.json", journal=tmp_path / "journal", client=cast("Any", empty), chart="chart")


def test_a_copy_has_sixteen_requests_at_once_or_as_many_as_an_administrator_says(asked: Asked) -> None:
    assert open_migration(asked).context.max_per_registry == PER_REGISTRY == 16
    for number in (1, MOST_PER_REGISTRY):
        assert open_migration(replace(asked, max_per_registry=number)).context.max_per_registry == number


@pytest.mark.parametrize("number", [-1, 0, MOST_PER_REGISTRY + 1])
def test_a_number_of_requests_that_makes_no_sense_is_refused_and_nothing_is_made(asked: Asked, number: int) -> None:
    with pytest.raises(Refused, match="1 to 64"):
        open_migration(replace(asked, max_per_registry=number))
    assert not asked.journal.with_name("journal.d").exists()


def test_who_may_not_read_whether_an_operator_is_there_looks_and_installs_nothing(asked: Asked) -> None:
    def find(path: str) -> Any:
        if path.startswith("/apis/imageregistry.operator"):
            raise KubeError(403, "Forbidden", "you may not get configs")
        return server.find(path)

    plan = plan_of(server="https://here")
    asked.plan.write_text(json.dumps(write_plan(plan)), encoding="utf-8")
    server = Server()
    seen = cast("Any", SimpleNamespace(server=server.server, find=find))
    found, hands = open_migration(replace(asked, client=seen)), Recorder()
    doers = dict.fromkeys(Action, hands)
    shown = foresee(found.context, found.journal, doers, EVERYTHING)
    assert len(shown.steps) == len(plan.steps), "it may be looked at"
    assert "you may not get configs" in str(shown.end)
    with pytest.raises(Refused, match="you may not get configs"):
        run(found.context, found.journal, doers, EVERYTHING)
    assert hands.done == []
    assert open_migration(replace(asked, client=seen, method="helm")).context.undecided == ""
    assert open_migration(replace(asked, client=seen, chart="")).context.undecided == "", "that is no Helm"
    install = Step("install", Phase.PREPARE, Action.INSTALL, "Install", undo="removed")
    begun = plan_of((install,))
    asked.plan.write_text(json.dumps(write_plan(begun)), encoding="utf-8")
    Journal(asked.journal, begun).write(install, State.BEGUN, saved={"keeper": "helm"})
    assert open_migration(replace(asked, client=seen)).context.undecided == "", "Helm has begun it"


def test_a_step_finds_what_an_earlier_one_has_saved(asked: Asked) -> None:
    first, second = (Step(name, Phase.PREPARE, Action.HOLD, name, undo="back") for name in ("first", "second"))
    plan = plan_of((first, second), server="https://here")
    asked.plan.write_text(json.dumps(write_plan(plan)), encoding="utf-8")
    Journal(asked.journal, plan).write(first, State.BEGUN, saved={"annotations": {"a": "1"}})
    found = open_migration(asked).context
    assert (found.saved(first), found.saved(second)) == ({"annotations": {"a": "1"}}, {})


def test_what_undoes_an_installation_is_refused_for_who_may_not_read_by_whom_it_is(tmp_path: Path) -> None:
    install = Step("install", Phase.PREPARE, Action.INSTALL, "Install", undo="removed")
    plan, hands = plan_of((install,)), Recorder()
    journal = Journal(tmp_path / "journal", plan)
    journal.write(install, State.DONE)
    journal.write(install, State.BEGUN)
    context = replace(context_of(plan, tmp_path), undecided="it may not be read")
    with pytest.raises(Refused, match="it may not be read"):
        rollback(context, journal, dict.fromkeys(Action, hands))
    assert hands.undone == []


def test_values_beside_the_plan_are_refused_with_an_operator_and_not_dropped(asked: Asked) -> None:
    config = {"metadata": {"name": "cluster"}, "spec": {"managementState": "Removed"}}
    ours = cast("Any", SimpleNamespace(find=lambda path: config if "/configs/" in path else None))
    told: list[str] = []
    given = replace(asked, client=ours, values={"image": {"tag": "v9"}}, tell=told.append)
    with pytest.raises(Refused, match=r"would get none of those .* leave the values out \(--values\)"):
        open_migration(given)
    assert open_migration(replace(given, values={})).context.settings.keeper == "operator"
    install = Step("install", Phase.PREPARE, Action.INSTALL, "Install", undo="removed")
    begun = plan_of((install,), server="https://here")
    asked.plan.write_text(json.dumps(write_plan(begun)), encoding="utf-8")
    Journal(asked.journal, begun).write(install, State.BEGUN, saved={"keeper": "operator"})
    open_migration(given)
    assert "leave the values out" in told[-1] + told[-2], "what was begun goes on, and back"
