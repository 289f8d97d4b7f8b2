"""The loop on each node: it follows address and CA, and cleans up only when its DaemonSet is going."""

from __future__ import annotations

import errno
import os
import threading
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
        containerd_config=tmp_path / "config.toml",
    )


class Cluster:
    """Answers one question: the DaemonSet."""

    def __init__(self, answer: dict[str, Any] | Exception | None) -> None:
        self.answer = answer

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


@pytest.mark.parametrize(
    ("config", "speaks"),
    [
        ("", True),
        (
            'version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = "/etc/containerd/certs.d"\n',
            False,
        ),
        ("version = 3\n", False),
        ('version = 2\nimports = ["/etc/containerd/conf.d/*.toml"]\n', False),
    ],
    ids=["nothing set", "set", "version 3", "set elsewhere"],
)
def test_a_containerd_that_would_not_read_certs_d_is_named(tmp_path: Path, config: str, speaks: bool) -> None:
    path = tmp_path / "config.toml"
    path.write_text(config, encoding="utf-8")
    assert bool(node_trust.containerd_remark(path)) is speaks
