"""What the client promises: a sentence for every failure, repeated reads, credentials that follow their files."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from structlog.contextvars import bound_contextvars

from image_registry.kube.client import ClusterClient, ClusterUnreachable, KubeconfigError, KubeError, object_path
from image_registry.kube.endpoint import Endpoint, from_kubeconfig, from_pod
from image_registry.operator import certificates

if TYPE_CHECKING:
    from tests.conftest import FakeCluster

PATH = "/api/v1/namespaces/demo"


def test_a_kubeconfig_that_was_named_is_enough(fake_cluster: FakeCluster, tmp_path: Path) -> None:
    fake_cluster.put(PATH, {"kind": "Namespace"})
    client = ClusterClient.from_kubeconfig(fake_cluster.kubeconfig(tmp_path / "config"))
    assert client.get(PATH)["kind"] == "Namespace"
    assert client.find("/api/v1/namespaces/none") is None


def test_an_ambient_kubeconfig_is_never_used(
    fake_cluster: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(fake_cluster.kubeconfig(tmp_path / "config")))
    with pytest.raises(KubeconfigError, match="not in a Pod"):
        ClusterClient.from_pod({})


def test_a_read_is_tried_again_and_a_write_is_not(fake_cluster: FakeCluster) -> None:
    fake_cluster.put(PATH, {})
    fake_cluster.failures = [503, 429]
    fake_cluster.client().get(PATH)
    assert len(fake_cluster.requests) == 3
    fake_cluster.failures = [503]
    with pytest.raises(KubeError) as refused:
        fake_cluster.client().create("/api/v1/namespaces", {"metadata": {"name": "new"}})
    assert refused.value.passing
    assert len(fake_cluster.requests) == 4


def test_the_audit_log_of_the_cluster_names_the_request_for_which_we_ask(fake_cluster: FakeCluster) -> None:
    fake_cluster.put(PATH, {})
    with bound_contextvars(request_id="r-1"):
        fake_cluster.client().get(PATH)
    fake_cluster.client().get(PATH)
    assert fake_cluster.audit_ids == ["r-1", ""]


def test_expired_credentials_are_named_as_such(fake_cluster: FakeCluster, tmp_path: Path) -> None:
    config = fake_cluster.kubeconfig(tmp_path / "config", token="old")
    with pytest.raises(KubeError, match="expired or were revoked") as refused:
        ClusterClient.from_kubeconfig(config).get(PATH)
    assert refused.value.unauthorized
    assert str(config) in str(refused.value)


def test_a_missing_permission_is_named(fake_cluster: FakeCluster) -> None:
    fake_cluster.forbidden = {PATH}
    with pytest.raises(KubeError, match=r'a permission is missing: .* User "me" cannot get') as refused:
        fake_cluster.client().get(PATH)
    assert refused.value.forbidden


def test_a_conflict_and_a_missing_object_are_told_apart(fake_cluster: FakeCluster) -> None:
    fake_cluster.put(PATH, {})
    with pytest.raises(KubeError) as refused:
        fake_cluster.client().create("/api/v1/namespaces", {"metadata": {"name": "demo"}})
    assert refused.value.conflict
    with pytest.raises(KubeError) as refused:
        fake_cluster.client().get("/api/v1/namespaces/none")
    assert refused.value.not_found


def test_an_api_server_that_is_down_is_named_with_its_address() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"https://127.0.0.1:{probe.getsockname()[1]}"
        client = ClusterClient(Endpoint(server=address, source="a test"))
        with pytest.raises(ClusterUnreachable, match=f"{address}.*Connection refused.*check") as failed:
            client.get(PATH)
    assert failed.value.__suppress_context__


def test_an_api_server_that_hangs_ends_in_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"https://127.0.0.1:{listening.getsockname()[1]}"
        client = ClusterClient(Endpoint(server=address, source="a test"))
        with pytest.raises(ClusterUnreachable, match="Kubernetes API at https"):
            client.request("POST", PATH, {}, timeout=0.2)


def test_a_stranger_with_the_right_address_is_not_believed(fake_cluster: FakeCluster) -> None:
    other = certificates.make_authority("other", datetime.now(UTC)).certificate.decode()
    client = ClusterClient(Endpoint(server=fake_cluster.url, source="a test", ca=other, token="secret"))
    with pytest.raises(ClusterUnreachable, match="no trusted connection"):
        client.get(PATH)
    assert fake_cluster.requests == []


def test_a_name_that_does_not_resolve_is_named() -> None:
    client = ClusterClient(Endpoint(server="https://nowhere.invalid", source="a test"))
    with pytest.raises(ClusterUnreachable, match=r"nowhere\.invalid"):
        client.get(PATH)


def test_the_token_and_the_ca_of_a_pod_are_read_again_when_they_change(
    fake_cluster: FakeCluster, tmp_path: Path
) -> None:
    fake_cluster.put(PATH, {})
    (tmp_path / "token").write_text("old", encoding="ascii")
    (tmp_path / "ca.crt").write_text(fake_cluster.ca, encoding="ascii")
    environment = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(fake_cluster.port)}
    client = ClusterClient(from_pod(environment, tmp_path))
    with pytest.raises(KubeError):
        client.get(PATH)
    new = tmp_path / "new"
    new.write_text(fake_cluster.credentials, encoding="ascii")
    new.replace(tmp_path / "token")
    client.get(PATH)
    (tmp_path / "ca.crt").write_bytes(certificates.make_authority("other", datetime.now(UTC)).certificate)
    os.utime(tmp_path / "ca.crt", (1, 1))
    with pytest.raises(ClusterUnreachable):
        client.get(PATH)


def test_ipv6_addresses_of_the_api_server_are_bracketed(tmp_path: Path) -> None:
    for name in ("token", "ca.crt"):
        (tmp_path / name).touch()
    assert from_pod({"KUBERNETES_SERVICE_HOST": "fd00::1"}, tmp_path).server == "https://[fd00::1]:443"


CONTEXT = "{current-context: a, contexts: [{name: a, context: {cluster: b, user: c}}]"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "is not YAML"),
        ("[]", "not a mapping"),
        ("{contexts: []}", "no current-context"),
        ("{current-context: a}", "no context named 'a'"),
        (CONTEXT + "}", "no cluster named 'b'"),
        (CONTEXT + ", clusters: [{name: b, cluster: {server: 'https://x'}}]}", "no user named 'c'"),
        (
            CONTEXT + ", clusters: [{name: b, cluster: {server: 'http://x'}}], users: [{name: c, user: {token: x}}]}",
            "begins with https://",
        ),
        (
            CONTEXT + ", clusters: [{name: b, cluster: {}}], users: [{name: c, user: {exec: {command: x}}}]}",
            "kubectl create token",
        ),
        (
            CONTEXT
            + ", clusters: [{name: b, cluster: {server: 'https://x', certificate-authority: missing.pem}}]"
            + ", users: [{name: c, user: {}}]}",
            "cannot read certificate-authority missing.pem",
        ),
    ],
)
def test_an_unusable_kubeconfig_is_explained(text: str, sentence: str, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(text, encoding="utf-8")
    with pytest.raises(KubeconfigError, match=sentence):
        from_kubeconfig(config)


def test_a_damaged_ca_is_explained() -> None:
    client = ClusterClient(Endpoint(server="https://127.0.0.1:1", source="a test", ca="not a certificate"))
    with pytest.raises(KubeconfigError, match="of a test cannot be used"):
        client.get(PATH)


def test_a_client_certificate_is_taken_from_the_kubeconfig_and_shown_to_nobody() -> None:
    pair = certificates.make_authority("me", datetime.now(UTC))
    endpoint = Endpoint(server="https://x", source="a test", certificate=pair.certificate, key=pair.key)
    endpoint.context()
    assert pair.key.decode()[30:60] not in repr(endpoint)


def test_paths_of_objects_are_escaped() -> None:
    assert object_path("v1", "secrets", "a", namespace="n") == "/api/v1/namespaces/n/secrets/a"
    assert object_path("apps/v1", "daemonsets", namespace="n") == "/apis/apps/v1/namespaces/n/daemonsets"
    assert object_path("v1", "namespaces", "../x") == "/api/v1/namespaces/..%2Fx"
