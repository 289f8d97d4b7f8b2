"""Which cluster it is. An address says little: two tunnels to two clusters have the same one."""

from __future__ import annotations

from typing import Any

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.errors import ClusterUnreachable, KubeError
from image_registry.migration.facts import ObjectName
from image_registry.migration.plan import Plan
from image_registry.migration.reading import Reader, at, text
from image_registry.migration.spelling import Said, Spelling, command_line

SYSTEM = ObjectName("Namespace", "kube-system")
"""It lives as long as its cluster, and cannot be made anew in it."""


class AnotherCluster(Exception):
    """Or one of which it cannot be said. The text says what to do."""


def read_identity(reader: Reader, what: str) -> str:
    """For an inventory; empty for one that may not be read."""
    return _uid(reader.get(what, SYSTEM, "namespaces"))


def same_cluster(plan: Plan, client: ClusterClient) -> None:
    """Raises :class:`AnotherCluster`."""
    if not plan.cluster_uid:
        if client.server != plan.server:
            raise AnotherCluster(
                f"the plan was made for the cluster {plan.server} and this one is {client.server}: name the kubeconfig "
                "of the other, or plan anew"
            )
        return
    found = _asked(client)
    if found != plan.cluster_uid:
        raise AnotherCluster(
            f"the plan was made for the cluster {plan.server} (kube-system {plan.cluster_uid}) and {client.server} is "
            f"another one now (kube-system {found}): name the kubeconfig of that cluster, or plan anew"
        )


def same_global(plan: Plan, client: ClusterClient | None, *, written: bool, spelling: Spelling = command_line) -> None:
    """``written``: objects of it will be. Raises :class:`AnotherCluster`."""
    if client is None:
        return  # a step that needs it says so
    if not plan.global_uid:
        if written:
            raise AnotherCluster(
                "the plan does not know which global cluster its records lie in: discover it again with "
                f"{spelling(Said.GLOBAL_KUBECONFIG)}, as somebody who may get the namespace kube-system there, and "
                "plan anew; or run without it"
            )
        return
    found = _asked(client)
    if found != plan.global_uid:
        raise AnotherCluster(
            f"the plan was made with another global cluster (kube-system {plan.global_uid}) than {client.server} "
            f"(kube-system {found}): name the kubeconfig of that one"
        )


def _asked(client: ClusterClient) -> str:
    try:
        found = _uid(client.find(object_path("v1", "namespaces", SYSTEM.name)))
    except (KubeError, ClusterUnreachable) as error:
        raise AnotherCluster(f"it cannot be said which cluster {client.server} is: {error}") from None
    return found or "(none)"


def _uid(document: Any) -> str:
    return text(at(document, "metadata", "uid"))
