"""Discovery: everything about the legacy registries of a cluster, as far as it may be read. Nothing is written.

It works from the workload cluster alone; the global cluster adds what the platform was told. The namespace of the
platform's own registry is never looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from image_registry.kube.client import ClusterClient
from image_registry.kube.image_references import CustomField
from image_registry.migration import access_facts, policy_facts
from image_registry.migration.consumers import Consumers
from image_registry.migration.custom_kinds import read_custom_kinds
from image_registry.migration.exposure_facts import read_exposures
from image_registry.migration.facts import (
    VERSION,
    ExposureFact,
    Installation,
    Inventory,
    ObjectName,
    Record,
    Setting,
    StorageFact,
)
from image_registry.migration.gateway_facts import read_gateway_parts
from image_registry.migration.generations import FORBIDDEN, GENERATIONS, NAMESPACE, Generation
from image_registry.migration.identity import read_identity
from image_registry.migration.install_records import read_modules, read_records, settings_of
from image_registry.migration.reading import Reader, at, objects, text, whole
from image_registry.migration.release_facts import read_releases
from image_registry.migration.running_parts import read_driver, read_services, read_workload, workload_fact
from image_registry.migration.storage_facts import read_storage
from image_registry.migration.target_facts import read_target
from image_registry.pruning.references import Hosts

TARGET_NAMESPACE = "image-registry-system"

Progress = Callable[[str], None]
"""Told what is looked at next."""


class WrongNamespace(ValueError):
    """The platform's own registry was named; nothing was looked at."""


@dataclass(frozen=True, slots=True)
class Question:
    """``fields`` are places of images in custom resources, ``hosts`` further names of the registry."""

    namespace: str = NAMESPACE
    target_namespace: str = TARGET_NAMESPACE
    cluster: str = ""
    """The workload cluster's name in the global one."""
    fields: tuple[CustomField, ...] = ()
    hosts: tuple[str, ...] = ()


