"""Streams, tags and images as Kubernetes objects, by kubectl."""

from __future__ import annotations

import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from tests.clients.layout import image
from tests.clients.programs import Crane, Refused
from tests.cluster.kubernetes import NAMESPACE, SERVICE, CommandFailed, Kubectl, Team
from tests.serve.conftest import program

pytestmark = pytest.mark.lab

API_SERVER = "app.kubernetes.io/name=image-api-server"
GRACE = 22
"""Seconds: ten before the server hears of it, some to end. Running requests have 45."""


@pytest.fixture
def pushed(crane: Crane, team: Team, tmp_path: Path) -> str:
    """The digest of ``<namespace>/app:v1``."""
    return crane.push(image(tmp_path / "image"), f"{team.namespace}/app:v1")


@pytest.mark.parity(3)
def test_kubectl_knows_the_resources_by_their_names(kubectl: Kubectl) -> None:
    rows = kubectl("api-resources", "--api-group=image.alauda.io", "--no-headers").splitlines()
    assert {tuple(row.split()) for row in rows} >= {
        ("images", "image.alauda.io/v1", "false", "Image"),
        ("imagestreams", "is", "image.alauda.io/v1", "true", "ImageStream"),
        ("imagestreamtags", "istag", "image.alauda.io/v1", "true", "ImageStreamTag"),
    }


def test_the_group_answers_raw_requests(kubectl: Kubectl) -> None:
    found = json.loads(kubectl("get", "--raw", "/apis/image.alauda.io/v1"))
    assert found["kind"] == "APIResourceList"
    assert {item["name"] for item in found["resources"]} >= {"images", "imagestreams", "imagestreamtags"}


def test_a_push_is_listed_in_every_namespace_as_a_table(kubectl: Kubectl, team: Team, pushed: str) -> None:
    shown = kubectl("get", "imagestreams,istag", "-A")
    assert "IMAGE REPOSITORY" in shown
    assert f"{SERVICE}/{team.namespace}/app" in shown
    assert "app:v1" in shown
    assert pushed in shown


def test_describe_shows_what_a_tag_means(kubectl: Kubectl, team: Team, pushed: str) -> None:
    shown = kubectl("-n", team.namespace, "describe", "is", "app")
    assert "Name:         app" in shown
    assert pushed in shown


@pytest.mark.parity(4)
@pytest.mark.parametrize(
    "path",
    ["imagestream.spec.tags", "imagestreams.status.tags.items.image", "imagestreamtags.image", "images.metadata"],
)
def test_explain_says_what_a_field_means(kubectl: Kubectl, path: str) -> None:
    shown = kubectl("explain", path)
    assert "image.alauda.io" in shown
    assert "DESCRIPTION" in shown
    assert "<empty>" not in shown


def test_json_and_yaml_say_the_same(kubectl: Kubectl, team: Team, pushed: str) -> None:
    as_json = kubectl.json("-n", team.namespace, "get", "istag", "app:v1")
    as_yaml = yaml.safe_load(kubectl("-n", team.namespace, "get", "istag", "app:v1", "-o", "yaml"))
    assert as_json == as_yaml
    assert as_json["image"]["metadata"]["name"] == pushed


def test_an_image_says_where_it_can_be_pulled(kubectl: Kubectl, team: Team, pushed: str) -> None:
    found = kubectl.json("get", "image", pushed)
    assert found["kind"] == "Image"
    assert found["dockerImageReference"].endswith(f"{team.namespace}/app@{pushed}")


def test_a_deleted_tag_is_gone_for_clients_too(kubectl: Kubectl, crane: Crane, team: Team, pushed: str) -> None:
    kubectl("-n", team.namespace, "delete", "istag", "app:v1")
    assert crane.run("ls", crane.at(f"{team.namespace}/app")).split() == []
    assert kubectl.json("get", "image", pushed)["metadata"]["name"] == pushed


