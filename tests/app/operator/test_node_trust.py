"""The loop on each node: it follows address and CA, and cleans up only when its DaemonSet is going."""

from __future__ import annotations

import errno
import json
import os
import threading
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from image_registry.kube.client import ClusterClient
from image_registry.kube.errors import ClusterUnreachable, KubeError
from image_registry.operator import node_trust
from image_registry.operator.node_trust import NodeTrustOptions

HOST = "image-registry.image-registry-system.svc"
CA = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


@pytest.fixture
def options(tmp_path: Path) -> NodeTrustOptions:
    (tmp_path / "hosts").write_text("127.0.0.1 localhost\n", encoding="utf-8")
    (tmp_path / "ca.crt").write_text(CA, encoding="ascii")
    return NodeTrustOptions(
        service_host=f"{HOST}:5000",
        ca_file=tmp_path / "ca.crt",
        certs_dir=tmp_path / "certs.d",
        hosts_file=tmp_path / "hosts",
        daemonset="image-registry-system/node-ca",
        containerd_dir=tmp_path / "containerd",
        further_cas=(tmp_path / "route-cas", tmp_path / "further-cas"),
        hosts=("registry.example.com",),
        docker_certs_dir=tmp_path / "docker",
        node="node-1",
    )


class Cluster:
    """Answers one question, the DaemonSet, and takes one note, the node's state."""

    def __init__(self, answer: dict[str, Any] | Exception | None) -> None:
        self.answer = answer
        self.noted: list[Any] = []

    def merge(self, path: str, body: dict[str, Any]) -> None:
        assert path == "/api/v1/namespaces/image-registry-system/configmaps/image-registry-nodes"
        self.noted.append(body["data"]["node-1"])

    def find(self, path: str, **_: Any) -> dict[str, Any] | None:
        assert path == "/apis/apps/v1/namespaces/image-registry-system/daemonsets/node-ca"
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def asking(answer: dict[str, Any] | Exception | None) -> Callable[[], ClusterClient]:
    return lambda: Cluster(answer)  # type: ignore[return-value]


RUNNING = {"metadata": {"name": "node-ca"}}


def run_once(options: NodeTrustOptions, answer: dict[str, Any] | Exception | None) -> None:
    """One look, then SIGTERM."""
    stop = threading.Event()

    def resolve(_: str) -> list[str]:
        stop.set()
        return ["10.96.0.7"]

    node_trust.run(options, stop, client=asking(answer), resolve=resolve)


def is_trusted(options: NodeTrustOptions) -> bool:
    return (options.certs_dir / f"{HOST}:5000/hosts.toml").exists() and HOST in options.hosts_file.read_text()


def test_a_restart_of_the_pod_keeps_the_node_trusted(options: NodeTrustOptions) -> None:
    run_once(options, RUNNING)
    assert is_trusted(options)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}},
        KubeError(403, "Forbidden", "no"),
        KubeError(401, "Unauthorized", "no"),
    ],
    ids=["gone", "going", "rights are gone", "account is gone"],
)
def test_an_uninstall_leaves_the_node_as_it_was(
    options: NodeTrustOptions, answer: dict[str, Any] | Exception | None
) -> None:
    run_once(options, answer)
    assert options.hosts_file.read_text() == "127.0.0.1 localhost\n"
    assert not (options.certs_dir / f"{HOST}:5000").exists()


@pytest.mark.parametrize("answer", [ClusterUnreachable("away"), KubeError(503, "ServiceUnavailable", "later")])
def test_a_node_that_shuts_down_keeps_what_its_next_start_needs(options: NodeTrustOptions, answer: Exception) -> None:
    run_once(options, answer)
    assert is_trusted(options)


def test_a_name_that_does_not_resolve_keeps_the_last_address(options: NodeTrustOptions) -> None:
    node_trust.once(options, lambda _: ["10.96.0.7"])

    def broken(_: str) -> list[str]:
        raise OSError(-2, "Name or service not known")

    done, notes = node_trust.once(options, broken)
    assert done == []
    assert "the last address stays" in notes[0]
    assert "10.96.0.7" in options.hosts_file.read_text()


def test_a_ca_file_without_a_certificate_keeps_the_last_ca(options: NodeTrustOptions) -> None:
    node_trust.once(options, lambda _: ["10.96.0.7"])
    options.ca_file.write_text("", encoding="ascii")
    done, notes = node_trust.once(options, lambda _: ["10.96.0.7"])
    assert done == []
    assert "the last CA stays" in notes[0]
    assert is_trusted(options)


def test_a_new_ca_reaches_the_node(options: NodeTrustOptions) -> None:
    node_trust.once(options, lambda _: ["10.96.0.7"])
    options.ca_file.write_text(CA.replace("AAAA", "BBBB"), encoding="ascii")
    node_trust.once(options, lambda _: ["10.96.0.7"])
    assert "BBBB" in (options.certs_dir / f"{HOST}:5000/ca.crt").read_text()


