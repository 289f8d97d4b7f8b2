"""What the collection promises about the way to the cluster: one sentence for every failure, and only the one named."""

from __future__ import annotations

import base64
import json
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from ansible_collections.alauda.registry.plugins.module_utils._cluster import Cluster, ClusterError
from ansible_collections.alauda.registry.plugins.module_utils._credentials import UNKNOWN, why_refused
from ansible_collections.alauda.registry.plugins.modules import registry_info

from image_registry.operator import certificates

if TYPE_CHECKING:
    from tests.collection.conftest import FakeCluster, FakeHelm, Run


def jwt(claims: dict[str, Any]) -> str:
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({}, claims)]
    return ".".join([*parts, "c2ln"])


def test_an_ambient_kubeconfig_is_never_used(
    cluster: FakeCluster, fake_helm: FakeHelm, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ambient = cluster.kubeconfig(tmp_path / "ambient")
    for name in ("KUBECONFIG", "K8S_AUTH_KUBECONFIG", "HELM_KUBECONTEXT", "HELM_KUBETOKEN", "HELM_NAMESPACE"):
        monkeypatch.setenv(name, str(ambient))
    result = run(registry_info, kubeconfig=str(tmp_path / "none"), helm_binary=fake_helm.binary)
    assert result.failed
    assert "no readable kubeconfig" in result.message
    assert cluster.requests == []
    assert not run(registry_info, helm_binary=fake_helm.binary).failed
    for call in fake_helm.calls:
        assert not [name for name in call["environment"] if name.startswith(("KUBECONFIG", "HELM_KUBE", "HELM_NAMES"))]


def test_a_cluster_must_be_named(run: Run) -> None:
    assert "kubeconfig" in run(registry_info, kubeconfig=None).message


def test_an_api_server_that_is_down_is_named_with_its_address(cluster: FakeCluster, kubeconfig: Path) -> None:
    cluster.stop()
    with pytest.raises(ClusterError, match=rf"{cluster.url}.*does not answer.*refused.*Check that the") as failed:
        Cluster(str(kubeconfig)).get("/version")
    assert failed.value.unreachable


def test_a_name_that_does_not_resolve_is_named(kubeconfig: Path) -> None:
    kubeconfig.write_text(kubeconfig.read_text().replace("127.0.0.1", "nowhere.invalid"))
    with pytest.raises(ClusterError, match=r"nowhere\.invalid.*does not answer"):
        Cluster(str(kubeconfig)).get("/version")


def test_an_api_server_that_hangs_ends_in_a_sentence(cluster: FakeCluster, kubeconfig: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        kubeconfig.write_text(kubeconfig.read_text().replace(str(cluster.port), str(port)))
        with pytest.raises(ClusterError, match="does not answer"):
            Cluster(str(kubeconfig), timeout=0.2).request("post", "/version")


def test_a_stranger_at_the_right_address_is_not_believed(cluster: FakeCluster, kubeconfig: Path) -> None:
    document = yaml.safe_load(kubeconfig.read_text())
    other = certificates.make_authority("other", datetime.now(UTC)).certificate
    document["clusters"][0]["cluster"]["certificate-authority-data"] = base64.b64encode(other).decode()
    kubeconfig.write_text(yaml.safe_dump(document))
    with pytest.raises(ClusterError, match=r"can not be trusted.*get a fresh kubeconfig"):
        Cluster(str(kubeconfig)).get("/version")
    assert cluster.requests == []


def test_an_expired_client_certificate_is_named_with_its_date(cluster: FakeCluster, tmp_path: Path) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=3000)
    authority = certificates.make_authority("cluster", long_ago)
    pair = certificates.make_leaf(authority, ["me"], long_ago)
    encoded = {
        "client-certificate-data": base64.b64encode(pair.certificate).decode(),
        "client-key-data": base64.b64encode(pair.key).decode(),
    }
    config = cluster.kubeconfig(tmp_path / "expired", **encoded)
    with pytest.raises(
        ClusterError, match=r"client certificate expired on \d{4}-\d\d-\d\d.*fresh kubeconfig"
    ) as failed:
        Cluster(str(config)).get("/version")
    assert failed.value.unreachable


def test_an_expired_token_is_named_with_its_date(cluster: FakeCluster, tmp_path: Path) -> None:
    token = jwt({"exp": 1_500_000_000})
    config = cluster.kubeconfig(tmp_path / "expired", token=token)
    with pytest.raises(ClusterError, match="the token expired on 2017-07-14 02:40 UTC") as failed:
        Cluster(str(config)).get("/version")
    assert token not in str(failed.value)


@pytest.mark.parametrize("text", ["", "just words", "users: 3", "\x00"])
def test_a_broken_kubeconfig_ends_in_a_sentence(text: str, tmp_path: Path) -> None:
    path = tmp_path / "broken"
    path.write_text(text)
    with pytest.raises(ClusterError, match="kubeconfig"):
        Cluster(str(path))
    assert why_refused(str(path), None) == UNKNOWN


def test_a_context_that_is_not_there_is_named(kubeconfig: Path) -> None:
    with pytest.raises(ClusterError, match="context elsewhere can not be used"):
        Cluster(str(kubeconfig), "elsewhere")


def test_a_missing_permission_is_named_with_whom_to_ask(cluster: FakeCluster, kubeconfig: Path) -> None:
    cluster.forbidden = {"/api/v1/nodes"}
    with pytest.raises(ClusterError, match=r"a permission is missing: .*administrator") as failed:
        Cluster(str(kubeconfig)).get("/api/v1/nodes")
    assert failed.value.forbidden
    assert not failed.value.unreachable


def test_a_read_is_tried_again_and_a_write_is_not(cluster: FakeCluster, kubeconfig: Path) -> None:
    client = Cluster(str(kubeconfig))
    cluster.failures = [503, 429]
    client.get("/version")
    assert len(cluster.requests) == 3
    cluster.failures = [503]
    with pytest.raises(ClusterError):
        client.create("/api/v1/namespaces", {"metadata": {"name": "new"}})
    assert len(cluster.requests) == 4


def test_a_list_is_read_page_by_page(kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = [
        {"items": [{"a": 1}], "metadata": {"continue": "more"}},
        {"items": [{"a": 2}], "metadata": {}},
    ]
    asked: list[dict[str, str]] = []

    def request(_self: Cluster, _method: str, _path: str, **given: Any) -> Any:
        asked.append(given["query"])
        return pages[len(asked) - 1]

    monkeypatch.setattr(Cluster, "request", request)
    assert Cluster(str(kubeconfig)).items("/api/v1/pods") == [{"a": 1}, {"a": 2}]
    assert [query.get("continue") for query in asked] == [None, "more"]
