"""Reading what a plan is made of from the cluster: page by page, and after every right has been asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.errors import KubeError, NoRegistry, RightsMissing
from image_registry.kube.image_references import CustomField, list_references
from image_registry.kube.listing import AS_METADATA, items
from image_registry.kube.own_access import Right, allowed, missing
from image_registry.kube.pod_templates import WORKLOADS
from image_registry.kube.quantity import whole
from image_registry.pruning.planner import Planner
from image_registry.pruning.pulls import LastPulls
from image_registry.pruning.references import Hosts
from image_registry.pruning.rules import Rules
from image_registry.pruning.usage import Usage

GROUP = "image.alauda.io"
VERSION = f"{GROUP}/v1"

IMAGES_AT_ONCE = 250
STREAMS_AT_ONCE = 50
HELD_AT_ONCE = 1000
OTHERS_AT_ONCE = 500

INSIDE = "image-registry.image-registry-system.svc:5000"
"""The name of the registry in every cluster, also in one that has no stream which would show it."""

_SHOWN = ("dockerImageRepository", "publicDockerImageRepository")

GONE = 410
ATTEMPTS = 3
"""How often a plan is begun when a list took so long that the server forgot where it was."""

Progress = Callable[[str, int], None]
"""Told what is being read, and how many of them were."""


def check_rights(
    client: ClusterClient, rules: Rules, fields: Iterable[CustomField], *, confirm: bool, local_usage: bool
) -> None:
    """Raises :class:`RightsMissing` with each right that is missing, KubeError and ClusterUnreachable."""
    wanted = [*_usage_rights(rules, fields, local=local_usage), *_image_rights(rules, confirm=confirm)]
    found = missing(client, wanted)
    if found:
        raise RightsMissing(found)


def find_hosts(client: ClusterClient, rules: Rules, more: Iterable[str]) -> Hosts:
    """Every name of the registry: its own, those that its streams show, and those that somebody adds.

    Raises :class:`NoRegistry`, KubeError and ClusterUnreachable.
    """
    found = [INSIDE, *more]
    for namespace in sorted(rules.namespaces) or [""]:
        try:
            page = client.get(object_path(VERSION, "imagestreams", namespace=namespace), query={"limit": "1"})
        except KubeError as error:
            if error.not_found or error.passing:
                raise NoRegistry(
                    f"the Image API does not answer ({error}): look at `kubectl get apiservice v1.{GROUP}` and at the "
                    "Deployment image-api-server"
                ) from None
            raise
        for stream in page.get("items") or ():
            status = stream.get("status", {})
            found += [str(status.get(member, "")).partition("/")[0] for member in _SHOWN]
    return Hosts(found)


def read_usage(
    client: ClusterClient,
    hosts: Hosts,
    rules: Rules,
    fields: Sequence[CustomField] = (),
    *,
    local: bool = False,
    progress: Progress = lambda _what, _number: None,
) -> Usage:
    """Who uses what; with ``local`` only in the selected namespaces. Raises as :func:`list_references`."""
    usage = Usage(hosts)
    number = 0
    for namespace in sorted(rules.namespaces) if local else [""]:
        for found in _again(partial(list_references, client, fields, namespace=namespace)):
            usage.add(found, rules)
            number += 1
            progress("image references", number)
    return usage


def make_plan(
    client: ClusterClient, rules: Rules, usage: Usage, *, progress: Progress = lambda _what, _number: None
) -> Planner:
    """Read the registry and decide; the planner has the plan.

    Raises KubeError, ClusterUnreachable, and ValueError for what is no registry.
    """
    attempt = 1
    while True:
        try:
            return _make_plan(client, rules, usage, progress)
        except KubeError as error:
            if error.status != GONE or attempt == ATTEMPTS:
                raise
            attempt += 1


def namespace_annotations(client: ClusterClient, rules: Rules) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Names and annotations of namespaces; none if they may not be listed. Raises KubeError, ClusterUnreachable."""
    if not allowed(client, Right("list", "", "namespaces")):
        return
    path = object_path("v1", "namespaces")
    for item in items(client, path, limit=OTHERS_AT_ONCE, accept=f"{AS_METADATA},application/json"):
        metadata = item["metadata"]
        if not rules.namespaces or metadata["name"] in rules.namespaces:
            yield metadata["name"], metadata.get("annotations") or {}


