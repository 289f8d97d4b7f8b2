from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from image_registry_lab import addons, cluster, control_plane, leftovers, node_config, node_images
from image_registry_lab.machine import MOUNT_POINTS
from image_registry_lab.node import Node
from image_registry_lab.node_init import COVERS
from image_registry_lab.places import Places
from image_registry_lab.process import Processes
from image_registry_lab.report import LabError

STARTED = "2026-01-02T10:00:00Z"


def test_two_nodes_share_neither_control_groups_nor_pod_addresses() -> None:
    one, two = (json.loads(node_config.kubelet(node, Path("/k"), Path("/r"))) for node in ("n1", "n2"))
    assert one["cgroupRoot"] != two["cgroupRoot"]
    assert node_config.cni("n1") != node_config.cni("n2")


def test_everything_a_node_covers_is_made_on_the_machine_first_and_removed_later() -> None:
    assert set(COVERS.values()) == {*MOUNT_POINTS, "/run"}


def test_imported_images_are_never_pulled_again_nor_collected() -> None:
    kubelet = json.loads(node_config.kubelet("n1", Path("/k"), Path("/r")))
    assert kubelet["preloadedImagesVerificationAllowlist"] == ["lab.local/*"]
    assert kubelet["imageGCHighThresholdPercent"] == 100


