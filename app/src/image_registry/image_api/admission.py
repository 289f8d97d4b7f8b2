"""What must hold outside of an object before it may be made: the seam where admission is plugged in.

The kube-apiserver's own admission does not see requests to an aggregated API, so nobody else would keep an object out
of a namespace that does not exist or is ending.
"""

from __future__ import annotations

from collections.abc import Callable

from image_registry.auth.access import IMAGE_GROUP
from image_registry.image_api.resources import Resource
from image_registry.image_api.status import Cause, Forbidden, NotFound, ServiceUnavailable
from image_registry.kube.errors import ClusterUnreachable, KubeError

TERMINATING = "Terminating"

Phase = Callable[[str], str]
"""The phase of a namespace, empty if there is none. Raises KubeError and ClusterUnreachable."""


def admit(phase: Phase | None, resource: Resource, namespace: str, name: str) -> None:
    """May something new be put into this namespace? Raises ``NotFound``, ``Forbidden``, ``ServiceUnavailable``."""
    if phase is None or not namespace:
        return
    try:
        found = phase(namespace)
    except (KubeError, ClusterUnreachable) as error:
        raise ServiceUnavailable(
            f"nobody can say right now whether namespace {namespace} exists: {error}", retry_after=5
        ) from error
    if not found:
        raise NotFound(f'namespaces "{namespace}" not found', resource="namespaces", name=namespace, group="")
    if found == TERMINATING:
        why = f"unable to create new content in namespace {namespace} because it is being terminated"
        raise Forbidden(
            f'{resource.name}.{IMAGE_GROUP} "{name}" is forbidden: {why}',
            resource=resource.name,
            name=name,
            causes=[Cause("NamespaceTerminating", f"namespace {namespace} is being terminated", "metadata.namespace")],
        )
