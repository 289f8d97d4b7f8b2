from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from image_registry_lab import places, programs

LAB = Path(__file__).resolve().parents[2] / "lab"


def test_a_changed_pin_flag_or_compiler_is_another_program() -> None:
    helm = programs.programs()[0]
    keys = {
        programs.key(helm, "go1.26.8"),
        programs.key(helm, "go1.26.9"),
        programs.key(dataclasses.replace(helm, values=()), "go1.26.8"),
        programs.key(dataclasses.replace(helm, module="ingress"), "go1.26.8"),
    }
    assert len(keys) == 4
    assert programs.key(helm, "go1.26.8") in keys


def test_the_cache_is_never_in_the_repository(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("IMAGE_REGISTRY_LAB", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert places.cache() == tmp_path / "image-registry-lab"
    monkeypatch.setenv("IMAGE_REGISTRY_LAB", str(tmp_path / "elsewhere"))
    assert places.cache() == tmp_path / "elsewhere"


def test_kubernetes_knows_its_version() -> None:
    kube = next(program for program in programs.programs() if program.name == "kube")
    assert dict(kube.values)["k8s.io/component-base/version.gitVersion"] == f"v{programs.KUBERNETES}"


def test_an_unknown_program_is_named_with_the_known_ones() -> None:
    run = subprocess.run([LAB / "lab", "build", "nosuch"], text=True, capture_output=True, check=False)
    assert run.returncode == 2
    assert "unknown program nosuch" in run.stderr
    assert "helm" in run.stderr


def test_a_missing_compiler_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "python3").symlink_to(sys.executable)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "IMAGE_REGISTRY_LAB": str(tmp_path / "cache")}
    if any(os.access(f"{folder}/go", os.X_OK) for folder in ("/usr/bin", "/bin")):
        environment["PATH"] = str(tmp_path)
    command = [sys.executable, str(LAB / "lab"), "build", "helm"]
    run = subprocess.run(command, env=environment, text=True, capture_output=True, check=False)
    assert run.returncode == 1
    assert "install Go 1.26" in run.stderr


def test_a_cluster_does_not_wait_for_programs_that_only_the_benchmark_runs() -> None:
    on_demand = {program.name for program in programs.programs() if program.on_demand}
    assert "distribution" in on_demand
    assert not on_demand & {"helm", "crane", "kube", "coredns", "local-path-provisioner", "traefik"}
