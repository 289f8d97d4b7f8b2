"""Gates as comparisons: what is open, by which name, and what accepts it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from image_registry.kube.reviews import ReviewedAccess, ReviewedUser
from image_registry.migration import frozen_content, gate_reading, gates, gating
from image_registry.migration.actions import Context, RegistryDoor, StepFailed
from image_registry.migration.case import make_case
from image_registry.migration.choices import Choices
from image_registry.migration.content import (
    MISSING_BLOB,
    MISSING_MANIFEST,
    UNREADABLE,
    ContentFile,
    ContentWriter,
    Problem,
    RepositoryContent,
)
from image_registry.migration.exceptions import FOLLOWS, Exceptions, Wrong, wrong_of
from image_registry.migration.findings import blocking
from image_registry.migration.gate_facts import gate_facts
from image_registry.migration.gate_reading import image, may
from image_registry.migration.gates import Question, Seen
from image_registry.migration.names import rename_plan
from image_registry.migration.phases import Action, Phase
from image_registry.migration.plan import Plan, Step, sealed
from image_registry.migration.registry_access import Registry
from image_registry.migration.wanted_images import tagged, untagged
from image_registry.remote.asking import Access
from image_registry_lab.legacy.variants import VARIANTS
from tests.app.migration.conftest import cluster_of, inventory_of

A, B, C = (f"sha256:{letter * 64}" for letter in "abc")
REPOSITORY = RepositoryContent(
    "team/app", {"v1": A, "v2": B}, {A: "x", B: "x"}, {C: 7}, (Problem(MISSING_MANIFEST, "v3", "it is gone"),)
)


def open_of(found: Any) -> dict[str, str]:
    return {item.id: item.cause for item in found if item.cause}


def test_every_tag_is_compared_and_one_that_was_broken_before_is_told() -> None:
    found = open_of(gates.tags(REPOSITORY, "team/app", {"v1": Seen(A), "v2": Seen(A)}))
    assert set(found) == {"tag:team/app:v2", "tag:team/app:v3"}
    assert B in found["tag:team/app:v2"]
    assert "it is gone" in found["tag:team/app:v3"]
    nothing = open_of(gates.tags(REPOSITORY, "team/app", {}))
    assert nothing["tag:team/app:v1"] == "it was not looked at"


def test_a_repository_that_the_registry_before_cannot_give_is_open() -> None:
    lost = RepositoryContent("team/app", problems=(Problem(UNREADABLE, "team/app", "503"),))
    assert set(open_of(gates.tags(lost, "team/app", {}))) == {"repository:team/app"}


@pytest.mark.parametrize("named", [f"app@{A}", "app:v1", f"app:v1@{A}"])
def test_an_image_that_a_workload_names_by_digest_is_asked_for_by_digest(named: str) -> None:
    asked: list[str] = []
    door = RegistryDoor("https://registry.example.com", Access())

    def digest(reference: Any, _access: Access) -> str:
        asked.append(str(reference.digest or reference.tag))
        return A

    client = SimpleNamespace(access=door.access, registries=SimpleNamespace(digest=digest))
    registry = Registry(door, "registry.example.com", cast("Any", client))
    assert image(registry, f"image-registry.image-registry-system.svc:5000/team/{named}") == Seen(A)
    assert asked == [A if "@" in named else "v1"]


def test_a_registry_before_that_shows_nothing_is_no_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def written(path: Path, *found: RepositoryContent) -> ContentFile:
        with ContentWriter(path, "registry", "x") as writer:
            for repository in found:
                writer.add(repository)
            writer.finish(0)
        return ContentFile(path)

    monkeypatch.setattr(frozen_content, "survey_again", lambda _source, _before, path, _context: written(path))
    door = RegistryDoor("http://127.0.0.1:1", Access(insecure=True))
    context = cast("Any", SimpleNamespace(folder=tmp_path, content=written(tmp_path / "c", REPOSITORY), source=door))
    with pytest.raises(StepFailed, match="shows no tag, and the survey of the plan has 2"):
        frozen_content.frozen(context)
    assert not (tmp_path / frozen_content.NAME).exists()


def test_a_repository_without_a_name_here_is_one_open_item() -> None:
    for compare in (gates.tags, gates.manifests, gates.blobs):
        assert set(open_of(compare(REPOSITORY, "", {}))) == {"repository:team/app"}


@pytest.mark.parametrize(
    ("seen", "cause"),
    [
        (Seen("7"), ""),
        (Seen(), "its bytes are not here"),
        (Seen("8"), "it has 8 bytes here and 7"),
        (Seen(error="x"), "x"),
    ],
)
def test_a_blob_has_the_right_number_of_bytes(seen: Seen, cause: str) -> None:
    [item] = gates.blobs(REPOSITORY, "team/app", {C: seen})
    assert item.cause.startswith(cause)
    assert bool(item.cause) == bool(cause)


def test_what_was_accepted_in_the_plan_accepts_what_follows_from_it(tmp_path: Path) -> None:
    finding = replace(blocking("missing-blob", "team/app/v1", "", ""), accepted=True)
    refused = blocking("missing-blob", "team/app/v2", "", "")
    plan = sealed(replace(Plan(1, "", "", "", "", "", "", "", "", ""), findings=(finding, refused)))
    nothing = cast("Any", None)
    context = Context(plan=plan, client=nothing, folder=tmp_path, settings=nothing, accepted=("tag:other/*",))
    exceptions = Exceptions(context)
    repository = replace(REPOSITORY, problems=(Problem(MISSING_BLOB, "v1", f"{C} is needed and is not there"),))
    [blob] = gates.blobs(repository, "team/app", {C: Seen()})
    assert exceptions.by(blob.id, blob.repository, blob.subjects) == finding.id
    assert exceptions.by("tag:team/app:v1", "team/app", ("v1",)) == finding.id
    assert exceptions.by("tag:team/app:v2", "team/app", ("v2",)) == ""
    assert exceptions.by("tag:other/app:v2", "other/app", ("v2",)) == "tag:other/app:v2"
    [moved, _] = gates.tags(repository, "team/app", {"v1": Seen(B), "v2": Seen(B)})
    assert exceptions.by(moved.id, moved.repository, moved.subjects, moved.wrong) == "", "it means another image"


def test_a_rename_and_a_name_accept_no_image_of_the_same_spelling(tmp_path: Path) -> None:
    rules = ("nested-path", "no-name", "dead-namespace")
    findings = tuple(replace(blocking(rule, "team/app/v1", "", ""), accepted=True) for rule in rules)
    plan = sealed(replace(Plan(1, "", "", "", "", "", "", "", "", ""), findings=findings))
    exceptions = Exceptions(Context(plan=plan, client=cast("Any", None), folder=tmp_path, settings=cast("Any", None)))
    [tag, *_] = gates.tags(REPOSITORY, "team/app", {"v1": Seen()})
    assert (tag.id, bool(tag.cause)) == ("tag:team/app:v1", True)
    assert exceptions.by(tag.id, tag.repository, tag.subjects, tag.wrong) == ""
    [left] = gates.tags(replace(REPOSITORY, name="team/app/v1"), "", {})
    assert exceptions.by(left.id, left.repository, left.subjects, left.wrong) == "no-name:team/app/v1"


@pytest.mark.parametrize(("reason", "wrong"), [("NotFound", Wrong.BROKEN), ("Forbidden", Wrong.UNREAD)])
def test_an_image_that_was_not_copied_for_another_reason_is_not_the_one_that_was_accepted(
    reason: str, wrong: Wrong
) -> None:
    assert wrong_of(reason) is wrong
    assert (wrong in FOLLOWS["missing-blob"]) is (reason == "NotFound")


def test_hosts_logins_and_limits_that_are_missing_are_named() -> None:
    found = open_of(gates.hosts(["a", "b"], ["a/team/app:v1"], {"a": Seen("a"), "a/team/app:v1": Seen()}))
    assert found == {"host:b": "it was not looked at", "image:a/team/app:v1": "there is no such image here"}
    logins = gates.pull_secrets({"team": ["new", "old"]}, {("team", "new"): Seen("new")})
    assert open_of(logins) == {"pull-secret:team/old": "no pull Secret of team has a login for old"}
    limit = {"metadata": {"name": "image-limits"}, "spec": {"limits": [{"type": "t", "max": {"storage": "1Gi"}}]}}
    other = {"spec": {"limits": [{"type": "t", "max": {"storage": "2Gi"}}]}}
    wanted = {"a": limit, "b": limit, "c": limit}
    found = open_of(gates.limits(wanted, ["rule 'x': why"], {"a": limit, "b": other}))
    assert set(found) == {"limit:b/image-limits", "limit:c/image-limits", "limits:rule 'x'"}
    tags = {"metadata": {"name": "image-limits"}, "spec": {"limits": [{"type": "t", "max": {"tags": "1000"}}]}}
    spelled = {"spec": {"limits": [{"type": "t", "max": {"tags": "1k"}}]}}  # as the API server does it
    assert open_of(gates.limits({"a": tags}, [], {"a": spelled})) == {}


def test_a_service_account_without_the_secret_whose_pods_pull_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else's Secret of the namespace does not help its Pods; those that name a Secret do not need it."""
    cluster = cluster_of(VARIANTS["4.2-pvc"])
    for name in ("builder", "named"):
        path = f"/api/v1/namespaces/team-a/serviceaccounts/{name}"
        metadata = {"name": name, "namespace": "team-a"}
        cluster.documents[path] = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
    pod = {"containers": [{"name": "c", "image": "image-registry.cpaas-system.svc/team-a/app:v1"}]}
    for name, more in (("builder", {}), ("named", {"imagePullSecrets": [{"name": "mine"}]})):
        metadata = {"name": f"of-{name}", "namespace": "team-a"}
        spec = {"template": {"spec": {**pod, **more, "serviceAccountName": name}}}
        document = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
        cluster.documents[f"/apis/apps/v1/namespaces/team-a/deployments/of-{name}"] = document
    case = make_case(inventory_of(cluster), None, Choices())
    facts = gate_facts(case, "pull-secrets")
    assert {account for namespace, account, _ in facts["accounts"] if namespace == "team-a"} == {"default", "builder"}

    def login(_registry: Any, keyrings: Any, host: str, _image: str) -> Seen:
        """A named fake of the registry: it takes every login."""
        return Seen(host if list(keyrings) else "")

    monkeypatch.setattr(gate_reading, "login", login)
    monkeypatch.setattr(gating, "target_of", lambda _context: None)
    context = cast("Context", SimpleNamespace(client=cluster, plan=SimpleNamespace(steps=())))
    step = Step("gate/pull-secrets", Phase.GATES, Action.GATE, "", parameters={"gate": "pull-secrets", **facts})
    found = open_of(gating._pull_secrets(step, context))
    missing = {name for name in found if name.startswith("pull-secret:team-a/builder/")}
    assert missing
    assert missing == {name for name in found if name.startswith("pull-secret:team-a/")}
    assert "Pods that run as it name no other" in found[min(missing)]


