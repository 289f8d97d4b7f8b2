"""The operator ends what was begun, and goes to a newer version and back while images are pulled and pushed.

One walk in the order of this file, in an empty lab; it leaves the lab as it was. Two replicas in an object store: what
one claim holds is served by one Pod, which is away while the next one starts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from image_registry.kube.client import ClusterClient, object_path
from image_registry_lab.images import Images
from image_registry_lab.places import Places, cache
from tests.clients.programs import Crane
from tests.cluster.kubernetes import NAMESPACE, ROOT, Team
from tests.operator import versions
from tests.operator.operated import (
    SECONDS,
    Operated,
    config,
    crane,
    in_node,
    installed,
    kill_leader,
    lab,
    leader,
    object_store,
    operated,
    said,
    store,
    team,
)
from tests.operator.under_load import Load
from tests.serve.conftest import CACHE

__all__ = ["crane", "lab", "operated", "store", "team"]

pytestmark = pytest.mark.lab

NEWER = "lab.local/cluster-image-registry-operator:newer"
TAKES_OVER = 30
"""Seconds: a lease lasts 15, and is looked at every two."""


@pytest.fixture(scope="module")
def client(operated: Operated) -> ClusterClient:
    return ClusterClient.from_kubeconfig(operated.kubectl.kubeconfig)


def kill_while(operated: Operated, client: ClusterClient, state: str) -> float:
    """Kill the process that leads, and Helm with it, while a revision is in ``state``; seconds until another leads."""
    path = object_path("v1", "secrets", namespace=NAMESPACE)
    deadline = time.monotonic() + 60
    while not client.get(path, query={"labelSelector": f"owner=helm,status={state}"})["items"]:
        assert time.monotonic() < deadline, f"no revision was {state}"
        time.sleep(0.1)
    before = leader(operated)
    kill_leader(operated)
    seconds = operated.until(lambda: leader(operated) not in ("", before), "another leader", TAKES_OVER)
    assert client.get(path, query={"labelSelector": f"owner=helm,status={state}"})["items"], "Helm ended before"
    return seconds


def healed(operated: Operated) -> int:
    """How many revisions were healed, by the events of this Config; those of others before it stay for an hour."""
    events = operated.kubectl.json("get", "events", "--all-namespaces", "--field-selector", "reason=ReleaseHealed")
    mine = operated.config()["metadata"]["uid"]
    return sum(int(one.get("count") or 1) for one in events["items"] if one["involvedObject"].get("uid") == mine)


def test_a_first_installation_that_was_killed_is_ended_by_the_next_leader(
    operated: Operated, client: ClusterClient, store: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    operated.until(lambda: leader(operated) != "", "led", 60)
    storage = object_store(operated, store)
    database = {"postgresql": {"managed": {"size": "1Gi"}}}
    # crane does not follow a redirect to a private address, which the store of the lab has
    wanted = config(managementState="Managed", storage=storage, metadata=database, replicas=2, disableRedirect=True)
    operated.kubectl.apply(wanted)
    seconds = kill_while(operated, client, "pending-install")
    began = time.monotonic()
    operated.ready()
    said(
        capsys,
        f"killed while it installed: led again after {seconds:.0f} s, ready {time.monotonic() - began:.0f} s later",
    )
    assert healed(operated) == 1
    assert operated.config()["status"]["readyReplicas"] == 2


def test_an_upgrade_that_was_killed_is_ended_by_the_next_leader(
    operated: Operated, client: ClusterClient, capsys: pytest.CaptureFixture[str]
) -> None:
    operated.patch(logLevel="Debug")
    seconds = kill_while(operated, client, "pending-upgrade")
    began = time.monotonic()
    operated.ready()
    said(
        capsys,
        f"killed while it upgraded: led again after {seconds:.0f} s, ready {time.monotonic() - began:.0f} s later",
    )
    assert healed(operated) == 2
    deployment = operated.kubectl.json("-n", NAMESPACE, "get", "deployment", "image-registry")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert {"name": "REGISTRY_LOG_LEVEL", "value": "Debug"} in container["env"]


@pytest.fixture(scope="module")
def newer(lab: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A newer version in the lab's node: one image for operator and registry, with another step of the schema."""
    folder = tmp_path_factory.mktemp("newer")
    charts = versions.newer(folder)
    steps = sorted(path.name for path in (ROOT / "app/src/image_registry/metadata/migrations/versions").glob("v*.py"))
    (folder / versions.MIGRATION).write_text(versions.migration(steps[-1][1:5]))
    place = "/opt/image-registry/lib/python3.11/site-packages/image_registry/metadata/migrations/versions/"
    text = f"FROM {lab['OPERATOR_IMAGE']}\nCOPY {versions.MIGRATION} {place}\n"
    text += "COPY charts/image-registry /opt/image-registry/chart\n"
    (folder / "Containerfile").write_text(text)
    images, archive = Images(Places(cache()), print), folder / "newer.tar"
    images._build(NEWER, folder / "Containerfile", folder, {})
    images._buildah("push", "--quiet", NEWER, f"docker-archive:{archive}:{NEWER}")
    in_node("ctr", "--namespace", "k8s.io", "images", "import", str(archive))
    archive.unlink()
    yield {**lab, "IMAGE_REGISTRY_IMAGE": NEWER, "OPERATOR_IMAGE": NEWER, "charts": str(charts)}
    in_node("ctr", "--namespace", "k8s.io", "images", "rm", NEWER)
    images._buildah("rmi", NEWER)


