"""One migration in a cluster: by one journal, in the cluster that it was planned for."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from image_registry.migration.actions import Context, StepFailed
from image_registry.migration.discovery import Question, discover
from image_registry.migration.execution import Refused, Stopped, rollback, run
from image_registry.migration.foreseeing import foresee
from image_registry.migration.holding import NAME, PROCESS, Hold, described, held_by
from image_registry.migration.journal import Journal
from image_registry.migration.phases import Action, Phase
from image_registry_lab.legacy.variants import VARIANTS
from tests.app.migration.conftest import cluster_of
from tests.app.migration.test_execution import (
    CUTOVER,
    EVERYTHING,
    PREPARE,
    Elsewhere,
    Recorder,
    Server,
    context_of,
    doers,
    plan_of,
    step,
)


def at(server: Any, context: Context) -> Context:
    return replace(context, client=cast("Any", server))


def test_a_new_journal_is_refused_while_another_has_begun(tmp_path: Path) -> None:
    plan, recorder, server = plan_of(), Recorder(), Server()
    context = at(server, context_of(plan, tmp_path))
    run(context, Journal(tmp_path / "j", plan), doers(recorder), PREPARE)
    assert plan.digest in held_by(plan, cast("Any", server))
    recorder.done.clear()
    lost = Journal(tmp_path / "lost", plan)
    with pytest.raises(Refused, match="has begun to migrate this cluster: go on with that plan and that journal"):
        run(context, lost, doers(recorder), PREPARE)
    assert (recorder.done, recorder.undone) == ([], [])
    assert not (tmp_path / "lost").exists()
    other = plan_of(source="another")
    with pytest.raises(Refused, match="has begun to migrate"):
        run(at(server, context_of(other, tmp_path)), Journal(tmp_path / "k", other), doers(recorder), PREPARE)
    run(context, Journal(tmp_path / "j", plan), doers(recorder), CUTOVER)  # who has begun goes on


def test_a_lease_of_somebody_else_is_not_taken_over_and_says_whose_it_is(tmp_path: Path) -> None:
    plan, recorder, server = plan_of(), Recorder(), Server()
    metadata = {"name": NAME, "namespace": plan.source_namespace, "managedFields": [{"manager": "kubectl"}]}
    server.lease = {"metadata": metadata, "spec": {"holderIdentity": "somebody", "acquireTime": "2026-11-20T08:00:00Z"}}
    with pytest.raises(Refused, match="no migration made it: held by somebody since 2026-11-20") as refused:
        run(at(server, context_of(plan, tmp_path)), Journal(tmp_path / "j", plan), doers(recorder), PREPARE)
    assert f"kubectl delete lease -n {plan.source_namespace} {NAME}" in str(refused.value)
    assert (recorder.done, server.lease["spec"]["holderIdentity"]) == ([], "somebody")
    server.lease = {}
    run(at(server, context_of(plan, tmp_path)), Journal(tmp_path / "j", plan), doers(recorder), PREPARE)
    assert recorder.done


def test_it_is_given_back_at_the_end_and_after_a_whole_rollback(tmp_path: Path) -> None:
    plan, recorder, server = plan_of(), Recorder(fails={"undo a": StepFailed("not now")}), Server()
    context = at(server, context_of(plan, tmp_path))
    journal = Journal(tmp_path / "j", plan)
    run(context, journal, doers(recorder), CUTOVER)
    assert server.lease["metadata"]["annotations"][PROCESS] == ""
    with pytest.raises(Stopped):
        rollback(context, journal, doers(recorder))
    assert server.lease
    recorder.fails.clear()
    rollback(context, journal, doers(recorder))
    assert held_by(plan, cast("Any", server)) == ""
    run(context, journal, doers(recorder), EVERYTHING)
    assert not server.lease


def test_where_nothing_was_begun_a_rollback_writes_nothing(tmp_path: Path) -> None:
    plan, server = plan_of(), Server()
    assert rollback(at(server, context_of(plan, tmp_path)), Journal(tmp_path / "j", plan), doers(Recorder())) == 0
    assert not (tmp_path / "j").exists()
    assert server.version == 0


def test_nothing_is_held_for_what_is_only_shown(tmp_path: Path) -> None:
    plan, server = plan_of(), Server()
    foresee(at(server, context_of(plan, tmp_path)), Journal(tmp_path / "j", plan), doers(Recorder()), PREPARE)
    assert not server.lease


class Elsewhen:
    """Time that passes while somebody waits, and what happens meanwhile."""

    def __init__(self, happens: Any = lambda: None) -> None:
        self.now, self.happens = 0.0, happens

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.happens()


def test_a_copy_of_the_journal_waits_until_the_other_machine_is_silent(tmp_path: Path) -> None:
    plan, recorder, server = plan_of(), Recorder(), Server()
    context = at(server, context_of(plan, tmp_path))
    run(context, Journal(tmp_path / "j", plan), doers(recorder), PREPARE)
    server.lease["metadata"]["annotations"][PROCESS] = "elsewhere/7"

    def lives() -> None:
        server.lease["spec"]["renewTime"] += "x"

    for time, refused in ((Elsewhen(lives), True), (Elsewhen(), False)):
        there = replace(context, clock=time.clock, sleep=time.sleep)
        if refused:
            with pytest.raises(Refused, match="a copy of this journal is in use by process elsewhere/7"):
                run(there, Journal(tmp_path / "j", plan), doers(recorder), CUTOVER)
        else:
            run(there, Journal(tmp_path / "j", plan), doers(recorder), CUTOVER)
    assert recorder.done[-1] == "c"


def test_a_lease_that_was_taken_away_ends_the_run_before_its_next_step(tmp_path: Path) -> None:
    plan, server = plan_of(), Server()
    context = at(server, context_of(plan, tmp_path))
    hold = Hold(context, Journal(tmp_path / "j", plan))
    hold.take()
    hold.renew()
    hold.see_to_it()
    assert "last seen" in described(server.lease)
    stolen = copy.deepcopy(server.lease)
    stolen["spec"]["holderIdentity"] = "another"
    server.replace("", stolen)
    hold.renew()
    with pytest.raises(Exception, match="was taken away while this ran"):
        hold.see_to_it()
    hold.release(over=True)
    assert server.lease["spec"]["holderIdentity"] == "another"


def test_a_cluster_is_known_by_what_it_is_and_not_by_its_address(tmp_path: Path) -> None:
    plan, recorder = plan_of(cluster_uid="u1"), Recorder()
    context, journal = context_of(plan, tmp_path), Journal(tmp_path / "j", plan)
    other = at(Server("u2"), context)
    with pytest.raises(Refused, match=r"kube-system u1.* is another one now \(kube-system u2\)"):
        run(other, journal, doers(recorder), PREPARE)
    with pytest.raises(Refused, match=r"kube-system u1.* is another one now \(kube-system u2\)"):
        rollback(other, journal, doers(recorder))
    assert recorder.done == []
    assert run(at(Elsewhere("u1"), context), journal, doers(recorder), PREPARE) == 2  # by another tunnel


def test_the_global_cluster_is_compared_before_anything_is_done(tmp_path: Path) -> None:
    last = replace(step("last", Phase.FINALIZE, Action.DELETE, ""), parameters={"cluster": "global"})
    for uid, why in (("g1", "another global cluster"), ("", "does not know which global cluster")):
        plan, recorder = plan_of((step("a", Phase.PREPARE), last), global_uid=uid), Recorder()
        context = replace(context_of(plan, tmp_path), global_client=cast("Any", Server("g2")))
        with pytest.raises(Refused, match=why):
            run(context, Journal(tmp_path / f"j{uid}", plan), doers(recorder), EVERYTHING)
        assert recorder.done == []


def test_discovery_finds_which_clusters_they_are() -> None:
    found = []
    for uid in ("u1", "g1"):
        cluster = cluster_of(VARIANTS["4.2-pvc"])
        cluster.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system", "uid": uid}})
        found.append(cluster)
    inventory = discover(found[0], Question(cluster="business"), global_client=found[1])
    assert (inventory.cluster_uid, inventory.global_uid) == ("u1", "g1")
