"""What there is of this registry in the cluster already, and what a new claim could be made of."""

from __future__ import annotations

from image_registry.kube.quantity import whole as quantity
from image_registry.migration.facts import ObjectName, TargetFact
from image_registry.migration.reading import Reader, at, text, words

CONFIG_API = "imageregistry.operator.alauda.io/v1"
_DEFAULT = "storageclass.kubernetes.io/is-default-class"


def read_target(reader: Reader, namespace: str) -> TargetFact:
    """Nothing of it needs to be there."""
    config = reader.get("target", ObjectName("Config", "cluster", "", CONFIG_API), "configs")
    exists = reader.get("target", ObjectName("Namespace", namespace), "namespaces") is not None
    claims = {}
    if exists:
        for document in reader.list("target claims", "v1", "persistentvolumeclaims", namespace):
            size = text(at(document, "status", "capacity", "storage"))
            size = size or text(at(document, "spec", "resources", "requests", "storage"))
            try:
                claims[text(at(document, "metadata", "name"))] = quantity(size)
            except ValueError:
                claims[text(at(document, "metadata", "name"))] = 0
    classes, default = [], ""
    for document in reader.list("storage classes", "storage.k8s.io/v1", "storageclasses"):
        name = text(at(document, "metadata", "name"))
        classes.append(name)
        if words(at(document, "metadata", "annotations")).get(_DEFAULT) == "true":
            default = name
    deployment = ObjectName("Deployment", "image-registry", namespace, "apps/v1")
    storage = at(config, "spec", "storage") or {}
    kinds = [kind for kind, value in storage.items() if kind != "managementState" and value is not None]
    return TargetFact(
        namespace,
        exists,
        text(at(config, "spec", "managementState")),
        exists and reader.get("target", deployment, "deployments") is not None,
        claims,
        tuple(classes),
        default,
        kinds[0] if kinds else "",
    )
