"""Reuse is planned for what ``attach`` can serve: anything else is blocked while nothing has happened."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from image_registry.migration.assess import assess
from image_registry.migration.choices import Way
from image_registry.migration.findings import Severity
from image_registry.migration.phases import Action
from image_registry.migration.planning import plan
from image_registry_lab.legacy.variants import Variant
from tests.app.migration.conftest import LegacyCluster
from tests.app.migration.test_plans import EVERYTHING, case_of, changed, rules

Change = Callable[[LegacyCluster], None]
ANYTHING = ("*", *EVERYTHING)
"""Who accepts whatever there is."""


def _of(cluster: LegacyCluster, kind: str) -> list[dict[str, Any]]:
    return [document for document in cluster.documents.values() if document["kind"] == kind]


def _pod(cluster: LegacyCluster) -> dict[str, Any]:
    [found] = [item for item in _of(cluster, "Deployment") if item["metadata"]["name"] == "image-registry"]
    spec: dict[str, Any] = found["spec"]["template"]["spec"]
    return spec


def unread_volume(cluster: LegacyCluster) -> None:
    cluster.denied.add("get persistentvolumes")


def strange_volume(cluster: LegacyCluster) -> None:
    [volume] = _of(cluster, "PersistentVolume")
    volume["spec"]["cinder"] = volume["spec"].pop("csi") and {"volumeID": "v"}


def deep_root(cluster: LegacyCluster) -> None:
    for document in _of(cluster, "ConfigMap"):
        if "config.yml" in document["data"]:
            document["data"]["config.yml"] = json.dumps(
                {"storage": {"filesystem": {"rootdirectory": "/var/lib/registry/acp"}}}
            )


def pinned_to_none(cluster: LegacyCluster) -> None:
    _pod(cluster).pop("nodeSelector")
    for kind in ("ClusterPluginInstance", "ModuleInfo"):
        for document in _of(cluster, kind):
            document["spec"]["config"]["persistence"].pop("nodes")


def pinned_by_settings(cluster: LegacyCluster) -> None:
    _pod(cluster).pop("nodeSelector")


def inline_nfs(cluster: LegacyCluster) -> None:
    [data] = [entry for entry in _pod(cluster)["volumes"] if entry["name"] == "data"]
    data.pop("persistentVolumeClaim")
    data["nfs"] = {"server": "nfs.test", "path": "/s"}


def driver(name: str) -> Change:
    def change(cluster: LegacyCluster) -> None:
        for document in _of(cluster, "ConfigMap"):
            if "config.yml" in document["data"]:
                document["data"]["config.yml"] = json.dumps({"storage": {name: {"bucket": "b"}}})

    return change


@pytest.mark.parametrize(
    ("variant", "change", "rule"),
    [
        ("4.2-pvc", unread_volume, "volume-unknown"),
        ("4.2-pvc", strange_volume, "volume-kind"),
        ("4.2-pvc", deep_root, "root-directory"),
        ("4.2-local", deep_root, "root-directory"),
        ("4.2-local", pinned_to_none, "node-unknown"),
    ],
)
def test_what_attach_would_refuse_blocks_reuse_whatever_is_accepted_and_no_copy(
    variant: str, change: Change, rule: str, tmp_path: Path
) -> None:
    kept = plan(changed(variant, change, tmp_path, accepted=ANYTHING))
    assert kept.way == "reuse"
    assert [(entry.rule, entry.severity) for entry in kept.blockers] == [(rule, Severity.BLOCKING)]
    assert "--way copy" in kept.blockers[0].action
    named = changed(variant, change, tmp_path, accepted=(kept.blockers[0].id, *EVERYTHING))
    assert not plan(named).ready
    assert "accepted-nothing" in rules(named), "whoever names it is told that this accepts nothing"
    copied = plan(changed(variant, change, tmp_path, accepted=EVERYTHING, way=Way.COPY, claim_size=1 << 40))
    assert copied.ready, [finding.id for finding in copied.blockers]


@pytest.mark.parametrize("change", [inline_nfs, driver("gcs"), driver("azure"), driver("swift")])
def test_storage_that_attach_does_not_know_is_copied_from_and_never_kept(change: Change, tmp_path: Path) -> None:
    case = changed("4.2-pvc", change, tmp_path, accepted=EVERYTHING, claim_size=1 << 40)
    found = plan(case)
    assert (found.way, found.ready) == ("copy", True)
    assert "unsupported-storage" in rules(case, Severity.WARNING)
    assert not [step for step in found.steps if step.action is Action.BIND]
    insisting = plan(changed("4.2-pvc", change, tmp_path, accepted=ANYTHING, way=Way.REUSE))
    assert [finding.rule for finding in insisting.blockers] == ["cannot-reuse"]


def test_none_of_these_rules_finds_anything_in_a_registry_as_the_platform_makes_it(
    variant: Variant, tmp_path: Path
) -> None:
    found = {entry.rule for entry in assess(case_of(variant, tmp_path, way=Way.REUSE))}
    assert not found & {"cannot-reuse", "volume-unknown", "volume-kind", "node-unknown", "root-directory"}


def test_a_folder_without_a_pinned_pod_is_on_the_node_of_its_settings(tmp_path: Path) -> None:
    found = plan(changed("4.2-local", pinned_by_settings, tmp_path, accepted=EVERYTHING))
    assert found.ready, [finding.id for finding in found.blockers]
    [bind] = [step for step in found.steps if step.action is Action.BIND]
    assert bind.parameters["nodes"] == ["n1"]
