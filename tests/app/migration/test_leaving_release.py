"""The roles that bindings of every namespace name are there again as soon as a release takes them along."""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from image_registry.kube.client import object_path
from image_registry.kube.errors import KubeError
from image_registry.migration import leaving_release
from image_registry.migration.actions import Context, NotYet, StepFailed, Untouched
from image_registry.migration.facts import ObjectName
from image_registry.migration.journal import Journal, State
from image_registry.migration.object_actions import Delete
from image_registry.migration.phases import Action, Phase
from image_registry.migration.plan import Step, only_looks
from image_registry.migration.waiting import Wait
from tests.app.migration.test_execution import context_of, plan_of
from tests.app.migration.test_taking_back import Document, Objects

API = "rbac.authorization.k8s.io/v1"
ROOT = f"/apis/{API}/clusterroles"


def of(name: str) -> str:
    """Where a role lies."""
    return object_path(API, "clusterroles", name)


RULES = [{"apiGroups": ["image.alauda.io"], "resources": ["imagestreams/layers"], "verbs": ["get"]}]
PULLER = of("system:image-puller")
GOING = [["ClusterRole", name, "", API] for name in ("system:image-puller", "proxy")]
HOLD = Step("finalize/hold", Phase.FINALIZE, Action.WAIT, "w", parameters={"hold": GOING}, undo="let go")
RECORD = Step(
    "finalize/workload/record", Phase.FINALIZE, Action.DELETE, "r", ObjectName("ClusterRole", "record", "", API),
    parameters={"cluster": "workload"},
)  # fmt: skip
GONE = Step("finalize/gone", Phase.FINALIZE, Action.WAIT, "w", parameters={"gone": GOING, "seconds": 9})


class Roles(Objects):
    """A named fake of an API server with ClusterRoles: one with finalizers stays until the last of them is gone."""

    def __init__(self, *names: str) -> None:
        self.missing: tuple[str, ...] = ()
        self.webhook = ""
        self._numbers = itertools.count(1)
        super().__init__({})
        for name in names:
            labels = {"helm.sh/release-name": "legacy", "rbac.authorization.k8s.io/aggregate-to-view": "true"}
            self.create(ROOT, {"metadata": {"name": name, "labels": labels}, "rules": RULES})

    def find(self, path: str) -> Document | None:
        if path == f"/apis/{API}":
            return {"resources": [{"name": "clusterroles", "kind": "ClusterRole", "namespaced": False}]}
        return super().find(path)

    def create(self, path: str, body: Any, **_how: Any) -> Document:
        if path.endswith("selfsubjectaccessreviews"):
            asked = body["spec"]["resourceAttributes"]
            return {"status": {"allowed": f"{asked['verb']} {asked['resource']}" not in self.missing}}
        made = {**body, "metadata": {**body["metadata"], "uid": f"uid-{next(self._numbers)}"}}
        return self.replace(of(body["metadata"]["name"]) if path == ROOT else path, made)

    def replace(self, path: str, body: Any) -> Document:
        made = super().replace(path, body)
        if made["metadata"].get("deletionTimestamp") and not made["metadata"].get("finalizers"):
            super().delete(path)
        return made

    def delete(self, path: str, **how: Any) -> None:
        if self.webhook:
            raise KubeError(403, "Forbidden", self.webhook)
        if "dryRun" in how.get("query", {}):
            return
        if path not in self.documents:
            raise KubeError(404, "NotFound", "it is gone")
        if self.documents[path]["metadata"].get("finalizers"):
            self.documents[path]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        else:
            super().delete(path)


@dataclass
class Owners:
    """Of the installation, only what makes roles its own."""

    taken: list[str] = field(default_factory=list)

    def take_over(self, objects: Any) -> None:
        self.taken += [found.name for found in objects]


@pytest.fixture
def roles() -> Roles:
    return Roles("system:image-puller", "proxy")


def context(roles: Roles, folder: Path, owners: Owners, at: dict[float, Any]) -> Context:
    """With things that happen at seconds of their own."""
    time = [0.0]

    def sleep(seconds: float) -> None:
        time[0] += seconds
        for when in [each for each in at if each <= time[0]]:
            at.pop(when)()

    found = context_of(plan_of([HOLD, RECORD, GONE]), folder)
    return replace(found, client=cast("Any", roles), settings=cast("Any", owners), clock=lambda: time[0], sleep=sleep)


