"""One playbook of all modules about images on a real kube-apiserver: checked, run, run again."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.errors import ClusterUnreachable, KubeError
from tests.app.cli.served import Office, listening
from tests.app.cli.test_import_image import _importing
from tests.app.conftest import sqlite_template  # noqa: F401 - a fixture
from tests.app.image_api.conftest import FakeCluster, _opened
from tests.app.remote.conftest import REPOSITORY, Remote, open_distribution  # noqa: F401 - a fixture
from tests.collection.controller import Controller
from tests.operator.conftest import control_plane, started
from tests.operator.control_plane import ApiServer
from tests.serve.conftest import Served, served  # noqa: F401 - a fixture

PLAYBOOK = "tests/collection/playbooks/images.yml"
SYSTEM = "image-registry-system"
READY_SECONDS = 60


@pytest.fixture
def office(
    sqlite_template: Path, tmp_path: Path, open_distribution: Remote  # noqa: F811
) -> Iterator[Office]:  # fmt: skip
    """The Image API, which may import from a registry without TLS."""
    for api in _opened(sqlite_template, tmp_path, FakeCluster()):
        yield Office(_importing(api, open_distribution.host))


@pytest.fixture
def aggregated(office: Office, tmp_path: Path) -> Iterator[ApiServer]:
    """A kube-apiserver that asks the office for ``image.alauda.io``, as the aggregator of a cluster does."""

    def answer(method: str, path: str, body: Any, query: Any, accept: str) -> tuple[int, dict[str, Any]]:
        return office.answer(method, path, body, query, accept or "application/json")

    folder, plane = tmp_path / "office", tmp_path / "plane"
    folder.mkdir()
    plane.mkdir()
    with listening(answer, folder) as config, started(control_plane(plane)) as server:
        address = yaml.safe_load(config.read_text(encoding="utf-8"))["clusters"][0]["cluster"]["server"]
        for name in (SYSTEM, "team"):
            server.client.create("/api/v1/namespaces", {"metadata": {"name": name}})
        service = {"metadata": {"name": "office"}, "spec": {"type": "ExternalName", "externalName": "localhost"}}
        server.client.create(object_path("v1", "services", namespace=SYSTEM), service)
        spec = {
            "group": "image.alauda.io",
            "version": "v1",
            "groupPriorityMinimum": 1000,
            "versionPriority": 15,
            "insecureSkipTLSVerify": True,
            "service": {"namespace": SYSTEM, "name": "office", "port": int(address.rpartition(":")[2])},
        }
        body = {"metadata": {"name": "v1.image.alauda.io"}, "spec": spec}
        server.client.create("/apis/apiregistration.k8s.io/v1/apiservices", body)
        _until_served(server.client)
        yield server


def _until_served(client: ClusterClient) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            client.get("/apis/image.alauda.io/v1/namespaces/team/imagestreams")
        except (KubeError, ClusterUnreachable) as error:
            if time.monotonic() > deadline:
                pytest.fail(f"the Image API is not served: {error}")
            time.sleep(0.2)
        else:
            return


@pytest.mark.slow
def test_a_playbook_is_predicted_then_done_and_its_second_run_changes_nothing(
    aggregated: ApiServer,
    office: Office,
    open_distribution: Remote,  # noqa: F811
    served: Served,  # noqa: F811
    tmp_path: Path,
) -> None:
    variables = {
        "registry_kubeconfig": str(aggregated.kubeconfig),
        "source_repository": f"{open_distribution.host}/{REPOSITORY}",
        "target_folder": str(tmp_path / "layout"),
        "registry_address": f"http://{served.host}",
    }
    controller, reports = Controller(tmp_path, variables), tmp_path / "reports"
    writing = ("--skip-tags", "looks")  # what only reads is played once

    def state() -> str:
        """Everything that the playbook may write."""
        places = [
            ("rbac.authorization.k8s.io/v1", "rolebindings"),
            ("v1", "limitranges"),
            ("v1", "resourcequotas"),
            ("image.alauda.io/v1", "imagestreams"),
        ]
        found = [aggregated.client.get(object_path(*place, namespace="team"))["items"] for place in places]
        return json.dumps([found, (tmp_path / "layout").exists()], sort_keys=True)

    empty = state()
    checked = controller.play(PLAYBOOK, options=("--check", "--diff", *writing))
    assert state() == empty
    done = controller.play(PLAYBOOK, registry_report_folder=str(reports))
    assert (checked.changed, done.changed) == (6, 6), checked.said + done.said
    said = json.loads((reports / "one-access.json").read_text(encoding="utf-8"))
    assert (said["ok"], said["msg"], said["findings"]) == (True, "", [])
    [[rule, holders]] = said["rules"]
    assert (rule["role"], holders) == ("pusher", ["ServiceAccount team/builder"])
    assert json.loads((reports / "one-limits.json").read_text(encoding="utf-8"))["used"][0][0] == "team"
    full = state()
    assert full != empty
    again = controller.play(PLAYBOOK, options=writing)
    assert again.changed == 0, again.said
    assert state() == full
    assert office.api.names("imagestreams") == ["app"]
