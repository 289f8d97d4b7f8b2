"""Bootstrap makes what is missing, leaves alone what is not its own, renews unnoticed, and converges."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import serialization

from image_registry.auth.tokens import RegistryTokens
from image_registry.kube.errors import KubeError
from image_registry.operator import certificates, release_secrets, secret_plan
from image_registry.operator.bootstrap import (
    BootstrapFailed,
    BootstrapOptions,
    ensure_secrets,
    publish_api_service_ca,
)
from image_registry.operator.certificates import KeyPair
from tests.at_once import at_once

if TYPE_CHECKING:
    from tests.conftest import FakeCluster

NAMESPACE = "image-registry-system"
OPTIONS = BootstrapOptions(namespace=NAMESPACE)
SECRETS = f"/api/v1/namespaces/{NAMESPACE}/secrets/"
BUNDLE = f"/api/v1/namespaces/{NAMESPACE}/configmaps/image-registry-ca"
API_SERVICE = "/apis/apiregistration.k8s.io/v1/apiservices/v1.image.alauda.io"
NOW = datetime(2030, 1, 1, tzinfo=UTC)
YEAR = timedelta(days=365)


def run(fake: FakeCluster, now: datetime = NOW, options: BootstrapOptions = OPTIONS) -> list[str]:
    return ensure_secrets(fake.client(), options, lambda: now)


def data(fake: FakeCluster, name: str) -> dict[str, bytes]:
    return {key: base64.b64decode(value) for key, value in fake.objects[SECRETS + name]["data"].items()}


def bundle(fake: FakeCluster) -> bytes:
    text: str = fake.objects[BUNDLE]["data"]["ca-bundle.crt"]
    return text.encode()


def foreign(fake: FakeCluster, name: str, **content: bytes) -> None:
    encoded = {key.replace("_", "."): base64.b64encode(value).decode() for key, value in content.items()}
    fake.put(SECRETS + name, {"metadata": {"labels": {"who": "admin"}}, "data": encoded})


def writes(fake: FakeCluster) -> list[tuple[str, str]]:
    return [request for request in fake.requests if request[0] != "GET"]


def test_everything_the_chart_mounts_is_made(fake_cluster: FakeCluster) -> None:
    run(fake_cluster)
    assert {path.rpartition("/")[2] for path in fake_cluster.objects if path.startswith(SECRETS)} == set(
        release_secrets.SECRETS
    )
    authority = data(fake_cluster, "image-registry-ca")["tls.crt"]
    assert bundle(fake_cluster) == authority
    for name, service in release_secrets.LEAVES.items():
        leaf = data(fake_cluster, name)
        certificates.check_pair(KeyPair(leaf["tls.crt"], leaf["tls.key"]))
        assert certificates.signed_by(leaf["tls.crt"], authority)
        assert leaf["ca.crt"] == authority
        assert fake_cluster.objects[SECRETS + name]["type"] == "kubernetes.io/tls"
        assert f"{service}.{NAMESPACE}.svc" in certificates.names(leaf["tls.crt"])
    assert set(data(fake_cluster, "image-registry-db")) == {"username", "password", "database"}
    RegistryTokens(list(data(fake_cluster, "image-registry-token-keys").values()))
    for item in fake_cluster.objects.values():
        assert item["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "image-registry-bootstrap"


def test_a_second_run_changes_nothing(fake_cluster: FakeCluster) -> None:
    run(fake_cluster)
    before = len(writes(fake_cluster))
    assert run(fake_cluster) == ["nothing to do: every Secret exists and is good for a while"]
    assert len(writes(fake_cluster)) == before


def test_what_is_printed_holds_no_key_material(fake_cluster: FakeCluster) -> None:
    lines = "\n".join(run(fake_cluster))
    assert lines.count("\n") == 6
    for name in release_secrets.SECRETS:
        for value in data(fake_cluster, name).values():
            secret = value.decode()
            assert secret.splitlines()[-2 if "BEGIN" in secret else 0] not in lines or secret == "registry"
    proposal = secret_plan.plan(secret_plan.Found({}), OPTIONS, NOW)
    assert "PRIVATE" not in repr(proposal)
    assert "LS0t" not in repr(proposal)


def test_a_deleted_secret_is_made_again_and_the_others_stay(fake_cluster: FakeCluster) -> None:
    run(fake_cluster)
    before = dict(fake_cluster.objects)
    del fake_cluster.objects[SECRETS + "image-registry-tls"]
    assert [line.split(":")[0] for line in run(fake_cluster)] == ["created Secret image-registry-tls"]
    changed = {path for path, item in fake_cluster.objects.items() if item != before[path]}
    assert changed == {SECRETS + "image-registry-tls"}


def test_hostnames_are_added_to_the_registrys_certificate_alone(fake_cluster: FakeCluster) -> None:
    run(fake_cluster)
    options = BootstrapOptions(
        namespace=NAMESPACE, hostnames=("registry.example.com", "10.0.0.9:443", "[fd00::1]:443", "fd00::2")
    )
    (line,) = run(fake_cluster, options=options)
    assert "image-registry-tls" in line
    assert "lacks 10.0.0.9, fd00::1, fd00::2, registry.example.com" in line
    assert "registry.example.com" in certificates.names(data(fake_cluster, "image-registry-tls")["tls.crt"])
    assert len(run(fake_cluster, options=options)) == 1


def test_an_impossible_hostname_ends_in_a_sentence(fake_cluster: FakeCluster) -> None:
    with pytest.raises(BootstrapFailed, match=r"image-registry-tls.*neither a host name"):
        run(fake_cluster, options=BootstrapOptions(namespace=NAMESPACE, hostnames=("snow☃",)))


def test_certificates_are_renewed_at_a_third_of_their_life(fake_cluster: FakeCluster) -> None:
    run(fake_cluster)
    old = data(fake_cluster, "image-registry-tls")
    assert run(fake_cluster, NOW + YEAR / 2)[0].startswith("updated Secret image-registry-token-keys")
    lines = run(fake_cluster, NOW + YEAR * 2 / 3 + timedelta(days=1))
    assert sum("a new certificate" in line for line in lines) == 3
    new = data(fake_cluster, "image-registry-tls")
    assert new["tls.crt"] != old["tls.crt"]
    assert new["ca.crt"] == old["ca.crt"]


def test_a_damaged_certificate_of_ours_is_replaced(fake_cluster: FakeCluster) -> None:
    run(fake_cluster)
    path = SECRETS + "image-registry-tls"
    fake_cluster.objects[path]["data"]["tls.key"] = base64.b64encode(b"x").decode()
    (line,) = run(fake_cluster)
    assert "cannot be used" in line
    leaf = data(fake_cluster, "image-registry-tls")
    certificates.check_pair(KeyPair(leaf["tls.crt"], leaf["tls.key"]))


def test_a_new_authority_is_trusted_by_all_before_it_signs(fake_cluster: FakeCluster) -> None:
    run(fake_cluster)
    old = data(fake_cluster, "image-registry-ca")["tls.crt"]
    late = certificates.expires(old) - YEAR * 3
    run(fake_cluster, late)
    authority = data(fake_cluster, "image-registry-ca")
    assert authority["tls.crt"] == old
    new = authority["next.crt"]
    assert bundle(fake_cluster) == old + new
    for name in release_secrets.LEAVES:
        assert certificates.signed_by(data(fake_cluster, name)["tls.crt"], old)
        assert data(fake_cluster, name)["ca.crt"] == old + new
    run(fake_cluster, late + timedelta(hours=23))
    assert data(fake_cluster, "image-registry-ca") == authority
    run(fake_cluster, late + timedelta(days=1))
    assert set(data(fake_cluster, "image-registry-ca")) == {"tls.crt", "tls.key"}
    assert data(fake_cluster, "image-registry-ca")["tls.crt"] == new
    assert bundle(fake_cluster) == new + old
    for name in release_secrets.LEAVES:
        assert certificates.signed_by(data(fake_cluster, name)["tls.crt"], new)
    run(fake_cluster, certificates.expires(old))
    assert bundle(fake_cluster) == new


def test_an_authority_that_has_ended_is_replaced_at_once(fake_cluster: FakeCluster) -> None:
    run(fake_cluster)
    old = data(fake_cluster, "image-registry-ca")["tls.crt"]
    run(fake_cluster, certificates.expires(old) + YEAR)
    new = data(fake_cluster, "image-registry-ca")["tls.crt"]
    assert new != old
    assert bundle(fake_cluster) == new
    assert certificates.signed_by(data(fake_cluster, "image-registry-tls")["tls.crt"], new)


def test_after_a_lost_authority_clients_trust_both_while_servers_change(fake_cluster: FakeCluster) -> None:
    run(fake_cluster)
    old = data(fake_cluster, "image-registry-ca")["tls.crt"]
    del fake_cluster.objects[SECRETS + "image-registry-ca"]
    run(fake_cluster)
    new = data(fake_cluster, "image-registry-ca")["tls.crt"]
    assert bundle(fake_cluster) == new + old
    assert certificates.signed_by(data(fake_cluster, "image-registry-tls")["tls.crt"], new)


def test_a_token_key_is_added_then_the_old_one_goes(fake_cluster: FakeCluster) -> None:
    run(fake_cluster)
    (old,) = data(fake_cluster, "image-registry-token-keys")
    run(fake_cluster, NOW + timedelta(days=89))
    assert list(data(fake_cluster, "image-registry-token-keys")) == [old]
    run(fake_cluster, NOW + timedelta(days=90))
    assert len(both := sorted(data(fake_cluster, "image-registry-token-keys"))) == 2
    assert both[0] == old
    run(fake_cluster, NOW + timedelta(days=90, hours=23))
    assert len(data(fake_cluster, "image-registry-token-keys")) == 2
    run(fake_cluster, NOW + timedelta(days=91))
    assert list(data(fake_cluster, "image-registry-token-keys")) == [both[1]]


def test_what_an_administrator_made_is_left_alone_and_reported(fake_cluster: FakeCluster) -> None:
    authority = certificates.make_authority("corporate", NOW)
    leaf = certificates.make_leaf(authority, ["registry.example.com"], NOW)
    foreign(
        fake_cluster,
        "image-registry-tls",
        tls_crt=leaf.certificate,
        tls_key=leaf.key,
        ca_crt=authority.certificate,
    )
    foreign(fake_cluster, "image-registry-db", username=b"u", password=b"p", database=b"d")
    before = dict(fake_cluster.objects)
    lines = run(fake_cluster)
    assert {path: fake_cluster.objects[path] for path in before} == before
    assert f"left alone Secret image-registry-tls: it is not ours (valid until {NOW + YEAR:%Y-%m-%d})" in lines
    assert "left alone Secret image-registry-db: it is not ours" in lines
    assert authority.certificate in bundle(fake_cluster)
    assert any("EXPIRED" in line for line in run(fake_cluster, NOW + YEAR * 2))


def test_an_administrators_authority_signs(fake_cluster: FakeCluster) -> None:
    authority = certificates.make_authority("corporate", NOW)
    foreign(fake_cluster, "image-registry-ca", tls_crt=authority.certificate, tls_key=authority.key)
    run(fake_cluster)
    assert certificates.signed_by(data(fake_cluster, "image-registry-tls")["tls.crt"], authority.certificate)
    assert bundle(fake_cluster) == authority.certificate


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("image-registry-tls", {"tls_crt": b"x"}, "image-registry-tls lacks tls.key"),
        ("image-registry-tls", {"tls_crt": b"x", "tls_key": b"y"}, "image-registry-tls cannot be used"),
        ("image-registry-ca", {}, "image-registry-ca lacks tls.crt and tls.key"),
        ("image-registry-db", {"username": b"u"}, "lacks database, password"),
        ("image-registry-token-keys", {"key": b"u"}, r"no key that ends in \.pem"),
    ],
)
def test_an_unusable_secret_of_an_administrator_is_an_error_with_a_cure(
    name: str, content: dict[str, bytes], sentence: str, fake_cluster: FakeCluster
) -> None:
    foreign(fake_cluster, name, **content)
    with pytest.raises(BootstrapFailed, match=f"{sentence}.*(delete|repair)"):
        run(fake_cluster)
    assert writes(fake_cluster) == []


def test_a_leaf_in_place_of_the_authority_is_an_error(fake_cluster: FakeCluster) -> None:
    leaf = certificates.make_leaf(certificates.make_authority("corporate", NOW), ["x"], NOW)
    foreign(fake_cluster, "image-registry-ca", tls_crt=leaf.certificate, tls_key=leaf.key)
    with pytest.raises(BootstrapFailed, match="may not sign others"):
        run(fake_cluster)


def test_bootstraps_at_once_end_with_one_authority(fake_cluster: FakeCluster) -> None:
    at_once([partial(run, fake_cluster)] * 4)
    authority = data(fake_cluster, "image-registry-ca")["tls.crt"]
    assert bundle(fake_cluster) == authority
    for name in release_secrets.LEAVES:
        assert certificates.signed_by(data(fake_cluster, name)["tls.crt"], authority)
        assert data(fake_cluster, name)["ca.crt"] == authority


def test_a_run_that_was_cut_off_is_finished_by_the_next(fake_cluster: FakeCluster) -> None:
    for cut in range(1, 8):
        seen = [0]

        def stop(method: str, _path: str, seen: list[int] = seen, cut: int = cut) -> None:
            if method != "GET":
                seen[0] += 1
                if seen[0] == cut:
                    fake_cluster.failures = [500]

        fake_cluster.objects.clear()
        fake_cluster.before = stop
        with pytest.raises(KubeError):
            run(fake_cluster)
        fake_cluster.before = lambda _method, _path: None
        run(fake_cluster)
        authority = data(fake_cluster, "image-registry-ca")["tls.crt"]
        assert certificates.signed_by(data(fake_cluster, "image-api-server-tls")["tls.crt"], authority)
        assert run(fake_cluster)[0].startswith("nothing to do")


def test_a_missing_permission_ends_in_a_sentence(fake_cluster: FakeCluster) -> None:
    fake_cluster.forbidden = {SECRETS.rstrip("/")}
    with pytest.raises(KubeError, match="a permission is missing"):
        run(fake_cluster)


def serve_api(fake: FakeCluster, status: str = "True", **spec: Any) -> None:
    condition = {"type": "Available", "status": status, "reason": "FailedDiscoveryCheck", "message": "no endpoints"}
    fake.put(API_SERVICE, {"spec": {"group": "image.alauda.io", **spec}, "status": {"conditions": [condition]}})


def publish(fake: FakeCluster, timeout: float = 5, on_wait: Any = lambda: None) -> list[str]:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds
        on_wait()

    return publish_api_service_ca(fake.client(), NAMESPACE, timeout, clock=lambda: now[0], sleep=sleep)


def test_the_bundle_goes_into_the_api_service_and_the_api_must_answer(fake_cluster: FakeCluster) -> None:
    run(fake_cluster)
    serve_api(fake_cluster)
    fake_cluster.put("/apis/image.alauda.io/v1", {"kind": "APIResourceList"})
    assert len(publish(fake_cluster)) == 2
    item = fake_cluster.objects[API_SERVICE]
    assert base64.b64decode(item["spec"]["caBundle"]) == bundle(fake_cluster)
    assert item["spec"]["group"] == "image.alauda.io"
    assert item["metadata"]["appliedBy"] == "image-registry-bootstrap"
    before = len(writes(fake_cluster))
    assert publish(fake_cluster) == ["APIService v1.image.alauda.io is available and answers"]
    assert len(writes(fake_cluster)) == before


@pytest.mark.parity(1)
def test_it_waits_for_the_api_service_and_its_servers(fake_cluster: FakeCluster) -> None:
    run(fake_cluster)
    steps: list[Callable[[], object]] = [
        lambda: serve_api(fake_cluster, "False"),
        lambda: serve_api(fake_cluster),
        lambda: fake_cluster.put("/apis/image.alauda.io/v1", {}),
    ]
    assert publish(fake_cluster, on_wait=lambda: steps.pop(0)())[-1].endswith("answers")
    assert not steps


def test_available_alone_is_not_believed(fake_cluster: FakeCluster) -> None:
    run(fake_cluster)
    serve_api(fake_cluster)
    with pytest.raises(BootstrapFailed, match=r"after 5 s: the API does not answer.*image-api-server"):
        publish(fake_cluster)


def test_why_it_is_unavailable_is_said(fake_cluster: FakeCluster) -> None:
    run(fake_cluster)
    with pytest.raises(BootstrapFailed, match="does not exist"):
        publish(fake_cluster)
    serve_api(fake_cluster, "False")
    with pytest.raises(BootstrapFailed, match="FailedDiscoveryCheck: no endpoints"):
        publish(fake_cluster)


def test_secrets_come_first(fake_cluster: FakeCluster) -> None:
    with pytest.raises(BootstrapFailed, match="bootstrap secrets"):
        publish(fake_cluster)


def test_keys_are_what_their_readers_expect(fake_cluster: FakeCluster) -> None:
    run(fake_cluster)
    for name in (*release_secrets.LEAVES, "image-registry-ca"):
        serialization.load_pem_private_key(data(fake_cluster, name)["tls.key"], None)
