"""May we do this ourselves? Asked before work begins, so that what is missing is named at once and all together.

SelfSubjectAccessReview of authorization.k8s.io/v1, which every authenticated user may ask.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from image_registry.kube.client import ClusterClient


@dataclass(frozen=True, slots=True)
class Right:
    """One verb on one resource; without a namespace in all of them, or where there are none."""

    verb: str
    group: str
    resource: str
    subresource: str = ""
    namespace: str = ""

    def __str__(self) -> str:
        resource = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        name = f"{resource}.{self.group}" if self.group else resource
        return f"{self.verb} {name}" + (f" in namespace {self.namespace}" if self.namespace else "")


def missing(client: ClusterClient, rights: Iterable[Right]) -> list[Right]:
    """Those that the cluster does not give us. Raises KubeError and ClusterUnreachable."""
    return [right for right in rights if not allowed(client, right)]


def allowed(client: ClusterClient, right: Right) -> bool:
    """Whether the cluster gives us this right. Raises as :func:`missing`."""
    attributes = {
        "verb": right.verb,
        "group": right.group,
        "resource": right.resource,
        "subresource": right.subresource,
        "namespace": right.namespace,
    }
    answer = client.create(
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}},
        },
        repeatable=True,
    )
    status = answer.get("status")
    return isinstance(status, dict) and status.get("allowed") is True and status.get("denied") is not True