def test_a_role_that_goes_with_its_release_stays_in_force_until_it_is_made_again_as_ours(
    roles: Roles, tmp_path: Path
) -> None:
    owners, seen = Owners(), list[bool]()
    found = context(roles, tmp_path, owners, {})
    held = Wait().do(HOLD, Wait().before(HOLD, found), found)
    assert "ClusterRole system:image-puller" in held.detail
    roles.delete(PULLER)  # before anybody waits
    assert PULLER in roles.documents
    happens = {1.0: lambda: seen.append(PULLER in roles.documents), 3.0: lambda: roles.delete(of("proxy"))}
    found = context(roles, tmp_path, owners, happens)
    Wait().do(GONE, Wait().before(GONE, found), found)
    assert seen == [True]
    assert list(roles.documents) == [PULLER]
    assert roles.documents[PULLER]["rules"] == RULES
    assert roles.documents[PULLER]["metadata"] == {
        "name": "system:image-puller",
        "labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"},
        "finalizers": [],
        "uid": "uid-3",
    }
    assert owners.taken == ["system:image-puller"]


def test_who_was_killed_meanwhile_makes_it_again_by_what_the_journal_has(roles: Roles, tmp_path: Path) -> None:
    found = context(roles, tmp_path, Owners(), {})
    journal = Journal(tmp_path / "journal", found.plan)
    journal.write(GONE, State.BEGUN, saved=Wait().before(GONE, found))
    roles.documents.clear()
    Wait().do(GONE, Journal(tmp_path / "journal", found.plan).saved(GONE) or {}, found)
    assert [document["rules"] for document in roles.documents.values()] == [RULES]


def test_what_stays_is_named_and_what_it_permits_is_untouched(roles: Roles, tmp_path: Path) -> None:
    owners = Owners()
    found = context(roles, tmp_path, owners, {})
    name = ObjectName("ClusterRole", "proxy", "", API)
    with pytest.raises(StepFailed, match=f"{name} is still there"):
        Wait().do(GONE, Wait().before(GONE, found), found)
    assert [document["rules"] for document in roles.documents.values()] == [RULES, RULES]
    assert owners.taken == []


def test_a_record_that_goes_after_its_release_and_the_roles_we_hold_do_not_wait_for_each_other(
    tmp_path: Path,
) -> None:
    roles, owners = Roles("system:image-puller", "proxy", "record"), Owners()
    roles.documents[of("record")]["metadata"]["finalizers"] = ["platform/release"]
    old = roles.documents[PULLER]["metadata"]["uid"]
    found = context(roles, tmp_path, owners, {})

    def remove_what_it_has_made() -> (
        None
    ):  # as a platform does that asks its release, and that every object, to go first
        roles.delete(PULLER)
        roles.delete(of("proxy"))

    def let_the_record_go() -> None:
        assert roles.documents[PULLER]["metadata"]["uid"] != old
        roles.replace(
            of("record"), {**roles.documents[of("record")], "metadata": {"name": "record", "deletionTimestamp": "t"}}
        )

    Wait().do(HOLD, Wait().before(HOLD, found), found)
    outcome = Delete().do(RECORD, Delete().before(RECORD, found), found)
    assert "waited for with its release" in outcome.detail
    remove_what_it_has_made()
    found = context(roles, tmp_path, owners, {4.0: let_the_record_go})
    Wait().do(GONE, Wait().before(GONE, found), found)
    assert list(roles.documents) == [PULLER]
    assert owners.taken == ["system:image-puller"]


def test_a_record_that_stays_is_named_with_what_holds_it_or_that_it_came_again(tmp_path: Path) -> None:
    roles = Roles("record")
    found = context(roles, tmp_path, Owners(), {})
    with pytest.raises(StepFailed, match="ClusterRole record was made again"):
        Wait().do(GONE, {}, found)
    roles.documents[of("record")]["metadata"] |= {"finalizers": ["platform/release"], "deletionTimestamp": "t"}
    with pytest.raises(StepFailed, match="ClusterRole record waits for platform/release"):
        Wait().do(GONE, {}, found)


def test_what_the_global_cluster_has_is_removed_by_a_person_only_when_the_roles_are_held(tmp_path: Path) -> None:
    module = ObjectName("ModuleInfo", "business-7", "", "cluster.alauda.io/v1alpha1")
    known = replace(RECORD, id="finalize/global/ModuleInfo business-7", object=module, parameters={"cluster": "global"})
    unknown = Step("finalize/global", Phase.FINALIZE, Action.WAIT, "w", parameters={"beyond": ["kubectl delete it"]})
    found = replace(context(Roles("record"), tmp_path, Owners(), {}), global_client=None)
    asked: tuple[tuple[Wait | Delete, Step, str], ...] = (
        (Delete(), known, "delete moduleinfo.cluster.alauda.io business-7"),
        (Wait(), unknown, "kubectl delete it"),
    )
    for doer, step, typed in asked:
        for look in (doer.before, doer.foresee):
            with pytest.raises(
                NotYet, match=rf"Both roles are held now:.*remove it there \(.*{typed}\).*--accept '{step.id}'"
            ):
                look(step, found)
        confirmed = replace(found, accepted=(step.id,))
        assert "confirmed" in doer.do(step, doer.before(step, confirmed), confirmed).detail
        assert doer.foresee(step, confirmed) == ""


