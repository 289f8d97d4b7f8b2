"""Limits, modes, metrics and the audit log as administrators set and read them, with the cluster's own objects."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clients.curl import Curl, bearer
from tests.clients.layout import image
from tests.clients.programs import Crane, Refused
from tests.cluster.kubernetes import NAMESPACE, Kubectl, Team

pytestmark = pytest.mark.lab

SOON = 10.0
"""Seconds: what the documentation calls a second or two, on a busy machine."""


def until(condition: Callable[[], bool], seconds: float = SOON) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.5)


def quota(team: Team, **hard: str) -> None:
    named = {f"alauda.io/{name.replace('_', '-')}": value for name, value in hard.items()}
    metadata = {"name": "images", "namespace": team.namespace}
    spec = {"hard": named}
    team.kubectl.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": spec})


def refused(crane: Crane, team: Team, name: str, folder: Path) -> bool:
    try:
        crane.push(image(folder), f"{team.namespace}/{name}:v1")
    except Refused:
        return True
    return False


@pytest.mark.parity(8)
def test_a_quota_stops_the_stream_beyond_it_says_why_and_shows_what_is_used(
    crane: Crane, kubectl: Kubectl, team: Team, tmp_path: Path
) -> None:
    quota(team, imagestreams="1", image_storage="1Gi")
    time.sleep(2)
    crane.push(image(tmp_path / "one"), f"{team.namespace}/one:v1")
    with pytest.raises(Refused, match=r"exceeded quota: images, requested: alauda\.io/imagestreams=1") as no:
        crane.push(image(tmp_path / "two"), f"{team.namespace}/two:v1")
    assert "DENIED" in str(no.value)

    def used() -> dict[str, str]:
        found = kubectl.json("-n", team.namespace, "get", "resourcequota", "images")
        return dict(found.get("status", {}).get("used", {}))

    until(lambda: used().get("alauda.io/imagestreams") == "1", 60)
    assert int(used()["alauda.io/image-storage"]) > 0
    quota(team, imagestreams="2", image_storage="1Gi")
    until(lambda: not refused(crane, team, "two", tmp_path / "again"))


def test_a_limit_range_stops_an_image_that_is_too_large(crane: Crane, team: Team, tmp_path: Path) -> None:
    limits = [{"type": "alauda.io/Image", "max": {"storage": "10"}}]
    metadata = {"name": "sizes", "namespace": team.namespace}
    team.kubectl.apply({"apiVersion": "v1", "kind": "LimitRange", "metadata": metadata, "spec": {"limits": limits}})
    time.sleep(2)
    with pytest.raises(Refused, match=r"maximum storage usage per alauda\.io/Image is 10, but request is"):
        crane.push(image(tmp_path / "image"), f"{team.namespace}/app:v1")


@pytest.fixture
def writable(kubectl: Kubectl) -> Iterator[Callable[[str], None]]:
    """Switches the mode, and leaves it."""

    def switch(mode: str) -> None:
        data = json.dumps({"data": {"readOnly": mode}})
        kubectl("-n", NAMESPACE, "patch", "configmap", "image-registry-modes", "--patch", data)

    yield switch
    switch("false")


def test_read_only_is_entered_and_left_within_seconds_without_a_restart(
    crane: Crane, curl: Curl, kubectl: Kubectl, team: Team, tmp_path: Path, writable: Callable[[str], None]
) -> None:
    crane.push(image(tmp_path / "image"), f"{team.namespace}/app:v1")
    pods = kubectl.names("-n", NAMESPACE, "pods", "-l", "app.kubernetes.io/name=image-registry")
    token = curl.token(f"repository:{team.namespace}/app:pull,push")

    def begins() -> int:
        return curl(f"/v2/{team.namespace}/app/blobs/uploads/", "-X", "POST", "-d", "", config=bearer(token)).status

    def everywhere(status: int) -> bool:
        """Each worker for itself: many answers in a row, over connections of their own."""
        return all(begins() == status for _ in range(8))

    writable("true: the storage moves")
    until(lambda: everywhere(405))
    reply = curl(f"/v2/{team.namespace}/app/blobs/uploads/", "-X", "POST", "-d", "", config=bearer(token))
    [error] = json.loads(reply.body)["errors"]
    assert error["code"] == "UNSUPPORTED"
    assert "the storage moves" in error["message"]
    assert curl(f"/v2/{team.namespace}/app/manifests/v1", config=bearer(token)).status == 200
    writable("false")
    until(lambda: everywhere(202))
    assert kubectl.names("-n", NAMESPACE, "pods", "-l", "app.kubernetes.io/name=image-registry") == pods


@pytest.mark.parity(21)
def test_metrics_are_for_those_who_may_read_them(curl: Curl, kubectl: Kubectl, team: Team) -> None:
    for path in ("/metrics", "/extensions/v2/metrics"):
        assert curl(path).status == 401
        assert curl(path, config=bearer(team.token("stranger"))).status == 403
    name = f"metrics-{team.namespace}"
    role = "--clusterrole=system:image-registry-metrics-reader"
    kubectl("create", "clusterrolebinding", name, role, f"--serviceaccount={team.namespace}:stranger")
    try:
        until(lambda: curl("/metrics", config=bearer(team.token("stranger"))).status == 200)
        text = curl("/extensions/v2/metrics", config=bearer(team.token("stranger"))).body.decode()
    finally:
        kubectl("delete", "clusterrolebinding", name)
    assert 'imageregistry_request_duration_seconds_count{operation="metrics.get"}' in text
    assert 'imageregistry_storage_duration_seconds_count{operation="probe"}' in text


def test_the_audit_log_says_who_pushed_which_digest(crane: Crane, kubectl: Kubectl, team: Team, tmp_path: Path) -> None:
    digest = crane.push(image(tmp_path / "image"), f"{team.namespace}/app:v1")

    def records() -> list[dict[str, object]]:
        text = kubectl("-n", NAMESPACE, "logs", "-l", "app.kubernetes.io/name=image-registry", "--tail=2000")
        lines = [json.loads(line) for line in text.splitlines() if f'"repository": "{team.namespace}/app"' in line]
        return [line for line in lines if line["event"] == "audit" and line["operation"] == "manifests.put"]

    until(lambda: len(records()) >= 2)
    begin, end = records()[:2]
    assert (begin["outcome"], end["outcome"]) == ("begin", "success")
    assert end["user"] == f"system:serviceaccount:{team.namespace}:builder"
    assert end["digest"] == digest
    assert end["remote"]
