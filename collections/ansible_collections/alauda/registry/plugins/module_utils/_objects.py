# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kubernetes objects of a release: reading them out of a rendered text, and where each lives in the API.

Private to this collection.
"""

from __future__ import annotations

from typing import Any

try:
    import yaml
except ImportError:  # said by the modules, which name the missing package
    yaml = None  # type: ignore[assignment]

KINDS: dict[str, tuple[str, bool]] = {
    "APIService": ("apiservices", False),
    "ClusterRole": ("clusterroles", False),
    "ClusterRoleBinding": ("clusterrolebindings", False),
    "ConfigMap": ("configmaps", True),
    "CronJob": ("cronjobs", True),
    "DaemonSet": ("daemonsets", True),
    "Deployment": ("deployments", True),
    "HorizontalPodAutoscaler": ("horizontalpodautoscalers", True),
    "Ingress": ("ingresses", True),
    "Job": ("jobs", True),
    "MutatingWebhookConfiguration": ("mutatingwebhookconfigurations", False),
    "Namespace": ("namespaces", False),
    "NetworkPolicy": ("networkpolicies", True),
    "PersistentVolumeClaim": ("persistentvolumeclaims", True),
    "Pod": ("pods", True),
    "PodDisruptionBudget": ("poddisruptionbudgets", True),
    "Role": ("roles", True),
    "RoleBinding": ("rolebindings", True),
    "Secret": ("secrets", True),
    "Service": ("services", True),
    "ServiceAccount": ("serviceaccounts", True),
    "ServiceMonitor": ("servicemonitors", True),
    "StatefulSet": ("statefulsets", True),
}
"""Resource name of each kind that the chart makes, and whether it lives in a namespace."""

RELEASE_NAME = "meta.helm.sh/release-name"
RELEASE_NAMESPACE = "meta.helm.sh/release-namespace"

CREATED_BY = "registry.alauda.io/created-by"
"""Annotation of a namespace that this collection made, and may therefore delete with the data."""

PATH_OF_APISERVICE = "/apis/apiregistration.k8s.io/v1/apiservices/v1.image.alauda.io"


def parse(text: str) -> list[dict[str, Any]]:
    """Every object of a rendered chart."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [item for item in yaml.load_all(text, Loader=loader) if isinstance(item, dict) and item.get("kind")]


def group(item: dict[str, Any]) -> str:
    """The API group; empty for the core group."""
    version = str(item.get("apiVersion", "v1"))
    return version.partition("/")[0] if "/" in version else ""


def name(item: dict[str, Any]) -> str:
    """The object's name."""
    return str((item.get("metadata") or {}).get("name", ""))


def known(item: dict[str, Any]) -> bool:
    """Whether we know where this kind lives; an administrator's extra objects may be of any kind."""
    return item.get("kind") in KINDS


def namespace_of(item: dict[str, Any], default: str) -> str:
    """Where the object lives; empty for one of the whole cluster."""
    if not KINDS[item["kind"]][1]:
        return ""
    return str((item.get("metadata") or {}).get("namespace") or default)


def collection(api_version: str, resource: str, namespace: str = "") -> str:
    """The path of a resource's list."""
    root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    return f"{root}/namespaces/{namespace}/{resource}" if namespace else f"{root}/{resource}"


def path(item: dict[str, Any], default_namespace: str) -> str:
    """The path of an object."""
    resource = KINDS[item["kind"]][0]
    return f"{collection(item['apiVersion'], resource, namespace_of(item, default_namespace))}/{name(item)}"


def title(item: dict[str, Any], default_namespace: str) -> str:
    """How a sentence calls it."""
    place = namespace_of(item, default_namespace) if known(item) else ""
    return f"{item['kind']} {place}/{name(item)}" if place else f"{item['kind']} {name(item)}"


def owner(item: dict[str, Any]) -> tuple[str, str] | None:
    """Name and namespace of the Helm release that an object says it belongs to."""
    notes = (item.get("metadata") or {}).get("annotations") or {}
    if RELEASE_NAME in notes:
        return str(notes[RELEASE_NAME]), str(notes.get(RELEASE_NAMESPACE, ""))
    return None


def is_hook(item: dict[str, Any]) -> bool:
    """Hooks are run by Helm and do not belong to the release."""
    return "helm.sh/hook" in ((item.get("metadata") or {}).get("annotations") or {})
