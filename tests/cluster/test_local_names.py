"""Short names of images in Pods mean ImageStreams of the namespace: the kube-apiserver asks, kubelet pulls."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from image_registry.kube.pod_templates import WORKLOADS
from tests.clients.programs import Crane
from tests.cluster import extras
from tests.cluster.kubernetes import NAMESPACE, SERVICE, CommandFailed, Kubectl, Team

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("extras_on")]

PATH = "/apis/image.alauda.io/v1/localnamereviews"


@pytest.fixture
def lent(crane: Crane, team: Team, kubectl: Kubectl, busybox: Path) -> str:
    """What ``app:1`` means in the team's namespace."""
    digest = extras.push(crane, f"{team.namespace}/app:1", busybox)
    lend = '{"spec": {"lookupPolicy": {"local": true}}}'
    kubectl("-n", team.namespace, "patch", "imagestream", "app", "--type=merge", "-p", lend)
    return f"{SERVICE}/{team.namespace}/app@{digest}"


def test_a_deployment_with_a_short_name_becomes_ready(lent: str, team: Team, kubectl: Kubectl) -> None:
    team.pull_secret("pull", "builder")
    made = extras.created(kubectl, extras.workload("Deployment", team.namespace, "app:1"))
    assert extras.images(made) == [lent]
    kubectl("-n", team.namespace, "rollout", "status", "deployment/x-deployment", "--timeout=90s")
    (pod,) = kubectl.json("-n", team.namespace, "get", "pods")["items"]
    assert extras.images(pod) == [lent]
    assert pod["status"]["containerStatuses"][0]["imageID"].endswith(lent.partition("@")[2])


def test_a_tag_that_moves_changes_nothing_that_is_stored(
    lent: str, team: Team, kubectl: Kubectl, crane: Crane, busybox: Path
) -> None:
    deployment = extras.workload("Deployment", team.namespace, "app:1")
    deployment["spec"]["replicas"] = 0
    kubectl.apply(deployment)
    moved = extras.push(crane, f"{team.namespace}/app:1", busybox)
    kubectl("-n", team.namespace, "label", "deployment", "x-deployment", "a=b")
    assert extras.images(kubectl.json("-n", team.namespace, "get", "deployment", "x-deployment")) == [lent]
    kubectl.apply(deployment)  # the short name is written again, so it is resolved again
    found = extras.images(kubectl.json("-n", team.namespace, "get", "deployment", "x-deployment"))
    assert found == [f"{SERVICE}/{team.namespace}/app@{moved}"]


def test_every_kind_is_resolved_and_a_dry_run_shows_it(lent: str, team: Team, kubectl: Kubectl) -> None:
    names = ("app:1", f"app@{lent.partition('@')[2]}", "app:later", "busybox", "quay.io/a/app:1")
    wanted = [lent, lent, f"{SERVICE}/{team.namespace}/app:later", "busybox", "quay.io/a/app:1"]
    for known in WORKLOADS:
        document = extras.workload(known.kind, team.namespace, *names)
        found = extras.images(extras.created(kubectl, document, "--dry-run=server"))
        assert found == wanted, known.kind


def test_a_volume_made_of_an_image_may_have_a_short_name(lent: str, team: Team, kubectl: Kubectl) -> None:
    """Also if nothing else of the Pod has one."""
    pod = extras.workload("Pod", team.namespace, lent)
    pod["spec"]["volumes"] = [{"name": "model", "image": {"reference": "app:1"}}]
    found = extras.created(kubectl, pod, "--dry-run=server")["spec"]["volumes"]
    assert [volume["image"]["reference"] for volume in found if "image" in volume] == [lent]


def test_a_container_for_looking_into_a_pod_may_have_a_short_name(lent: str, team: Team, kubectl: Kubectl) -> None:
    """Also into one that a controller keeps."""
    team.pull_secret("pull", "builder")
    extras.created(kubectl, extras.workload("Deployment", team.namespace, "app:1"))
    extras.until("a Pod", lambda: bool(kubectl.names("pods", "-n", team.namespace)))
    (name,) = kubectl.names("pods", "-n", team.namespace)
    kubectl("-n", team.namespace, "debug", name, "--image=app:1", "--attach=false", "--", "/bin/busybox", "true")
    pod = kubectl.json("-n", team.namespace, "get", "pod", name)
    assert [container["image"] for container in pod["spec"]["ephemeralContainers"]] == [lent]


def test_a_stream_that_does_not_lend_its_name_is_asked_by_the_annotation_alone(
    crane: Crane, team: Team, kubectl: Kubectl, busybox: Path
) -> None:
    digest = extras.push(crane, f"{team.namespace}/own:1", busybox)
    asked = {"alpha.image.policy.alauda.io/resolve-names": "*"}
    plain, marked = (
        extras.workload("Pod", team.namespace, "own:1", annotations=annotations) for annotations in ({}, asked)
    )
    assert extras.images(extras.created(kubectl, plain, "--dry-run=server")) == ["own:1"]
    found = extras.images(extras.created(kubectl, marked, "--dry-run=server"))
    assert found == [f"{SERVICE}/{team.namespace}/own@{digest}"]


def test_the_systems_namespaces_and_objects_without_short_names_are_not_asked_about(
    lent: str, team: Team, kubectl: Kubectl
) -> None:
    def asked() -> int:
        """How often the kube-apiserver has sent a review."""
        lines = kubectl("get", "--raw", "/metrics").splitlines()
        counts = [line for line in lines if line.startswith("apiserver_admission_webhook_request_total{")]
        return sum(int(line.rpartition(" ")[2]) for line in counts if ".localnames.image.alauda.io" in line)

    before = asked()
    for namespace, image in (("kube-system", "app:1"), (NAMESPACE, "app:1"), (team.namespace, lent)):
        document = extras.workload("CronJob", namespace, image)
        assert extras.images(extras.created(kubectl, document, "--dry-run=server")) == [image]
    assert asked() == before
    extras.created(kubectl, extras.workload("CronJob", team.namespace, "app:1"), "--dry-run=server")
    assert asked() == before + 1


def test_nobody_but_the_kube_apiserver_may_ask(team: Team, kubectl: Kubectl) -> None:
    """Through the kube-apiserver as a user of the namespace, who may do everything there."""
    kubectl("-n", team.namespace, "create", "rolebinding", "all", "--clusterrole=admin", f"--user={team.namespace}")
    with pytest.raises(CommandFailed, match="cannot create resource"):
        kubectl("create", "--raw", PATH, "-f", "-", f"--as={team.namespace}", stdin=json.dumps({"kind": "x"}))