def image_limits(client: ClusterClient, rules: Rules) -> dict[str, int]:
    """How many bytes an image may have, by namespace (LimitRange). Raises KubeError, ClusterUnreachable."""
    found: dict[str, int] = {}
    for namespace in sorted(rules.namespaces) or [""]:
        for item in items(client, object_path("v1", "limitranges", namespace=namespace), limit=OTHERS_AT_ONCE):
            for part in (item.get("spec") or {}).get("limits") or ():
                most = (part.get("max") or {}).get("storage") if part.get("type") == "alauda.io/Image" else None
                if most is not None:
                    within = item["metadata"]["namespace"]
                    found[within] = min(found.get(within, whole(most)), whole(most))
    return found


def _make_plan(client: ClusterClient, rules: Rules, usage: Usage, progress: Progress) -> Planner:
    limits = image_limits(client, rules) if rules.over_limit else {}
    planner = Planner(rules, usage, limit=limits.get, pulls=LastPulls(client, VERSION).of)
    if rules.namespaces and not allowed(client, Right("list", "", "namespaces")):
        planner.plan.findings.append("namespaces may not be listed: retention policies of namespaces are not followed")
    for name, said in namespace_annotations(client, rules):
        planner.policies.add_namespace(name, said)
    for number, image in enumerate(_images(client, rules), 1):
        planner.add_image(image)
        progress("images", number)
    planner.close_images()
    everywhere = not rules.namespaces or allowed(client, Right("list", GROUP, "imagestreams"))
    number = 0
    for namespace in [""] if everywhere else sorted(rules.namespaces):
        for stream in items(client, object_path(VERSION, "imagestreams", namespace=namespace), limit=STREAMS_AT_ONCE):
            planner.add_stream(stream)
            number += 1
            progress("image streams", number)
    number = 0
    for namespace in sorted(rules.namespaces) or [""]:
        path = object_path(VERSION, "imagestreamimages", namespace=namespace)
        for held in items(client, path, limit=HELD_AT_ONCE, accept=AS_METADATA):
            planner.add_held(held)
            number += 1
            progress("images of streams", number)
    planner.finish()
    return planner


def _images(client: ClusterClient, rules: Rules) -> Iterable[Mapping[str, Any]]:
    """All Images; or, for who may not list those, the ones that the selected namespaces hold."""
    if not rules.namespaces or allowed(client, Right("list", GROUP, "images")):
        return items(client, object_path(VERSION, "images"), limit=IMAGES_AT_ONCE)
    found: dict[str, Mapping[str, Any]] = {}
    for namespace in rules.namespaces:
        path = object_path(VERSION, "imagestreamimages", namespace=namespace)
        for item in items(client, path, limit=IMAGES_AT_ONCE):
            found.setdefault(item["image"]["metadata"]["name"], item["image"])
    return [found[name] for name in sorted(found)]


def _usage_rights(rules: Rules, fields: Iterable[CustomField], *, local: bool) -> Iterator[Right]:
    for namespace in sorted(rules.namespaces) if local else [""]:
        for known in WORKLOADS:
            yield Right("list", known.group, known.resource, namespace=namespace)
        for field in fields:
            yield Right("list", field.group, field.resource, namespace=namespace)


def _image_rights(rules: Rules, *, confirm: bool) -> Iterator[Right]:
    for namespace in sorted(rules.namespaces) or [""]:
        if rules.over_limit:
            yield Right("list", "", "limitranges", namespace=namespace)
        yield Right("list", GROUP, "imagestreams", namespace=namespace)
        yield Right("list", GROUP, "imagestreamimages", namespace=namespace)
        if confirm:
            yield Right("get", GROUP, "imagestreams", namespace=namespace)
            yield Right("update", GROUP, "imagestreams", "status", namespace)
            yield Right("get", GROUP, "imagestreamimages", namespace=namespace)
            yield Right("delete", GROUP, "imagestreamimages", namespace=namespace)
    if not rules.namespaces:
        yield Right("list", "", "namespaces")
        yield Right("list", GROUP, "images")
        if confirm:
            yield Right("get", GROUP, "images")
            yield Right("delete", GROUP, "images")


def _again(begin: Callable[[], Iterator[Any]]) -> Iterator[Any]:
    """What is listed twice is only used twice."""
    for attempt in range(ATTEMPTS):
        try:
            yield from begin()
        except KubeError as error:
            if error.status != GONE or attempt == ATTEMPTS - 1:
                raise
        else:
            return
