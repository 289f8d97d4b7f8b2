"""Certificates renew by themselves: the daily job, run now."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

import pytest

from tests.cluster.kubernetes import NAMESPACE, Kubectl

pytestmark = pytest.mark.lab

KEPT = ("image-registry-ca", "image-registry-tls", "image-api-server-tls", "image-registry-token-keys")


@pytest.fixture
def renew(kubectl: Kubectl) -> Iterator[Callable[[], None]]:
    """Runs the job of the CronJob to its end."""
    made = []

    def run() -> None:
        name = f"renew-{secrets.token_hex(3)}"
        made.append(name)
        kubectl("-n", NAMESPACE, "create", "job", name, "--from=cronjob/image-registry-certificates")
        kubectl("-n", NAMESPACE, "wait", f"job/{name}", "--for=condition=Complete", "--timeout=120s")

    yield run
    for name in made:
        kubectl("-n", NAMESPACE, "delete", "job", name, "--wait=false")


def data(kubectl: Kubectl, name: str) -> dict[str, str]:
    found: dict[str, str] = kubectl.json("-n", NAMESPACE, "get", "secret", name)["data"]
    return found


def test_what_is_not_old_stays_as_it_is(kubectl: Kubectl, renew: Callable[[], None]) -> None:
    before = {name: data(kubectl, name) for name in KEPT}
    renew()
    assert {name: data(kubectl, name) for name in KEPT} == before


def test_a_certificate_that_is_gone_is_made_again_and_nobody_notices(
    kubectl: Kubectl, renew: Callable[[], None]
) -> None:
    before = data(kubectl, "image-api-server-tls")
    kubectl("-n", NAMESPACE, "delete", "secret", "image-api-server-tls")
    renew()
    after = data(kubectl, "image-api-server-tls")
    assert after.keys() == before.keys()
    assert after["tls.crt"] != before["tls.crt"]
    kubectl("wait", "apiservice/v1.image.alauda.io", "--for=condition=Available", "--timeout=60s")
    kubectl("get", "imagestreams", "--all-namespaces")
