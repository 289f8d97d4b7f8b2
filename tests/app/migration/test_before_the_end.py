"""What a person is told before ``finalize`` begins, and at its end; and what is corrected by running again."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from image_registry.kube.client import object_path
from image_registry.kube.errors import KubeError
from image_registry.kube.release_marks import own
from image_registry.migration.access_facts import RBAC
from image_registry.migration.actions import StepFailed
from image_registry.migration.case import make_case
from image_registry.migration.choices import Choices
from image_registry.migration.config_settings import ConfigSettings
from image_registry.migration.doing import DOERS
from image_registry.migration.facts import ObjectName
from image_registry.migration.foreseeing import foresee
from image_registry.migration.helm_settings import HelmSettings
from image_registry.migration.installing import Install
from image_registry.migration.journal import Journal, State
from image_registry.migration.object_actions import Delete
from image_registry.migration.phases import Action, Phase
from image_registry.migration.plan import Step
from image_registry.migration.planning import plan
from image_registry.migration.progress import progress
from image_registry.migration.progress_page import page
from image_registry.migration.spelling import OPERATOR
from image_registry.migration.waiting import Wait
from image_registry_lab.legacy.variants import VARIANTS
from tests.app.migration.conftest import cluster_of, inventory_of
from tests.app.migration.test_execution import context_of, plan_of
from tests.app.migration.test_taking_back import Document, Objects

RECORD = Step(
    "finalize/record", Phase.FINALIZE, Action.DELETE, "Remove the record",
    ObjectName("ModuleInfo", "legacy", "", "cluster.alauda.io/v1alpha1"), parameters={"cluster": "global"},
)  # fmt: skip
COPY = Step("copy/all", Phase.FINALIZE, Action.COPY_IMAGES, "Copy")
WAITS = Step("wait", Phase.FINALIZE, Action.WAIT, "Wait for it")


def test_what_cannot_be_seen_is_told_beside_the_steps_that_can(tmp_path: Path) -> None:
    made = plan_of([COPY, RECORD, WAITS])
    found = foresee(context_of(made, tmp_path), Journal(tmp_path / "journal", made), DOERS, [Phase.FINALIZE])
    assert [str(entry).partition(":")[0] for entry in found.steps] == ["fails", "waits", "waits"]
    assert "--content" in found.steps[0].change
    assert "name it (--global-kubeconfig)" in found.steps[1].change


def test_a_record_that_a_person_has_removed_is_nothing_to_be_done(tmp_path: Path) -> None:
    assert Delete().foresee(RECORD, context_of(plan_of([RECORD]), tmp_path, RECORD.id)) == ""


@dataclass
class Values:
    """A named fake of an installation whose first revision failed."""

    values: Document | None
    base: Document = field(default_factory=dict)
    told: str = ""

    def current(self) -> Document | None:
        return self.values

    def below(self) -> Document:
        return self.base

    def by_hand(self, values: Mapping[str, Any]) -> str:
        del values
        return self.told

    def write(self, values: Document, _tell: Callable[[str], None]) -> None:
        self.values = values


@pytest.fixture
def calm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("image_registry.migration.installing.make_namespace", lambda *_: None)


@pytest.mark.usefixtures("calm")
def test_a_wrong_image_of_a_first_installation_is_corrected_by_running_again(tmp_path: Path) -> None:
    install = Step("install", Phase.PREPARE, Action.INSTALL, "Install", parameters={"values": {"replicas": 1}})
    settings = Values({"image": "wrong", "config": {"replicas": 1}}, {"image": "right", "config": {"replicas": 9}})
    context = replace(context_of(plan_of([install]), tmp_path), settings=cast("Any", settings))
    assert Install().foresee(install, context) == "image: wrong -> right"
    Install().do(install, {}, context)
    assert settings.values == {"image": "right", "config": {"replicas": 1}}, "the plan's word counts"


@pytest.mark.parametrize(
    ("statuses", "below"),
    [([], True), (["failed"], True), (["failed", "pending-upgrade"], True), (["deployed", "failed"], False)],
)
def test_values_beside_the_plan_count_until_a_revision_came_up(
    statuses: list[str], below: bool, tmp_path: Path
) -> None:
    class Secrets:
        def get(self, _path: str, **_query: Any) -> Document:
            marks = [{"version": str(number), "status": status} for number, status in enumerate(statuses, 1)]
            return {"items": [{"metadata": {"labels": labels}} for labels in marks]}

    found = HelmSettings(
        client=cast("Any", Secrets()), namespace="n", chart="c", folder=tmp_path, base={"image": "right"}
    )
    assert found.below() == ({"image": "right"} if below else {})


def test_who_only_looks_at_values_needs_no_helm(tmp_path: Path) -> None:
    def record(revision: int, status: str, values: Document) -> Document:
        document = {"version": revision, "info": {"status": status}, "config": values}
        packed = base64.b64encode(base64.b64encode(gzip.compress(json.dumps(document).encode()))).decode()
        labels = {"version": str(revision), "status": status}
        return {"metadata": {"name": f"r{revision}", "labels": labels}, "data": {"release": packed}}

    class Secrets:
        items = (record(2, "deployed", {"config": {"readOnly": True}}), record(1, "superseded", {}))

        def get(self, _path: str, **_query: Any) -> Document:
            return {"items": list(self.items)}

    settings = HelmSettings(
        client=cast("Any", Secrets()), namespace="n", chart="", folder=tmp_path, program="/nowhere/helm"
    )
    assert settings.current() == {"config": {"readOnly": True}}
    Secrets.items = (record(1, "pending-install", {}),)  # type: ignore[assignment]
    assert settings.current() is None


def test_what_the_release_has_is_written_for_the_inventory_and_goes_with_it(tmp_path: Path) -> None:
    class NoRelease:
        def get(self, _path: str, **_query: Any) -> Document:
            return {"items": []}

    program = tmp_path / "helm"  # a named fake: it does as it is told
    program.write_text("#!/bin/sh\ncat >/dev/null\n", encoding="utf-8")
    program.chmod(0o700)
    file = tmp_path / "journal.values.yml"
    settings = HelmSettings(
        client=cast("Any", NoRelease()),
        namespace="n",
        chart="c",
        folder=tmp_path / "d",
        program=str(program),
        values_file=file,
    )
    values = {"config": {"storage": {"s3": {"bucket": "images"}}, "routes": [{"name": "legacy"}]}}
    settings.write(values, print)
    assert yaml.safe_load(file.read_text()) == {"registry_install_method": "helm", "registry_chart_values": values}
    assert file.stat().st_mode & 0o777 == 0o600
    settings.remove(print, {})
    assert not file.exists(), "a rollback leaves nothing to be included"


@pytest.mark.parametrize(
    ("labels", "cure"),
    [
        ({"app.kubernetes.io/managed-by": "Helm"}, "`helm upgrade cluster-image-registry-operator … --reuse-values"),
        ({}, "write `clusterRoles: {leave: [system:image-puller]}` into operand.yaml of ConfigMap n/"),
        (None, "--from-literal='operand.yaml=clusterRoles: {leave: [system:image-puller]}'` and `kubectl rollout"),
    ],
)
def test_who_installed_the_operator_is_told_how_it_learns_whose_the_roles_are(
    labels: dict[str, str] | None, cure: str
) -> None:
    path = f"/api/v1/namespaces/n/configmaps/{OPERATOR}"
    found = Objects({path: {"metadata": {"name": OPERATOR, "labels": labels}}} if labels is not None else {})
    settings = ConfigSettings(client=cast("Any", found), namespace="n", owner=cast("Any", None))
    assert cure in settings.by_hand({"clusterRoles": {"leave": ["system:image-puller"]}})
    assert settings.by_hand({}) == ""


class Roles(Objects):
    """The same with ClusterRoles."""

    def find(self, path: str) -> Document | None:
        if path == f"/apis/{RBAC}":
            return {"resources": [{"name": "clusterroles", "kind": "ClusterRole", "namespaced": False}]}
        return super().find(path)


def test_a_role_that_is_this_registrys_own_by_now_is_not_left_any_more() -> None:
    text = "clusterRoles: {leave: [system:image-puller, system:image-pusher]}"
    told = {"metadata": {"name": OPERATOR}, "data": {"operand.yaml": text}}
    puller = own({"metadata": {"name": "system:image-puller"}}, "image-registry", "n")
    pusher = own({"metadata": {"name": "system:image-pusher"}}, "image-registry", "cpaas-system")
    found = Roles(
        {
            f"/api/v1/namespaces/n/configmaps/{OPERATOR}": told,
            object_path(RBAC, "clusterroles", "system:image-puller"): puller,
            object_path(RBAC, "clusterroles", "system:image-pusher"): pusher,
        }
    )
    settings = ConfigSettings(client=cast("Any", found), namespace="n", owner=cast("Any", None))
    assert settings.by_hand({"clusterRoles": {"leave": ["system:image-pusher"]}}) == ""
    assert settings.by_hand({"clusterRoles": {"leave": []}}) == "", "the step makes them its own before"
    assert "system:image-puller" in settings.by_hand({"clusterRoles": {"leave": ["system:image-puller"]}})


def test_the_operator_is_waited_for_until_its_release_has_the_roles() -> None:
    released = [["system:image-puller"], ["system:image-puller"], []]

    class Release:
        def current(self) -> Document:
            return {"clusterRoles": {"leave": released.pop(0)}}

    status = {"conditions": [{"type": "Progressing", "status": "False", "observedGeneration": 1}]}
    config = {"metadata": {"name": "cluster", "generation": 1}, "spec": {}, "status": status}

    class Configured(Roles):
        def find(self, path: str) -> Document | None:
            if path == "/apis/imageregistry.operator.alauda.io/v1":
                return {"resources": [{"name": "configs", "kind": "Config", "namespaced": False}]}
            return super().find(path)

    place = "/apis/imageregistry.operator.alauda.io/v1/configs/cluster"
    said = list[str]()
    settings = ConfigSettings(
        client=cast("Any", Configured({place: config})),
        namespace="n",
        owner=cast("Any", Release()),
        sleep=lambda _seconds: None,
    )
    settings.write({"config": {}, "clusterRoles": {"leave": []}}, said.append)
    assert released == []
    [line] = said
    assert line.startswith("  the operator: it has not made system:image-puller its own yet; if it never does: ")
    assert "clusterRoles: {leave: []}" in line


def test_an_operator_that_waits_for_a_migration_has_no_registry_that_a_rollback_would_keep() -> None:
    class Release:
        there: Document | None = None

        def current(self) -> Document | None:
            return self.there

    class Configured(Roles):
        def find(self, path: str) -> Document | None:
            if path == "/apis/imageregistry.operator.alauda.io/v1":
                kinds = (("configs", "Config"), ("imagepruners", "ImagePruner"))
                return {"resources": [{"name": name, "kind": kind, "namespaced": False} for name, kind in kinds]}
            return super().find(path)

    place = "/apis/imageregistry.operator.alauda.io/v1/configs/cluster"
    found = Configured({place: {"metadata": {"name": "cluster"}, "spec": {"managementState": "Unmanaged"}}})
    release = Release()
    settings = ConfigSettings(client=cast("Any", found), namespace="n", owner=cast("Any", release))
    assert settings.current() is None
    found.documents[place]["spec"]["imagePullSecret"] = {"managementState": "Removed"}
    assert settings.current() is not None, "a rollback that was interrupted goes on"
    del found.documents[place]["spec"]["imagePullSecret"]
    release.there = {}
    assert settings.current() is not None, "somebody's registry that nobody looks after is one"


def test_a_stop_for_the_operator_is_told_before_the_first_deletion(tmp_path: Path) -> None:
    roles = Step("finalize/roles", Phase.FINALIZE, Action.INSTALL, "Roles", parameters={"legacyRules": False})
    settings = Values({"config": {}, "clusterRoles": {"leave": ["a"]}}, told="tell the operator")
    context = replace(context_of(plan_of([roles]), tmp_path), settings=cast("Any", settings))
    with pytest.raises(StepFailed, match=r"^tell the operator, and run again$"):
        Install().foresee(roles, context)


def test_what_remains_of_the_registry_before_is_left_to_a_person_by_name(tmp_path: Path) -> None:
    cluster = cluster_of(VARIANTS["4.2-no-module-info"])
    made = plan(make_case(inventory_of(cluster), None, Choices()))
    step = list(made.phase(Phase.FINALIZE))[-1]
    named = {(kind, name) for kind, name, _, _ in step.parameters["remains"]}
    assert {
        ("Deployment", "image-registry"),
        ("Service", "image-registry"),
        ("PersistentVolumeClaim", "image-registry"),
    } <= named

    def find(path: str) -> Document | None:
        if path.count("/") == 3 or path == "/api/v1":  # kinds of a group
            kinds = {(kind, version) for kind, _, _, version in step.parameters["remains"]}
            return {"resources": [{"name": f"{kind.lower()}s", "kind": kind, "namespaced": True} for kind, _ in kinds]}
        try:
            return cluster.get(path)
        except KubeError:
            return None

    cluster.drop("Service", "image-registry")
    client = type("Found", (), {"find": staticmethod(find)})()
    context = replace(context_of(made, tmp_path), client=cast("Any", client))
    outcome = Wait().do(step, {}, context)
    journal = Journal(tmp_path / "journal", made)
    journal.write(step, State.BEGUN)
    journal.write(step, State.DONE, detail=outcome.detail, saved=outcome.saved)
    found = progress(made, journal)
    assert "remove Deployment cpaas-system/image-registry" in found.by_hand
    assert "remove PersistentVolumeClaim cpaas-system/image-registry" in found.by_hand
    assert "remove Service cpaas-system/image-registry" not in found.by_hand
    assert "remove Deployment cpaas-system/image-registry" in page(made, found)
