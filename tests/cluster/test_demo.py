"""What the README promises of ``make demo``, typed as it is printed."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.cluster.kubernetes import ROOT, Kubectl
from tests.serve.conftest import CACHE

pytestmark = pytest.mark.lab

END = "To stop the port-forward"
BEGIN = "Try next, by copy and paste:"


@pytest.fixture(scope="module")
def printed(kubectl: Kubectl) -> str:
    """All that a second ``make demo`` says."""
    assert kubectl.kubeconfig.exists()
    done = subprocess.run(["make", "demo"], cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_second_demo_changes_nothing(printed: str) -> None:
    recap = re.findall(r"changed=(\d+) +unreachable=(\d+) +failed=(\d+)", printed)
    assert recap == [("0", "0", "0")], printed


def test_the_demo_on_a_cluster_that_is_named_builds_nothing_and_finds_the_same(
    printed: str, kubectl: Kubectl, tmp_path: Path
) -> None:
    assert printed
    said = subprocess.run([ROOT / "lab/lab", "env"], capture_output=True, text=True, check=True).stdout
    images = dict(line.split("=", 1) for line in said.splitlines())
    mine = tmp_path / "mine.kubeconfig"
    mine.touch(mode=0o600)
    mine.write_text(kubectl.kubeconfig.read_text(encoding="utf-8"), encoding="utf-8")
    variables = [f"IMAGE={images['IMAGE_REGISTRY_IMAGE']}", f"POSTGRESQL_IMAGE={images['POSTGRESQL_IMAGE']}"]
    done = subprocess.run(
        ["make", "demo", f"CLUSTER={mine}", *variables],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={**os.environ, "PATH": f"{CACHE / 'bin'}{os.pathsep}{os.environ['PATH']}", "KUBECONFIG": "/nowhere"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "changed=0" in done.stdout
    assert f"export KUBECONFIG={mine}" in done.stdout


def test_the_printed_next_steps_work_by_copy_and_paste(printed: str, tmp_path: Path, kubectl: Kubectl) -> None:
    typed = printed[printed.index(BEGIN) + len(BEGIN) : printed.index(END)]
    # what a person's shell does that a script does not: go on when a line fails would hide it, so stop there
    script = f"set -e\ntrap 'kill $(jobs -p)' EXIT\n{typed}"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "XDG_RUNTIME_DIR": str(tmp_path),
        "REGISTRY_AUTH_FILE": str(tmp_path / "auth.json"),
    }
    (tmp_path / "auth.json").write_text("{}", encoding="ascii")
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, env=environment, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "hello:2" in done.stdout
    assert (
        kubectl.json("-n", "registry-demo", "get", "istag", "hello:2")["image"]
        == (kubectl.json("-n", "registry-demo", "get", "istag", "hello:1")["image"])
    )
    kubectl("-n", "registry-demo", "delete", "istag", "hello:2")


def test_the_demos_pod_serves_its_page(kubectl: Kubectl, printed: str) -> None:
    assert printed
    pod = kubectl.json("-n", "registry-demo", "get", "pods", "-l", "app=hello")["items"][0]
    done = subprocess.run(
        ["curl", "-q", "-sS", "--fail", "--max-time", "10", f"http://{pod['status']['podIP']}:8080/"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "It runs." in done.stdout