class Reviews:
    """A named fake of the cluster's decisions: builders of a team may do everything in their namespace, groups pull."""

    def __init__(self) -> None:
        self.asked: list[tuple[ReviewedUser, dict[str, str]]] = []

    def review(self, user: ReviewedUser, attributes: dict[str, str]) -> ReviewedAccess:
        self.asked.append((user, attributes))
        own = user.username == f"system:serviceaccount:{attributes['namespace']}:builder"
        return ReviewedAccess(own or (not user.username and attributes["verb"] == "get"))


def test_every_subject_of_every_binding_is_asked_for_what_it_could_before() -> None:
    inventory = inventory_of(cluster_of(VARIANTS["4.2-gateway"]))
    parameters = gate_facts(make_case(inventory, None, Choices()), "access")
    asked = list(gates.questions(parameters["bindings"]))
    bound = {binding.object for binding in inventory.bindings if binding.subjects}
    assert {question.binding for question in asked} == {str(name) for name in bound}
    assert {question.action for question in asked} >= {"pull", "push"}
    reviews = Reviews()
    found = {question: may(cast("Any", reviews), question) for question in asked}
    items = list(gates.access(asked, found))
    assert len(items) == len(asked)
    group = Question("RoleBinding x", "team", "Group system:serviceaccounts:team", "push")
    assert may(cast("Any", reviews), group) == Seen()
    assert reviews.asked[-1][0].groups == ("system:serviceaccounts:team",)
    assert open_of(gates.access([group], {group: Seen()})) == {
        "access:RoleBinding x/Group system:serviceaccounts:team/push": "could before, and may not here"
    }


