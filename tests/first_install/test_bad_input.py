"""Whatever is wrong ends in one sentence that names the cure, with nothing half-installed; after the cure it installs.

The tests run in order on a cluster without the registry and leave it installed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.cluster.kubernetes import NAMESPACE, Kubectl
from tests.first_install.conftest import Run

pytestmark = pytest.mark.lab

Install = Callable[..., Run]
CLUSTER_WIDE = "clusterroles,clusterrolebindings,apiservices,customresourcedefinitions,persistentvolumes"


def inventory(kubectl: Kubectl) -> set[str]:
    """Everything of the cluster that an installation could leave behind."""
    wide = {f"{item['kind']}/{item['metadata']['name']}" for item in kubectl.json("get", CLUSTER_WIDE)["items"]}
    return wide | {f"Namespace/{name}" for name in kubectl.names("namespaces")}


def refused(install: Install, kubectl: Kubectl, *words: str, **variables: Any) -> str:
    """The sentence of a run that must fail and change nothing."""
    before = inventory(kubectl)
    run = install(**variables)
    assert run.status != 0, run.output
    found = re.search(r"^\[ERROR\]: (?:Task failed: )?(.*?)(?:\nOrigin:|\n\n)", run.output, re.DOTALL | re.MULTILINE)
    assert found, run.output
    sentence = found[1]
    for word in words:
        assert word in sentence, run.output
    assert "Traceback" not in run.output
    assert inventory(kubectl) <= before, "something of a refused installation was left"
    return sentence


def test_an_unknown_values_key_is_named_with_the_one_that_was_meant(install: Install, kubectl: Kubectl) -> None:
    refused(install, kubectl, "registry_config.replcias", " replicas,", registry_config={"replcias": 2})


def test_a_missing_storage_class_is_named_with_those_that_exist(install: Install, kubectl: Kubectl) -> None:
    storage = {"pvc": {"storageClassName": "fast-ssd"}}
    refused(install, kubectl, "fast-ssd", "local-path", registry_config={"storage": storage})


def test_two_replicas_on_a_volume_of_one_node_are_refused(install: Install, kubectl: Kubectl) -> None:
    refused(install, kubectl, "ReadWriteOnce", "ReadWriteMany", registry_config={"replicas": 2})


def test_several_needs_are_named_at_once(install: Install, kubectl: Kubectl) -> None:
    config = {"replicas": 2, "storage": {"pvc": {"storageClassName": "fast-ssd"}}}
    refused(install, kubectl, "2 needs", "fast-ssd", "ReadWriteMany", registry_config=config)


def test_an_api_server_that_cannot_be_reached_is_named(
    install: Install, kubectl: Kubectl, write_kubeconfig: Callable[..., Path]
) -> None:
    kubeconfig = write_kubeconfig(server="https://127.0.0.1:1")
    sentence = refused(install, kubectl, "https://127.0.0.1:1", registry_kubeconfig=str(kubeconfig))
    assert "refused" in sentence or "connect" in sentence


def test_a_kubeconfig_that_does_not_exist_is_named(install: Install, kubectl: Kubectl, tmp_path: Path) -> None:
    missing = tmp_path / "nowhere"
    refused(install, kubectl, str(missing), registry_kubeconfig=str(missing))


def test_an_expired_kubeconfig_is_said_to_be_expired(
    install: Install, kubectl: Kubectl, write_kubeconfig: Callable[..., Path]
) -> None:
    kubeconfig = write_kubeconfig(certificate=expired(kubectl.kubeconfig.parent / "state/pki"))
    sentence = refused(install, kubectl, str(kubeconfig), registry_kubeconfig=str(kubeconfig))
    assert "expired" in sentence


def test_an_account_without_permission_reads_what_is_missing(
    install: Install, kubectl: Kubectl, write_kubeconfig: Callable[..., Path]
) -> None:
    token = kubectl("-n", "default", "create", "token", "default").strip()
    kubeconfig = write_kubeconfig(token=token)
    sentence = refused(install, kubectl, registry_kubeconfig=str(kubeconfig))
    assert "may not" in sentence or "permission" in sentence
    assert token not in sentence


def test_an_image_that_cannot_be_pulled_is_named_and_the_installation_taken_back(
    install: Install, kubectl: Kubectl
) -> None:
    image = {"registry": "lab.local", "repository": "image-registry", "tag": "no-such-tag"}
    refused(install, kubectl, "no-such-tag", registry_image=image, registry_patience=20, registry_wait_timeout=120)


def test_after_the_cure_it_installs_and_a_second_run_changes_nothing(install: Install, kubectl: Kubectl) -> None:
    first = install()
    assert first.status == 0, first.output
    assert first.changed > 0
    assert NAMESPACE in kubectl.names("namespaces")
    second = install()
    assert second.status == 0, second.output
    assert second.changed == 0


def expired(authority: Path) -> tuple[bytes, bytes]:
    """A certificate of the lab's own authority whose last day was yesterday, and its key."""
    ca = x509.load_pem_x509_certificate((authority / "ca.crt").read_bytes())
    ca_key = serialization.load_pem_private_key((authority / "ca.key").read_bytes(), None)
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    name = [(NameOID.ORGANIZATION_NAME, "system:masters"), (NameOID.COMMON_NAME, "admin")]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(oid, value) for oid, value in name]))
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now - timedelta(days=1))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    return certificate.public_bytes(serialization.Encoding.PEM), private
