"""The playbooks of backups on a real kube-apiserver: made, the registry lost, checked, brought back.

One round trip, each playbook checked, run and run again; everything else about backups is in ``tests/app/backup``,
which asks the same engine.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from image_registry.kube.client import object_path
from tests.app.backup.conftest import Registry, fill, registry
from tests.app.conftest import sqlite_template  # noqa: F401 - a fixture
from tests.collection.controller import Controller
from tests.collection.test_playbook_of_images import SYSTEM, aggregated  # noqa: F401 - a fixture
from tests.operator.conftest import CRD, served
from tests.operator.control_plane import ApiServer

BACKUP, RESTORE = "playbooks/backup.yml", "playbooks/restore.yml"
CREDENTIALS = "confidential-key"


class Place:
    """Where the registry of a cluster is: the one that is lost, then the one that is installed after it."""

    def __init__(self, first: Registry) -> None:
        self.registry = first

    def answer(self, method: str, path: str, body: Any, query: Mapping[str, str], accept: str) -> Any:
        return self.registry.office.answer(method, path, body, query, accept)


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Registry]:
    with registry(tmp_path / "old") as found:
        fill(found)
        yield found


@pytest.fixture
def office(old: Registry) -> Place:
    return Place(old)


def objects() -> list[tuple[str, dict[str, Any]]]:
    """What people made: collections and objects."""
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:image-pusher"}
    subjects = [{"kind": "ServiceAccount", "name": "builder", "namespace": "team"}]
    limit = {"type": "alauda.io/Image", "max": {"storage": "1Gi"}}
    spec = {"managementState": "Managed", "logLevel": "Debug", "storage": {"emptyDir": {}}}
    return [
        (
            object_path("rbac.authorization.k8s.io/v1", "rolebindings", namespace="team"),
            {"metadata": {"name": "pushers"}, "roleRef": role, "subjects": subjects},
        ),
        (object_path("v1", "limitranges", namespace="team"), {"metadata": {"name": "l"}, "spec": {"limits": [limit]}}),
        (
            object_path("v1", "resourcequotas", namespace="other"),
            {"metadata": {"name": "q"}, "spec": {"hard": {"alauda.io/images": "900"}}},
        ),
        (object_path("v1", "configmaps", namespace=SYSTEM), {"metadata": {"name": "store-ca"}, "data": {"ca": "PEM"}}),
        (
            object_path("v1", "secrets", namespace=SYSTEM),
            {"metadata": {"name": "store"}, "type": "Opaque", "stringData": {"key": CREDENTIALS}},
        ),
        (
            "/apis/imageregistry.operator.alauda.io/v1/configs",
            {
                "apiVersion": "imageregistry.operator.alauda.io/v1",
                "kind": "Config",
                "metadata": {"name": "cluster"},
                "spec": spec,
            },
        ),
    ]


@pytest.mark.slow
def test_a_registry_is_saved_lost_and_brought_back_by_playbooks(
    aggregated: ApiServer, office: Place, old: Registry, tmp_path: Path  # noqa: F811
) -> None:  # fmt: skip
    client = aggregated.client
    served(aggregated, CRD)
    client.create("/api/v1/namespaces", {"metadata": {"name": "other"}})
    for collection, body in objects():
        client.create(collection, body)

    paths = [f"{collection}/{body['metadata']['name']}" for collection, body in objects()]

    def there() -> list[Any]:
        found = [client.find(path) for path in paths]
        return [item and {key: value for key, value in item.items() if key != "metadata"} for item in found]

    folder = tmp_path / "backups"
    controller = Controller(
        tmp_path,
        {
            "registry_kubeconfig": str(aggregated.kubeconfig),
            "registry_backup_folder": str(folder),
            "registry_backup_registry_url": f"http://{old.host}",
            "registry_backup_secrets": True,
        },
    )

    def kept() -> list[Any]:
        """Every file of the folder, and what is in the cluster and its registry, with the version of each object."""
        versions = [item and item["metadata"]["resourceVersion"] for item in map(client.find, paths)]
        files = sorted((str(path), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file())
        return [files, versions, there(), office.registry.told()]

    made = controller.thrice(kept, BACKUP, registry_report_folder=str(tmp_path / "reports"))
    assert made.changed == 1, made.said
    report = json.loads((tmp_path / "reports/one-backup.json").read_text(encoding="utf-8"))
    assert (report["ok"], report["findings"], report["backup"]["left_out"]) == (True, [], [])
    before, told = there(), old.told()
    assert None not in before

    for path in paths:
        client.delete(path)
    with registry(tmp_path / "new") as new:
        office.registry = new
        assert new.told() == {}
        variables = {"registry_backup_registry_url": f"http://{new.host}"}
        assert there() == [None] * len(before)
        done = controller.thrice(kept, RESTORE, **variables)
        assert done.changed == 1, done.said
        assert (new.told(), there()) == (told, before)
        for name, digest in old.pushed.items():
            assert new.pulled(*name.split(":")) == old.pulled(*name.split(":"))
            assert new.pulled(name.split(":")[0], digest) == digest
        assert "the one before it: none" in " ".join(done.said.split())
    assert CREDENTIALS not in made.said + done.said
