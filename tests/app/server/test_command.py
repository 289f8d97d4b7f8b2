"""Errors that a person can cure end in one sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = str(Path(sys.executable).parent / "image-registry")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("REGISTRY_", "KUBE"))}
    return subprocess.run(
        [PROGRAM, *arguments], env={**clean, **environment}, text=True, capture_output=True, timeout=60, check=False
    )


@pytest.mark.slow
def test_the_data_plane_outside_of_a_pod_says_so(tmp_path: Path) -> None:
    done = run(
        "data-plane",
        REGISTRY_DATABASE_URL=f"sqlite:///{tmp_path / 'x.db'}",
        REGISTRY_AUTH_TOKEN_KEYS=str(tmp_path),
    )
    assert done.returncode == 1
    assert done.stderr.startswith("image-registry: ")
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.slow
def test_a_users_file_that_is_missing_is_named(tmp_path: Path) -> None:
    done = run("serve", "--root", str(tmp_path / "root"), "--auth", "htpasswd:/nowhere/users")
    assert done.returncode == 2
    assert "/nowhere/users" in done.stderr
    assert not (tmp_path / "root").exists()


@pytest.mark.slow
def test_a_database_that_does_not_answer_is_named(tmp_path: Path) -> None:
    url = "postgresql+psycopg://registry:hidden@127.0.0.1:1/registry"
    done = run("serve", "--root", str(tmp_path), "--listen", "127.0.0.1:5099", "--database", url)
    assert done.returncode == 1
    assert "127.0.0.1" in done.stderr
    assert "hidden" not in done.stderr
    assert "Traceback" not in done.stderr
