from __future__ import annotations

from pathlib import Path

import pytest

from image_registry_lab import cgroups
from image_registry_lab.machine import Machine

PANIC = "kernel/panic"


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    folder = tmp_path / "sys"
    (folder / "kernel").mkdir(parents=True)
    (folder / PANIC).write_text("1\n")
    return folder


def test_settings_are_put_back_as_they_were_before_the_first_start(settings: Path, tmp_path: Path) -> None:
    machine = Machine(tmp_path / "run", settings)
    machine.remember_settings([PANIC])
    (settings / PANIC).write_text("10\n")
    machine.remember_settings([PANIC])  # a second start must not take the changed value for the original
    assert machine.changed_settings() == {PANIC: ("1", "10")}
    machine.restore_settings()
    assert (settings / PANIC).read_text() == "1"
    assert machine.changed_settings() == {}


def test_folders_that_were_made_go_and_others_stay(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "run")
    there = tmp_path / "etc"
    there.mkdir()
    machine.make_folders([str(there / "cni/net.d"), str(tmp_path / "var/lib/kubelet")])
    assert (there / "cni/net.d").is_dir()
    (tmp_path / "var/lib/somebody").mkdir()  # in a folder that we made, put there by somebody else
    machine.remove_folders()
    assert not (there / "cni").exists()
    assert there.is_dir()
    assert (tmp_path / "var/lib/somebody").is_dir()


def test_a_start_that_was_interrupted_still_knows_what_it_made(tmp_path: Path) -> None:
    Machine(tmp_path / "run").make_folders([str(tmp_path / "a/b")])
    again = Machine(tmp_path / "run")
    again.make_folders([str(tmp_path / "a/b")])
    assert again.made_folders() == [str(tmp_path / "a"), str(tmp_path / "a/b")]
    again.remove_folders()
    assert not (tmp_path / "a").exists()


def test_every_hierarchy_of_control_groups_is_found_once(tmp_path: Path) -> None:
    for name in ("memory", "pids"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cgroup.procs").touch()
    (tmp_path / "alias").symlink_to("memory")
    (tmp_path / "no-hierarchy").mkdir()
    assert cgroups.hierarchies(tmp_path) == [tmp_path / "memory", tmp_path / "pids"]
    (tmp_path / "cgroup.controllers").write_text("memory pids\n")
    assert cgroups.hierarchies(tmp_path) == [tmp_path]


@pytest.mark.parametrize(("name", "expected"), [("cpu.shares", "4096"), ("cpu.weight", "400"), ("pids.max", "max")])
def test_a_lab_beside_busy_tests_counts_as_more_than_one_process(tmp_path: Path, name: str, expected: str) -> None:
    (tmp_path / name).write_text("max")
    cgroups.weigh(tmp_path)
    assert (tmp_path / name).read_text() == expected
