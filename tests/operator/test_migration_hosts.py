"""Hosts go over from one Ingress to another in a real kube-apiserver, past a controller that lets one have a host."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_registry.migration.plan import Plan
from image_registry_lab.legacy.objects import definitions
from image_registry_lab.legacy.variants import HOST, VARIANTS
from tests.operator.conftest import CHART, control_plane, program, started
from tests.operator.control_plane import ApiServer
from tests.operator.every_hand import EveryHands
from tests.operator.one_host import INGRESSES, one_ingress_for_a_host, who_answered
from tests.operator.test_legacy_registry import collection
from tests.operator.test_migration_run import TARGET, everything, fill, migrating, planned, well

LEGACY = "cpaas-system"


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with started(control_plane(tmp_path_factory.mktemp("apiserver"))) as found:
        for document in definitions():
            found.client.create(collection(document), document)
        with EveryHands(found.client, ""):
            yield found


@pytest.fixture
def prepared(server: ApiServer, tmp_path: Path) -> tuple[Plan, str]:
    """A plan, and since when Ingresses are counted. This registry has its Ingress from the chart."""
    since = server.client.get(INGRESSES)["metadata"]["resourceVersion"]
    fill(server.client, VARIANTS["4.2-s3"])
    (tmp_path / "routed.json").write_text(json.dumps({"helm": program("helm"), "chart": str(CHART)}))
    return planned(server, tmp_path), since


def died(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == -9, done.stdout + done.stderr


@pytest.mark.slow
def test_somebody_answers_by_the_host_at_every_moment_though_two_may_not_have_it(
    prepared: tuple[Plan, str], server: ApiServer, tmp_path: Path
) -> None:
    client, ingress = server.client, f"cutover/Ingress {LEGACY}/image-registry"
    made, since = prepared
    before = everything(client)
    names = [step.id for step in made.steps]
    narrow, remove = (next(name for name in names if name.startswith(start)) for start in ("cutover/narrow/", ingress))
    with one_ingress_for_a_host(client, tmp_path) as refused:
        died(migrating(server, tmp_path, "run", "cutover", narrow, "after"))
        died(migrating(server, tmp_path, "run", "cutover", "cutover/routes", "after"))
        died(migrating(server, tmp_path, "run", "cutover", remove, "after"))
        well(migrating(server, tmp_path, "run", "cutover"))
        stand = {item["metadata"]["namespace"]: item for item in client.get(INGRESSES)["items"]}
        assert list(stand) == [TARGET]
        assert stand[TARGET]["spec"]["rules"][0]["host"] == HOST
        assert stand[TARGET]["spec"]["rules"][0]["http"]["paths"][0]["path"] == "/"
        for step, where in ((remove, "after"), ("cutover/routes", "after"), (narrow, "before")):
            died(migrating(server, tmp_path, "rollback", "", step, where))
        well(migrating(server, tmp_path, "rollback", ""))
        assert everything(client) == before
        assert refused == []
    assert who_answered(client, HOST, "/v2/team-a/app/manifests/v1", since) == [LEGACY, TARGET, LEGACY]


@pytest.mark.slow
def test_a_host_that_this_registry_may_not_have_is_told_before_anything_is_frozen(
    prepared: tuple[Plan, str], server: ApiServer, tmp_path: Path
) -> None:
    del prepared
    role = "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:image-pusher"
    with one_ingress_for_a_host(server.client, tmp_path, refused=TARGET):
        done = migrating(server, tmp_path, "run", "cutover")
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"route:{HOST}" in done.stderr, done.stderr
    assert "its namespace may not" in (tmp_path / "journal.d/prepare-routes.results.jsonl").read_text()
    assert "update" in json.dumps(server.client.get(role)["rules"][:1]), "pushes go on"
