"""What goes on while the database is away, in a real cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.clients.layout import image
from tests.clients.programs import Crane, Refused
from tests.cluster.kubernetes import NAMESPACE, CommandFailed, Kubectl, Team

pytestmark = pytest.mark.lab

APP = "app.kubernetes.io/name"


@pytest.fixture
def pushed(crane: Crane, team: Team, tmp_path: Path) -> str:
    """The digest of ``<namespace>/app:v1``, pushed before the outage."""
    return crane.push(image(tmp_path / "image"), f"{team.namespace}/app:v1")


@contextmanager
def without_database(kubectl: Kubectl) -> Iterator[None]:
    """No database Pod; afterwards it is there again and everything is ready."""
    kubectl("-n", NAMESPACE, "scale", "statefulset/image-registry-db", "--replicas=0")
    try:
        kubectl("-n", NAMESPACE, "wait", "pods", "-l", f"{APP}=image-registry-db", "--for=delete", "--timeout=90s")
        yield
    finally:
        kubectl("-n", NAMESPACE, "scale", "statefulset/image-registry-db", "--replicas=1")
        kubectl("-n", NAMESPACE, "rollout", "status", "statefulset/image-registry-db", "--timeout=180s")
        kubectl("-n", NAMESPACE, "rollout", "status", "deployment/image-registry", "--timeout=180s")


@pytest.fixture
def outage(kubectl: Kubectl, pushed: str) -> Iterator[None]:  # noqa: ARG001 - what is there before it
    """The database is away for the whole test."""
    with without_database(kubectl):
        yield


@pytest.mark.usefixtures("outage")
def test_the_api_server_begins_and_says_what_it_serves(kubectl: Kubectl, other_team: Team) -> None:
    kubectl("-n", NAMESPACE, "delete", "pod", "-l", f"{APP}=image-api-server")
    kubectl("-n", NAMESPACE, "rollout", "status", "deployment/image-api-server", "--timeout=120s")
    kubectl("wait", "apiservice/v1.image.alauda.io", "--for=condition=Available", "--timeout=60s")
    assert json.loads(kubectl("get", "--raw", "/apis/image.alauda.io/v1"))["kind"] == "APIResourceList"
    with pytest.raises(CommandFailed, match=r"database|ServiceUnavailable"):
        kubectl("-n", other_team.namespace, "get", "imagestreams")


@pytest.mark.usefixtures("outage")
def test_pulls_go_on_and_pushes_are_told_to_come_back(crane: Crane, team: Team, pushed: str, tmp_path: Path) -> None:
    assert crane.pull(f"{team.namespace}/app:v1") == pushed
    with pytest.raises(Refused, match=r"database|503|UNAVAILABLE"):
        crane.push(image(tmp_path / "another", size=1000), f"{team.namespace}/app:v2")


@pytest.mark.usefixtures("pushed")
def test_a_namespace_that_was_deleted_in_an_outage_is_gone_after_it(kubectl: Kubectl, team: Team) -> None:
    with without_database(kubectl):
        kubectl("delete", "namespace", team.namespace, "--wait=false")
        with pytest.raises(CommandFailed, match="timed out"):
            kubectl("wait", f"namespace/{team.namespace}", "--for=delete", "--timeout=8s")
    kubectl("wait", f"namespace/{team.namespace}", "--for=delete", "--timeout=180s")
