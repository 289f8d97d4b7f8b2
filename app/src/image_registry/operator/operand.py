"""The cluster as the operator sees it: Config, Helm's records, workloads, the claim; and the few writes of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.errors import KubeError
from image_registry.kube.release_record import RELEASE, Release, read
from image_registry.operator import config_values
from image_registry.operator.conditions import SERVERS, Condition
from image_registry.operator.config_status import WORKLOADS, instead
from image_registry.operator.drift import Comparison
from image_registry.operator.left_roles import left_roles, missing_condition
from image_registry.operator.release_secrets import AUTHORITY, LEAVES, TOKEN_KEYS
from image_registry.operator.renewal import Renewal
from image_registry.operator.surroundings import Lookout

GROUP_VERSION = "imageregistry.operator.alauda.io/v1"
API_SERVICE = "v1.image.alauda.io"
CONFIG = object_path(GROUP_VERSION, "configs", "cluster")
ALWAYS = (AUTHORITY, *(name for name in LEAVES if name != "image-registry-db-tls"), TOKEN_KEYS)
"""Secrets that every installation has and no template makes."""

_METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


def _name(item: Mapping[str, Any]) -> str:
    return f"{item['kind']} {item['metadata']['name']}"


class Operand:
    """Thread-confined: the reconciler's. Everything raises KubeError and ClusterUnreachable."""

    def __init__(self, client: ClusterClient, namespace: str) -> None:
        self._client = client
        self.namespace = namespace
        self._comparison = Comparison(client, namespace)
        self._renewal = Renewal(client, namespace)
        self.lookout = Lookout(client, namespace)
        self._records: dict[tuple[str, str], Release | None] = {}
        self.missing_roles: Condition | None = None
        """What :meth:`whose_roles` has found of roles that are left to somebody and that nobody has made."""

    def config(self) -> dict[str, Any] | None:
        """``Config/cluster``, read live: a remembered one could be older than what was done."""
        return self._client.find(CONFIG)

    def releases(self) -> list[Release]:
        """Helm's revisions, the newest first; each record is read and decoded once."""
        query = {"labelSelector": f"owner=helm,name={RELEASE}"}
        listed = self._client.get(self._path("v1", "secrets"), query=query, accept=_METADATA_LIST)
        known: dict[tuple[str, str], Release | None] = {}
        for item in listed.get("items") or []:
            name = str(item["metadata"]["name"])
            key = (name, str(item["metadata"]["resourceVersion"]))
            if key in self._records:
                known[key] = self._records[key]
            elif (secret := self._client.find(self._path("v1", "secrets", name))) is not None:
                known[key] = read(secret)
        self._records = known
        return sorted((found for found in known.values() if found), key=lambda found: found.revision, reverse=True)

    def forget(self, release: Release) -> None:
        """Take a revision out of Helm's history; what it made stays."""
        self._client.delete(self._path("v1", "secrets", release.name))

    def whose_roles(self, base: Mapping[str, Any], history: Sequence[Release]) -> dict[str, Any]:
        """``clusterRoles`` of the chart's values: of the told names they leave those that another release owns."""
        self.missing_roles = None
        told = base.get("clusterRoles") or {}
        names = told.get("leave") or ()
        if not names:
            return {}
        looked_at = {str(name): self._role(str(name)) for name in names}
        roles = {name: found for name, found in looked_at.items() if found}
        left = left_roles(names, roles, history, self.namespace)
        missing = [name for name in left if looked_at[name] is None]
        self.missing_roles = missing_condition(left, missing)
        return {"clusterRoles": {**told, "leave": left}}

    def drift(self, release: Release) -> tuple[str, ...]:
        """What is missing or was changed of a finished release."""
        found = list(self._comparison.changed(release.name, release.objects()))
        if config_values.state_of(release.values.get("config") or {}) != config_values.REMOVED:
            listed = self._client.get(self._path("v1", "secrets"), accept=_METADATA_LIST)
            there = {item["metadata"]["name"] for item in listed.get("items") or []}
            found += [f"Secret {name}" for name in ALWAYS if name not in there]
            config = release.values.get("config") or {}
            found += self._renewal.due(config, listed.get("items") or [], datetime.now(UTC))
        return tuple(found)

    def mend(self, release: Release, changed: tuple[str, ...]) -> None:
        """Change back what was edited and Helm would not."""
        self._comparison.mend(item for item in release.objects() if _name(item) in changed)

    def workloads(self) -> list[dict[str, Any]]:
        """Deployments, StatefulSets and DaemonSets of the release."""
        query = {"labelSelector": f"app.kubernetes.io/instance={RELEASE}"}
        found = []
        for kind, resource in WORKLOADS.items():
            listed = self._client.get(self._path("apps/v1", resource), query=query)
            found += [{**item, "kind": kind} for item in listed.get("items") or []]
        return found

    def claim(self, spec: Mapping[str, Any]) -> dict[str, Any] | None:
        """The claim of the images, if they are in one and it exists."""
        storage = config_values.storage_of(spec)
        if storage is None or storage[0] != "pvc":
            return None
        name = str(storage[1].get("claim") or config_values.CLAIM)
        return self._client.find(self._path("v1", "persistentvolumeclaims", name))

    def owned_claims(self, config: Mapping[str, Any], applied: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
        """Claims that were made for this Config and go with it, if its storage is Managed.

        What is older than Config was there before the operator: it is adopted, and so is then everything.
        """
        spec = dict(config.get("spec") or {})
        if config_values.storage_of(spec) is None:
            spec["storage"] = applied.get("storage") or {}
        spec["metadata"] = spec.get("metadata") or applied.get("metadata") or {}
        found = []
        for name in config_values.own_claims(spec):
            claim = self._client.find(self._path("v1", "persistentvolumeclaims", name))
            if claim is None:
                continue
            labels = claim["metadata"].get("labels") or {}
            made = str(claim["metadata"].get("creationTimestamp") or "")
            ours = labels.get("app.kubernetes.io/instance") == RELEASE
            if not ours or made < str(config["metadata"].get("creationTimestamp") or "9999"):
                return ()
            found.append(claim)
        return tuple(found)

    def _role(self, name: str) -> dict[str, Any] | None:
        """``None`` if there is none. One that may not be read is none that the chart makes, and empty."""
        try:
            return self._client.find(object_path("rbac.authorization.k8s.io/v1", "clusterroles", name))
        except KubeError as error:
            if not error.forbidden:
                raise
            return {}

    def delete_claim(self, claim: Mapping[str, Any]) -> None:
        """Delete exactly this one; another of the same name that came after it stays."""
        path = self._path("v1", "persistentvolumeclaims", str(claim["metadata"]["name"]))
        only = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": claim["metadata"]["uid"]}}
        self._client.request("DELETE", path, only)

    def image_api(self) -> str:
        """Why the Image API is not available; empty if it is."""
        service = self._client.find(object_path("apiregistration.k8s.io/v1", "apiservices", API_SERVICE))
        if service is None:
            return f"APIService {API_SERVICE} does not exist"
        for condition in (service.get("status") or {}).get("conditions") or []:
            if condition.get("type") == "Available":
                if condition.get("status") == "True":
                    return ""
                return f"the Image API is not available: {condition.get('reason')}: {condition.get('message')}"
        return f"kube-apiserver has not looked at APIService {API_SERVICE} yet"

    def keep_claim(self, name: str) -> None:
        """Let Helm leave a claim where it is when it is no longer part of the release."""
        path = self._path("v1", "persistentvolumeclaims", name)
        if self._client.find(path) is not None:
            self._client.merge(path, {"metadata": {"annotations": {"helm.sh/resource-policy": "keep"}}})

    def write_status(self, config: Mapping[str, Any], status: Mapping[str, Any]) -> bool:
        """Write the status if it is another one; says whether it was."""
        before = config.get("status") or {}
        if before == status:
            return False
        self._client.merge(f"{CONFIG}/status", {"status": instead(before, status)})
        return True

    def servers(self, workloads: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """The two Deployments by name, as far as they exist."""
        found = {item["metadata"]["name"]: item for item in workloads if item["kind"] == "Deployment"}
        return {name: found[name] for name in SERVERS if name in found}

    def _path(self, group_version: str, resource: str, name: str = "") -> str:
        return object_path(group_version, resource, name, namespace=self.namespace)