def test_what_nobody_takes_back_is_not_kept_in_the_journal(tmp_path: Path) -> None:
    roles = Roles("record")
    found = context(roles, tmp_path, Owners(), {})
    assert Delete().before(RECORD, found) == {}
    assert Delete().before(replace(RECORD, undo="it is made again"), found)["object"]["metadata"]["name"] == "record"


def test_a_record_for_which_nobody_waits_later_is_waited_for_at_once(tmp_path: Path) -> None:
    roles = Roles("record")
    roles.documents[of("record")]["metadata"]["finalizers"] = ["platform/release"]
    found = context(roles, tmp_path, Owners(), {})
    with pytest.raises(StepFailed, match="look at its finalizers"):
        Delete().do(RECORD, {}, replace(found, plan=plan_of([RECORD])))


@pytest.mark.parametrize(
    ("status", "expected"), [(403, Untouched), (422, Untouched), (500, KubeError), (504, KubeError)]
)
def test_a_deletion_that_was_refused_has_done_nothing_and_one_that_nobody_knows_of_may_have(
    status: int, expected: type[Exception], tmp_path: Path
) -> None:
    class Refusing(Roles):
        def delete(self, path: str, **_how: Any) -> None:
            raise KubeError(status, "Reason", path)

    with pytest.raises(expected):
        Delete().do(RECORD, {}, context(Refusing("record"), tmp_path, Owners(), {}))


def test_a_wait_that_holds_roles_is_a_change_and_one_that_looks_is_none() -> None:
    looking = Step("observe/pulls", Phase.OBSERVE, Action.WAIT, "w", parameters={"restartable": True})
    assert [only_looks(step) for step in (HOLD, GONE, RECORD, looking)] == [False, False, False, True]


def test_who_only_holds_the_roles_has_given_nothing_up_and_lets_them_go(roles: Roles, tmp_path: Path) -> None:
    before = copy.deepcopy(roles.documents)
    found = context(roles, tmp_path, Owners(), {})
    journal = Journal(tmp_path / "journal", found.plan)
    journal.write(HOLD, State.BEGUN, saved=Wait().before(HOLD, found))
    Wait().do(HOLD, journal.saved(HOLD) or {}, found)
    assert roles.documents[PULLER]["metadata"]["finalizers"]
    [(step, saved)] = journal.to_undo()
    assert step.undo, "an end that is taken back is told"
    for _ in range(2):  # killed before it was written down
        Wait().undo(step, saved, found)
        assert not roles.documents[PULLER]["metadata"].pop("finalizers", None)
        assert roles.documents == before
    journal.write(RECORD, State.BEGUN)
    with pytest.raises(ValueError, match="no way back"):
        journal.to_undo()


def test_a_role_that_somebody_deleted_while_it_was_held_is_there_when_it_is_let_go(
    roles: Roles, tmp_path: Path
) -> None:
    found = context(roles, tmp_path, Owners(), {})
    saved = Wait().before(HOLD, found)
    Wait().do(HOLD, saved, found)
    labels = roles.documents[PULLER]["metadata"]["labels"]
    roles.delete(PULLER)
    Wait().undo(HOLD, saved, found)
    assert roles.documents[PULLER]["rules"] == RULES
    assert roles.documents[PULLER]["metadata"]["labels"] == labels, "it is the release's again"
    assert "deletionTimestamp" not in roles.documents[PULLER]["metadata"]


def test_the_right_to_give_a_release_back_is_asked_for_before_a_role_is_held(tmp_path: Path) -> None:
    kept = ObjectName("ClusterRole", "kept", "elsewhere", API)
    step = Step("finalize/release/kept", Phase.FINALIZE, Action.GIVE_BACK, "g", kept)
    found = replace(context(Roles("kept"), tmp_path, Owners(), {}), plan=plan_of([HOLD, step]))
    asked = {str(right) for _, right in leaving_release._rights(found)}
    group = "clusterroles.rbac.authorization.k8s.io in namespace elsewhere"
    assert {f"get {group}", f"update {group}"} <= asked


@pytest.mark.parametrize("why", ["right:delete clusterroles.rbac.authorization.k8s.io", "delete:ClusterRole record"])
def test_what_the_end_may_not_do_is_said_before_a_role_is_held(why: str, tmp_path: Path) -> None:
    roles = Roles("system:image-puller", "record")
    roles.missing = ("delete clusterroles",) if why.startswith("right") else ()
    roles.webhook = "" if why.startswith("right") else "a webhook says no"
    found = context(roles, tmp_path, Owners(), {})
    with pytest.raises(StepFailed, match=why):
        Wait().do(HOLD, Wait().before(HOLD, found), found)
    assert "finalizers" not in roles.documents[PULLER]["metadata"]
    accepting = replace(found, accepted=(why,))
    Wait().do(HOLD, Wait().before(HOLD, accepting), accepting)
    assert roles.documents[PULLER]["metadata"]["finalizers"]