def test_a_deleted_stream_is_gone_for_clients_too_and_can_be_pushed_again(
    kubectl: Kubectl, crane: Crane, team: Team, pushed: str, tmp_path: Path
) -> None:
    assert pushed
    kubectl("-n", team.namespace, "delete", "is", "app")
    with pytest.raises(Refused, match="NAME_UNKNOWN"):
        crane.run("ls", crane.at(f"{team.namespace}/app"))
    again = crane.push(image(tmp_path / "again"), f"{team.namespace}/app:v1")
    assert crane.pull(f"{team.namespace}/app:v1") == again


def test_a_dry_run_deletes_nothing(kubectl: Kubectl, team: Team, pushed: str) -> None:
    assert pushed
    kubectl("-n", team.namespace, "delete", "is", "app", "--dry-run=server")
    assert kubectl.names("-n", team.namespace, "is") == {"app"}


@pytest.mark.parity(5)
def test_a_namespace_with_images_is_deleted(kubectl: Kubectl, team: Team, pushed: str) -> None:
    assert pushed
    kubectl("delete", "namespace", team.namespace, "--timeout=60s")
    with pytest.raises(CommandFailed, match="not found"):
        kubectl("get", "namespace", team.namespace)
    streams = kubectl.json("get", "imagestreams", "-A")["items"]
    assert team.namespace not in {stream["metadata"]["namespace"] for stream in streams}


def test_view_and_edit_roles_reach_the_image_api(kubectl: Kubectl, team: Team, pushed: str) -> None:
    assert pushed
    user = f"--as=system:serviceaccount:{team.namespace}:stranger"
    with pytest.raises(CommandFailed, match=r'cannot list resource "imagestreams".*image\.alauda\.io'):
        kubectl("-n", team.namespace, "get", "is", user)
    account = f"--serviceaccount={team.namespace}:stranger"
    kubectl("-n", team.namespace, "create", "rolebinding", "views", "--clusterrole=view", account)
    kubectl("-n", team.namespace, "auth", "can-i", "list", "imagestreams.image.alauda.io", user)
    assert "app" in kubectl("-n", team.namespace, "get", "is", "-o", "name", user)
    with pytest.raises(CommandFailed, match="cannot delete"):
        kubectl("-n", team.namespace, "delete", "is", "app", user)


def test_a_watch_tells_a_push_a_label_and_a_deletion_as_they_happen(
    kubectl: Kubectl, crane: Crane, team: Team, tmp_path: Path
) -> None:
    path = f"/apis/image.alauda.io/v1/namespaces/{team.namespace}/imagestreams?watch=true&timeoutSeconds=15"
    with ThreadPoolExecutor(1) as pool:
        told = pool.submit(kubectl, "get", "--raw", path)
        time.sleep(1)
        crane.push(image(tmp_path / "image"), f"{team.namespace}/app:v1")
        kubectl("-n", team.namespace, "label", "is", "app", "tier=web")
        time.sleep(1)
        kubectl("-n", team.namespace, "delete", "is", "app")
        kubectl("-n", team.namespace, "wait", "--for=delete", "is/app", "--timeout=10s")
        events = [json.loads(line) for line in told.result(60).splitlines()]
    assert [event["type"] for event in events] == ["ADDED", "MODIFIED", "DELETED"]
    assert events[1]["object"]["metadata"]["labels"] == {"tier": "web"}
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    assert versions == sorted(versions)


def test_an_open_watch_does_not_keep_a_server_from_leaving(kubectl: Kubectl, team: Team, tmp_path: Path) -> None:
    command = [program("kubectl", "run `lab/lab build kube`"), "--kubeconfig", str(kubectl.kubeconfig)]
    command += ["-n", team.namespace, "get", "imagestreams", "--watch"]
    with (tmp_path / "watched").open("wb") as output, subprocess.Popen(command, stdout=output) as watching:
        time.sleep(1)
        began = time.monotonic()
        kubectl("-n", NAMESPACE, "delete", "pods", "-l", API_SERVER)
        took = time.monotonic() - began
        watching.terminate()
    kubectl.await_pods(API_SERVER)
    assert took < GRACE, "it waited until its time for running requests was over"
