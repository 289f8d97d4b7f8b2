"""A cluster without the registry, and people who install it there."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.kubernetes import NAMESPACE, ROOT, Kubectl


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a playbook."""

    status: int
    output: str

    @property
    def changed(self) -> int:
        """What its recap counts."""
        return int(self.output.rpartition("changed=")[2].split()[0])


@pytest.fixture(scope="session")
def kubectl(lab_kubeconfig: Path) -> Kubectl:
    """The administrator's kubectl; fails if the registry is installed already."""
    found = Kubectl(lab_kubeconfig)
    if NAMESPACE in found.names("namespaces"):
        pytest.fail(f"namespace {NAMESPACE} exists: these tests want an empty lab (lab/lab down --purge; lab/lab up)")
    return found


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """What ``lab/lab env`` says, and nothing that leads elsewhere."""
    said = subprocess.run([ROOT / "lab/lab", "env"], capture_output=True, text=True, check=True).stdout
    values = dict(line.split("=", 1) for line in said.splitlines())
    assert "IMAGE_REGISTRY_IMAGE" in values, "run `lab/lab image`"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return values | {"PATH": path, "HOME": os.environ.get("HOME", "/"), "ANSIBLE_HOME": str(ROOT / ".cache/ansible")}


@pytest.fixture
def install(environment: dict[str, str], kubectl: Kubectl) -> Callable[..., Run]:
    """Run playbooks/install.yml with variables on top of the lab's."""
    assert kubectl.kubeconfig.exists()

    def run(**variables: Any) -> Run:
        command = ["ansible-playbook", "-i", "inventories/lab", "playbooks/install.yml", "-e", json.dumps(variables)]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False
        )
        return Run(done.returncode, done.stdout + done.stderr)

    return run


@pytest.fixture
def write_kubeconfig(lab_kubeconfig: Path, tmp_path: Path) -> Callable[..., Path]:
    """A copy of the lab's kubeconfig with another server or other credentials."""

    def write(*, server: str | None = None, certificate: tuple[bytes, bytes] | None = None, token: str = "") -> Path:
        document: dict[str, Any] = yaml.safe_load(lab_kubeconfig.read_text(encoding="utf-8"))
        if server is not None:
            document["clusters"][0]["cluster"]["server"] = server
        if certificate is not None:
            pair = [base64.b64encode(part).decode() for part in certificate]
            document["users"][0]["user"] = {"client-certificate-data": pair[0], "client-key-data": pair[1]}
        if token:
            document["users"][0]["user"] = {"token": token}
        path = tmp_path / "kubeconfig"
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        return path

    return write
