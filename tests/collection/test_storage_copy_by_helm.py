"""The role moves the images of a registry by Helm, on a cluster without nodes.

The Job's command is really run, on folders; that Pods run is said by a named fake, but for one that does not end.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from image_registry.kube.client import ClusterClient, object_path
from image_registry.storage.choice import Filesystem, open_store
from tests.app.conftest import sqlite_template  # noqa: F401 - a fixture
from tests.app.relocating.registry_tree import APP, fill
from tests.collection.acting_copier import BUCKET, ActingCopier
from tests.collection.test_playbooks_without_nodes import DOORS, INSTALL, WORKLOAD, Site, site  # noqa: F401 - a fixture
from tests.operator.conftest import NAMESPACE

pytestmark = [pytest.mark.slow, pytest.mark.long]  # minutes: six plays


def of(site: Site, revision: int) -> tuple[str, bool]:  # noqa: F811
    """The kind of storage of a revision, and whether it is read-only."""
    config = yaml.safe_load(site.values(f"--revision={revision}"))["config"]
    kinds = [kind for kind, settings in (config.get("storage") or {"pvc": {}}).items() if settings is not None]
    return kinds[0], config["readOnly"]


def test_the_images_of_a_registry_by_helm_move_to_a_bucket_and_back(
    site: Site,  # noqa: F811
    tmp_path: Path,
) -> None:
    fill(open_store(Filesystem(rootdirectory=tmp_path / "claim")))
    folders = {"/registry": tmp_path / "claim", "/target": tmp_path / "back", BUCKET: tmp_path / "bucket"}
    for folder in ("back", "bucket"):
        (tmp_path / folder).mkdir()
    wishes = {
        "registry_storage": {"s3": {"bucket": "images", "region": "here"}},
        "registry_storage_credentials": {
            "REGISTRY_STORAGE_S3_ACCESSKEY": "confidential-key",
            "REGISTRY_STORAGE_S3_SECRETKEY": "confidential-key",
        },
        "registry_storage_copy": True,
        "registry_storage_settle": 0,
        "registry_verify": False,  # no Pod serves
        "registry_report_folder": str(tmp_path / "reports"),
        # of other roles
        "registry_config": {"logLevel": "TraceAll", "storage": {"pvc": {"size": "200Gi"}}},
        "registry_nodes": {"enabled": False},
    }
    client = site.server.client
    site.controller.play(INSTALL, registry_install_method="helm", registry_config={"logLevel": "Normal"})
    state, before = site.state(), site.revision()
    checked = site.controller.play(DOORS[0], options=("--check", "--diff"), **wishes)
    assert site.state() == state
    foreseen = [task.rpartition(" : ")[2] for task in checked.changes]
    assert foreseen == [
        "Copy the images while the registry serves",
        "Write down whether the registry was read-only before",
        "Install or upgrade the release and wait until it is ready",
        "Copy what came since, and prove that nothing is missing",
        "Write the credentials",
        *["Install or upgrade the release and wait until it is ready"] * 2,  # readOnly was not said before
    ]
    with ActingCopier(client, NAMESPACE, tmp_path, folders) as copier:
        with pod_of(client, "late"):
            said = site.controller.refused(DOORS[0], **wishes, registry_wait_timeout=40)
        assert "the registry is still read-only, so every push is refused" in said
        assert "It uses s3 images, the new place, and Pods use another one still: late on no node. These Pods" in said
        report = tmp_path / "reports/one-storage.json"
        failed = json.loads(report.read_text(encoding="utf-8"))
        assert (failed["result"], failed["next"].partition(" ")[0]) == ("failed", "storage.yml")
        assert "every push is refused" in failed["msg"]
        switched = [of(site, revision) for revision in range(before + 1, site.revision() + 1)]
        assert switched == [("pvc", True), ("s3", True)], "nobody pushes while Pods of both run"
        done = site.controller.play(DOORS[0], **wishes)
        assert of(site, site.revision()) == ("s3", False)
        assert site.revision() == before + 3
        told = json.loads(report.read_text(encoding="utf-8"))
        assert (told["result"], told["revision"]) == ("changed", {"before": before + 2, "after": before + 3})
        assert "Clear up after the copy" in told["changed"]
        assert not [text for text in (checked.said, said, done.said) if "confidential-key" in text]
        assert open_store(Filesystem(rootdirectory=tmp_path / "bucket")).tags(APP) == ["v1", "v2"]
        assert client.find(object_path("v1", "persistentvolumeclaims", "image-registry-storage", namespace=NAMESPACE))
        again = site.controller.play(DOORS[0], **wishes)
        assert again.changes == []
        assert json.loads(report.read_text(encoding="utf-8"))["changed"] == []
        back = {"registry_storage": {"pvc": {"size": "200Gi"}}, "registry_storage_copy_replace": True}
        site.controller.play(DOORS[0], **{**wishes, **back, "registry_storage_credentials": {}})
    assert ["--complete" in command for command in copier.commands] == [False, True, False, True]
    after = yaml.safe_load(site.values())
    storage = after["config"]["storage"]
    assert (storage.get("s3"), storage["pvc"]["size"], after["config"]["readOnly"]) == (None, "200Gi", False)
    assert "TraceAll" not in str(after), "what else the inventory says is not a matter of this role"
    assert "nodeCA" not in after
    assert open_store(Filesystem(rootdirectory=tmp_path / "back")).tags(APP) == ["v1", "v2"]


@contextmanager
def pod_of(client: ClusterClient, name: str) -> Iterator[None]:
    """A Pod of the registry as it is now, which does not end by itself."""
    template = client.get(WORKLOAD)["spec"]["template"]
    spec = {part: template["spec"][part] for part in ("containers", "volumes")}
    body = {"metadata": {"name": name, "labels": template["metadata"]["labels"]}, "spec": spec}
    path = object_path("v1", "pods", namespace=NAMESPACE)
    client.create(path, body)
    try:
        yield
    finally:
        client.delete(f"{path}/{name}?gracePeriodSeconds=0")
