"""Start, second node, power cut, stop, nothing left, start again. It ends what runs, so it is asked for by name."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.conftest import LAB, Command

pytestmark = [pytest.mark.lab, pytest.mark.lab_cycle, pytest.mark.slow]

KERNEL = ("vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops")
SPARE = "n9"
"""A node that is thrown away with its volumes: one that nobody starts for something else."""


@pytest.fixture(scope="module", autouse=True)
def stopped(lab: Command) -> Iterator[None]:
    """The lab is stopped before and runs afterwards, as it was found or not."""
    lab("down")
    yield
    lab("up")


def settings() -> list[str]:
    return [Path("/proc/sys", name).read_text(encoding="ascii") for name in KERNEL]


def test_a_whole_life_leaves_nothing_behind_and_loses_nothing(lab: Command) -> None:
    assert lab("leftovers").stdout == ""
    before = settings()
    lab("up", "--node", SPARE)
    nodes = {node["name"]: node["ready"] for node in json.loads(lab("status", "-o", "json").stdout)["nodes"]}
    assert nodes["n1"]
    assert nodes[SPARE]
    assert lab("leftovers", check=False).returncode == 1
    lab("kubectl", "create", "configmap", "kept", "--from-literal=a=b")
    try:
        lab("down", "--node", SPARE, "--purge")
        lab("down")
        assert lab("leftovers").stdout == ""
        assert settings() == before
        begun = time.monotonic()
        lab("up")
        assert time.monotonic() - begun < 60
        assert lab("kubectl", "get", "configmap", "kept", "-o", "jsonpath={.data.a}").stdout == "b"
        assert f"node/{SPARE}" not in lab("kubectl", "get", "nodes", "-o", "name").stdout.split()
    finally:
        lab("kubectl", "delete", "configmap", "kept", "--ignore-not-found", check=False)
    lab("down")


@pytest.mark.parametrize("seconds", [0.3, 1.0, 3.0])
def test_a_start_that_is_interrupted_goes_on_or_is_taken_back(lab: Command, seconds: float) -> None:
    lab("down")
    start = subprocess.Popen([LAB, "up"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    time.sleep(seconds)
    start.kill()
    start.communicate()
    lab("up")
    assert json.loads(lab("status", "-o", "json").stdout)["running"]
    lab("down")
    assert lab("leftovers").stdout == ""


def test_a_start_that_cannot_succeed_says_which_program_failed_and_why(lab: Command) -> None:
    lab("down")
    taken = subprocess.Popen(
        [
            "python3",
            "-c",
            "import socket,time; s=socket.create_server(('0.0.0.0', 6443)); print(1, flush=True); time.sleep(99)",
        ],
        stdout=subprocess.PIPE,
    )
    try:
        assert taken.stdout
        taken.stdout.readline()
        failed = lab("up", check=False)
    finally:
        taken.kill()
        taken.communicate()
    assert failed.returncode == 1
    assert "kube-apiserver ended while it was starting" in failed.stderr
    assert "address already in use" in failed.stderr
    lab("down")
    assert lab("leftovers").stdout == ""


def test_two_starts_at_once_make_one_cluster(lab: Command) -> None:
    lab("down")
    starts = [subprocess.Popen([LAB, "up"], stderr=subprocess.PIPE, env=dict(os.environ)) for _ in range(2)]
    said = [start.communicate()[1].decode() for start in starts]
    assert [start.returncode for start in starts] == [0, 0], said
    assert sum("waiting for another lab command" in text for text in said) == 1
    assert sum("started etcd" in text for text in said) == 1
