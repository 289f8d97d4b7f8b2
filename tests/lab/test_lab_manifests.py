from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from image_registry_lab import addresses, archives, manifests
from image_registry_lab.report import LabError

LOCAL_PATH_AS_UPSTREAM = f"""\
metadata:
  name: local-path
---
          image: rancher/local-path-provisioner:v{archives.LOCAL_PATH.rpartition(":")[2]}
          command:
            - local-path-provisioner
            - --debug
            - start
---
        image: busybox
"""


def own() -> list[dict[str, Any]]:
    texts = [manifests.fill(path.read_text("utf-8")) for path in sorted(manifests.OWN.glob("*.yaml"))]
    return [document for text in texts for document in yaml.safe_load_all(text)]


def test_every_image_of_ours_is_one_that_the_lab_makes() -> None:
    made = {archives.COREDNS, archives.TRAEFIK}
    used = [
        container["image"]
        for document in own()
        if document["kind"] == "Deployment"
        for container in document["spec"]["template"]["spec"]["containers"]
    ]
    assert set(used) == made


def test_names_are_served_where_kubelets_tell_pods_to_ask() -> None:
    (service,) = [document for document in own() if document["kind"] == "Service"]
    assert service["spec"]["clusterIP"] == addresses.DNS_SERVICE


def test_there_is_one_default_way_in() -> None:
    (ingress_class,) = [document for document in own() if document["kind"] == "IngressClass"]
    assert ingress_class["metadata"]["annotations"]["ingressclass.kubernetes.io/is-default-class"] == "true"


def test_the_provisioners_manifest_gets_our_images_and_becomes_the_default() -> None:
    edited = manifests.edit(LOCAL_PATH_AS_UPSTREAM, manifests.LOCAL_PATH_EDITS, "there")
    assert archives.LOCAL_PATH in edited
    assert archives.BUSYBOX in edited
    assert 'is-default-class: "true"' in edited
    assert "rancher/" not in edited


def test_a_new_version_that_looks_different_is_noticed() -> None:
    with pytest.raises(LabError, match=r"0 places that read 'image: busybox'(.|\n)*pinned version looks different"):
        manifests.edit(
            LOCAL_PATH_AS_UPSTREAM.replace("busybox", "alpine"), manifests.LOCAL_PATH_EDITS, "local-path-storage.yaml"
        )


def test_definitions_are_applied_before_what_may_use_them(tmp_path: Path) -> None:
    for name in ("traefik-definitions", "local-path", "traefik-rbac"):
        (tmp_path / f"{name}.yaml").write_text(f"kind: {name}\n")
    texts = manifests.texts(tmp_path)
    assert texts[0] == "kind: traefik-definitions\n"
    assert texts[-1] == "kind: traefik-rbac\n"
    assert sum("kind: Namespace" in text for text in texts[:-1]) == 1