def test_the_plan_names_hosts_images_and_namespaces_of_workloads() -> None:
    case = make_case(inventory_of(cluster_of(VARIANTS["4.2-gateway"])), None, Choices(host="new.test:5000"))
    assert gate_facts(case, "hosts")["hosts"] == ["new.test:5000"]  # nothing was surveyed: no image is known
    namespaces = gate_facts(case, "pull-secrets")["namespaces"]
    assert namespaces
    assert all("new.test:5000" in hosts for hosts in namespaces.values())
    assert gate_facts(case, "tags") == {}


@pytest.mark.parametrize(
    "problem",
    [
        Problem(MISSING_BLOB, "v1", f"{C} is needed by {B} and is not there"),
        Problem(MISSING_MANIFEST, f"v1 ({B})", "x"),
    ],
    ids=["a blob of one platform", "the manifest of one platform"],
)
def test_who_accepts_an_index_with_a_broken_part_is_not_asked_for_the_part_again(
    problem: Problem, tmp_path: Path
) -> None:
    """Behind the freeze least of all: the copy and both gates know what the plan has accepted."""
    listed = RepositoryContent("team/app", {"v1": A}, {A: "x", B: "x"}, {C: 7}, (problem,))
    rule, mark = problem.kind.replace(" ", "-"), "@" if ":" in problem.subject else "/"
    finding = replace(blocking(rule, f"team/app{mark}{problem.subject}", "", ""), accepted=True)
    plan = sealed(replace(Plan(1, "", "", "", "", "", "", "", "", ""), findings=(finding,)))
    nothing = cast("Any", None)
    exceptions = Exceptions(Context(plan=plan, client=nothing, folder=tmp_path, settings=nothing))
    for item in (*gates.tags(listed, "team/app", {"v1": Seen()}), *gates.manifests(listed, "team/app", {})):
        wrong = Wrong.ABSENT if item.id.startswith("manifest:") else item.wrong
        assert exceptions.by(item.id, item.repository, item.subjects, wrong) == finding.id, item.id
    for wanted in (*tagged(listed, {}), *untagged(listed, {})):
        assert exceptions.by(wanted.id, wanted.repository, wanted.subjects) == finding.id, wanted.id


