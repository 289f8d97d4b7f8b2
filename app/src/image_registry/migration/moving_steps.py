"""Steps from the bytes to the end: backfill, gates, cutover, observe, finalize. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from image_registry.migration.case import Case
from image_registry.migration.choices import Way
from image_registry.migration.facts import ObjectName, WorkloadFact
from image_registry.migration.foreign_releases import give_back, told
from image_registry.migration.gate_facts import gate_facts
from image_registry.migration.generations import MANAGED_BY, PULLER_BINDING, VELERO_MAP
from image_registry.migration.global_records import records_elsewhere
from image_registry.migration.phases import Action, Phase
from image_registry.migration.plan import Step
from image_registry.migration.pruner_conversion import convert_cleanups
from image_registry.migration.release_steps import still_closed
from image_registry.migration.restore_mapping import Pair, restore_pair
from image_registry.migration.rewriting import Change, ObjectRewrite
from image_registry.migration.route_steps import hosts_over
from image_registry.migration.volume_sharing import why_not_both

RESTORE = "the saved object is written back"
FROZEN = "nobody may push to the registry before, and nobody has since the freeze"
GATES = {
    "tags": "every tag of the survey exists and means the same digest",
    "manifests": "every digest can be read under its repository, children of indexes included",
    "blobs": "every blob has its bytes, in the right number",
    "hosts": "an image can be pulled by each host that workloads use",
    "access": "who could pull and push before can here, asked for every binding",
    "pull-secrets": "every namespace with workloads has a working pull Secret for the old and the new hosts",
    "limits": "limits are set, or accepted as exceptions",
    "objects": "every object that the cutover changes is as it was when the plan was made",
    "frozen": FROZEN,
}
SETTLED = 600
"""Seconds for which the first namespaces are watched before the next ones are changed."""


def backfill(case: Case) -> Iterator[Step]:
    """Streams, tags and Images in full."""
    images = case.summary.manifests if case.summary else 0
    if case.way is Way.REUSE:
        yield Step(
            "backfill",
            Phase.BACKFILL,
            Action.BACKFILL,
            f"Make streams and {images} Images from the storage",
            parameters={"images": images},
            undo="streams that it made are removed; no byte is",
            seconds=10 + images / case.choices.images_per_second,
        )


def gates(case: Case) -> Iterator[Step]:
    """Over the whole list, never over samples."""
    images = case.summary.manifests if case.summary else 0
    for name, title in GATES.items():
        yield Step(
            f"gate/{name}",
            Phase.GATES,
            Action.GATE,
            f"Gate: {title}",
            parameters={"gate": name, **gate_facts(case, name)},
            seconds=5 + (images / case.choices.images_per_second if name in ("manifests", "blobs") else 0),
        )


def cutover(case: Case, rewrites: Iterable[ObjectRewrite], values: Mapping[str, Any]) -> Iterator[Step]:
    """Hosts move, workloads name the new one, namespace by namespace."""
    target, alone = case.inventory.target.namespace, case.way is Way.REUSE and bool(why_not_both(case.storage))
    if not alone:  # else it can start when the volume is free again, which is at the end of a rollback
        yield from serving(case, Phase.CUTOVER)
    yield from hosts_over(case, values)
    by_namespace: dict[str, list[ObjectRewrite]] = defaultdict(list)
    for rewrite in rewrites:
        if rewrite.changes:
            by_namespace[rewrite.object.namespace].append(rewrite)
        else:
            yield Step(
                f"cutover/by-hand/{rewrite.object}",
                Phase.CUTOVER,
                Action.BY_HAND,
                f"{rewrite.object}: {rewrite.by_hand}",
                rewrite.object,
            )
    for number, (namespace, found) in enumerate(sorted(by_namespace.items())):
        yield from _batch(namespace, found, 600 if number else SETTLED, back=not alone)
    if case.inventory.controller is not None:
        controller = case.inventory.controller
        yield Step(
            "cutover/controller",
            Phase.CUTOVER,
            Action.PATCH,
            f"Stop {controller.object}",
            controller.object,
            (Change("/spec/replicas", str(controller.replicas), "0"),),
            undo=RESTORE,
            seconds=5,
        )
    if (pair := _restore_pair(case)) is not None:
        yield Step(
            "cutover/restore-mapping",
            Phase.CUTOVER,
            Action.APPLY,
            f"Let restores of backups take {pair.new} where they say {pair.old}",
            ObjectName("ConfigMap", VELERO_MAP, case.inventory.namespace),
            document=_velero(case, pair),
            undo=RESTORE,
            seconds=1,
        )
    if case.way is Way.REUSE:
        yield Step(
            "cutover/tags",
            Phase.CUTOVER,
            Action.COMPARE_TAGS,
            "Keep in mind what every tag means, for both registries serve the same tags",
            parameters={"undoFirst": 3},  # while a tag can still be put back here
            undo="what was pushed since is named, and has to be accepted",
        )
    yield Step(
        "cutover/frozen",
        Phase.CUTOVER,
        Action.GATE,
        f"Gate: {FROZEN}, to the last",
        parameters={"gate": "frozen", **gate_facts(case, "frozen")},
        seconds=5,
    )
    yield Step(
        "cutover/write",
        Phase.CUTOVER,
        Action.INSTALL,
        "Let this registry take pushes",
        parameters={
            "values": {"readOnly": False},
            "namespace": target,
            "undoFirst": 2,  # what is pushed here while the old registry comes back would be lost
            "undoValues": {"readOnly": True},
        },
        undo="it is read-only, before anything else is taken back",
        seconds=10,
    )


def _batch(namespace: str, found: Iterable[ObjectRewrite], seconds: int, *, back: bool) -> Iterator[Step]:
    """The workloads of one namespace; with ``back`` a rollback waits for them too."""
    yield Step(
        f"cutover/readiness/{namespace}",
        Phase.CUTOVER,
        Action.WAIT,
        f"Write down which workloads of {namespace} are ready",
        parameters={"readiness": namespace, "seconds": 600},
        undo="they run from the old registry again, before the next namespace" if back else "",
        seconds=1,
    )
    for rewrite in sorted(found, key=lambda entry: entry.object):
        yield Step(
            f"cutover/{rewrite.object}",
            Phase.CUTOVER,
            Action.PATCH,
            f"Let {rewrite.object} name this registry",
            rewrite.object,
            rewrite.changes,
            parameters={"batch": namespace},
            undo=RESTORE,
            seconds=1,
        )
    yield Step(
        f"cutover/rollout/{namespace}",
        Phase.CUTOVER,
        Action.WAIT,
        f"Wait until the workloads of {namespace} run again",
        parameters={"batch": namespace, "seconds": seconds},
        seconds=30,
    )


def serving(case: Case, phase: Phase) -> Iterator[Step]:
    """Nothing on the way there; on the way back the registry before has to serve, if it did when it was found."""
    gateway = case.inventory.retired_gateway
    if gateway is not None and gateway.workload is not None:
        yield from _serving(f"{phase}/serving-gateway", phase, gateway.workload)
    if case.installation and case.installation.workload:  # comes back first: the gateway asks it
        yield from _serving(f"{phase}/serving", phase, case.installation.workload)


def _serving(name_of_step: str, phase: Phase, workload: WorkloadFact) -> Iterator[Step]:
    if workload.ready and workload.replicas:
        name = workload.object
        yield Step(
            name_of_step,
            phase,
            Action.WAIT,
            f"Keep in mind that {name} serves",
            parameters={
                "serving": [name.kind, name.name, name.namespace, name.api_version],
                "replicas": workload.replicas,
                "seconds": 600,
                **({"undoFirst": 1} if phase is Phase.CUTOVER else {}),  # before anybody is led back to it
            },
            undo="it is started if it was stopped, and asked until it answers",
        )


def _restore_pair(case: Case) -> Pair | None:
    service = f"{case.installation.name}.{case.inventory.namespace}.svc" if case.installation else ""
    return restore_pair(case.inventory.velero, case.inventory.hosts, service, case.choices.host)


def _velero(case: Case, pair: Pair) -> dict[str, Any]:
    labels = {"velero.io/plugin-config": "", "alauda.io/change-registry": "RestoreItemAction"}
    metadata = {"name": VELERO_MAP, "namespace": case.inventory.namespace, "labels": labels}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "data": {"old": pair.old, "new": pair.new},
    }


def observe(case: Case) -> Iterator[Step]:
    """Nothing is taken away yet."""
    yield still_closed(case, "observe/closed", Phase.OBSERVE)  # what came back is not found after a day only
    yield Step(
        "observe/pulls",
        Phase.OBSERVE,
        Action.WAIT,
        "Watch: no failed pull, no Pod that waits for an image",
        parameters={"seconds": 86400, "restartable": True},
        seconds=86400,
    )
    gateway = case.inventory.retired_gateway
    if case.installation and case.installation.workload:
        workload = case.installation.workload
        yield _consumers(case, "observe/consumers", Phase.OBSERVE)
        yield still_closed(case, "observe/applied", Phase.OBSERVE)
        if gateway is not None and gateway.workload is not None:
            yield _stopped("observe/stop-gateway", gateway.workload)
        yield _stopped("observe/stop", workload)


def _stopped(name: str, workload: WorkloadFact) -> Step:
    return Step(
        name,
        Phase.OBSERVE,
        Action.PATCH,
        f"Stop {workload.object}, and keep it",
        workload.object,
        (Change("/spec/replicas", str(workload.replicas), "0"),),
        undo=RESTORE,
        seconds=30,
    )


def _consumers(case: Case, name: str, phase: Phase) -> Step:
    return Step(
        name,
        phase,
        Action.GATE,
        "Gate: nobody names a host that ends with the registry before",
        parameters={"gate": "consumers", **gate_facts(case, "consumers")},
        seconds=10,
    )


def finalize(case: Case) -> Iterator[Step]:
    """From here on there is no way back by itself."""
    yield still_closed(case, "finalize/applied", Phase.FINALIZE)
    yield _consumers(case, "finalize/consumers", Phase.FINALIZE)
    workload = case.installation.workload if case.installation else None
    places: list[ObjectName] = []
    if workload is not None and case.installation and case.installation.records:
        release = f"{case.inventory.namespace}/{case.installation.name}"
        places = [workload.object, *(role.object for role in case.inventory.roles if role.owner == release)]
    gateway = case.inventory.retired_gateway
    if places and gateway is not None and gateway.workload is not None and gateway.records:
        places.append(gateway.workload.object)
    going = [[place.kind, place.name, place.namespace, place.api_version] for place in places]
    if places:
        yield Step(
            "finalize/hold",
            Phase.FINALIZE,
            Action.WAIT,
            "Keep the platform's two roles in force while their release goes",
            parameters={"hold": going},
            undo="both are let go",  # nothing is lost by holding them
            seconds=1,
        )
        if elsewhere := list(records_elsewhere(case)):  # not before: the platform would take the roles with the release
            yield Step(
                "finalize/global",
                Phase.FINALIZE,
                Action.WAIT,
                "Let a person remove what makes the release again from the global cluster",
                parameters={"beyond": elsewhere},
            )
    records = [*(gateway.records if gateway else ()), *(case.installation.records if case.installation else ())]
    # the gateway goes first: it stands before the registry; and from those of the global cluster the others are made
    for record in sorted(records, key=lambda record: record.cluster != "global"):
        yield Step(
            f"finalize/{record.cluster}/{record.object}",
            Phase.FINALIZE,
            Action.DELETE,
            f"Remove {record.object} ({record.cluster} cluster)",
            record.object,
            parameters={"cluster": record.cluster},
        )
    if places and workload is not None:
        yield Step(
            "finalize/gone",
            Phase.FINALIZE,
            Action.WAIT,
            f"Wait until the platform has taken {workload.object} away, and the roles of its release with it",
            parameters={
                # a release that is removed takes its roles last, whoever owns them by then
                "gone": going,
                "seconds": 1800,
            },
            seconds=60,
        )
    yield Step(
        "finalize/roles",
        Phase.FINALIZE,
        Action.INSTALL,
        "Take the rules of the old registry out of the roles",
        parameters={"legacyRules": False},
        seconds=10,
    )
    for binding in case.inventory.bindings:
        if binding.managed and binding.object.name == PULLER_BINDING:
            yield Step(
                f"finalize/{binding.object}",
                Phase.FINALIZE,
                Action.DELETE,
                f"Remove {binding.object}",
                binding.object,
                seconds=1,
            )
    yield Step(
        "finalize/pull-secrets",
        Phase.FINALIZE,
        Action.DELETE,
        "Remove the pull Secrets that the old controller made",
        parameters={"selector": f"{MANAGED_BY}=sa-imagepullsecret-controller", "kind": "Secret"},
        seconds=10,
    )
    if convert_cleanups(case.inventory.cleanups).deletes:  # else it is told with the findings, and left to a person
        yield Step(
            "finalize/pruner",
            Phase.FINALIZE,
            Action.INSTALL,
            "Let the pruner run on its schedule",
            parameters={"pruner": {"suspend": False}},
            seconds=10,
        )
    yield from give_back(case)
    yield Step(
        "finalize/remains",
        Phase.FINALIZE,
        Action.WAIT,
        "See what of the old registry remains, for a person to remove",
        parameters={
            "remains": [[o.kind, o.name, o.namespace, o.api_version] for o in _pieces(case)],
            "elsewhere": list(records_elsewhere(case)),
            "rendered": list(told(case)),
        },
        seconds=2,
    )


def _pieces(case: Case) -> Iterator[ObjectName]:
    """Of the registry before: what runs, what leads to it, what cleans it, and its bytes."""
    installation = case.installation
    if installation is not None:
        yield from (record.object for record in installation.records if record.cluster != "global")
        yield from [installation.workload.object] if installation.workload else []
        yield from (service.object for service in installation.services)
        claim = installation.storage.claim if installation.storage else None
        yield from [claim] if claim is not None else []
    if (gateway := case.inventory.retired_gateway) is not None:
        yield from (record.object for record in gateway.records if record.cluster != "global")
        yield from [gateway.workload.object] if gateway.workload else []
        yield from (piece for piece in gateway.pieces if piece.kind != "Service")  # which is with the others
    yield from [case.inventory.controller.object] if case.inventory.controller else []
    yield from (cleanup.object for cleanup in case.inventory.cleanups)
