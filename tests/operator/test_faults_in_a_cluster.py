"""What goes wrong around a registry in a real cluster: conditions tell the truth, and the operator recovers alone.

One walk in the order of this file, in an empty lab; it leaves the lab as it was.
"""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from image_registry.kube.client import ClusterClient, object_path
from image_registry.operator import certificates
from image_registry.operator.certificates import KeyPair
from image_registry_lab.places import Places, cache
from image_registry_lab.process import Processes
from tests.clients.programs import Crane, Refused
from tests.cluster.kubernetes import NAMESPACE, ROOT, CommandFailed, Team
from tests.operator.operated import (
    HEALED,
    Operated,
    config,
    crane,
    installed,
    lab,
    operated,
    said,
    team,
)
from tests.serve.conftest import CACHE

__all__ = ["crane", "lab", "operated", "team"]

pytestmark = pytest.mark.lab

SERVED = ("image-registry-tls", "image-api-server-tls")
LEFT = 20
"""Seconds of life that a certificate still has."""

FILES = 150
"""Seconds until the kubelet has put a changed Secret into every Pod, at the latest, and the servers have read it."""

AWAY = 20
"""Seconds that the kube-apiserver is away: longer than a leader believes that it leads."""


@pytest.fixture(scope="module", autouse=True)
def registry(operated: Operated) -> None:
    storage = {"emptyDir": {}}
    database = {"postgresql": {"managed": {"emptyDir": {}}}}
    operated.kubectl.apply(config(managementState="Managed", storage=storage, metadata=database))
    operated.ready()


def of(secret: dict[str, dict[str, str]]) -> KeyPair:
    return KeyPair(*(base64.b64decode(secret["data"][key]) for key in ("tls.crt", "tls.key")))


def almost_over(client: ClusterClient, name: str) -> None:
    """Put a certificate in the place of one of ours: of the same authority, for the same names, that ends soon."""
    path = object_path("v1", "secrets", name, namespace=NAMESPACE)
    authority = of(client.get(object_path("v1", "secrets", "image-registry-ca", namespace=NAMESPACE)))
    names = sorted(certificates.names(of(client.get(path)).certificate))
    made = datetime.now(UTC) - certificates.LEAF_LIFETIME + timedelta(seconds=LEFT)
    leaf = certificates.make_leaf(authority, names, made)
    data = {"tls.crt": leaf.certificate, "tls.key": leaf.key}
    client.merge(path, {"data": {key: base64.b64encode(value).decode() for key, value in data.items()}})


def message(operated: Operated, kind: str) -> str:
    found = operated.config()["status"]["conditions"]
    return next(str(item["message"]) for item in found if item["type"] == kind)


def refused(crane: Crane, reference: str) -> str:
    """What a client is told that cannot pull; empty if it can."""
    try:
        crane.pull(reference)
    except Refused as error:
        return str(error)
    return ""


def unanswered(operated: Operated) -> str:
    """What kubectl is told that cannot ask the Image API; empty if it can."""
    try:
        operated.kubectl("get", "imagestreams", "--all-namespaces")
    except CommandFailed as error:
        return str(error)
    return ""


def test_certificates_that_ended_are_told_and_made_anew(
    operated: Operated, crane: Crane, team: Team, capsys: pytest.CaptureFixture[str]
) -> None:
    """While nobody looks after them: else none of ours lives long enough to end."""
    hello = f"{team.namespace}/hello:1"
    crane.run("push", str(CACHE / "images/bb.tar"), crane.at(hello))
    operated.patch(managementState="Unmanaged")
    operated.until(lambda: operated.said().get("Available") == "True Unmanaged", "unmanaged", HEALED)
    client = ClusterClient.from_kubeconfig(operated.kubectl.kubeconfig)
    for name in SERVED:
        almost_over(client, name)
    operated.until(
        lambda: operated.said().get("CertificatesValid") == "False CertificateExpired", "told", LEFT + HEALED
    )
    told = message(operated, "CertificatesValid")
    assert all(name in told for name in SERVED)
    assert "kubectl -n image-registry-system create job renew" in told
    operated.until(lambda: "expired" in refused(crane, hello), "clients are refused", FILES)
    operated.until(lambda: unanswered(operated) != "", "the Image API is refused", FILES)
    operated.patch(managementState="Managed")
    began = time.monotonic()
    operated.until(lambda: operated.said().get("Available", "").startswith("False "), "told in Available", HEALED)
    operated.until(lambda: operated.said().get("CertificatesValid") == "True AsExpected", "told that they are new")
    new = time.monotonic() - began
    operated.until(lambda: not refused(crane, hello) and not unanswered(operated), "served by the new ones", FILES)
    served = time.monotonic() - began
    operated.ready()
    said(
        capsys,
        f"certificates that had ended were new after {new:.0f} s, and all that was asked worked after {served:.0f} s",
    )


def test_a_kube_apiserver_that_was_away_is_no_harm(operated: Operated, capsys: pytest.CaptureFixture[str]) -> None:
    places = Places(cache())
    pid = Processes(places.run, places.logs).pid("kube-apiserver")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    time.sleep(AWAY)
    subprocess.run([ROOT / "lab/lab", "up"], check=True, capture_output=True, timeout=120)
    began = time.monotonic()
    operated.patch(logLevel="Debug")
    operated.ready()
    told = time.monotonic() - began
    operated.kubectl("-n", NAMESPACE, "delete", "service", "image-api-server")
    operated.until(lambda: operated.there("service", "image-api-server"), "looked after", HEALED)
    operated.until(lambda: not unanswered(operated), "the Image API", HEALED)
    operated.ready()
    said(
        capsys,
        f"{AWAY} s without a kube-apiserver: a change of the specification was done {told:.0f} s after it was back",
    )


def test_a_right_that_is_missing_is_named_and_given_back_it_is_used(
    operated: Operated, lab: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    roles = [item for item in installed(lab) if item["kind"] in ("ClusterRole", "Role")]
    without = [{**role, "rules": [rule for one in role["rules"] if (rule := _but(one))]} for role in roles]
    assert without != roles
    operated.kubectl.apply(*without)
    operated.until(lambda: operated.said().get("Degraded") == "True PermissionDenied", "told", HEALED)
    assert "deployments" in message(operated, "Degraded")
    assert "give the operator's ServiceAccount what its chart gives it" in message(operated, "Degraded")
    assert operated.said()["Available"] == "True Ready", "what was seen last"
    operated.kubectl.apply(*roles)
    began = time.monotonic()
    operated.ready()
    said(capsys, f"the right was given back: all well after {time.monotonic() - began:.0f} s")


def _but(rule: dict[str, Any]) -> dict[str, Any] | None:
    """A rule without Deployments."""
    if "deployments" not in rule.get("resources", []):
        return rule
    left = [name for name in rule["resources"] if name != "deployments"]
    return {**rule, "resources": left} if left else None
