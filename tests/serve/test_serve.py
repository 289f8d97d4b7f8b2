"""Real clients against ``image-registry serve``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tarfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import pytest

from benchmarks import usage

from .conftest import Served, free_port, program, run, serve, wait_for_port

pytestmark = pytest.mark.slow


@pytest.fixture
def crane() -> str:
    return program("crane", "run `lab/lab build crane`")


@pytest.fixture
def skopeo() -> str:
    return program("skopeo", "apt-get install skopeo")


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    content, archive = tmp_path / "content", tmp_path / "layer.tar"
    content.write_bytes(os.urandom(3 << 20))
    with tarfile.open(archive, "w") as tar:
        tar.add(content, "content")
    return archive


def test_crane_pushes_copies_lists_and_deletes(served: Served, crane: str, layer: Path) -> None:
    image = f"{served.host}/demo/app:v1"
    run(crane, "append", "--insecure", "-f", layer, "-t", image)
    digest = run(crane, "digest", "--insecure", image).strip()
    run(crane, "copy", "--insecure", image, f"{served.host}/demo/copy:v2")
    assert run(crane, "digest", "--insecure", f"{served.host}/demo/copy:v2").strip() == digest
    assert run(crane, "catalog", "--insecure", served.host).split() == ["demo/app", "demo/copy"]
    run(crane, "validate", "--insecure", "--remote", image)
    run(crane, "delete", "--insecure", f"{served.host}/demo/app@{digest}")
    assert run(crane, "ls", "--insecure", f"{served.host}/demo/app").split() == []
    run(crane, "validate", "--insecure", "--remote", f"{served.host}/demo/copy:v2")


def test_two_workers_and_their_parent_need_little_more_than_one_process(served: Served) -> None:
    """Most of it is the program, which they share; the bound leaves room for other builds of Python."""
    for _ in range(50):
        with urllib.request.urlopen(f"http://{served.host}/v2/", timeout=10) as answer:
            assert answer.status == 200
    assert len(usage.family(served.pid)) == 3
    assert usage.memory(served.pid) < 110 << 20


def test_skopeo_copies_there_and_back_with_equal_digests(
    served: Served, crane: str, skopeo: str, layer: Path, tmp_path: Path
) -> None:
    run(crane, "append", "--insecure", "-f", layer, "-t", f"{served.host}/demo/app:v1")
    run(skopeo, "copy", "-q", "--src-tls-verify=false", f"docker://{served.host}/demo/app:v1", f"oci:{tmp_path}/oci:v1")
    target = f"docker://{served.host}/demo/back:v1"
    run(skopeo, "copy", "-q", "--dest-tls-verify=false", f"oci:{tmp_path}/oci:v1", target)
    shown = json.loads(run(skopeo, "inspect", "--tls-verify=false", target))
    assert shown["RepoTags"] == ["v1"]
    run(crane, "validate", "--insecure", "--remote", f"{served.host}/demo/back:v1")


def test_a_multi_platform_index_arrives_whole(served: Served, crane: str, layer: Path) -> None:
    host = served.host
    for architecture in ("amd64", "arm64"):
        run(crane, "append", "--insecure", "-f", layer, "-t", f"{host}/demo/{architecture}:v1")
        run(crane, "mutate", "--insecure", "--set-platform", f"linux/{architecture}", f"{host}/demo/{architecture}:v1")
    sources = [option for name in ("amd64", "arm64") for option in ("-m", f"{host}/demo/{name}:v1")]
    run(crane, "index", "append", "--insecure", *sources, "-t", f"{host}/demo/all:v1")
    manifest = json.loads(run(crane, "manifest", "--insecure", f"{host}/demo/all:v1"))
    assert {entry["platform"]["architecture"] for entry in manifest["manifests"]} == {"amd64", "arm64"}
    run(crane, "validate", "--insecure", "--remote", f"{host}/demo/all:v1")


def test_users_log_in_and_strangers_do_not(tmp_path: Path, crane: str, skopeo: str, layer: Path) -> None:
    users = tmp_path / "users"
    users.write_text(f"ann:{bcrypt.hashpw(b'word', bcrypt.gensalt(6)).decode()}\n", encoding="utf-8")
    for guarded in serve(tmp_path, "--auth", f"htpasswd:{users}"):
        login = {"DOCKER_CONFIG": str(tmp_path / "docker")}
        run(crane, "auth", "login", guarded.host, "-u", "ann", "--password-stdin", env=login, stdin="word")
        run(crane, "append", "--insecure", "-f", layer, "-t", f"{guarded.host}/demo/app:v1", env=login)
        auth = tmp_path / "auth.json"
        run(
            skopeo,
            "login",
            "--tls-verify=false",
            "--authfile",
            auth,
            "-u",
            "ann",
            "--password-stdin",
            guarded.host,
            stdin="word",
        )
        run(skopeo, "inspect", "--tls-verify=false", "--authfile", auth, f"docker://{guarded.host}/demo/app:v1")
        stranger = subprocess.run(
            [skopeo, "inspect", "--tls-verify=false", "--no-creds", f"docker://{guarded.host}/demo/app:v1"],
            text=True,
            capture_output=True,
            check=False,
        )
        assert stranger.returncode
        assert "unauthorized" in stranger.stderr


def distribution(folder: Path, root: Path) -> Iterator[str]:
    """CNCF distribution as Debian packages it, serving ``root``."""
    registry = program("docker-registry", "apt-get install docker-registry")
    host, log, config = f"127.0.0.1:{free_port()}", folder / "distribution.log", folder / "distribution.yml"
    config.write_text(
        json.dumps(
            {
                "version": 0.1,
                "storage": {"filesystem": {"rootdirectory": str(root)}, "delete": {"enabled": True}},
                "http": {"addr": host},
            }
        ),
        encoding="utf-8",
    )
    with log.open("wb") as output:
        process = subprocess.Popen([registry, "serve", str(config)], stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_for_port(host, process, log)
        yield host
    finally:
        process.terminate()
        process.wait(20)


def test_cncf_distribution_serves_what_was_pushed_here(crane: str, layer: Path, tmp_path: Path) -> None:
    """Handed over as docs/explanation/durability.md says: this one ends first, and writes the last links then."""
    for served in serve(tmp_path, "--auth", "none"):
        run(crane, "append", "--insecure", "-f", layer, "-t", f"{served.host}/demo/app:v1")
        digest = run(crane, "digest", "--insecure", f"{served.host}/demo/app:v1").strip()
    for host in distribution(tmp_path, served.root):
        assert run(crane, "digest", "--insecure", f"{host}/demo/app:v1").strip() == digest
        run(crane, "validate", "--insecure", "--remote", f"{host}/demo/app:v1")


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path, crane: str, layer: Path) -> None:
    first = serve(tmp_path, "--auth", "none")
    served = next(first)
    run(crane, "append", "--insecure", "-f", layer, "-t", f"{served.host}/demo/app:v1")
    digest = run(crane, "digest", "--insecure", f"{served.host}/demo/app:v1").strip()
    children = Path(f"/proc/{served.pid}/task/{served.pid}/children").read_text(encoding="ascii").split()
    for pid in (*children, str(served.pid)):
        os.kill(int(pid), signal.SIGKILL)
    time.sleep(0.2)
    first.close()
    for again in serve(tmp_path, "--auth", "none"):
        assert run(crane, "digest", "--insecure", f"{again.host}/demo/app:v1").strip() == digest
        run(crane, "validate", "--insecure", "--remote", f"{again.host}/demo/app:v1")
