"""Options of the commands that hook Jobs and the CronJob call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from image_registry.kube import dns
from image_registry.kube.client import ClusterClient
from image_registry.operator import bootstrap
from image_registry.server.cluster_commands import bootstrap as command


@pytest.mark.parametrize(
    ("in_pod", "options", "domain"),
    [
        ("example.org", [], "example.org"),
        ("example.org", ["--cluster-domain", "other.example"], "other.example"),
        ("", [], "cluster.local"),
        ("example.org", ["--kubeconfig", "FILE"], "cluster.local"),
    ],
    ids=["of the Pod", "named", "unknown", "of another cluster"],
)
def test_certificates_carry_the_name_with_the_clusters_own_domain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_pod: str, options: list[str], domain: str
) -> None:
    asked: list[Any] = []

    def secrets(_: object, wanted: bootstrap.BootstrapOptions, **_others: object) -> list[str]:
        asked.append(wanted)
        return ["done"]

    monkeypatch.setattr(dns, "cluster_domain", lambda: in_pod)
    monkeypatch.setattr(bootstrap, "ensure_secrets", secrets)
    monkeypatch.setattr(ClusterClient, "from_pod", lambda: None)
    monkeypatch.setattr(ClusterClient, "from_kubeconfig", lambda _: None)
    file = tmp_path / "kubeconfig"
    file.touch()
    arguments = [str(file) if option == "FILE" else option for option in options]
    done = CliRunner().invoke(command, ["secrets", "--namespace", "demo", *arguments], catch_exceptions=False)
    assert done.output == "done\n"
    assert [(each.namespace, each.cluster_domain) for each in asked] == [("demo", domain)]
