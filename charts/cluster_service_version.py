"""The ClusterServiceVersion: what OLM is told about one version of the operator. Pure."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]

SPEC, STATUS = "spec", "status"
ALM = "urn:alm:descriptor"
WIDGETS = {
    "replicas": f"{ALM}:com.tectonic.ui:podCount",
    "resources": f"{ALM}:com.tectonic.ui:resourceRequirements",
    "nodeSelector": f"{ALM}:com.tectonic.ui:selector:core:v1:Node",
    "conditions": f"{ALM}:io.kubernetes.conditions",
}
BY_TYPE = {
    "boolean": f"{ALM}:com.tectonic.ui:booleanSwitch",
    "integer": f"{ALM}:com.tectonic.ui:number",
    "string": f"{ALM}:com.tectonic.ui:text",
}
MADE = (
    ("v1", "ConfigMap"), ("v1", "PersistentVolumeClaim"), ("v1", "Secret"), ("v1", "Service"), ("v1", "ServiceAccount"),
    ("apps/v1", "DaemonSet"), ("apps/v1", "Deployment"), ("apps/v1", "StatefulSet"), ("batch/v1", "CronJob"),
    ("networking.k8s.io/v1", "Ingress"), ("apiregistration.k8s.io/v1", "APIService"),
)  # fmt: skip
"""What a person finds in the cluster after making the object."""


@dataclass(frozen=True, slots=True)
class Rights:
    """Cluster-wide rules of one ServiceAccount."""

    account: str
    rules: list[Object]


def version_object(
    source: Object,
    chart: Object,
    deployment: Object,
    definitions: Sequence[Object],
    rights: Rights,
    operand: Object,
    icon: bytes,
) -> Object:
    """The whole object."""
    version, release = str(chart["version"]), str(chart["appVersion"])
    related = images(deployment, operand, release)
    examples = [example(item, source) for item in definitions]
    spec: Object = {
        "displayName": source["displayName"],
        "version": version,
        **({"replaces": source["replaces"]} if source["replaces"] else {}),
        "maturity": source["maturity"],
        "minKubeVersion": str(chart["kubeVersion"]).removeprefix(">=").removesuffix("-0"),
        "description": source["description"],
        "keywords": source["keywords"],
        "maintainers": source["maintainers"],
        "provider": source["provider"],
        "links": source["links"],
        "icon": [{"base64data": base64.b64encode(icon).decode(), "mediatype": "image/svg+xml"}],
        "installModes": [
            {"type": mode, "supported": mode == "AllNamespaces"}
            for mode in ("OwnNamespace", "SingleNamespace", "MultiNamespace", "AllNamespaces")
        ],
        "customresourcedefinitions": {"owned": [owned(item, source) for item in definitions]},
        "install": {
            "strategy": "deployment",
            "spec": {
                "clusterPermissions": [{"serviceAccountName": rights.account, "rules": rights.rules}],
                "deployments": [deployed(deployment, related)],
            },
        },
        "relatedImages": [{"name": name, "image": image} for name, image in related.items()],
    }
    return {
        "apiVersion": "operators.coreos.com/v1alpha1",
        "kind": "ClusterServiceVersion",
        "metadata": {
            "name": f"{source['package']}.v{version}",
            "namespace": source["namespace"],
            "labels": {
                **{f"operatorframework.io/arch.{name}": "supported" for name in source["architectures"]},
                "operatorframework.io/os.linux": "supported",
            },
            "annotations": annotations(source, version, related, examples),
        },
        "spec": spec,
    }


def annotations(source: Object, version: str, related: dict[str, str], examples: list[Object]) -> dict[str, str]:
    """What catalogs and consoles show."""
    space = {"metadata": {"name": source["namespace"], "labels": source["namespaceLabels"]}}
    first = next(item for item in examples if item["kind"] == "Config")
    return {
        "alm-examples": _json(examples),
        "capabilities": source["capabilities"],
        "categories": ", ".join(source["categories"]),
        "containerImage": related[str(source["package"])],
        "description": source["summary"],
        "olm.skipRange": f">={source['skipFrom']} <{version}",
        "operatorframework.io/initialization-resource": _json(first),
        "operatorframework.io/suggested-namespace": source["namespace"],
        "operatorframework.io/suggested-namespace-template": _json({"apiVersion": "v1", "kind": "Namespace", **space}),
        "repository": source["repository"],
        "support": source["support"],
    }


def images(deployment: Object, operand: Object, release: str) -> dict[str, str]:
    """Every image that this version may run, by what it is called."""
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    parts = {"image-registry": operand["image"], "postgresql": operand["postgresql"]["image"]}
    found = {deployment["metadata"]["name"]: str(container["image"])}
    for name, image in parts.items():
        mark = f"@{image['digest']}" if image["digest"] else f":{image['tag'] or release}"
        found[name] = f"{image['registry']}/{image['repository']}{mark}"
    return found


def deployed(deployment: Object, related: dict[str, str]) -> Object:
    """The Deployment, told by its environment which images to run: who mirrors images changes those."""
    name = deployment["metadata"]["name"]
    spec = copy.deepcopy(deployment["spec"])
    template = spec["template"]
    kept = {
        key: text for key, text in (template["metadata"].get("annotations") or {}).items() if "checksum/" not in key
    }
    template["metadata"].pop("annotations", None)
    if kept:
        template["metadata"]["annotations"] = kept
    pod = template["spec"]
    (container,) = pod["containers"]
    told = [(f"RELATED_IMAGE_{key.upper().replace('-', '_')}", image) for key, image in related.items() if key != name]
    container["env"] = [*(container.get("env") or []), *({"name": key, "value": image} for key, image in told)]
    for volume in pod.get("volumes") or []:
        if "configMap" in volume:
            volume["configMap"]["optional"] = True
    return {"name": name, "label": dict(template["metadata"]["labels"]), "spec": spec}


def example(definition: Object, source: Object) -> Object:
    """One object of a kind, for people to begin with."""
    names = definition["spec"]["names"]
    version = definition["spec"]["versions"][0]["name"]
    return {
        "apiVersion": f"{definition['spec']['group']}/{version}",
        "kind": names["kind"],
        "metadata": {"name": "cluster"},
        "spec": (source["examples"] or {}).get(names["kind"], {}),
    }


def owned(definition: Object, source: Object) -> Object:
    """A kind of ours: its name, its words and its fields."""
    kind = definition["spec"]["names"]["kind"]
    version = definition["spec"]["versions"][0]
    properties = version["schema"]["openAPIV3Schema"]["properties"]
    words = source["kinds"].get(kind) or {"displayName": kind, "description": ""}
    description = words["description"] or version["schema"]["openAPIV3Schema"].get("description", "")
    return {
        "name": definition["metadata"]["name"],
        "version": version["name"],
        "kind": kind,
        "displayName": words["displayName"],
        "description": description,
        "resources": [{"version": made, "kind": name, "name": ""} for made, name in MADE],
        "specDescriptors": list(descriptors(properties[SPEC], depth=2)),
        "statusDescriptors": list(descriptors(properties[STATUS], depth=1)),
    }


def descriptors(schema: Object, depth: int, path: str = "") -> Iterator[Object]:
    """A field and what it is shown by; objects are opened down to ``depth``, lists stay closed."""
    for name, field in sorted((schema.get("properties") or {}).items()):
        place = f"{path}.{name}" if path else name
        found: Object = {"path": place, "displayName": title(name)}
        if said := field.get("description"):
            found["description"] = said
        if widgets := list(shown_by(name, field)):
            found["x-descriptors"] = widgets
        yield found
        if field.get("type") == "object" and depth > 1 and name not in WIDGETS:
            yield from descriptors(field, depth - 1, place)


def shown_by(name: str, field: Object) -> Iterator[str]:
    """How a console lets people fill in a field."""
    if name in WIDGETS:
        yield WIDGETS[name]
    elif "enum" in field:
        yield from (f"{ALM}:com.tectonic.ui:select:{choice}" for choice in field["enum"] if choice)
    elif field.get("type") in BY_TYPE:
        yield BY_TYPE[field["type"]]


def title(name: str) -> str:
    """``managementState`` as ``Management state``."""
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name)
    return words[0].upper() + words[1:]


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, sort_keys=True)
