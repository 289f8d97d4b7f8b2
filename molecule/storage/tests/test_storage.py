"""What the registry reads for its storage is there, nobody is shown it, and the Pods have begun anew with it."""

from __future__ import annotations

import json
from collections.abc import Callable

Kubectl = Callable[..., str]
SYSTEM = "image-registry-system"


def read(kubectl: Kubectl, what: str) -> dict[str, dict[str, str]]:
    return dict(json.loads(kubectl(f"-n {SYSTEM} get {what} -o json")))


def test_the_credentials_are_where_the_registry_looks(kubectl: Kubectl) -> None:
    data = read(kubectl, "secret image-registry-private-configuration-user")["data"]
    assert set(data) == {"REGISTRY_STORAGE_S3_ACCESSKEY", "REGISTRY_STORAGE_S3_SECRETKEY"}
    assert "molecule-confidential" not in kubectl(f"-n {SYSTEM} get deployment image-registry -o json")


def test_the_authority_is_readable(kubectl: Kubectl) -> None:
    assert "BEGIN CERTIFICATE" in read(kubectl, "configmap image-registry-storage-ca")["data"]["ca-bundle.crt"]


def test_the_images_lie_in_the_claim_where_they_lay(kubectl: Kubectl) -> None:
    mounted = kubectl(f"-n {SYSTEM} get deployment image-registry -o jsonpath={{.spec.template.spec.volumes}}")
    assert "image-registry-storage" in mounted
    assert read(kubectl, "persistentvolumeclaim image-registry-storage")["status"]["phase"] == "Bound"
