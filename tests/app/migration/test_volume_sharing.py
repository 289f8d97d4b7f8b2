"""Volumes that both registries may have, and what happens with the others."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from image_registry.migration.actions import StepFailed
from image_registry.migration.binding import Bind
from image_registry.migration.choices import Way
from image_registry.migration.facts import ObjectName, StorageFact, VolumeFact
from image_registry.migration.findings import Severity
from image_registry.migration.phases import Action, Phase
from image_registry.migration.plan import Step
from image_registry.migration.planning import plan
from image_registry.migration.spelling import command_line
from image_registry.migration.volume_sharing import same_handle, why_not_both
from tests.app.migration.test_plans import changed, rules


def storage(kind: str, mode: str, driver: str = "", nodes: tuple[str, ...] = ()) -> StorageFact:
    volume = VolumeFact(
        ObjectName("PersistentVolume", "pv"), kind=kind, attributes={"driver": driver} if driver else {}, nodes=nodes
    )
    return StorageFact(
        "pvc", "test", ObjectName("PersistentVolumeClaim", "c", "n"), access_modes=(mode,), volume=volume
    )


@pytest.mark.parametrize(
    ("found", "both"),
    [
        (storage("csi", "ReadWriteMany", "nfs.csi.k8s.io"), True),
        (storage("csi", "ReadWriteOnce", "nfs.csi.k8s.io"), True),
        (storage("csi", "ReadWriteMany", "cephfs.csi.ceph.com"), True),
        (storage("csi", "ReadWriteOnce", "rbd.csi.ceph.com"), False),
        (storage("csi", "ReadWriteOncePod", "nfs.csi.k8s.io"), False),
        (storage("", "ReadWriteOnce"), False),
        (storage("nfs", "ReadWriteOnce"), True),
        (storage("local", "ReadWriteOnce", nodes=("n1",)), True),
        (storage("hostPath", "ReadWriteOnce"), False),
    ],
)
def test_what_only_one_may_have_is_not_bound_twice(found: StorageFact, both: bool) -> None:
    assert (why_not_both(found) == "") is both


def test_a_driver_that_finds_two_objects_by_one_handle_is_named() -> None:
    assert same_handle(storage("csi", "ReadWriteMany", "cephfs.csi.ceph.com")) == "cephfs.csi.ceph.com"
    assert same_handle(storage("csi", "ReadWriteMany", "nfs.csi.k8s.io")) == ""


def block(cluster: Any) -> None:
    """Make the volume one of a block device."""
    for document in cluster.documents.values():
        if document["kind"] in ("PersistentVolume", "PersistentVolumeClaim"):
            document["spec"]["accessModes"] = ["ReadWriteOnce"]
        if document["kind"] == "PersistentVolume":
            document["spec"]["csi"] = {"driver": "rbd.csi.ceph.com", "volumeHandle": "h"}


def test_a_volume_of_a_block_device_is_copied_from(tmp_path: Path) -> None:
    case = changed("4.2-pvc", block, tmp_path, accepted=("nested-path:*",), claim_size=1 << 40)
    found = plan(case)
    assert case.way is Way.COPY
    assert "is of one node (ReadWriteOnce)" in found.why
    assert "unsupported-storage" in rules(case, Severity.WARNING)
    assert found.ready


def test_whoever_insists_on_reuse_accepts_it_and_is_told_of_the_pause(tmp_path: Path) -> None:
    case = changed("4.2-pvc", block, tmp_path, way=Way.REUSE)
    assert "no-reuse" in rules(case, Severity.BLOCKING)
    found = plan(case)
    assert any("pulls pause" in assumption for assumption in found.estimate.assumptions)
    [bind] = [step for step in found.steps if step.action is Action.BIND]
    assert bind.parameters["alone"] == "image-registry"


class OnePod:
    """A named fake of an API server with one Pod; whoever writes to it fails."""

    def __init__(self, phase: str) -> None:
        volumes = [{"persistentVolumeClaim": {"claimName": "image-registry"}}]
        self.pod = {"metadata": {"name": "old"}, "spec": {"volumes": volumes}, "status": {"phase": phase}}

    def get(self, path: str, **_query: Any) -> dict[str, Any]:
        assert path == "/api/v1/namespaces/cpaas-system/pods"
        return {"metadata": {}, "items": [self.pod]}

    def find(self, _path: str) -> None:
        return None


def test_nothing_is_bound_while_a_pod_has_what_only_one_may_have() -> None:
    claim = ObjectName("PersistentVolumeClaim", "image-registry-storage", "ours")
    step = Step("attach/bind", Phase.ATTACH, Action.BIND, "Bind", claim, parameters={
        "volume": "pv", "alone": "image-registry",
    })  # fmt: skip
    for phase, said in (("Running", "Pod cpaas-system/old has the volume"), ("Succeeded", "is not there any more")):
        context = SimpleNamespace(
            client=OnePod(phase), plan=SimpleNamespace(source_namespace="cpaas-system"), spelling=command_line
        )
        with pytest.raises(StepFailed, match=said):
            Bind().do(step, {}, cast("Any", context))
