"""The module that runs a migration, against a real kube-apiserver: check mode shows every step and does none."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.alauda.registry.plugins.modules import legacy_migration

from image_registry.kube.client import object_path
from image_registry.migration.case import make_case
from image_registry.migration.choices import Choices
from image_registry.migration.discovery import Question, discover
from image_registry.migration.journal import Journal, State
from image_registry.migration.opening import load_plan
from image_registry.migration.phases import LOOKING, Phase
from image_registry.migration.plan import Step, write_plan
from image_registry.migration.planning import plan
from image_registry_lab.legacy.objects import definitions
from image_registry_lab.legacy.variants import HOST, VARIANTS
from tests.app.migration.test_plans import APP, NESTED, surveyed
from tests.collection.controller import Controller
from tests.operator.conftest import CHART, control_plane, program, started
from tests.operator.control_plane import ApiServer
from tests.operator.test_legacy_registry import collection
from tests.operator.test_migration_run import EveryHands, everything, fill, planned

Run = Callable[..., dict[str, Any]]
LEASE = object_path("coordination.k8s.io/v1", "leases", "image-registry-migration", namespace="cpaas-system")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with started(control_plane(tmp_path_factory.mktemp("apiserver"))) as found:
        for document in definitions():
            found.client.create(collection(document), document)
        with EveryHands(found.client, ""):
            fill(found.client, VARIANTS["4.2-pvc"])
            yield found


@pytest.fixture
def run(filled: ApiServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """The module, and what it said."""
    files = {"plan": str(tmp_path / "plan.json"), "journal": str(tmp_path / "journal")}

    def run_module(*, check: bool = False, **arguments: Any) -> dict[str, Any]:
        given = {**files, "kubeconfig": str(filled.kubeconfig), "chart_ref": str(CHART), **arguments}
        with patch_module_args({**given, "_ansible_check_mode": check}), pytest.raises(SystemExit):
            legacy_migration.main()
        found: dict[str, Any] = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
        return found

    return run_module


def test_check_mode_shows_every_step_and_does_none(filled: ApiServer, run: Run, tmp_path: Path) -> None:
    made = planned(filled, tmp_path)
    before = everything(filled.client)
    shown = run(check=True, until="freeze")
    assert shown["changed"] is True
    expected = [step.id for step in made.steps if step.phase in (Phase.PREPARE, Phase.FREEZE)]
    assert [line.partition(" ")[2].partition(": ")[0] for line in shown["steps"]] == expected
    assert shown["diff"]["prepared"].splitlines() == shown["steps"]
    writing = [step.id for step in made.steps if step.id in expected and step.action not in LOOKING]
    assert shown["changes"] == writing
    assert "prepare/routes" in shown["unknown"][0], "its namespace is made by a step that comes first"
    assert everything(filled.client) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["content.jsonl", "plan.json"]


def test_check_mode_sees_a_phase_after_those_of_the_same_playbook_and_refuses_what_the_run_refuses(
    filled: ApiServer, run: Run, tmp_path: Path
) -> None:
    planned(filled, tmp_path)
    assert "phase prepare comes first" in run(check=True, phases=["freeze"])["msg"]
    assert "phase prepare comes first" in run(phases=["freeze"], assume=["prepare"])["msg"], "in a check alone"
    shown = run(check=True, phases=["freeze"], assume=["prepare"])
    assert all(step.startswith("freeze/") for step in shown["changes"])
    nowhere = str(tmp_path / "plan.json" / "journal")
    assert (
        run(check=True, phases=["prepare"], journal=nowhere)["msg"] == run(phases=["prepare"], journal=nowhere)["msg"]
    )


def test_where_nothing_was_done_there_is_nothing_to_take_back(filled: ApiServer, run: Run, tmp_path: Path) -> None:
    planned(filled, tmp_path)
    back = run(state="rolled_back", confirm=True)
    assert (back["changed"], back["steps"]) == (False, [])


def test_a_phase_before_its_turn_is_refused_with_the_one_that_comes_first_and_its_tag(
    filled: ApiServer, run: Run, tmp_path: Path
) -> None:
    unplanned = run(phases=["prepare"])
    assert "make it by the tag plan of the role migrate" in unplanned["msg"]
    planned(filled, tmp_path)
    refused = run(phases=["cutover"])
    assert refused["failed"] is True
    assert "phase prepare comes first" in refused["msg"]
    assert "Next: tag prepare of the role migrate" in refused["msg"]


def test_check_mode_predicts_that_nothing_is_done_without_confirmation(
    filled: ApiServer, run: Run, tmp_path: Path
) -> None:
    made = planned(filled, tmp_path)
    journal = Journal(tmp_path / "journal", made)

    def done(*steps: Step) -> None:
        for step in steps:
            journal.write(step, State.BEGUN)
            journal.write(step, State.DONE)

    def told(said: str, **wish: Any) -> None:
        checked, shown = run(check=True, **wish), run(**wish)
        assert (checked["changed"], shown["changed"]) == (False, False)
        assert checked["steps"] == shown["steps"] != []
        assert said in checked["lines"][-1]
        assert said in shown["lines"][-1]
        assert run(check=True, confirm=True, accept=["*"], **wish)["changed"] is True

    done(*(step for step in made.steps if step.phase is not Phase.FINALIZE))
    told("a rollback wants confirm=true", state="rolled_back")
    done(*(step for step in made.steps if step.parameters.get("cluster") == "global"))  # which nobody has named
    told("finalize wants confirm=true", phases=["finalize"])


def test_what_it_is_too_early_for_is_no_failure_and_finalize_is_shown_in_its_turn(
    filled: ApiServer, run: Run, tmp_path: Path
) -> None:
    made = planned(filled, tmp_path)
    journal = Journal(tmp_path / "journal", made)
    for step in made.steps:
        if step.phase not in (Phase.OBSERVE, Phase.FINALIZE):
            journal.write(step, State.DONE)
    shown = run(phases=["finalize"])
    assert "phase observe comes first" in shown["msg"]
    assert shown["changed"] is False
    early = run(phases=["observe"], accept=["role:*", "undone:*", "pushed:*", "applied:*"])  # nothing was frozen
    filled.client.delete(LEASE)
    assert "failed" not in early, early
    assert "h are left: run again" in early["waits"]
    assert early["changed"] is False, "it has only looked"


def test_a_run_that_fails_says_that_it_changed_something_before(filled: ApiServer, run: Run, tmp_path: Path) -> None:
    planned(filled, tmp_path)
    helm = program("helm")
    failed = run(phases=["prepare"], chart_ref=str(tmp_path / "nowhere"), helm_binary=helm)
    assert failed["failed"] is True
    assert failed["changed"] is True, failed["msg"]
    back = run(state="rolled_back", confirm=True, accept=["*"], helm_binary=helm)
    assert (back.get("failed"), back["changed"]) == (None, True), back
    assert filled.client.find(LEASE) is None


def test_what_would_stop_a_later_phase_is_told_at_once_before_the_freeze(
    filled: ApiServer, run: Run, tmp_path: Path
) -> None:
    image = "image-registry.cpaas-system.svc/team-a/nobody/knows/it:v1"  # so that nobody here can name it anew
    pod = {"restartPolicy": "Never", "containers": [{"name": "run", "image": image}]}
    jobs = object_path("batch/v1", "cronjobs", namespace="team-a")
    spec = {"schedule": "0 3 1 1 *", "jobTemplate": {"spec": {"template": {"spec": pod}}}}
    filled.client.create(jobs, {"metadata": {"name": "by-hand"}, "spec": spec})
    choices = Choices(accepted=("nested-path:*", "not-rewritable:*"))
    inventory = discover(filled.client, Question(cluster="business"), global_client=filled.client)
    made = plan(make_case(inventory, surveyed(tmp_path, APP, NESTED), choices))
    (tmp_path / "plan.json").write_text(json.dumps(write_plan(made)), encoding="utf-8")
    filled.client.delete(f"{jobs}/by-hand", query={"propagationPolicy": "Background"})
    before = everything(filled.client)
    wrong = {"source_url": f"https://{HOST}", "chart_ref": str(tmp_path / "nowhere"), "helm_binary": program("helm")}
    told = run(state="checked", **wrong)
    assert told["failed"] is True
    for name in ("cutover/by-hand/", "installation: the chart", "survey: ", "pushed:not-compared: ", "source: "):
        assert f"\n- {name}" in told["msg"]
    assert "right:" not in told["msg"], "this caller may do everything"
    nobody = filled.as_account(tmp_path, "default", "team-a")
    told = run(state="checked", kubeconfig=str(nobody.kubeconfig), **wrong)
    assert "\n- right:update clusterroles.rbac.authorization.k8s.io: you do not have it" in told["msg"]
    for right in ("get services in", "list endpointslices.discovery.k8s.io in", "delete leases.coordination.k8s.io in"):
        assert f"\n- right:{right}" in told["msg"]
    assert "\n- unread:objects: " in told["msg"]
    assert "\n- cutover/by-hand/" in told["msg"]
    accepted = run(state="checked", accept=["*"], **wrong)
    assert (accepted["changed"], accepted["steps"]) == (False, [])
    assert everything(filled.client) == before
    assert not (tmp_path / "journal").exists()
    journal = Journal(tmp_path / "journal", made)
    for step in made.steps:
        if step.phase in (Phase.PREPARE, Phase.FREEZE):
            journal.write(step, State.DONE)
    assert run(state="checked", **wrong)["changed"] is False, "behind the freeze each phase speaks for itself"


@pytest.mark.long
@pytest.mark.slow
def test_the_plan_that_was_read_is_the_one_that_runs_and_an_ended_journal_is_kept(
    filled: ApiServer, tmp_path: Path
) -> None:
    folder = tmp_path / "migration"
    wishes = {
        "registry_kubeconfig": str(filled.kubeconfig),
        "registry_migrate_folder": str(folder),
        "registry_migrate_content": str(surveyed(tmp_path, APP, NESTED).path),
        "registry_migrate_accept": ["nested-path:*"],
    }
    controller = Controller(tmp_path, wishes)
    phases = ("--skip-tags", "prepare,freeze,attach,copy,backfill,gates,cutover")

    def played(*options: str, **more: Any) -> str:
        return " ".join(controller.play("playbooks/migrate.yml", options=options, **more).said.split())

    def digest() -> str:
        return str(load_plan(folder / "plan.json").digest)

    played("--tags", "plan")
    read = digest()
    left = {path.name for path in folder.iterdir()}
    assert left == {"inventory.json", "inventory.html", "findings.json", "plan.json", "plan.html"}
    assert json.loads((folder / "findings.json").read_text())["plan"] == read
    assert controller.play("playbooks/migrate.yml", options=("--tags", "plan")).changes == []
    changed = {"registry_migrate_host": "registry.example.com"}  # as a cluster does that goes on living
    assert f"Plan {read} runs as it stands" in played(*phases, **changed)
    assert digest() == read
    journal = Journal(folder / "journal.jsonl", load_plan(folder / "plan.json"))
    step = load_plan(folder / "plan.json").steps[0]
    journal.write(step, State.BEGUN)
    assert "It is not made anew while that is so: roll back first" in played("--tags", "plan", **changed)
    assert digest() == read
    journal.write(step, State.UNDONE)
    played(*phases, registry_migrate_replan=True, **changed)
    assert load_plan(folder / "plan.json").host == "registry.example.com"
    (kept,) = folder.glob("journal.*.jsonl")
    (old,) = folder.glob("plan.*.json")
    assert len(kept.read_text(encoding="utf-8").splitlines()) == 2
    assert load_plan(old).digest == read
    assert not (folder / "journal.jsonl").exists()
    journal = Journal(folder / "journal.jsonl", load_plan(folder / "plan.json"))
    journal.write(load_plan(folder / "plan.json").steps[0], State.UNDONE)
    # no operator was told of the roles, so prepare goes no further than its first step
    on = ("--skip-tags", "freeze,attach,copy,backfill,gates,cutover")
    said = controller.refused("playbooks/migrate.yml", options=on, registry_migrate_replan=True)
    assert "the operator would make ClusterRoles that another release owns" in said
    assert (folder / "journal.jsonl").exists(), "what the same play goes on to do stands in the folder"


@pytest.mark.long
@pytest.mark.slow
def test_who_only_looks_has_a_page_and_a_document_of_what_was_found_and_of_what_blocks(
    filled: ApiServer, tmp_path: Path
) -> None:
    folder = tmp_path / "migration"
    wishes = {
        "registry_kubeconfig": str(filled.kubeconfig),
        "registry_migrate_folder": str(folder),
        "registry_migrate_content": str(surveyed(tmp_path, APP, NESTED).path),
    }
    controller = Controller(tmp_path, wishes)
    look = ("--tags", "discover,assess")
    before = everything(filled.client)
    checked = controller.play("playbooks/migrate.yml", options=(*look, "--check"))
    assert not folder.exists()
    done = controller.play("playbooks/migrate.yml", options=look)
    assert checked.changes == done.changes == [f"alauda.registry.migrate : {name}" for name in (
        "Make the folder of plan, journal and reports", "Discover", "Assess",
    )]  # fmt: skip
    assert {path.name for path in folder.iterdir()} == {
        "inventory.json", "inventory.html", "findings.json", "findings.html",
    }  # fmt: skip
    assert json.loads((folder / "inventory.json").read_text())["installations"][0]["name"] == "image-registry"
    found = json.loads((folder / "findings.json").read_text())
    assert any(name.startswith("nested-path:") for name in found["blockers"])
    assert "Found: image-registry" in done.said
    assert found["blockers"][0] in done.said
    assert found["blockers"][0] in (folder / "findings.html").read_text()
    assert everything(filled.client) == before
    again = controller.play("playbooks/migrate.yml", options=look)
    assert again.changes == [], again.said
