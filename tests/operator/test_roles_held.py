"""The roles of a release that goes, in a real kube-apiserver: held, let go, and nothing lost by what is only asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from image_registry.kube.client import object_path
from image_registry.migration.doing import DOERS
from image_registry.migration.facts import ObjectName
from image_registry.migration.phases import Action, Phase
from image_registry.migration.plan import Step
from tests.app.migration.test_execution import context_of, plan_of
from tests.operator.conftest import control_plane, started

API = "rbac.authorization.k8s.io/v1"
PULLER = object_path(API, "clusterroles", "system:image-puller")
RECORD = ObjectName("ConfigMap", "record", "cpaas-system")
STEPS = (
    Step(
        "finalize/hold", Phase.FINALIZE, Action.WAIT, "Hold", undo="let go",
        parameters={"hold": [["ClusterRole", "system:image-puller", "", API]]},
    ),
    Step("finalize/record", Phase.FINALIZE, Action.DELETE, "Record", RECORD, parameters={"cluster": "workload"}),
)  # fmt: skip


def test_holding_asks_deletes_nothing_and_is_taken_back(tmp_path: Path) -> None:
    with started(control_plane(tmp_path)) as server:
        client = server.client
        role = {"metadata": {"name": "system:image-puller"}, "rules": []}
        client.create(object_path(API, "clusterroles"), role)
        client.create("/api/v1/namespaces", {"metadata": {"name": "cpaas-system"}})
        record = object_path("v1", "configmaps", "record", namespace="cpaas-system")
        client.create(record.rpartition("/")[0], {"metadata": {"name": "record", "finalizers": ["example.com/it"]}})
        plan = plan_of(STEPS, server=client.server)
        context = replace(context_of(plan, tmp_path), client=client)
        before = client.get(PULLER)["metadata"]["uid"]
        hold, wait = STEPS[0], DOERS[Action.WAIT]
        saved = wait.before(hold, context)
        wait.do(hold, saved, context)
        assert client.get(PULLER)["metadata"]["finalizers"] == ["image.alauda.io/migration"]
        assert "deletionTimestamp" not in client.get(record)["metadata"], "it was only asked"
        wait.undo(hold, saved, context)
        assert "finalizers" not in client.get(PULLER)["metadata"]
        wait.do(hold, saved, context)
        client.delete(PULLER)
        assert client.get(PULLER)["metadata"]["uid"] == before
        wait.undo(hold, saved, context)
        made = client.get(PULLER)["metadata"]
        assert made["uid"] != before
        assert "deletionTimestamp" not in made
