from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from image_registry_lab import cli, needs, network
from image_registry_lab.cluster import Cluster
from image_registry_lab.places import Places
from image_registry_lab.report import LabError, Report

LAB = Path(__file__).resolve().parents[2] / "lab/lab"


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    monkeypatch.setenv("IMAGE_REGISTRY_LAB", str(tmp_path))
    return Places(tmp_path)


def test_without_root_it_says_why_and_what_works_without() -> None:
    with pytest.raises(LabError) as said:
        needs.require_root("up", user=1000)
    for word in ("namespaces", "mounts", "bridge", "make serve"):
        assert word in str(said.value)
    needs.require_root("up", user=0)


def test_all_missing_packages_are_named_in_one_line_to_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "_found", lambda program: program not in ("containerd", "nft", "ip"))
    with pytest.raises(LabError, match="apt-get install --no-install-recommends containerd nftables iproute2"):
        needs.require_packages()


def test_the_bridge_of_another_lab_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "owner_of_bridge", lambda: "/elsewhere")
    with pytest.raises(LabError, match="IMAGE_REGISTRY_LAB=/elsewhere lab/lab down"):
        network.refuse_another_lab("/here")


def test_env_names_programs_addresses_and_declared_images(places: Places, capsys: pytest.CaptureFixture[str]) -> None:
    places.images.mkdir(parents=True)
    (places.images / "POSTGRESQL_IMAGE.name").write_text("lab.local/postgresql:15-abc\n")
    assert cli.main(["env"]) == 0
    values = dict(line.split("=", 1) for line in capsys.readouterr().out.splitlines())
    assert values["KUBECONFIG_FILE"] == str(places.kubeconfig)
    assert values["NODE_ADDRESS"] == "10.213.0.11"
    assert values["POSTGRESQL_IMAGE"] == "lab.local/postgresql:15-abc"
    assert values["CRANE"] == str(places.programs / "crane")


def test_kubectl_asks_the_lab_whatever_the_shell_points_to(places: Places) -> None:
    places.programs.mkdir(parents=True)
    fake = places.programs / "kubectl"
    fake.write_text('#!/bin/sh\necho "${KUBECONFIG:-none}" "$@"\n')
    fake.chmod(0o755)
    places.kubeconfig.touch()
    environment = {**os.environ, "IMAGE_REGISTRY_LAB": str(places.root), "KUBECONFIG": "/somebody/else"}
    done = subprocess.run(
        [LAB, "kubectl", "get", "-o", "yaml"], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["none", "--kubeconfig", str(places.kubeconfig), "get", "-o", "yaml"]


def test_kubectl_without_a_cluster_says_how_to_start_one(places: Places, capsys: pytest.CaptureFixture[str]) -> None:
    assert not places.kubeconfig.exists()
    assert cli.main(["kubectl", "get", "nodes"]) == 1
    assert "lab/lab up" in capsys.readouterr().err


def test_status_of_a_lab_that_never_ran_is_an_answer(places: Places, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["status", "-o", "json"]) == 1
    status = json.loads(capsys.readouterr().out)
    assert status["running"] is False
    assert status["nodes"] == []
    assert status["folder"] == str(places.root)


def test_a_missing_archive_is_named_before_anything_is_done(places: Places) -> None:
    with pytest.raises(LabError, match=r"no such image archive: /nowhere/x\.tar"):
        Cluster(places, Report()).load([Path("/nowhere/x.tar")])
    assert not places.images.exists()


def test_a_loaded_archive_is_kept_for_nodes_to_come(places: Places, tmp_path: Path) -> None:
    archive = tmp_path / "elsewhere.tar"
    archive.write_bytes(b"image")
    Cluster(places, Report()).load([archive])
    assert (places.images / "elsewhere.tar").read_bytes() == b"image"


def test_nodes_that_ran_when_the_lab_was_stopped_run_again(places: Places) -> None:
    first = Cluster(places, Report())
    first._write_wanted(["n1", "n3"])
    assert Cluster(places, Report())._wanted() == ["n1", "n3"]
    (places.state / "nodes.json").write_text("{")
    assert Cluster(places, Report())._wanted() == []


def test_a_wrong_name_of_a_node_changes_nothing(places: Places) -> None:
    with pytest.raises(LabError, match="n1 to n9"):
        Cluster(places, Report()).up(["n2", "n10"])
    assert not places.state.exists()


@pytest.mark.parametrize("command", ["up", "down"])
def test_a_lab_of_another_folder_is_neither_taken_over_nor_stopped(
    places: Places, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(network, "owner_of_bridge", lambda: "/elsewhere")
    cluster = Cluster(places, Report())
    with pytest.raises(LabError, match="a machine holds one lab only"):
        cluster.up([]) if command == "up" else cluster.down(purge=True)
    assert not places.state.exists()
