"""A way in from outside in a real cluster: Traefik serves it, a node pulls through it, and what breaks is told by name.

One walk in the order of this file, in an empty lab; it leaves the lab as it was. Traefik is a real controller; the
other kinds that the chart speaks to are told what their documentation asks for, and nothing here runs them.
"""

from __future__ import annotations

import base64
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from image_registry.operator import certificates
from image_registry.operator.certificates import KeyPair
from tests.clients.programs import Crane, Refused
from tests.cluster.kubernetes import NAMESPACE, CommandFailed, Team
from tests.operator.operated import Operated, config, crane, in_node, lab, operated, team
from tests.serve.conftest import CACHE

__all__ = ["crane", "lab", "operated", "team"]

pytestmark = pytest.mark.lab

HOST = "registry.lab.example"
NODE = "10.213.0.11"
NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def authority() -> KeyPair:
    return certificates.make_authority("an authority that no node knows", NOW - timedelta(days=800))


def serve_with(operated: Operated, authority: KeyPair, age: timedelta = timedelta()) -> None:
    """Put a certificate of the route into its Secret."""
    leaf = certificates.make_leaf(authority, [HOST], NOW - age)
    content = {"tls.crt": leaf.certificate, "tls.key": leaf.key, "ca.crt": authority.certificate}
    data = {key: base64.b64encode(value).decode() for key, value in content.items()}
    metadata = {"name": "lab-route", "namespace": NAMESPACE}
    operated.kubectl.apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "kubernetes.io/tls", "data": data}
    )


def asked(ca: Path) -> str:
    """The status and the challenge that a client outside of the cluster gets; empty while nobody answers."""
    command = ["curl", "--silent", "--show-error", "--cacert", str(ca), "--resolve", f"{HOST}:443:{NODE}"]
    command += ["--include", "--max-time", "10", f"https://{HOST}/v2/"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""


def test_a_registry_with_managed_storage_says_what_would_go(operated: Operated) -> None:
    storage = {"managementState": "Managed", "pvc": {"size": "2Gi"}}
    database = {"postgresql": {"managed": {"size": "1Gi"}}}
    operated.kubectl.apply(config(managementState="Managed", storage=storage, metadata=database))
    operated.ready()
    claims = ["image-registry-storage", "data-image-registry-db-0"]
    operated.until(lambda: operated.config()["status"].get("ownedClaims") == claims, "told what would go", 60)
    operated.until(lambda: operated.said().get("NodeCADaemonAvailable") == "True AsExpected", "trusted by its node", 60)
    assert operated.said()["CertificatesValid"] == "True AsExpected"


def test_a_route_is_served_with_its_own_certificate(
    operated: Operated, crane: Crane, team: Team, authority: KeyPair, tmp_path: Path
) -> None:
    crane.run("push", str(CACHE / "images/bb.tar"), crane.at(f"{team.namespace}/hello:1"))
    serve_with(operated, authority)
    operated.patch(routes=[{"name": "public", "hostname": HOST, "secretName": "lab-route"}])
    operated.ready()
    ca = tmp_path / "ca.crt"
    ca.write_bytes(authority.certificate)
    operated.until(lambda: " 401" in asked(ca).partition("\n")[0], "the registry's challenge through Traefik", 60)
    assert "bearer" in asked(ca).lower()
    said = operated.said()
    # Traefik writes no address into an Ingress unless it is told one
    assert said["IngressDegraded"] in ("False WaitingForAddress", "False AsExpected")
    assert said["CertificatesValid"] == "True AsExpected"
    (route,) = operated.config()["status"]["routes"]
    assert route["hostname"] == HOST
    assert route["certificateExpires"]
    assert operated.config()["status"]["hostnames"]["external"] == [HOST]
    stream = operated.kubectl.json("get", "imagestream", "hello", "-n", team.namespace)
    operated.until(
        lambda: (
            operated.kubectl.json("get", "imagestream", "hello", "-n", team.namespace)["status"].get(
                "publicDockerImageRepository"
            )
            == f"{HOST}/{team.namespace}/hello"
        ),
        f"the public address in {stream['metadata']['name']}",
        60,
    )


@pytest.fixture
def known_host() -> Iterator[None]:
    """The name service that a real node would ask."""
    in_node("sh", "-c", f"echo '{NODE} {HOST}' >> /etc/hosts")
    yield
    in_node("sh", "-c", f"grep -v {HOST} /etc/hosts > /tmp/hosts; cat /tmp/hosts > /etc/hosts; rm /tmp/hosts")


@pytest.mark.usefixtures("known_host")
def test_a_node_pulls_through_the_route_by_an_authority_it_was_taught(operated: Operated, team: Team) -> None:
    where = f"/etc/containerd/certs.d/{HOST}/hosts.toml"
    operated.until(lambda: HOST in in_node("sh", "-c", f"cat {where} || true"), "taught", 90)
    assert "BEGIN CERTIFICATE" in in_node("cat", f"/etc/docker/certs.d/{HOST}/ca.crt")
    auths = {HOST: {"username": "builder", "password": team.token()}}
    data = {".dockerconfigjson": json.dumps({"auths": auths})}
    metadata = {"name": "by-route", "namespace": team.namespace}
    kind = "kubernetes.io/dockerconfigjson"
    operated.kubectl.apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": kind, "stringData": data}
    )
    team.run("by-route", f"{HOST}/{team.namespace}/hello:1", secret="by-route")
    operated.kubectl("-n", team.namespace, "wait", "pod/by-route", "--for=condition=Ready", "--timeout=90s")