@pytest.fixture
def ctr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fake ctr that notes what it was asked to import."""
    log = tmp_path / "imported"
    (tmp_path / "bin").mkdir()
    fake = tmp_path / "bin/ctr"
    fake.write_text(f'#!/bin/sh\nfor last; do :; done; basename "$last" >> {log}\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    log.touch()
    return log


def said(_: str) -> None:
    """Not looked at."""


def test_an_archive_is_imported_once_and_again_when_it_changed(ctr: Path, tmp_path: Path) -> None:
    images, marks = tmp_path / "images", tmp_path / "marks"
    images.mkdir()
    (images / "large.tar").write_bytes(b"x" * 100)
    (images / "small.tar").write_bytes(b"x")
    (images / ".half-written.tar").write_bytes(b"")
    assert node_images.import_new(node_images.archives(images), "socket", marks, said) == 2
    assert ctr.read_text().split() == ["small.tar", "large.tar"]
    assert node_images.import_new(node_images.archives(images), "socket", marks, said) == 0
    (images / "small.tar").write_bytes(b"other")
    assert node_images.import_new(node_images.archives(images), "socket", marks, said) == 1


def test_a_failed_import_is_tried_again(ctr: Path, tmp_path: Path) -> None:
    archive = tmp_path / "broken.tar"
    archive.write_bytes(b"x")
    (tmp_path / "bin/ctr").write_text("#!/bin/sh\necho not an archive >&2; exit 1\n")
    with pytest.raises(LabError, match="not an archive"):
        node_images.import_new([archive], "socket", tmp_path / "marks", said)
    (tmp_path / "bin/ctr").write_text("#!/bin/sh\n")
    assert node_images.import_new([archive], "socket", tmp_path / "marks", said) == 1
    assert ctr.read_text() == ""


def test_a_kubelet_waits_for_images_that_its_pods_can_want_and_for_no_others(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    (marks / "known.tar").write_text("an older version")
    found = [tmp_path / name for name in ("pause.tar", "known.tar", "new.tar")]
    first, later = node_images.split(found, marks, ["pause.tar"])
    assert [path.name for path in first] == ["pause.tar", "known.tar"]
    assert [path.name for path in later] == ["new.tar"]


def node(ready: str, moment: str) -> dict[str, object]:
    return {"status": {"conditions": [{"type": "Ready", "status": ready, "lastHeartbeatTime": moment}]}}


def test_a_node_that_was_ready_before_its_start_is_not_ready() -> None:
    assert not cluster.heartbeat(None, STARTED)
    assert not cluster.heartbeat(node("True", "2026-01-02T09:59:59Z"), STARTED)
    assert not cluster.heartbeat(node("False", "2026-01-02T10:00:09Z"), STARTED)
    assert cluster.heartbeat(node("True", "2026-01-02T10:00:00Z"), STARTED)


def pod(begun: str, *, ready: str = "True", on: str = "n1", **metadata: str) -> dict[str, object]:
    return {
        "metadata": {"name": "dns-1", **metadata},
        "spec": {"nodeName": on},
        "status": {
            "conditions": [{"type": "Ready", "status": ready}],
            "containerStatuses": [{"state": {"running": {"startedAt": begun}}}],
        },
    }


def test_a_pod_counts_only_with_containers_of_this_start() -> None:
    started = {"n1": STARTED}
    assert addons.fresh(pod("2026-01-02T10:00:03Z"), started)
    assert not addons.fresh(pod("2026-01-02T09:00:00Z"), started)
    assert not addons.fresh(pod("2026-01-02T10:00:03Z", ready="False"), started)
    assert not addons.fresh(pod("2026-01-02T10:00:03Z", on="n2"), started)
    assert not addons.fresh(pod("2026-01-02T10:00:03Z", deletionTimestamp=STARTED), started)
    assert not addons.fresh({"metadata": {}, "spec": {}, "status": {"conditions": []}}, started)


def test_a_program_that_ends_again_and_again_ends_the_start_with_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = Places(tmp_path)
    member = Node("n1", places, Processes(places.run, places.logs))
    monkeypatch.setattr(member, "pid", lambda: 1)
    places.node("n1").mkdir(parents=True)
    status = places.node("n1") / "status.json"
    status.write_text(json.dumps({"stage": "kubelet", "ended": {"kubelet": 1}}))
    member.check()
    status.write_text(json.dumps({"stage": "kubelet", "ended": {"kubelet": 3}}))
    places.logs.mkdir(parents=True)
    (places.logs / "n1-kubelet.log").write_text("configured to not run on this host\n")
    with pytest.raises(LabError, match=r"kubelet of node n1 ended 3 times(.|\n)*not run on this host"):
        member.check()


def test_the_control_plane_keeps_to_its_folder_and_serves_no_stranger(tmp_path: Path) -> None:
    commands = control_plane.commands(Places(tmp_path))
    assert tuple(commands) == control_plane.NAMES
    assert f"--data-dir={tmp_path}/state/etcd" in commands["etcd"]
    assert "--client-cert-auth" in commands["etcd"]
    for name in ("kube-controller-manager", "kube-scheduler"):
        assert "--bind-address=127.0.0.1" in commands[name]
    assert "--authorization-mode=Node,RBAC" in commands["kube-apiserver"]


def test_mounts_of_nodes_are_found_by_target_and_by_source(tmp_path: Path) -> None:
    places = Places(tmp_path / "cache")
    table = tmp_path / "mountinfo"
    top = tmp_path
    while not os.path.ismount(top):
        top = top.parent
    source = "/" + os.path.relpath(places.nodes / "n1/run", top)
    table.write_text(
        f"22 1 8:1 / / rw shared:1 - ext4 /dev/vda rw\n"
        f"30 22 8:1 {source} /run rw - ext4 /dev/vda rw\n"
        f"31 22 0:9 / {places.nodes}/n1/kubelet/pods/x rw - tmpfs tmpfs rw\n"
        f"32 22 8:1 {source.replace('/n1/', '-of-others/n1/')} /mnt rw - ext4 /dev/vda rw\n"
    )
    assert leftovers.mounts(places, table) == ["/run", f"{places.nodes}/n1/kubelet/pods/x"]


def test_processes_count_as_left_by_what_they_work_on_and_not_by_their_program(tmp_path: Path) -> None:
    places = Places(tmp_path / "cache")
    for folder in (places.programs, places.logs):
        folder.mkdir(parents=True)
    program = shutil.copy("/bin/sleep", places.programs / "etcd")
    with (places.logs / "etcd.log").open("wb") as log:
        logging = subprocess.Popen(["etcd", "60"], executable=program, stdout=log)
    told = subprocess.Popen([f"{places.state}/etcd", "60"], executable=program)
    of_tests = subprocess.Popen(["etcd", "60"], executable=program, stdout=subprocess.DEVNULL)
    try:
        found = {pid for pid, _ in leftovers.processes(places)}
        assert {logging.pid, told.pid} <= found
        assert of_tests.pid not in found
    finally:
        for process in (logging, told, of_tests):
            process.kill()
            process.wait()
