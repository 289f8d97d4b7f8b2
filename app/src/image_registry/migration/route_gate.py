"""Whether the cluster will let the hosts go over: asked of the API server by writes that it only pretends.

Whoever has a say in Ingresses, as a controller that refuses a host twice or a policy about namespaces, is asked by it.
What they would refuse in the cutover, while nobody can push, is known before anything is frozen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from image_registry.kube.errors import KubeError
from image_registry.migration.actions import Context, StepFailed
from image_registry.migration.cluster_objects import ClusterObjects
from image_registry.migration.exposure_facts import INGRESS_API
from image_registry.migration.facts import ObjectName
from image_registry.migration.gates import Item
from image_registry.migration.object_actions import object_of, patched
from image_registry.migration.phases import Phase
from image_registry.migration.plan import Step
from image_registry.migration.route_steps import NARROWED

FREE = "/image-registry-migration"
"""A path that no Ingress has: with ``/`` the old one, which stands there yet, would be in the way."""


def routes_let_in(step: Step, context: Context) -> Iterator[Item]:
    """An item for each old Ingress that is narrowed, and for each route of this registry."""
    found = ClusterObjects(context.client)
    for other in context.plan.phase(Phase.CUTOVER):
        if other.parameters.get(NARROWED):
            name = object_of(other)
            if found.find(name) is not None:
                narrowed = partial(patched, step=other, context=context)
                change = partial(found.change, name, narrowed, dry_run=True)
                yield Item(f"ingress:{name.namespace}/{name.name}", str(name), _refused(change))
    for route in step.parameters["routes"]:
        name = ObjectName("Ingress", str(route["name"]), str(step.parameters["namespace"]), INGRESS_API)
        make = partial(found.apply, name, _ingress(route), dry_run=True)
        yield Item(f"route:{route['hostname']}", f"a route for {route['hostname']}", _refused(make))


def _refused(write: Callable[[], object]) -> str:
    try:
        write()
    except (KubeError, StepFailed) as error:
        return f"the cutover would end here: {error}"
    return ""


def _ingress(route: Mapping[str, Any]) -> dict[str, Any]:
    """As the chart makes it, as far as somebody may object to it."""
    backend = {"service": {"name": "image-registry", "port": {"name": "5000-tcp"}}}
    path = {"path": FREE, "pathType": "Prefix", "backend": backend}
    tls = {"hosts": [route["hostname"]]} | ({"secretName": route["secretName"]} if route.get("secretName") else {})
    spec: dict[str, Any] = {"rules": [{"host": route["hostname"], "http": {"paths": [path]}}], "tls": [tls]}
    if route.get("ingressClassName"):
        spec["ingressClassName"] = route["ingressClassName"]
    return {
        "apiVersion": INGRESS_API,
        "kind": "Ingress",
        "metadata": {"name": route["name"], "annotations": dict(route.get("annotations") or {})},
        "spec": spec,
    }
