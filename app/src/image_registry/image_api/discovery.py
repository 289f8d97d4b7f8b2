"""What exists here: the three old discovery documents and the aggregated one, all made of one list (design, D6).

They are bytes made once, need no database and nobody's permission: a group whose discovery fails keeps every
namespace of the cluster from being deleted (parity reference 2.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from image_registry.auth.access import IMAGE_GROUP
from image_registry.image_api.negotiation import JSON, Clause, clauses
from image_registry.image_api.resources import GROUP_VERSION, RESOURCES, VERSION, Resource

AGGREGATED = f"{JSON};g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
"""Clients compare this text, so the order of its parameters is part of it."""

_AGGREGATED_PARAMETERS = {"g": "apidiscovery.k8s.io", "v": "v2", "as": "APIGroupDiscoveryList"}


def wants_aggregated(accept: str | None) -> bool:
    """True if the best acceptable form is the aggregated document."""
    for clause in clauses(accept or ""):
        if clause.covers(JSON):
            if _is_aggregated(clause):
                return True
            if "as" not in clause.parameters:
                return False
    return False


def group_list() -> dict[str, Any]:
    """``APIGroupList``, at ``/apis``."""
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group()]}


def group() -> dict[str, Any]:
    """``APIGroup``, at ``/apis/<group>``."""
    return {"kind": "APIGroup", "apiVersion": "v1", **_group()}


def resource_list(resources: Sequence[Resource] = RESOURCES) -> dict[str, Any]:
    """``APIResourceList``, at ``/apis/<group>/<version>``."""
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": GROUP_VERSION,
        "resources": [
            {
                "name": resource.name,
                "singularName": resource.singular,
                "namespaced": resource.namespaced,
                "kind": resource.kind,
                "verbs": list(resource.published),
                **({} if resource.kind_group == IMAGE_GROUP else {"group": resource.kind_group, "version": VERSION}),
                **_names(resource),
            }
            for resource in resources
        ],
    }


def aggregated(resources: Sequence[Resource] = RESOURCES) -> dict[str, Any]:
    """``APIGroupDiscoveryList`` of ``apidiscovery.k8s.io/v2``, at ``/apis``."""
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": [
            {
                "metadata": {"name": IMAGE_GROUP},
                "versions": [
                    {
                        "version": VERSION,
                        "freshness": "Current",
                        "resources": [
                            _aggregated(resource, resources) for resource in resources if not resource.subresource
                        ],
                    }
                ],
            }
        ],
    }


def paths() -> dict[str, Any]:
    """What ``/`` answers."""
    return {
        "paths": [
            "/apis",
            f"/apis/{IMAGE_GROUP}",
            f"/apis/{GROUP_VERSION}",
            "/healthz",
            "/livez",
            "/openapi/v2",
            "/openapi/v3",
            f"/openapi/v3/apis/{GROUP_VERSION}",
            "/readyz",
            "/version",
        ]
    }


def _aggregated(resource: Resource, resources: Sequence[Resource]) -> dict[str, Any]:
    below = [
        {"subresource": other.subresource, "responseKind": _kind(other), "verbs": list(other.verbs)}
        for other in resources
        if other.subresource and other.plural == resource.name
    ]
    return {
        "resource": resource.name,
        "responseKind": _kind(resource),
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(resource.published),
        **_names(resource),
        **({"subresources": below} if below else {}),
    }


def _kind(resource: Resource) -> dict[str, str]:
    return {"group": resource.kind_group, "version": VERSION, "kind": resource.kind}


def _group() -> dict[str, Any]:
    version = {"groupVersion": GROUP_VERSION, "version": VERSION}
    return {"name": IMAGE_GROUP, "versions": [version], "preferredVersion": version}


def _names(resource: Resource) -> dict[str, list[str]]:
    names = {"shortNames": list(resource.short_names), "categories": list(resource.categories)}
    return {key: value for key, value in names.items() if value}


def _is_aggregated(clause: Clause) -> bool:
    return all(clause.parameters.get(key) == value for key, value in _AGGREGATED_PARAMETERS.items())
