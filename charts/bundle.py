"""The chart's objects as an OLM bundle (registry+v1): which file holds what. Pure.

OLM makes the ServiceAccount, the cluster-wide rights and the Deployment from the ClusterServiceVersion. Rights in the
operator's own namespace are objects of their own in the bundle and not ``permissions`` of the ClusterServiceVersion:
for an operator of all namespaces OLM makes those cluster-wide, and this one could change every Deployment. A bundle can
have objects in no other namespace, so what the chart gives in single other namespaces becomes cluster-wide.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from cluster_service_version import Rights, version_object

Object = dict[str, Any]

MEDIA_TYPE = "registry+v1"
PREFIX = "operators.operatorframework.io.bundle"

OLM_KINDS = {
    "ClusterRole",
    "ClusterRoleBinding",
    "ConfigMap",
    "ConsoleYAMLSample",
    "CustomResourceDefinition",
    "PodDisruptionBudget",
    "PriorityClass",
    "PrometheusRule",
    "Role",
    "RoleBinding",
    "Secret",
    "Service",
    "ServiceAccount",
    "ServiceMonitor",
    "VerticalPodAutoscaler",
}
"""Kinds beside the ClusterServiceVersion that OLM takes in a bundle."""

OF_HELM = ("app.kubernetes.io/managed-by", "helm.sh/chart", "app.kubernetes.io/instance")


def files(
    source: Object, chart: Object, objects: Sequence[Object], operand: Object, icon: bytes
) -> dict[str, Object | str]:
    """By the name below the bundle's folder: documents, and texts that are no YAML."""
    home = str(source["namespace"])
    account = _one(objects, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"]
    rights, rest = split(objects, account, home)
    (deployment,) = [item for item in rest if item["kind"] == "Deployment"]
    definitions = [without_helm(item) for item in rest if item["kind"] == "CustomResourceDefinition"]
    version = version_object(source, chart, deployment, definitions, rights, operand, icon)
    found: dict[str, Object | str] = {f"manifests/{source['package']}.clusterserviceversion.yaml": version}
    for item in rest:
        if item["kind"] in ("Deployment", "ServiceAccount") or _is_passed_values(item, deployment):
            continue
        if item["kind"] not in OLM_KINDS:
            raise SystemExit(f"{item['kind']} {item['metadata']['name']}: OLM takes no such object in a bundle")
        found[f"manifests/{_file(item)}"] = without_helm(item, namespace=home)
    labels = annotations(source)
    return {
        **found,
        "metadata/annotations.yaml": {"annotations": labels},
        "Containerfile": containerfile(labels, source["package"]),
    }


def split(objects: Sequence[Object], account: str, home: str) -> tuple[Rights, list[Object]]:
    """The account's rights that the ClusterServiceVersion gives, and every object that is something else."""
    everywhere: list[Object] = []
    taken: list[Object] = []
    for binding in (item for item in objects if item["kind"] in ("ClusterRoleBinding", "RoleBinding")):
        names = [subject["name"] for subject in binding["subjects"] if subject["kind"] == "ServiceAccount"]
        space = binding["metadata"].get("namespace")
        if names != [account] or space == home:
            continue
        reference = binding["roleRef"]
        roles = [item for item in objects if _is(item, reference["kind"], reference["name"], space)]
        if not roles:
            raise SystemExit(
                f"{binding['kind']} {binding['metadata']['name']}: {reference['name']} is not of the chart"
            )
        everywhere += roles[0]["rules"]
        taken += [binding, *roles]
    return Rights(account, _once(everywhere)), [item for item in objects if not any(item is one for one in taken)]


def without_helm(item: Object, namespace: str = "") -> Object:
    """What OLM applies: no traces of Helm, and no namespace, which OLM sets."""
    found = copy.deepcopy(item)
    metadata = found["metadata"]
    if namespace and metadata.get("namespace") == namespace:
        del metadata["namespace"]
    for part, unwanted in (("labels", OF_HELM), ("annotations", ("helm.sh/resource-policy",))):
        kept = {name: value for name, value in (metadata.get(part) or {}).items() if name not in unwanted}
        metadata.pop(part, None)
        if kept:
            metadata[part] = kept
    return found


def annotations(source: Object) -> dict[str, str]:
    """What a catalog reads of the bundle; the labels of its image say the same."""
    return {
        f"{PREFIX}.mediatype.v1": MEDIA_TYPE,
        f"{PREFIX}.manifests.v1": "manifests/",
        f"{PREFIX}.metadata.v1": "metadata/",
        f"{PREFIX}.package.v1": str(source["package"]),
        f"{PREFIX}.channels.v1": ",".join(source["channels"]),
        f"{PREFIX}.channel.default.v1": str(source["defaultChannel"]),
    }


def containerfile(labels: Mapping[str, str], package: str) -> str:
    """The bundle's image holds files and never runs."""
    lines = [
        "# Made from the chart by charts/derive_bundle.py; do not edit.",
        "#",
        f"#   podman build -t registry.example.com/alauda/{package}-bundle:2.0.0 \\",
        f"#     charts/{package}/bundle",
        "FROM scratch",
        *(f"LABEL {name}={value}" for name, value in labels.items()),
        "COPY manifests /manifests/",
        "COPY metadata /metadata/",
    ]
    return "\n".join(lines) + "\n"


def _one(objects: Sequence[Object], kind: str) -> Object:
    found = [item for item in objects if item["kind"] == kind]
    if len(found) != 1:
        raise SystemExit(f"the chart makes {len(found)} objects {kind}; a bundle is made from one")
    return found[0]


def _is(item: Object, kind: str, name: str, namespace: str | None) -> bool:
    there = item["metadata"]
    same_place = kind == "ClusterRole" or there.get("namespace") == namespace
    return bool(item["kind"] == kind and there["name"] == name and same_place)


def _is_passed_values(item: Object, deployment: Object) -> bool:
    """The operand's values: OLM would put them back at each upgrade, so who wants other ones makes the object."""
    mounted = [
        volume["configMap"]["name"]
        for volume in deployment["spec"]["template"]["spec"].get("volumes") or []
        if "configMap" in volume
    ]
    return bool(item["kind"] == "ConfigMap" and item["metadata"]["name"] in mounted)


def _file(item: Object) -> str:
    name = str(item["metadata"]["name"])
    if item["kind"] == "CustomResourceDefinition":
        return f"{name}.crd.yaml"
    return f"{name.replace(':', '_')}.{item['kind'].lower()}.yaml"


def _once(rules: Sequence[Object]) -> list[Object]:
    found: list[Object] = []
    for rule in rules:
        if rule not in found:
            found.append(rule)
    return found