@pytest.mark.parametrize(
    ("number", "cure"),
    [
        (errno.EACCES, "nodeCA.securityContext.seLinuxOptions"),
        (errno.EROFS, "nodeCA.certsDir"),
        (errno.ENOSPC, "make room"),
    ],
)
def test_a_node_that_cannot_be_written_is_said_once_with_the_cure(
    options: NodeTrustOptions,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: int,
    cure: str,
) -> None:
    stop, rounds = threading.Event(), 0

    def refused(*_: object) -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 3:
            stop.set()
        raise OSError(number, os.strerror(number), "/host/hosts")

    monkeypatch.setattr(node_trust, "INTERVAL", 0.0)
    monkeypatch.setattr(node_trust, "once", refused)
    node_trust.run(options, stop, client=asking(RUNNING))
    said = "".join(capsys.readouterr())
    assert rounds == 3
    assert said.count(cure) == said.count("/host/hosts") == 1


def write(folder: Path, name: str, text: str = CA) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text, encoding="ascii")


def settle(options: NodeTrustOptions) -> tuple[list[str], tuple[str, ...]]:
    return node_trust.once(options, lambda _: ["10.96.0.7"])


def test_further_hosts_are_trusted_by_containerd_and_docker(options: NodeTrustOptions) -> None:
    write(options.further_cas[0], "registry.example.com")
    write(options.further_cas[1], "mirror.example.com..8443", CA.replace("AAAA", "BBBB"))
    settle(options)
    docker = options.docker_certs_dir
    assert docker is not None
    toml = tomllib.loads((options.certs_dir / "registry.example.com/hosts.toml").read_text())
    assert toml["host"]["https://registry.example.com"]["ca"] == "ca.crt"
    for folder in (options.certs_dir, docker):
        assert "AAAA" in (folder / "registry.example.com/ca.crt").read_text()
        assert "BBBB" in (folder / "mirror.example.com:8443/ca.crt").read_text()
    assert (docker / f"{HOST}:5000/ca.crt").exists()
    assert not (docker / f"{HOST}:5000/hosts.toml").exists()
    assert settle(options) == ([], ())


def test_a_host_that_nobody_wants_any_more_is_forgotten_and_others_stay(options: NodeTrustOptions) -> None:
    write(options.further_cas[0], "registry.example.com")
    write(options.further_cas[1], "mirror.example.com")
    write(options.certs_dir, "by-hand")
    (options.certs_dir / "docker.io").mkdir()
    (options.certs_dir / "docker.io/hosts.toml").write_text('server = "https://mirror"', encoding="ascii")
    settle(options)
    (options.further_cas[0] / "registry.example.com").unlink()  # its Secret is made anew at this moment
    (options.further_cas[1] / "mirror.example.com").unlink()
    settle(options)
    assert sorted(path.name for path in options.certs_dir.iterdir()) == [
        "by-hand",
        "docker.io",
        f"{HOST}:5000",
        "registry.example.com",
    ]


def test_a_folder_of_an_administrator_is_left_alone_and_said(options: NodeTrustOptions) -> None:
    folder = options.certs_dir / "registry.example.com"
    folder.mkdir(parents=True)
    (folder / "hosts.toml").write_text('server = "https://mirror"', encoding="ascii")
    write(options.further_cas[0], "registry.example.com")
    _, notes = settle(options)
    assert notes == (
        "left alone certs.d/registry.example.com: its files are not ours; remove them to let them be written",
    )
    assert not (folder / "ca.crt").exists()


def test_an_uninstall_takes_further_hosts_away_too(options: NodeTrustOptions) -> None:
    write(options.further_cas[0], "registry.example.com")
    run_once(options, None)
    assert options.docker_certs_dir is not None
    assert list(options.certs_dir.iterdir()) == list(options.docker_certs_dir.iterdir()) == []


def noted(options: NodeTrustOptions, rounds: int, answer: dict[str, Any] | None = RUNNING) -> list[Any]:
    """What the cluster was told in some looks."""
    stop, cluster = threading.Event(), Cluster(answer)
    seen = 0

    def resolve(_: str) -> list[str]:
        nonlocal seen
        seen += 1
        if seen == rounds:
            stop.set()
        return ["10.96.0.7"]

    node_trust.run(options, stop, client=lambda: cluster, resolve=resolve)  # type: ignore[arg-type, return-value]
    return [text if text is None else json.loads(text) for text in cluster.noted]


def test_a_node_says_once_that_it_trusts_and_nothing_when_it_is_cleaned(
    options: NodeTrustOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_trust, "INTERVAL", 0.0)
    trusted = {"state": "Trusted", "message": ""}
    assert noted(options, 3) == [trusted]
    assert noted(options, 1, None) == [trusted, None]


def test_a_node_whose_containerd_reads_no_certs_d_says_so(options: NodeTrustOptions) -> None:
    assert options.containerd_dir is not None
    write(options.containerd_dir, "config.toml", "version = 2\n")
    (told,) = noted(options, 1)
    assert told["state"] == "ConfigPathMissing"
    assert 'config_path = "/etc/containerd/certs.d", restart containerd' in told["message"]
