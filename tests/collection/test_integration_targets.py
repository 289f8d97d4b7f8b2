"""The collection's own integration targets, run by ansible-test on a real kube-apiserver: each is a promise."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from image_registry.kube.client import object_path
from tests.collection.conftest import ROOT
from tests.operator.conftest import program
from tests.operator.control_plane import ApiServer

COLLECTION = ROOT / "collections/ansible_collections/alauda/registry"
TARGETS = sorted(path.name for path in (COLLECTION / "tests/integration/targets").iterdir())
PLACES = ("access", "data", "limits", "secrets")
FOREIGN = ("KUBECONFIG", "ANSIBLE_", "K8S_")


@pytest.mark.slow
def test_every_integration_target_keeps_its_promise(apiserver: ApiServer, tmp_path: Path) -> None:
    names = [f"registry-target-{name}" for name in PLACES]
    for name in names:
        apiserver.client.create("/api/v1/namespaces", {"metadata": {"name": name}})
    claim = {
        "metadata": {"name": "image-registry-storage", "labels": {"app.kubernetes.io/instance": "image-registry"}},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    apiserver.client.create(object_path("v1", "persistentvolumeclaims", namespace="registry-target-data"), claim)
    admins = {
        "metadata": {"name": "team-admins"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "root-of-the-team"}],
    }
    rights = object_path("rbac.authorization.k8s.io/v1", "rolebindings", namespace="registry-target-access")
    apiserver.client.create(rights, admins)
    copy = (
        tmp_path / "ansible_collections/alauda/registry"
    )  # outside of the sources, whose ignored folders are passed over
    shutil.copytree(COLLECTION, copy, ignore=shutil.ignore_patterns("__pycache__", "output", ".ansible"))
    config = copy / "tests/integration/integration_config.yml"
    config.write_text(yaml.safe_dump({"registry_kubeconfig": str(apiserver.kubeconfig)}), encoding="utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    kept |= {
        "PATH": f"{Path(sys.executable).parent}:{Path(program('helm')).parent}:{kept['PATH']}",
        "HOME": str(tmp_path),
    }
    command = [Path(sys.executable).with_name("ansible-test"), "integration", "--color", "no"]
    output = tmp_path / "said"
    with output.open("wb") as stream:  # a file is there however the run ends
        ended = subprocess.run(command, cwd=copy, env=kept, stdout=stream, stderr=stream, check=False).returncode
    said = output.read_text(encoding="utf-8")
    assert ended == 0, said[-6000:]
    assert [name for name in TARGETS if f"Running {name} integration test role" not in said] == []
    assert apiserver.client.get(f"{rights}/team-admins")["subjects"] == admins["subjects"]
    assert said.count("failed=0") == len(TARGETS), said[-3000:]