def runs(operated: Operated, images: dict[str, str]) -> Callable[[], bool]:
    """Whether the registry is to be of a version."""

    def true() -> bool:
        found = operated.kubectl.json("-n", NAMESPACE, "get", "deployment", "image-registry")
        (container,) = found["spec"]["template"]["spec"]["containers"]
        return bool(container["image"] == images["IMAGE_REGISTRY_IMAGE"])

    return true


def test_to_a_newer_version_and_back_nobody_notices(
    operated: Operated,
    lab: dict[str, str],
    newer: dict[str, str],
    crane: Crane,
    team: Team,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kubectl = operated.kubectl
    archive = str(CACHE / "images/bb.tar")
    crane.run("push", archive, crane.at(f"{team.namespace}/hello:1"))
    definition = Path(newer["charts"]) / "cluster-image-registry-operator/templates/crds/configs.yaml"
    text = definition.read_text().replace("{{ .Chart.Version }}", versions.NUMBER)
    began = time.monotonic()
    with Load(crane, kubectl.kubeconfig, archive, team.namespace) as load:
        for images in (newer, lab):
            if images is newer:
                kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text)
            # a definition never goes back: who applies by hand leaves it out
            kubectl.apply(*(item for item in installed(images) if item["kind"] == "Deployment"))
            operated.until(runs(operated, images), "the other version", SECONDS)
            if images is newer:
                operated.patch(**{versions.FIELD: "hello"})
            operated.ready()
            for name in ("image-registry", "image-api-server"):
                kubectl("-n", NAMESPACE, "rollout", "status", f"deployment/{name}", "--timeout=180s")
                pods = f"app.kubernetes.io/name={name}"
                operated.until(lambda: two(operated, pods), "only new Pods", 90)  # noqa: B023
            if images is newer:
                assert operated.config()["status"]["version"] == versions.NUMBER
                assert operated.there("configmap", versions.FIELD)
    said(capsys, f"to a newer version and back in {time.monotonic() - began:.0f} s: {load.figures()}")
    assert load.failed == []
    assert load.pulled > 20
    assert len(load.pushed) > 20
    assert max(load.outages, default=0.0) <= 1.0, load.refusals
    assert load.lost() == []
    assert operated.config()["spec"][versions.FIELD] == "hello"
    assert operated.said()["FieldsIgnored"] == "True UnknownFields"
    assert not operated.there("configmap", versions.FIELD)


def two(operated: Operated, selector: str) -> bool:
    """Whether there are two Pods and not more: those of the other version are gone."""
    return len(operated.kubectl.names("pods", "-n", NAMESPACE, "-l", selector)) == 2