def discover(
    client: ClusterClient,
    question: Question,
    *,
    global_client: ClusterClient | None = None,
    now: datetime | None = None,
    progress: Progress = lambda _what: None,
) -> Inventory:
    """Read everything there is. Raises :class:`WrongNamespace`; what cannot be read is in the inventory."""
    if question.namespace in FORBIDDEN:
        raise WrongNamespace(
            f"namespace {question.namespace} holds the platform's own registry, which is not migrated: name the one of "
            f"the legacy registry (usually {NAMESPACE})"
        )
    reader = Reader(client)
    version = reader.read("version", "/version")
    uid = read_identity(reader, "identity of the cluster")
    progress("install records")
    records = read_records(reader, question.namespace)
    beyond = Reader(global_client, "global") if global_client else None
    global_uid = ""
    if beyond is not None:
        global_uid = read_identity(beyond, "identity of the global cluster")
        for name, modules in read_modules(beyond, question.cluster).items():
            records[name] += modules
    progress("registries")
    installations = tuple(
        found
        for known in GENERATIONS
        if (found := _installation(reader, known, question.namespace, records[known.name])) is not None
    )
    own = _hosts(installations, question)
    hosts = Hosts(own)
    progress("workloads")
    consumers = Consumers(hosts)
    consumers.read(reader, question.fields)
    further = read_custom_kinds(reader, question.fields, hosts)
    progress("access")
    roles = access_facts.read_roles(reader)
    bindings = access_facts.read_bindings(reader, roles)
    secrets = access_facts.read_pull_secrets(reader, hosts, consumers.secrets)
    controller = access_facts.read_controller(reader, question.namespace)
    progress("limits and jobs")
    settings = {name: value for found in records.values() for name, value in settings_of(found).items()}
    named = settings.get("registryLimitConfig.configMapName")
    limits = policy_facts.read_limits(reader, question.namespace, named.value if named else "")
    cleanups = policy_facts.read_cleanups(reader)
    owners = {role.owner for role in roles} | {controller.owner if controller else ""}
    releases = read_releases(reader, question.namespace, owners)
    patches = policy_facts.read_patches(reader)
    where = (question.namespace, question.cluster)
    gateway = read_gateway_parts(reader, beyond, where, installations, patches)
    progress("target")
    return Inventory(
        VERSION,
        (now or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        client.server,
        text(at(version, "gitVersion")),
        question.namespace,
        read_target(reader, question.target_namespace),
        question.cluster,
        beyond is not None and not beyond.unread,
        installations,
        tuple(sorted(own)),
        tuple(sorted({host for found in installations for exposed in found.exposures for host in exposed.hosts})),
        limits,
        gateway.workload.object if gateway and gateway.workload else None,
        patches,
        controller,
        secrets,
        roles,
        bindings,
        cleanups,
        tuple(consumers.found),
        policy_facts.read_velero(reader, question.namespace),
        tuple(sorted(text(at(item, "metadata", "name")) for item in reader.list("namespaces", "v1", "namespaces"))),
        _nodes(reader, installations),
        (*reader.unread, *(beyond.unread if beyond else ())),
        uid,
        global_uid,
        tuple(str(field) for field in question.fields),
        releases,
        gateway,
        further,
    )


def _installation(reader: Reader, known: Generation, namespace: str, records: Sequence[Record]) -> Installation | None:
    settings: Mapping[str, Setting] = settings_of(list(records))
    services = read_services(reader, known, namespace)
    own = tuple(service for service in services if service.role != "gateway")
    deployment = read_workload(reader, known, namespace, own)
    workload = workload_fact(deployment) if deployment else None
    driver = read_driver(reader, known, namespace, deployment) if deployment else None
    storage = read_storage(reader, known, namespace, deployment, workload, driver, settings)
    if not records and not own and deployment is None and storage is None:
        return None
    if storage is not None and storage.kind == "pvc":
        storage = replace(storage, used=_used(reader, namespace, storage))
    exposures: tuple[ExposureFact, ...] = read_exposures(reader, namespace, services, settings)
    pieces = {
        "install record": bool(records),
        "Service": any(service.role == "registry" for service in services),
        "Deployment": workload is not None,
        "configuration": driver is not None,
        "storage": storage is not None and storage.kind != "unknown",
    }
    missing = tuple(piece for piece, there in pieces.items() if not there)
    return Installation(
        known.name, known.versions, tuple(records), services, workload, driver, storage, exposures, missing
    )


def _hosts(installations: Sequence[Installation], question: Question) -> set[str]:
    """Every spelling. Also those of generations that are not there any more: workloads may still name them."""
    found = set(question.hosts)
    for known in GENERATIONS:
        here = next((entry for entry in installations if entry.name == known.name), None)
        services = here.services if here else ()
        addresses = [address for service in services if service.role == "registry" for address in service.addresses]
        found |= set(known.hosts(question.namespace, addresses))
        for service in services:
            if service.role != "registry":
                names = (f"{service.object.name}.{question.namespace}.svc", *service.addresses)
                found |= {f"{name}:{port.port}" for port in service.ports for name in names}
        for exposure in here.exposures if here else ():
            found |= set(exposure.hosts)
    return {host for host in found if host}


def _nodes(reader: Reader, installations: Sequence[Installation]) -> dict[str, str]:
    """Whether the nodes are there on which the bytes lie."""
    found = {}
    for installation in installations:
        storage = installation.storage
        pinned = (*storage.nodes, *(storage.volume.nodes if storage.volume else ())) if storage else ()
        for name in pinned:
            document = reader.get("nodes", ObjectName("Node", name), "nodes")
            conditions = objects(at(document, "status", "conditions"))
            ready = any(entry.get("type") == "Ready" and entry.get("status") == "True" for entry in conditions)
            found[name] = "missing" if document is None else "ready" if ready else "not ready"
    return found


def _used(reader: Reader, namespace: str, storage: StorageFact) -> int | None:
    """What the node of a Pod that mounts the claim counts on the volume."""
    claim = storage.claim.name if storage.claim else ""
    for pod in reader.list("volume use", "v1", "pods", namespace):
        volumes = objects(at(pod, "spec", "volumes"))
        node = text(at(pod, "spec", "nodeName"))
        if node and any(at(volume, "persistentVolumeClaim", "claimName") == claim for volume in volumes):
            summary = reader.read("volume use", f"/api/v1/nodes/{node}/proxy/stats/summary")
            for entry in objects(at(summary, "pods")):
                for volume in objects(entry.get("volume")):
                    reference = at(volume, "pvcRef", "namespace"), at(volume, "pvcRef", "name")
                    if reference == (namespace, claim) and whole(volume.get("usedBytes")):
                        return whole(volume.get("usedBytes"))
            return None
    return None
