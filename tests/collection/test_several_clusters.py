"""Playbooks over an inventory of several clusters: how many at a time, and that one confirmation is good for one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.alauda.registry.plugins.modules import registry_data

from tests.collection.conftest import NAMESPACE, ROOT, FakeCluster, FakeHelm, Run
from tests.collection.controller import Controller

PLAYBOOKS = ROOT / "collections/ansible_collections/alauda/registry/playbooks"
READING = {"backup", "verify"}
ALWAYS_ONE = {"migrate", "rollback"}
NOT_THE_SERVICE = {"access", "limits", "prune"}
CLAIM = f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims/image-registry-storage"


def play(path: Path) -> dict[str, Any]:
    (found,) = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found  # type: ignore[no-any-return]


@pytest.mark.parametrize("path", sorted(PLAYBOOKS.glob("*.yml")), ids=lambda path: path.stem)
def test_a_playbook_takes_as_many_clusters_at_a_time_as_is_safe(path: Path) -> None:
    found = play(path)
    if path.stem in ALWAYS_ONE:
        assert found["serial"] == 1
        return
    at_once = re.fullmatch(r"\{\{ registry_serial \| default\((.+)\) \}\}", found["serial"])
    assert at_once, "registry_serial would be ignored"
    assert at_once[1] == ("'100%'" if path.stem in READING | NOT_THE_SERVICE else "1")
    assert found.get("any_errors_fatal", False) is (path.stem not in READING | NOT_THE_SERVICE)


def test_one_confirmation_is_good_for_one_cluster(cluster: FakeCluster, run: Run, fake_helm: FakeHelm) -> None:
    cluster.put(f"/api/v1/namespaces/{NAMESPACE}", {"metadata": {"name": NAMESPACE}})
    labels = {"app.kubernetes.io/instance": "image-registry"}
    cluster.put(CLAIM, {"metadata": {"name": "image-registry-storage", "labels": labels}})
    asked = {"helm_binary": fake_helm.binary, "timeout": 1, "cluster_name": "east"}
    for confirm in (NAMESPACE, f"west/{NAMESPACE}", "east"):
        refused = run(registry_data, confirm=confirm, **asked)
        assert refused.failed
        assert f"'east/{NAMESPACE}': nothing was deleted" in refused.message
        assert CLAIM in cluster.objects
    done = run(registry_data, confirm=f"east/{NAMESPACE}", **asked)
    assert (done.failed, done["changed"], CLAIM in cluster.objects) == (False, True, False), done.message


def test_the_playbook_refuses_a_confirmation_for_another_cluster_before_it_touches_anything(tmp_path: Path) -> None:
    nowhere = Controller(tmp_path, {"registry_kubeconfig": str(tmp_path / "nowhere")})
    wishes = {"registry_uninstall_delete_data": True, "registry_uninstall_confirm": NAMESPACE}
    said = nowhere.refused("playbooks/uninstall.yml", **wishes)
    assert f"and this is one/{NAMESPACE}: nothing was touched" in said
    assert f"--limit one -e registry_uninstall_confirm=one/{NAMESPACE}" in said
