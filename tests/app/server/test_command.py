"""Errors that a person can cure end in one sentence."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from image_registry.imagestreams.records import POSITION, Position, write_position
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository
from image_registry.server.command import cli
from image_registry.storage.filesystem import FilesystemStore
from tests.app import content

PROGRAM = str(Path(sys.executable).parent / "image-registry")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("REGISTRY_", "KUBE"))}
    return subprocess.run(
        [PROGRAM, *arguments], env={**clean, **environment}, text=True, capture_output=True, timeout=60, check=False
    )


def metadata(*arguments: str) -> Result:
    """``image-registry metadata`` in this process, where the tables are made in a moment."""
    return CliRunner().invoke(cli, ["metadata", *arguments], catch_exceptions=False)


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


@pytest.mark.slow
def test_what_keeps_the_registry_from_starting_is_said_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder, no certificate, no key")
    pair = ("--tls-cert", str(tmp_path / "file"), "--tls-key", str(tmp_path / "file"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        root, listen = ("--root", str(tmp_path / "root")), ("--listen", address)
        for arguments, said in (
            (("--root", str(tmp_path / "file")), "no folder can be made at"),
            ((*root, "--database", "mysql://ann:hidden@db/registry"), "write postgresql://"),
            ((*root, "--database", "postgresql://ann:hidden@db:port/registry"), "write postgresql://"),
            ((*root, *pair), "see that both are PEM"),
            ((*root, *listen), f"cannot listen at {address}"),
        ):
            done = run("serve", *arguments)
            assert done.returncode in {1, 2}, arguments
            assert said in done.stderr, arguments
            assert "Traceback" not in done.stderr
            assert "hidden" not in done.stderr


def test_a_rebuild_that_finds_nothing_asks_for_the_right_folder(tmp_path: Path) -> None:
    store = FilesystemStore(tmp_path / "registry")
    store.put_manifest(Repository("team", "app"), b"{}", Digest.of(b"{}"))
    done = metadata("rebuild", "--root", str(tmp_path), "--dry-run")
    assert f"there is no repository in {tmp_path}" in done.stderr
    assert "docker/registry/v2" in done.stderr
    done = metadata("rebuild", "--root", str(tmp_path / "registry"), "--dry-run")
    assert "there is no repository" not in done.stderr


def test_a_rebuild_overwrites_nothing_that_nobody_asked_it_to(tmp_path: Path) -> None:
    root = tmp_path / "registry"
    store, manifest = FilesystemStore(root), content.image("one").raw
    store.put_manifest(Repository("team", "app"), manifest, Digest.of(manifest))
    store.write_tag(Repository("team", "app"), "v1", Digest.of(manifest))

    def rebuilt(*options: str) -> Any:
        done = metadata("rebuild", "--root", str(root), "-o", "json", *options)
        assert done.exit_code == 0, done.stderr
        return json.loads(done.stdout)

    assert rebuilt("--dry-run")["applied"] is False
    assert rebuilt()["applied"] is True  # there was nothing to overwrite
    store.remove_tag(Repository("team", "app"), "v1")
    looked = rebuilt()
    assert (looked["applied"], looked["removed"]) == (False, 1)
    applied = rebuilt("--apply")
    assert (applied["applied"], applied["removed"]) == (True, 1)
    assert rebuilt()["removed"] == 0


def test_records_are_written_now_on_request_and_never_over_what_the_tables_do_not_know(tmp_path: Path) -> None:
    root = tmp_path / "registry"
    store, manifest = FilesystemStore(root), content.image("one").raw
    store.put_manifest(Repository("team", "app"), manifest, Digest.of(manifest))
    metadata("rebuild", "--root", str(root))
    assert metadata("record", "--root", str(root)).exit_code == 0
    assert list(store.record_names("streams")) == ["streams/team/app.json.gz"]
    later = Position(10_000, "of a database that is lost")
    store.write_records({POSITION: write_position(later)})
    refused = metadata("record", "--root", str(root))
    assert refused.exit_code == 1
    assert "older than the records" in refused.stderr
    assert metadata("record", "--root", str(root), "--discard").exit_code == 0
    assert metadata("record", "--root", str(root)).exit_code == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ("bootstrap", "secrets", "--namespace", "image-registry-system"),
        ("bootstrap", "api-service", "--namespace", "image-registry-system"),
    ],
)
def test_bootstrap_outside_of_a_pod_says_so(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Pod" in done.stderr


@pytest.mark.slow
def test_the_api_server_without_a_certificate_names_the_settings(tmp_path: Path) -> None:
    done = run("api-server", REGISTRY_DATABASE_URL=f"sqlite:///{tmp_path / 'x.db'}")
    assert done.returncode == 1
    assert "REGISTRY_HTTP_TLS_CERTIFICATE" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.slow
def test_a_node_is_cleaned_by_hand(tmp_path: Path) -> None:
    folder = tmp_path / "certs.d" / "image-registry.example.svc:5000"
    folder.mkdir(parents=True)
    for name in ("ca.crt", "hosts.toml"):
        (folder / name).write_text("# image-registry node-ca\n")
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost\n10.0.0.1\timage-registry.example.svc # image-registry node-ca\n")
    options = ["--ca-file", "/nowhere", "--certs-dir", str(tmp_path / "certs.d"), "--hosts-file", str(hosts)]
    done = run("node-ca", "--service-host", "image-registry.example.svc:5000", *options, "--remove")
    assert done.returncode == 0, done.stderr
    assert not folder.exists()
    assert hosts.read_text() == "127.0.0.1 localhost\n"


@pytest.mark.slow
def test_a_command_that_waits_ends_when_it_is_told_to() -> None:
    """As the first process of a container it would not, unless it handles the signal itself."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql+psycopg://registry@127.0.0.1:{silent.getsockname()[1]}/registry"
        waiting = subprocess.Popen(
            [PROGRAM, "database", "upgrade", "--wait", "100"],
            env={**os.environ, "REGISTRY_DATABASE_URL": url},
            stderr=subprocess.PIPE,
            text=True,
        )
        silent.settimeout(60)
        connection, _ = silent.accept()
        waiting.terminate()
        _, said = waiting.communicate(timeout=60)
        connection.close()
    assert waiting.returncode == 128 + signal.SIGTERM
    assert said == ""
