"""What Operator Lifecycle Manager makes of a bundle for an OperatorGroup of all namespaces; a named fake of OLM.

Written after reading operator-lifecycle-manager (pkg/controller: `install/deployment.go`, `registry/resolver/steps.go`,
`operators/olm/operatorgroup.go`, `operators/catalog/operator.go`): the order of an InstallPlan, the names, the labels
and annotations that Pods can see, and the rights. What it leaves out is what only a real one can prove: reading a
catalog, deciding on upgrades, waiting for `Succeeded`, checking objects against a new definition before replacing it.
"""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]

GROUP = "global-operators"
NAMESPACED = {"ConfigMap", "PodDisruptionBudget", "Role", "RoleBinding", "Secret", "Service"}


def read(bundle: Path) -> tuple[Object, list[Object]]:
    """The ClusterServiceVersion and the other objects, each the first document of its file, as OLM reads them."""
    items = [next(iter(yaml.safe_load_all(path.read_text()))) for path in sorted((bundle / "manifests").glob("*.yaml"))]
    (version,) = [item for item in items if item["kind"] == "ClusterServiceVersion"]
    return version, [item for item in items if item is not version]


def install(bundle: Path, namespace: str) -> list[Object]:
    """Every object that would be in the cluster, in the order in which it would be made."""
    version, others = read(bundle)
    name = version["metadata"]["name"]
    strategy = version["spec"]["install"]["spec"]
    owned = {"olm.owner": name, "olm.owner.kind": "ClusterServiceVersion", "olm.owner.namespace": namespace}
    made: list[Object] = [item for item in others if item["kind"] == "CustomResourceDefinition"]
    for item in (item for item in others if item["kind"] in NAMESPACED):
        metadata = {**item["metadata"], "namespace": namespace}
        metadata["labels"] = {**(metadata.get("labels") or {}), "olm.managed": "true"}
        made.append({**item, "metadata": metadata})
    # the OperatorGroup is of all namespaces, so what would be in one namespace is lifted to the cluster
    given = [*strategy.get("permissions", []), *strategy.get("clusterPermissions", [])]
    accounts = dict.fromkeys(one["serviceAccountName"] for one in given)
    made += [_object("v1", "ServiceAccount", account, namespace) for account in accounts]
    for number, one in enumerate(given):
        role = f"{name}-{_short(json.dumps(one, sort_keys=True))}-{number}"
        bare = _object("rbac.authorization.k8s.io/v1", "ClusterRole", role, labels=owned)
        made.append({**bare, "rules": one["rules"]})
        binding = _object("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", role, labels=owned)
        binding["roleRef"] = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
        binding["subjects"] = [{"kind": "ServiceAccount", "name": one["serviceAccountName"], "namespace": namespace}]
        made.append(binding)
    return made + [_deployment(version, one, namespace, owned) for one in strategy["deployments"]]


def _deployment(version: Object, one: Object, namespace: str, owned: dict[str, str]) -> Object:
    spec = copy.deepcopy(one["spec"])
    template = spec["template"]
    template["metadata"]["annotations"] = {
        **(template["metadata"].get("annotations") or {}),
        **version["metadata"]["annotations"],
        "olm.operatorGroup": GROUP,
        "olm.operatorNamespace": namespace,
        "olm.targetNamespaces": "",
    }
    for container in template["spec"]["containers"]:
        container.setdefault("env", []).append(
            {"name": "OPERATOR_CONDITION_NAME", "value": version["metadata"]["name"]}
        )
    spec["revisionHistoryLimit"] = 1
    labels = {**one.get("label", {}), **owned, "olm.managed": "true"}
    return {**_object("apps/v1", "Deployment", one["name"], namespace, labels), "spec": spec}


def _object(version: str, kind: str, name: str, namespace: str = "", labels: dict[str, str] | None = None) -> Object:
    metadata: Object = {"name": name, **({"namespace": namespace} if namespace else {})}
    if labels:
        metadata["labels"] = labels
    return {"apiVersion": version, "kind": kind, "metadata": metadata}


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:10]
