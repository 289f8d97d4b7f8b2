"""The operator renews what bootstrap would renew, and is never in a circle about what bootstrap leaves alone."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from image_registry.operator import certificates
from image_registry.operator.renewal import Renewal

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
OURS = {"labels": {"app.kubernetes.io/managed-by": "image-registry-bootstrap"}}
ISSUED = {**OURS, "annotations": {"cert-manager.io/certificate-name": "image-registry-tls"}}
NAME = "image-registry-tls"
AUTHORITY = certificates.make_authority("ours", NOW)
OTHER = certificates.make_authority("another", NOW)


def secret(
    metadata: dict[str, Any], age: int = 0, ca: bytes = AUTHORITY.certificate, name: str = NAME
) -> dict[str, Any]:
    then = NOW - timedelta(days=age)
    leaf = certificates.make_leaf(certificates.make_authority("test", then), [name], then)
    data = {"tls.crt": base64.b64encode(leaf.certificate).decode(), "ca.crt": base64.b64encode(ca).decode()}
    return {"metadata": {"name": name, "resourceVersion": "1", **metadata}, "data": data}


class Cluster:
    """A Secret, and the ConfigMap with the bundle."""

    def __init__(self, item: dict[str, Any], bundle: dict[str, Any]) -> None:
        self.item = item
        self._bundle = {"metadata": bundle, "data": {"ca-bundle.crt": AUTHORITY.certificate.decode()}}
        self.read = 0

    def find(self, path: str) -> dict[str, Any]:
        if "/configmaps/" in path:
            return self._bundle
        self.read += 1
        return self.item


def due(item: dict[str, Any], bundle: dict[str, Any] = OURS, issuer: str = "") -> list[str]:
    cluster = Cluster(item, bundle)
    renewal = Renewal(cluster, "image-registry-system")  # type: ignore[arg-type]
    config = {"certificates": {"issuerRef": {"name": issuer}}}
    found = renewal.due(config, [item], NOW)
    assert renewal.due(config, [item], NOW) == found
    assert cluster.read == 1, "one version is read once"
    return found


@pytest.mark.parametrize("age", [250, 400], ids=["a third is left", "expired"])
def test_a_certificate_of_ours_that_grows_old_is_due(age: int) -> None:
    assert due(secret(OURS, age)) == [f"Secret {NAME}, whose certificate grows old"]


def test_an_authority_that_is_not_in_the_bundle_is_due() -> None:
    expected = [f"ConfigMap image-registry-ca, which lacks the authority of Secret {NAME}"]
    assert due(secret(ISSUED, ca=OTHER.certificate), issuer="internal") == expected
    assert due(secret({}, ca=OTHER.certificate)) == expected


@pytest.mark.parametrize(
    ("item", "bundle", "issuer"),
    [
        (secret(OURS), OURS, ""),
        (secret(OURS, 400), OURS, "internal"),
        (secret({}, 400), OURS, ""),
        (secret(ISSUED, 400), OURS, "internal"),
        (secret({}, ca=OTHER.certificate), {}, ""),
        (secret({}, ca=b""), OURS, ""),
        (secret({}, ca=certificates.make_authority("old", NOW - timedelta(days=4000)).certificate), OURS, ""),
        (secret(OURS, name="somebody-elses"), OURS, ""),
    ],
    ids=["new", "awaits cert-manager", "yours is expired", "cert-manager's is expired", "the bundle is yours",
         "no authority is known", "an expired authority", "another Secret"],
)  # fmt: skip
def test_what_bootstrap_leaves_alone_is_not_due(item: dict[str, Any], bundle: dict[str, Any], issuer: str) -> None:
    if item["metadata"]["name"] == NAME:
        assert due(item, bundle, issuer) == []
    else:
        assert Renewal(Cluster(item, bundle), "n").due({}, [item], NOW) == []  # type: ignore[arg-type]
