"""Which objects of a cluster people made for the registry, and what of an object means the same in another cluster.

Pure. What a chart, the operator or the registry itself makes is not kept: an installation makes it again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from image_registry.kube.client import object_path

Document = dict[str, Any]

OPERATOR, RBAC, IMAGES = "imageregistry.operator.alauda.io/v1", "rbac.authorization.k8s.io/v1", "image.alauda.io/v1"
MANAGED_BY = "app.kubernetes.io/managed-by"
MAKERS = ("image-registry-bootstrap", "cluster-image-registry-operator")
"""Who makes objects again when the registry is installed."""

HELM, PART_OF, PRODUCT = "Helm", "app.kubernetes.io/part-of", "image-registry"
"""Our charts make their objects again, too; those of other charts belong to people."""

PULL_SECRET = "imageregistry.operator.alauda.io/managed-pull-secret"  # noqa: S105 - a label
CERT_MANAGER = "cert-manager.io/certificate-name"
OURS = "alauda.io/"
"""Prefix of the resources and types by which limits speak of images."""

SECRET_TYPES = ("Opaque", "kubernetes.io/tls", "kubernetes.io/dockerconfigjson", "kubernetes.io/basic-auth")
"""Types of Secrets that people write; tokens of accounts and releases of Helm are none of them."""

_TRANSIENT = frozenset(
    {
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generateName",
        "generation",
        "managedFields",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
        "uid",
    }
)
"""Members of metadata that mean something in one cluster alone."""

_REFERENCE = re.compile(r"[^/@]+/([^/@:]+/[^/@:]+)@sha[0-9]+:[0-9a-f]+")
"""An image of this registry: host, then exactly two parts, then a digest."""


def _by_people(item: Mapping[str, Any]) -> bool:
    metadata = item.get("metadata") or {}
    labels, notes = metadata.get("labels") or {}, metadata.get("annotations") or {}
    return (
        not (labels.get(MANAGED_BY) in MAKERS or (labels.get(MANAGED_BY) == HELM and labels.get(PART_OF) == PRODUCT))
        and PULL_SECRET not in labels
        and CERT_MANAGER not in notes
        and not metadata.get("ownerReferences")
        and not metadata.get("deletionTimestamp")
    )


def _grants_images(item: Mapping[str, Any]) -> bool:
    role = item.get("roleRef") or {}
    return role.get("kind") == "ClusterRole" and str(role.get("name", "")).startswith("system:image-")


def _limits_images(item: Mapping[str, Any]) -> bool:
    limits = (item.get("spec") or {}).get("limits") or ()
    return any(str(limit.get("type", "")).startswith(OURS) for limit in limits)


def _counts_images(item: Mapping[str, Any]) -> bool:
    return any(str(name).startswith(OURS) for name in (item.get("spec") or {}).get("hard") or {})


def _written(item: Mapping[str, Any]) -> bool:
    return str((item.get("metadata") or {}).get("name")) != "kube-root-ca.crt"


def _typed(item: Mapping[str, Any]) -> bool:
    return item.get("type") in SECRET_TYPES


def _any(_item: Mapping[str, Any]) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Kind:
    """Objects of one kind. ``wanted`` chooses, of those that people made, what is about images."""

    version: str
    resource: str
    name: str
    where: str
    """``cluster``, ``namespace`` of the registry, or ``everywhere``: in each namespace."""
    wanted: Callable[[Mapping[str, Any]], bool] = _any

    def path(self, namespace: str = "", name: str = "") -> str:
        """Of an object or of its collection."""
        return object_path(self.version, self.resource, name, namespace=namespace)

    def takes(self, item: Mapping[str, Any]) -> bool:
        """Whether an object belongs into a backup."""
        return _by_people(item) and self.wanted(item)


CONFIGMAPS = Kind("v1", "configmaps", "ConfigMap", "namespace", _written)
SECRETS = Kind("v1", "secrets", "Secret", "namespace", _typed)
ACCESS = (
    Kind(RBAC, "clusterrolebindings", "ClusterRoleBinding", "cluster", _grants_images),
    Kind(RBAC, "rolebindings", "RoleBinding", "everywhere", _grants_images),
)
LIMITS = (
    Kind("v1", "limitranges", "LimitRange", "everywhere", _limits_images),
    Kind("v1", "resourcequotas", "ResourceQuota", "everywhere", _counts_images),
)
SETTINGS = (
    Kind(OPERATOR, "configs", "Config", "cluster"),
    Kind(OPERATOR, "imagepruners", "ImagePruner", "cluster"),
)
BEFORE_IMAGES = (CONFIGMAPS, SECRETS, *ACCESS)
AFTER_IMAGES = (*LIMITS, *SETTINGS)
"""Limits could refuse what comes back, and settings let the registry begin anew while it is written to."""

KINDS = (*BEFORE_IMAGES, *AFTER_IMAGES)
STREAMS = Kind(IMAGES, "imagestreams", "ImageStream", "everywhere")


def kept(item: Mapping[str, Any], kind: Kind) -> Document:
    """An object as it can be made again."""
    own = item.get("metadata") or {}
    metadata = {key: value for key, value in own.items() if key not in _TRANSIENT and value not in ({}, [], None)}
    rest = {key: value for key, value in item.items() if key not in ("metadata", "status", "kind", "apiVersion")}
    return {"apiVersion": kind.version, "kind": kind.name, "metadata": metadata, **rest}


def kept_stream(item: Mapping[str, Any]) -> Document:
    """A stream with what its tags mean and have meant; which generation wanted what, the registry counts itself."""
    found = kept(item, STREAMS)
    spec = dict(found.get("spec") or {})
    spec["tags"] = sorted(
        ({key: value for key, value in tag.items() if key != "generation"} for tag in spec.get("tags") or ()),
        key=lambda tag: str(tag.get("name")),
    )
    pointers = {tag.get("name") for tag in spec["tags"] if tag.get("reference")}
    tags = [_meant(tag, pointers) for tag in (item.get("status") or {}).get("tags") or ()]
    kept_tags = sorted((tag for tag in tags if tag), key=lambda tag: str(tag.get("tag")))
    return {**found, "spec": spec, "status": {"tags": kept_tags}}


def _meant(tag: Document, pointers: Collection[Any]) -> Document:
    """The history of a tag without pointers that were: they name no image, and the registry takes none back."""
    events = [
        {key: value for key, value in event.items() if key != "generation"}
        for place, event in enumerate(tag.get("items") or ())
        if event.get("image") or (place == 0 and tag.get("tag") in pointers)
    ]
    return {**tag, "items": events} if events or tag.get("conditions") else {}


def identity(document: Mapping[str, Any]) -> str:
    """``Kind/name`` or ``Kind/namespace/name``: by which an object is spoken of, and chosen."""
    metadata = document["metadata"]
    parts = (document["kind"], metadata.get("namespace"), metadata["name"])
    return "/".join(str(part) for part in parts if part)


def kind_of(document: Mapping[str, Any]) -> Kind:
    """Raises ``KeyError`` for a kind that no backup has."""
    return {kind.name: kind for kind in (*KINDS, STREAMS)}[str(document["kind"])]


def repository(stream: Mapping[str, Any]) -> str:
    """The name under which a stream is pulled."""
    return f"{stream['metadata']['namespace']}/{stream['metadata']['name']}"


def origins(stream: Mapping[str, Any]) -> dict[str, str]:
    """The repository from which each image came that the tags of a stream mean and have meant, by digest.

    That is the stream itself, or another one whose tag it followed; empty for another registry.
    """
    found: dict[str, str] = {}
    for tag in (stream.get("status") or {}).get("tags") or ():
        for event in tag.get("items") or ():
            if event.get("image"):
                place = _REFERENCE.fullmatch(str(event.get("dockerImageReference")))
                found[str(event["image"])] = place[1] if place else ""
    return found


def without(stream: Document, gone: Collection[str]) -> Document:
    """A stream whose history does not speak of these images."""
    if not gone:
        return stream
    tags = []
    for tag in stream["status"]["tags"]:
        left = [event for event in tag.get("items") or () if event.get("image") not in gone]
        if left or tag.get("conditions"):
            tags.append({**tag, "items": left})
    return {**stream, "status": {"tags": tags}}


def current(stream: Mapping[str, Any]) -> dict[str, str]:
    """What each tag means now; pointers to other registries mean no image here."""
    found: dict[str, str] = {}
    for tag in (stream.get("status") or {}).get("tags") or ():
        newest: Document = next(iter(tag.get("items") or ()), {})
        if newest.get("image"):
            found[str(tag["tag"])] = str(newest["image"])
    return found
