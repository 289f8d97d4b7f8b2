"""What a rollback waits for: the registry before serves, and the workloads of each batch run from it again.

Objects that are as they were say nothing of that. So the readiness of workloads is written down before they are
changed, and who was not ready then is not waited for, on neither way.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from image_registry.migration.actions import Context, StepFailed
from image_registry.migration.cluster_objects import ClusterObjects, Document
from image_registry.migration.facts import ObjectName
from image_registry.migration.gate_facts import host_of
from image_registry.migration.moved_hosts import moved_hosts
from image_registry.migration.phases import Action, Phase
from image_registry.migration.plan import Step
from image_registry.migration.registry_access import source_of
from image_registry.migration.rewriting import Change

_STATUS: dict[str, tuple[str, tuple[str, ...]]] = {
    "Deployment": ("replicas", ("updatedReplicas", "availableReplicas", "replicas")),
    "StatefulSet": ("replicas", ("updatedReplicas", "readyReplicas", "replicas")),
}
BY_A_PERSON = "OnDelete"
"""Of a workload whose Pods are made anew when somebody deletes them: nobody waits for that."""


def batch(context: Context, namespace: str) -> Iterator[ObjectName]:
    """Workloads of a namespace that the cutover changes."""
    return (name for name, _ in _changes(context, namespace))


def _changes(context: Context, namespace: str) -> Iterator[tuple[ObjectName, tuple[Change, ...]]]:
    for step in context.plan.phase(Phase.CUTOVER):
        if step.action is Action.PATCH and step.object is not None and step.parameters.get("batch") == namespace:
            yield step.object, step.changes


def note_readiness(context: Context, namespace: str) -> Mapping[str, str]:
    """Who is not ready before anything is changed, and why; what was written down once stays."""
    path = _path(context, namespace)
    if not path.exists():
        found = ClusterObjects(context.client)
        documents = ((name, found.find(name)) for name in batch(context, namespace))
        unready = {str(name): why for name, each in documents if each is not None and (why := rolling(each, name.kind))}
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_text(json.dumps(unready), encoding="utf-8")
        new.replace(path)
    return unready_before(context, namespace)


def unready_before(context: Context, namespace: str) -> Mapping[str, str]:
    """What :func:`note_readiness` wrote down; nothing for a plan that did not ask for it."""
    try:
        found: dict[str, str] = json.loads(_path(context, namespace).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return found


def forget_readiness(context: Context, namespace: str) -> None:
    """The next run looks anew."""
    _path(context, namespace).unlink(missing_ok=True)


def _path(context: Context, namespace: str) -> Path:
    return context.folder / f"readiness-{namespace}.json"


def not_rolled(context: Context, namespace: str, *, back: bool = False) -> Iterator[str]:
    """Workloads of a batch that are not yet what they were changed to, but those that nobody waits for.

    On the way ``back`` hosts follow after workloads: who names the registry before by such a host can pull only then.
    """
    found, passed = ClusterObjects(context.client), passed_over(context, namespace)
    if back:
        passed |= _by_moved_hosts(context, namespace)
    for name in batch(context, namespace):
        document = found.find(name) if name not in passed else None
        if document is not None and (why := rolling(document, name.kind)):  # who is gone rolls no more
            yield f"{name}: {why}"


def _by_moved_hosts(context: Context, namespace: str) -> frozenset[ObjectName]:
    hosts = moved_hosts(context)
    return frozenset(
        name
        for name, changes in _changes(context, namespace)
        if any(host_of(change.before) in hosts for change in changes)
    )


def passed_over(context: Context, namespace: str) -> frozenset[ObjectName]:
    """Workloads that were not ready before, and those whose rollout somebody accepted by its name."""
    unready = unready_before(context, namespace)
    return frozenset(
        name for name in batch(context, namespace) if str(name) in unready or context.accepts(f"rollout:{name}")
    )


def rolling(document: Document, kind: str) -> str:
    """Why a workload is not what it was changed to; empty if it is, or if it is none that rolls by itself."""
    status, spec = document.get("status") or {}, document.get("spec") or {}
    if (spec.get("updateStrategy") or {}).get("type") == BY_A_PERSON:
        return ""
    if kind == "DaemonSet":
        wanted: int = status.get("desiredNumberScheduled", 0)
        known: tuple[str, ...] = ("updatedNumberScheduled", "numberAvailable")
    elif kind in _STATUS:
        member, known = _STATUS[kind]
        wanted = spec.get(member, 1)
    else:
        return ""
    if spec.get("paused"):
        return "it is paused"
    if status.get("observedGeneration", 0) < document["metadata"].get("generation", 0):
        return "its controller has not seen the change"
    short = [f"{status.get(name, 0)} {name}" for name in known if status.get(name, 0) != wanted]
    return f"{', '.join(short)} of {wanted}" if short else ""


def start_again(step: Step, context: Context) -> None:
    """Let the registry before run as the plan found it, whoever stopped it meanwhile."""
    name, replicas = _legacy(step), int(step.parameters["replicas"])

    def started(current: Document) -> Document:
        if not (current.get("spec") or {}).get("replicas", 1):
            current["spec"]["replicas"] = replicas
        return current

    found = ClusterObjects(context.client)
    if found.find(name) is not None:  # else whoever looks next says what to do
        found.change(name, started)


def not_serving(step: Step, context: Context) -> Iterator[str]:
    """Why the registry before serves nobody yet; asked by its address too, where that is known."""
    name = _legacy(step)
    document = ClusterObjects(context.client).find(name)
    if document is None:
        raise StepFailed(f"{name} is gone: install the old registry again, then roll back again")
    if why := rolling(document, name.kind):
        yield f"{name}: {why}"
    elif context.source is not None and (why := source_of(context).silent()):
        yield f"{context.source.url}: {why}"


def _legacy(step: Step) -> ObjectName:
    kind, name, namespace, api_version = step.parameters["serving"]
    return ObjectName(str(kind), str(name), str(namespace), str(api_version))