def test_a_login_that_expires_in_a_gate_makes_nothing_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else ten thousand items would be open, and an administrator would look for ten thousand causes."""
    with ContentWriter(tmp_path / "c", "registry", "x") as writer:
        writer.add(replace(REPOSITORY, problems=()))
        writer.finish(0)
    refused = [True]

    class Expired(Registry):
        def lets_in(self) -> str:
            return "401" if refused[0] else ""

    registry = Expired(RegistryDoor("https://x", Access()), "x", cast("Any", None))
    monkeypatch.setattr(gating, "target_of", lambda _context: registry)
    monkeypatch.setitem(
        gating.CONTENT, "tags", (lambda repository: repository.tags, lambda *_: Seen(error="401"), gates.tags)
    )
    plan = sealed(Plan(1, "", "", "", "", "", "", "", "", ""))
    nothing = cast("Any", None)
    context = Context(
        plan=plan, client=nothing, folder=tmp_path, settings=nothing, content=ContentFile(tmp_path / "c"),
        source=None, clock=lambda: 0.0,
    )  # fmt: skip
    (tmp_path / frozen_content.NAME).write_bytes((tmp_path / "c").read_bytes())
    step = Step("gate/tags", Phase.GATES, Action.GATE, "tags", parameters={"gate": "tags"})
    with pytest.raises(StepFailed, match="this registry does not accept the credentials"):
        gating.Gate().do(step, {}, context)
    refused[0] = False  # a right that is missing is the fault of what it is missing for
    assert "tag:team/app:v1" in gating.Gate().do(step, {}, context).open


def test_what_was_accepted_in_the_plan_is_accepted_of_the_workload_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the name that the plan knows it by, which is the one before; another image of that workload is open."""
    finding = replace(blocking("missing-blob", "team/tools/report/v1", "", ""), accepted=True)
    plan = sealed(
        replace(
            Plan(1, "", "", "", "", "", "", "", "", ""),
            findings=(finding,),
            renames=rename_plan(["team/tools/report"], {}),
        )
    )
    nothing = cast("Any", None)
    door = RegistryDoor("https://x", Access())
    context = Context(plan=plan, client=nothing, folder=tmp_path, settings=nothing)
    monkeypatch.setattr(gating, "target_of", lambda _context: Registry(door, "x", nothing))
    monkeypatch.setattr(gate_reading, "host", lambda *_: Seen("there"))
    monkeypatch.setattr(gate_reading, "image", lambda *_: Seen())
    images = ["here/team/tools-report:v1", "here/team/tools-report:v2"]
    step = Step("gate/hosts", Phase.GATES, Action.GATE, "hosts", parameters={"hosts": ["here"], "images": images})
    exceptions = Exceptions(context)
    found = {
        item.id: exceptions.by(item.id, item.repository, item.subjects, item.wrong)
        for item in gating._hosts(step, context)
        if item.cause
    }
    assert found == {f"image:{images[0]}": finding.id, f"image:{images[1]}": ""}
