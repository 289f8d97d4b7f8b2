"""From an inventory and a survey to findings and a plan: pure, complete, the same every time."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_registry.migration.assess import assess
from image_registry.migration.case import Case, make_case
from image_registry.migration.choices import Choices, Way
from image_registry.migration.content import ContentFile, ContentWriter, Problem, RepositoryContent
from image_registry.migration.documents import InvalidDocument
from image_registry.migration.facts import VERSION, Inventory, LimitFact, LimitRule, ObjectName, RoleFact, RuleFact
from image_registry.migration.findings import Severity
from image_registry.migration.journal import Journal, State
from image_registry.migration.limit_conversion import convert_limits
from image_registry.migration.names import rename_plan
from image_registry.migration.phases import ORDER, Action, Phase
from image_registry.migration.plan import Plan, gives_up, read_plan, write_plan
from image_registry.migration.planning import plan
from image_registry.migration.rewriting import rewritten
from image_registry.migration.role_conversion import convert_roles
from image_registry.oci.reference import is_ours
from image_registry_lab.legacy.variants import HOST, VARIANTS, Variant
from tests.app.migration.conftest import cluster_of, inventory_of

DIGEST = "sha256:" + "a" * 64
APP = RepositoryContent("team-a/app", {"v1": DIGEST, "v2": DIGEST, "built": DIGEST}, {DIGEST: "m"}, {DIGEST: 700 << 20})
NESTED = RepositoryContent("team-a/tools/report", {"1": DIGEST}, {DIGEST: "m"}, {DIGEST: 700 << 20})
EVERYTHING = ("nested-path:*", "plain-http:*")


def surveyed(folder: Path, *repositories: RepositoryContent) -> ContentFile:
    path = folder / "content.jsonl"
    path.unlink(missing_ok=True)
    with ContentWriter(path, "registry", "test") as writer:
        for repository in repositories:
            writer.add(repository)
        writer.finish(0.1)
    return ContentFile(path)


def case_of(variant: Variant, folder: Path, *repositories: RepositoryContent, **choices: Any) -> Case:
    inventory = inventory_of(cluster_of(variant))
    return make_case(inventory, surveyed(folder, *(repositories or (APP, NESTED))), Choices(**choices))


def rules(case: Case, severity: Severity | None = None) -> set[str]:
    return {finding.rule for finding in assess(case) if severity in (None, finding.severity)}


def test_every_variant_has_a_plan_that_reuses_what_can_be_reused(variant: Variant, tmp_path: Path) -> None:
    found = plan(case_of(variant, tmp_path, accepted=EVERYTHING))
    assert found.way == "reuse"
    assert found.estimate.bytes_copied == 0
    assert found.blockers == (), [finding.id for finding in found.blockers]
    assert {step.phase for step in found.steps} >= {
        Phase.PREPARE,
        Phase.ATTACH,
        Phase.BACKFILL,
        Phase.GATES,
        Phase.CUTOVER,
    }
    assert [ORDER.index(step.phase) for step in found.steps] == sorted(ORDER.index(step.phase) for step in found.steps)
    names = [step.id for step in found.steps]
    assert len(names) == len(set(names))
    storage = found.values["storage"]
    assert storage["managementState"] == "Unmanaged"
    if variant.storage == "s3":
        assert storage["s3"] == {
            "bucket": "images",
            "region": "us-east-1",
            "regionEndpoint": "https://minio.example.com:9000",
            "skipVerify": True,
        }
        assert found.values["disableRedirect"] is True, "clients got no address of the bucket before"
    else:
        assert storage["pvc"]["claim"] == "image-registry-storage"
    assert found.pruner["suspend"] is True


def test_roles_become_ours_when_the_release_before_has_taken_them_away_and_not_earlier(tmp_path: Path) -> None:
    steps = list(plan(case_of(VARIANTS["4.2-pvc"], tmp_path, accepted=EVERYTHING)).phase(Phase.FINALIZE))
    [gone] = [step for step in steps if "gone" in step.parameters]
    waited = [(kind, name) for kind, name, _, _ in gone.parameters["gone"]]
    roles = [("ClusterRole", f"system:image-{name}") for name in ("puller", "pusher")]
    assert waited == [("Deployment", "image-registry"), *roles]
    assert steps[steps.index(gone) + 1].parameters == {"legacyRules": False}, "nobody can pull in between"


def test_a_plan_is_the_same_for_the_same_case_and_survives_as_a_document(variant: Variant, tmp_path: Path) -> None:
    case = case_of(variant, tmp_path)
    first = plan(case, made="today")
    later = replace(case.inventory, taken="2099-01-01T00:00:00Z")
    again = plan(make_case(later, ContentFile(tmp_path / "content.jsonl"), Choices()), made="tomorrow")
    assert first.digest == again.digest
    document = json.loads(json.dumps(write_plan(first)))
    assert read_plan(document) == first


def test_a_plan_that_was_changed_is_refused(tmp_path: Path) -> None:
    document = write_plan(plan(case_of(VARIANTS["4.2-pvc"], tmp_path)))
    with pytest.raises(InvalidDocument, match="changed after it was made"):
        read_plan({**document, "host": "elsewhere:5000"})
    with pytest.raises(InvalidDocument, match="version 3"):
        read_plan({**document, "version": 4})


def test_no_secret_is_in_a_plan(variant: Variant, tmp_path: Path) -> None:
    said = json.dumps(write_plan(plan(case_of(variant, tmp_path))))
    for secret in (
        "legacy-access",
        "legacy-secret-key",
        "short-lived",
        "bGVnYWN5",
        "PHRva2VuPj",
        "nobody documents this at",
    ):
        assert secret not in said


def test_workloads_get_a_diff_for_each_object(tmp_path: Path) -> None:
    found = plan(case_of(VARIANTS["4.2-pvc"], tmp_path))
    diffs = {str(entry.object): entry for entry in found.rewrites}
    host = "image-registry.image-registry-system.svc:5000"
    assert diffs["Deployment team-a/web"].diff.splitlines() == [
        "--- Deployment team-a/web",
        "@ /spec/template/spec/containers/0/image",
        "- image-registry.cpaas-system.svc/team-a/app:v1",
        f"+ {host}/team-a/app:v1",
    ]
    assert diffs["Build team-a/app"].changes[0].after == f"{host}/team-a/app:built"
    # the host of the route moves along; only the name changes
    assert diffs["CronJob team-a/report"].changes[0].after == f"{HOST}/team-a/tools-report:1"
    assert "Helm" in diffs["Deployment team-a/api"].by_hand
    batches = [
        step.parameters["batch"]
        for step in found.phase(Phase.CUTOVER)
        if "batch" in step.parameters and step.action is Action.WAIT
    ]
    assert batches == ["team-a"]


def test_what_blocks_is_blocking_until_it_is_accepted_by_name(tmp_path: Path) -> None:
    case = case_of(VARIANTS["4.2-pvc"], tmp_path)
    assert "nested-path" in rules(case, Severity.BLOCKING)
    assert not plan(case).ready
    accepted = case_of(VARIANTS["4.2-pvc"], tmp_path, accepted=("nested-path:team-a/tools/report",))
    found = plan(accepted)
    assert found.ready
    assert [entry.object for entry in found.exceptions] == ["team-a/tools/report"]
    wrong = case_of(VARIANTS["4.2-pvc"], tmp_path, accepted=("nested-path:other",))
    assert "accepted-nothing" in rules(wrong)


def test_a_host_without_tls_blocks_because_clients_may_speak_nothing_else(tmp_path: Path) -> None:
    refused = plan(case_of(VARIANTS["4.2-http"], tmp_path, accepted=("nested-path:*",)))
    assert [finding.rule for finding in refused.blockers] == ["plain-http"]
    assert plan(case_of(VARIANTS["4.2-http"], tmp_path, accepted=EVERYTHING)).ready


def test_an_ingress_with_its_controllers_certificate_does_not_block(tmp_path: Path) -> None:
    def by_the_controller(cluster: Any) -> None:
        for document in cluster.documents.values():
            if document["kind"] == "Ingress":
                document["spec"]["tls"] = [{"hosts": [document["spec"]["rules"][0]["host"]]}]

    found = rules(changed("4.2-pvc", by_the_controller, tmp_path))
    assert "no-certificate" in found
    assert "plain-http" not in found


def test_a_chosen_name_needs_no_acceptance(tmp_path: Path) -> None:
    case = case_of(VARIANTS["4.2-pvc"], tmp_path, renames={"team-a/tools/report": "team-a/report"})
    assert "nested-path" not in rules(case)
    assert {rename.new for rename in plan(case).renames} == {"team-a/report"}


@pytest.mark.parametrize(
    ("problem", "rule"),
    [("missing blob", "missing-blob"), ("damaged link", "damaged-link"), ("missing manifest", "missing-manifest")],
)
def test_a_broken_image_blocks_by_its_name(problem: str, rule: str, tmp_path: Path) -> None:
    broken = replace(APP, problems=(Problem(problem, "v1", "it is gone"),))
    findings = [entry for entry in assess(case_of(VARIANTS["4.2-pvc"], tmp_path, broken)) if entry.rule == rule]
    assert [(entry.id, entry.severity) for entry in findings] == [(f"{rule}:team-a/app/v1", Severity.BLOCKING)]


def changed(variant: str, change: Any, folder: Path, **choices: Any) -> Case:
    """A case whose cluster was changed before it was looked at."""
    cluster = cluster_of(VARIANTS[variant])
    change(cluster)
    return make_case(inventory_of(cluster), surveyed(folder, APP, NESTED), Choices(**choices))


def test_a_claim_that_is_lost_is_unreachable(tmp_path: Path) -> None:
    def lose(cluster: Any) -> None:
        for document in cluster.documents.values():
            if document["kind"] == "PersistentVolumeClaim":
                document["status"]["phase"] = "Lost"

    case = changed("4.2-pvc", lose, tmp_path)
    assert "storage-unreachable" in rules(case, Severity.BLOCKING)
    assert case.way is Way.COPY


def test_credentials_that_are_not_there_make_a_bucket_unreachable(tmp_path: Path) -> None:
    case = changed("4.2-s3", lambda cluster: cluster.drop("Secret", "registry-s3-secret"), tmp_path)
    [finding] = [entry for entry in assess(case) if entry.rule == "storage-unreachable"]
    assert "access-key-id" in finding.cause


def test_a_driver_that_is_not_supported_is_copied_from(tmp_path: Path) -> None:
    def change(cluster: Any) -> None:
        for document in cluster.documents.values():
            if document["metadata"]["name"] == "image-registry-config":
                document["data"]["config.yml"] = json.dumps(
                    {"storage": {"oss": {"bucket": "b", "accesskeysecret": "hush"}}}
                )

    case = changed("4.2-pvc", change, tmp_path, claim_size=1 << 40)
    assert "unsupported-storage" in rules(case, Severity.WARNING)
    found = plan(case)
    assert found.way == "copy"
    assert found.estimate.bytes_copied == 700 << 20
    assert [step.id for step in found.steps if step.action is Action.COPY_IMAGES] == ["copy/all", "copy/rest"]
    assert "hush" not in json.dumps(write_plan(found))


def test_space_is_compared(tmp_path: Path) -> None:
    small = case_of(VARIANTS["4.2-pvc"], tmp_path, way=Way.COPY, claim_size=1 << 20)
    assert "space" in rules(small, Severity.BLOCKING)
    unknown = case_of(VARIANTS["4.2-pvc"], tmp_path, way=Way.COPY)
    assert "space-unknown" in rules(unknown, Severity.WARNING)
    tight = case_of(VARIANTS["4.2-pvc"], tmp_path, way=Way.COPY, claim_size=750 << 20)
    assert "space" in rules(tight, Severity.WARNING)


def test_roles_of_somebody_else_block_and_those_of_the_registry_do_not(tmp_path: Path) -> None:
    def take(cluster: Any) -> None:
        for document in cluster.documents.values():
            if document["metadata"]["name"] == "system:image-pusher":
                document["rules"].append({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]})

    assert "role-collision" in rules(case_of(VARIANTS["4.2-pvc"], tmp_path), Severity.WARNING)
    case = changed("4.2-pvc", take, tmp_path)
    [finding] = [
        entry
        for entry in assess(case)
        if entry.id == "role-collision:ClusterRole system:image-pusher" and entry.severity is Severity.BLOCKING
    ]
    assert "1 rules about other things" in finding.cause


def test_two_registries_that_run_need_a_choice(tmp_path: Path) -> None:
    def add(cluster: Any) -> None:
        for document in cluster_of(VARIANTS["4.1-pvc"]).documents.values():
            if document["metadata"]["name"].startswith("internal-docker-registry"):
                cluster.put(document)

    assert "generation" in rules(changed("4.2-pvc", add, tmp_path), Severity.BLOCKING)
    chosen = changed("4.2-pvc", add, tmp_path, generation="internal-docker-registry")
    assert "generation" not in rules(chosen)
    assert plan(chosen).source == "internal-docker-registry"


def test_without_rights_to_workloads_nothing_is_cut_over(tmp_path: Path) -> None:
    def deny(cluster: Any) -> None:
        cluster.denied.add("list deployments")

    [finding] = [entry for entry in assess(changed("4.2-pvc", deny, tmp_path)) if entry.rule == "consumers-unread"]
    assert (finding.severity, finding.action) == (Severity.BLOCKING, "give the right to list deployments.apps")


def test_without_a_survey_nothing_is_planned_to_be_done(tmp_path: Path) -> None:
    inventory = inventory_of(cluster_of(VARIANTS["4.2-pvc"]))
    assert "no-survey" in rules(make_case(inventory, None, Choices()), Severity.BLOCKING)
    unfinished = tmp_path / "unfinished"
    with ContentWriter(unfinished, "registry", "test") as writer:
        writer.add(APP)
    assert "no-survey" in rules(make_case(inventory, ContentFile(unfinished), Choices()), Severity.BLOCKING)


def test_references_that_are_broken_already_are_told(tmp_path: Path) -> None:
    without = replace(APP, tags={"v1": DIGEST})
    findings = [
        entry
        for entry in assess(case_of(VARIANTS["4.2-pvc"], tmp_path, without, NESTED))
        if entry.rule == "broken-reference"
    ]
    assert {entry.cause for entry in findings} == {"there is no v2 in team-a/app", "there is no built in team-a/app"}


@pytest.mark.parametrize(
    ("variant", "rule"),
    [
        ("4.2-http", "plain-http"),
        ("4.2-gateway", "gateway"),
        ("4.2-partial", "not-running"),
        ("4.2-local", "local-volume"),
        ("4.2-s3", "skip-verify"),
        ("4.2-pvc", "password-login"),
        ("4.2-pvc", "pull-secret"),
        ("4.2-pvc", "reclaim-policy"),
    ],
)
def test_what_is_particular_is_told(variant: str, rule: str, tmp_path: Path) -> None:
    assert rule in rules(case_of(VARIANTS[variant], tmp_path))


def test_a_folder_of_a_node_becomes_a_volume_as_large_as_it_was_meant_to_be(tmp_path: Path) -> None:
    made = plan(case_of(VARIANTS["4.2-local"], tmp_path))
    [bind] = [step for step in made.steps if step.action is Action.BIND]
    assert bind.parameters["size"] == 10 << 30


def test_every_finding_says_what_to_do(variant: Variant, tmp_path: Path) -> None:
    findings = assess(case_of(variant, tmp_path))
    assert len({finding.id for finding in findings}) == len(findings)
    for finding in findings:
        assert finding.object
        assert finding.cause
        assert finding.action


NAMES = st.lists(st.from_regex(r"[a-c]{1,2}(/[a-c](-[a-c])?){0,3}", fullmatch=True), unique=True, max_size=12)


@given(NAMES)
def test_new_names_are_ours_unique_and_free(names: list[str]) -> None:
    plans = rename_plan(names, {})
    assert plans == rename_plan(list(reversed(names)), {})
    new = [rename.new for rename in plans if rename.new]
    kept = [name for name in names if is_ours(name)]
    assert len(set(new)) == len(new)
    assert not set(new) & set(kept)
    assert all(is_ours(name) for name in new)
    assert {rename.old for rename in plans} == {name for name in names if not is_ours(name)}
    for rename in plans:
        if rename.new:
            assert rename.new.partition("/")[0] == rename.old.partition("/")[0]


def test_a_name_that_two_would_get_is_given_to_neither() -> None:
    plans = {rename.old: rename.new for rename in rename_plan(["a/b/c", "a/b-c/d", "a/b-c-d", "a/b/c-d", "a/x/y"], {})}
    assert plans["a/x/y"] == "a/x-y"
    assert plans["a/b/c"] == "a/b-c"
    assert plans["a/b-c/d"].startswith("a/b-c-d-")
    assert plans["a/b/c-d"].startswith("a/b-c-d-")


def test_a_choice_that_cannot_be_is_explained() -> None:
    [bad] = rename_plan(["a/b/c", "a/d"], {"a/b/c": "a/d"})
    assert (bad.new, bad.why) == ("", "a/d is the name of another repository")
    [deep] = rename_plan(["a/b/c"], {"a/b/c": "a/d/e"})
    assert "exactly two" in deep.why


@pytest.mark.parametrize(
    ("image", "after"),
    [
        ("old.svc/t/a", "new:5000/t/a"),
        ("old.svc/t/a:v1", "new:5000/t/a:v1"),
        (f"old.svc/t/a:v1@{DIGEST}", f"new:5000/t/a:v1@{DIGEST}"),
        ("old.svc/t/deep/a:v1", "new:5000/t/deep-a:v1"),
        ("route.test/t/a:v1", "route.test/t/a:v1"),
        ("route.test/t/deep/a:v1", "route.test/t/deep-a:v1"),
        ("docker://old.svc/t/a:v1", "new:5000/t/a:v1"),
        ("old.svc/t/other/b:v1", None),
    ],
)
def test_references_are_rewritten_as_they_should(image: str, after: str | None) -> None:
    found = rewritten(image, host="new:5000", moving=frozenset({"route.test"}), renames={"t/deep/a": "t/deep-a"})
    assert found == after


def test_limits_become_ranges_and_what_does_not_is_told() -> None:
    place = ObjectName("ConfigMap", "limits", "cpaas-system")
    fact = LimitFact(place, "1GB", "1000", (LimitRule(".*/tmp", "1MB", "5"), LimitRule("^team-a/.*$", "512MB", "7")))
    found = convert_limits([fact], ["team-a", "team-b"])
    assert found.ranges["team-a"]["spec"]["limits"] == [
        {"type": "alauda.io/Image", "max": {"storage": "512Mi"}},
        {"type": "alauda.io/ImageStream", "max": {"alauda.io/image-tags": "7"}},
    ]
    assert found.ranges["team-b"]["spec"]["limits"][0]["max"] == {"storage": "1Gi"}
    assert len(found.unconverted) == 2
    assert convert_limits([replace(fact, max_image_size="much", tag_count_limit="x", rules=())], ["t"]).ranges == {}


def test_roles_get_the_rights_that_mean_the_same() -> None:
    def role(kind: str, *verbs: str, **more: Any) -> RoleFact:
        return RoleFact(ObjectName(kind, "r", "t" if kind == "Role" else ""), (RuleFact(verbs, **more),))

    [pull] = convert_roles([role("Role", "get")])
    assert [rule["verbs"] for rule in pull.added] == [["get"]]
    [push] = convert_roles([role("Role", "create", "get", "patch", "update")])
    assert [(rule["resources"], rule["verbs"]) for rule in push.added] == [
        (["imagestreams/layers"], ["get", "update"]), (["imagestreams"], ["create", "get", "list"]),
    ]  # fmt: skip
    [delete] = convert_roles([role("Role", "delete")])
    assert delete.added[0]["resources"] == ["imagestreams", "imagestreamtags"]
    [everywhere] = convert_roles([role("ClusterRole", "delete")])
    assert "images" in everywhere.added[0]["resources"]
    [single] = convert_roles([role("Role", "get", resource_names=("one",))])
    assert not single.added
    assert single.problem


@pytest.fixture
def planned(tmp_path: Path) -> Plan:
    return plan(case_of(VARIANTS["4.2-pvc"], tmp_path, accepted=EVERYTHING))


def test_a_journal_knows_what_is_left_after_an_interruption(planned: Plan, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(path, planned)
    first, second, third = planned.steps[:3]
    journal.write(first, State.BEGUN, saved={"kind": "ClusterRole", "metadata": {"name": "a"}})
    journal.write(first, State.DONE)
    journal.write(second, State.BEGUN)
    with path.open("ab") as stream:
        stream.write(b'{"plan":"sha')
    again = Journal(path, planned)
    assert again.state(first) is State.DONE
    assert next(iter(again.left())) == second
    again.write(second, State.DONE)
    again.write(third, State.FAILED, detail="no right")
    assert [step.id for step, _ in Journal(path, planned).to_undo()][-1] == first.id
    assert dict(list(Journal(path, planned).to_undo())[-1][1])["kind"] == "ClusterRole"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_journal_belongs_to_one_plan_and_holds_no_secret(planned: Plan, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(path, planned)
    journal.write(planned.steps[0], State.DONE)
    with pytest.raises(InvalidDocument, match="another plan"):
        Journal(path, replace(planned, digest="sha256:other"))
    with pytest.raises(ValueError, match="Secrets"):
        journal.write(planned.steps[0], State.BEGUN, saved={"kind": "Secret"})


def test_what_was_taken_back_is_left_again_and_behind_the_end_there_is_no_way_back(
    planned: Plan, tmp_path: Path
) -> None:
    journal = Journal(tmp_path / "journal", planned)
    undoable = next(step for step in planned.steps if step.undo)
    journal.write(undoable, State.DONE)
    journal.write(undoable, State.UNDONE)
    assert undoable in list(journal.left())
    assert list(journal.to_undo()) == []
    journal.write(next(step for step in planned.phase(Phase.FINALIZE) if gives_up(step)), State.BEGUN)
    with pytest.raises(ValueError, match="no way back"):
        journal.to_undo()


def test_every_step_before_the_end_can_be_taken_back_or_changes_nothing(variant: Variant, tmp_path: Path) -> None:
    passive = {Action.GATE, Action.WAIT, Action.BY_HAND}
    for step in plan(case_of(variant, tmp_path)).steps:
        if step.phase is not Phase.FINALIZE and step.action not in passive and step.id != "copy/rest":
            assert step.undo, step.id


def test_workloads_name_the_service_in_the_namespace_of_the_registry_unless_another_host_is_chosen(
    tmp_path: Path,
) -> None:
    found = inventory_of(cluster_of(VARIANTS["4.2-pvc"]))
    elsewhere = replace(found, target=replace(found.target, namespace="registry-two"))
    content = surveyed(tmp_path, APP)
    own = plan(make_case(elsewhere, content, Choices()))
    assert own.host == "image-registry.registry-two.svc:5000"
    named = [change.after for rewrite in own.rewrites for change in rewrite.changes]
    assert any(text.startswith(f"{own.host}/") for text in named)
    assert plan(make_case(elsewhere, content, Choices(host="registry.test"))).host == "registry.test"


@pytest.mark.parametrize(
    ("address", "refused"),
    [
        (f"https://{HOST}", True),
        (f"https://{HOST.upper()}:443", True),
        (f"{HOST}/", True),
        (f"http://{HOST}:5000", False),
        ("http://10.4.0.17", False),
        ("", False),
    ],
)
def test_an_address_that_leads_here_after_the_cutover_is_refused_with_the_plan(
    address: str, *, refused: bool, tmp_path: Path
) -> None:
    made = plan(case_of(VARIANTS["4.2-pvc"], tmp_path, source_url=address, way=Way.COPY, claim_size=1 << 40))
    found = [finding for finding in made.blockers if finding.rule == "source-host"]
    assert bool(found) == refused
    assert all("name its Service" in finding.action for finding in found)


def test_an_empty_cluster_is_no_reason_to_fail() -> None:
    case = make_case(Inventory(VERSION, "", "", "", "cpaas-system", cluster_target()), None, Choices())
    assert "no-registry" in rules(case)
    assert plan(case).steps == ()


def cluster_target() -> Any:
    from image_registry.migration.facts import TargetFact

    return TargetFact("image-registry-system")


def test_an_inventory_of_another_version_is_discovered_anew() -> None:
    """What was not looked at then would be planned as if it were not there."""
    old = Inventory(VERSION - 1, "", "", "", "cpaas-system", cluster_target())
    with pytest.raises(InvalidDocument, match=r"of version 2, .* Discover anew"):
        make_case(old, None, Choices())
