"""Where the registries of a migration have their bytes, as their objects say: a volume, a folder of a node, a bucket.

Named fakes of volumes are two folders: one is the legacy registry's, whatever its objects call it, the other is new.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from image_registry.kube.client import ClusterClient, object_path
from image_registry_lab.legacy.variants import NAMESPACE as LEGACY
from image_registry_lab.legacy.variants import Variant

TARGET, NAME = "image-registry-system", "image-registry"
CREDENTIALS = "image-registry-private-configuration-user"
CLAIMS = "persistentvolumeclaims"


@dataclass(frozen=True)
class Place:
    """Where this registry has its bytes, as its process is told."""

    root: Path
    options: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Storages:
    """Of both registries; ``data`` is the folder of the legacy one, others are made in ``folder``."""

    client: ClusterClient
    variant: Variant
    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "volume-of-the-legacy-registry"

    def of_legacy(self, settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
        """``storage`` of its configuration, and the environment that kubelet would make of its Secret."""
        if "filesystem" in settings:
            return {**settings, "filesystem": {"rootdirectory": str(self.data)}}, {}
        keys = self._secret(LEGACY, "registry-s3-secret")
        names = {"ACCESSKEY": "access-key-id", "SECRETKEY": "secret-access-key"}
        return dict(settings), {f"REGISTRY_STORAGE_S3_{name}": keys[key] for name, key in names.items()}

    def of_ours(self) -> Place | None:
        """What the Deployment names: a bucket, or the folder behind the claim; ``None`` while there is no claim."""
        found = self.client.get(object_path("apps/v1", "deployments", NAME, namespace=TARGET))
        container = next(one for one in found["spec"]["template"]["spec"]["containers"] if one["name"] == "registry")
        told = {entry["name"]: entry.get("value", "") for entry in container["env"]}
        if told["REGISTRY_STORAGE"] == "s3":
            return self._bucket(told)
        claim = self.client.find(object_path("v1", CLAIMS, "image-registry-storage", namespace=TARGET))
        if claim is None:
            return None
        if not claim["spec"].get("volumeName"):
            return Place(self.folder / "volume-of-this-registry")
        self._same_volume(claim)
        return Place(self.data)

    def _bucket(self, told: Mapping[str, str]) -> Place:
        mounted = self.folder / "credentials-of-the-bucket"
        mounted.mkdir(mode=0o700, exist_ok=True)
        for key, value in self._secret(TARGET, CREDENTIALS).items():
            (mounted / key).write_text(value)
        kept = {name: value for name, value in told.items() if name.startswith("REGISTRY_STORAGE_")}
        kept["REGISTRY_STORAGE_CREDENTIALS"] = str(mounted)
        return Place(self.folder / "without-a-volume", ("--storage=s3",), kept)

    def _same_volume(self, claim: Mapping[str, Any]) -> None:
        """That of the legacy registry, by what both volume objects say of the storage; else the test fails."""
        here = self._source(claim["spec"]["volumeName"])
        if self.variant.storage == "local":
            assert here["local"] == {"path": self.variant.local_path}, here
            return
        old = self.client.find(object_path("v1", CLAIMS, self.variant.name, namespace=LEGACY))
        assert old is not None, "the old claim is gone"
        there = self._source(old["spec"]["volumeName"])
        assert here["csi"]["volumeAttributes"] == there["csi"]["volumeAttributes"], (here, there)

    def _source(self, volume: str) -> Mapping[str, Any]:
        spec: Mapping[str, Any] = self.client.get(object_path("v1", "persistentvolumes", volume))["spec"]
        return spec

    def _secret(self, namespace: str, name: str) -> dict[str, str]:
        data = self.client.get(object_path("v1", "secrets", name, namespace=namespace))["data"]
        return {key: base64.b64decode(value).decode() for key, value in data.items()}