def test_certificates_are_made_anew_while_images_are_pulled(operated: Operated, crane: Crane, team: Team) -> None:
    stop, pulled, failed = threading.Event(), [0], []

    def pulling() -> None:
        while not stop.is_set():
            try:
                crane.run("manifest", crane.at(f"{team.namespace}/hello:1"))
                pulled[0] += 1
            except Refused as error:
                failed.append(str(error))

    def serving() -> str:
        return str(operated.kubectl.json("-n", NAMESPACE, "get", "secret", "image-registry-tls")["data"]["tls.crt"])

    before, worker = serving(), threading.Thread(target=pulling, daemon=True)
    worker.start()
    try:
        operated.kubectl("-n", NAMESPACE, "delete", "secret", "image-registry-tls")

        def renewed() -> bool:
            try:
                return serving() != before
            except CommandFailed:
                return False

        operated.until(renewed, "another certificate", 90)
        operated.ready()
        time.sleep(5)
    finally:
        stop.set()
        worker.join(30)
    assert failed == []
    assert pulled[0] > 10
    assert operated.said()["CertificatesValid"] == "True AsExpected"


def test_an_expired_certificate_of_the_route_is_told_and_another_one_heals(
    operated: Operated, authority: KeyPair
) -> None:
    serve_with(operated, authority, timedelta(days=400))
    operated.until(
        lambda: operated.said().get("IngressDegraded") == "True CertificateExpired", "told that it expired", 60
    )
    assert operated.said()["CertificatesValid"] == "False CertificateExpired"
    serve_with(operated, authority)
    operated.until(lambda: operated.said().get("CertificatesValid") == "True AsExpected", "told that it is good", 60)


def test_a_node_whose_containerd_reads_no_certs_d_is_named(operated: Operated) -> None:
    def edit(command: str) -> None:
        in_node("sed", "-i", command, "/etc/containerd/config.toml")

    edit("s/config_path/#config_path/")
    try:
        operated.until(
            lambda: operated.said().get("NodeCADaemonAvailable") == "False ConfigPathMissing", "told of the node", 90
        )
        found = operated.config()["status"]["conditions"]
        said = next(item["message"] for item in found if item["type"] == "NodeCADaemonAvailable")
        assert said.startswith("n1 of 1 nodes: /etc/containerd/config.toml sets no registry config_path")
    finally:
        edit("s/#config_path/config_path/")
    operated.until(
        lambda: operated.said().get("NodeCADaemonAvailable") == "True AsExpected", "told that it is well", 90
    )


def test_a_route_that_is_taken_away_is_forgotten_by_nodes(operated: Operated) -> None:
    operated.patch(routes=[])
    where = f"/etc/containerd/certs.d/{HOST}"
    operated.until(lambda: in_node("sh", "-c", f"ls -d {where} || true") == "", "forgotten", 90)
    operated.ready()
    assert "IngressDegraded" not in operated.said()


def test_removed_takes_exactly_the_managed_storage(operated: Operated) -> None:
    mine: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "somebody-elses", "namespace": NAMESPACE},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    operated.kubectl.apply(mine)
    operated.patch(managementState="Removed")
    claims = ("pvc/image-registry-storage", "pvc/data-image-registry-db-0")
    operated.until(lambda: not any(operated.there(claim) for claim in claims), "the claims are gone", 120)
    assert operated.there("pvc/somebody-elses")
    operated.until(lambda: operated.said().get("StorageExists") == "False ClaimDeleted", "told", 60)
    operated.patch(managementState="Managed")
    operated.ready()
    assert operated.there("pvc/image-registry-storage")
