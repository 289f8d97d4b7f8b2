"""What hangs on a legacy registry besides workloads: rights, limits, jobs, ways in, the platform's objects. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace

from image_registry import measures
from image_registry.migration.facts import ExposureFact, Inventory, LimitFact, ObjectName, ReleaseFact, RoleFact
from image_registry.migration.gateway_table import gateway_rows
from image_registry.migration.object_tables import Row, Steps, Table, shown
from image_registry.migration.plan import Plan
from image_registry.migration.role_conversion import RoleConversion

NAMED = 5
"""Of a list in one cell; the document has all of them."""
STAYS = "stays as it is"


def surroundings(inventory: Inventory, plan: Plan | None, steps: Steps) -> tuple[Table, ...]:
    """Every table that has a row."""
    found = (
        _pull_secrets(inventory, plan, steps),
        shown("Roles", _roles(inventory, plan, steps)),
        shown("Bindings", _bindings(inventory, plan, steps)),
        shown("Limits of pushes", _limits(inventory, plan, steps)),
        shown("Jobs that delete images", _cleanups(inventory, plan, steps)),
        shown("Ways in", _ways_in(inventory, plan, steps)),
        shown("Objects of the platform", _platform(inventory, plan, steps)),
        shown(
            "Nodes with its storage",
            (Row(ObjectName("Node", name), (state,)) for name, state in inventory.nodes.items()),
        ),
    )
    return tuple(table for table in found if table.count)


def _some(names: Iterable[str], nothing: str = "") -> str:
    known = list(names)
    more = f" and {len(known) - NAMED} more" if len(known) > NAMED else ""
    return ", ".join(known[:NAMED]) + more if known else nothing


def _pull_secrets(inventory: Inventory, plan: Plan | None, steps: Steps) -> Table:
    """Those of people; what the controller makes anew every hour is a number, for its names change."""
    rows, made = [], []
    for secret in inventory.pull_secrets:
        if secret.managed:
            made.append(secret)
            continue
        facts = (
            f"{secret.type} for {_some(secret.hosts)}",
            *([f"and for {measures.count(secret.other_hosts, 'other host')}"] if secret.other_hosts else []),
            f"used by {_some(secret.used_by, 'nobody')}",
            *([f"expires {secret.expires}"] if secret.expires else []),
        )
        said = "this registry does not know that login: see the findings" if plan else ""
        rows.append(Row(secret.object, facts, said=said, steps=steps.of(secret.object)))
    remark = ""
    if made:
        spaces = len({secret.object.namespace for secret in made})
        ends = ", ".join(mark.id for mark in steps.of(made[0].object, managed=True))
        remark = (
            f"{measures.count(len(made), 'Secret')} more in {measures.count(spaces, 'namespace')} that the controller "
            f"of the registry before makes anew every hour{f': removed by {ends}' if ends else ''}"
        )
    table = shown("Pull Secrets", rows, remark=remark)
    return replace(table, count=len(inventory.pull_secrets))


def _roles(inventory: Inventory, plan: Plan | None, steps: Steps) -> Iterator[Row]:
    converted = {found.object: found for found in plan.roles} if plan else {}
    for role in inventory.roles:
        yield Row(
            role.object, tuple(_rights(role)), said=_added(converted.get(role.object)), steps=steps.of(role.object)
        )


def _rights(role: RoleFact) -> Iterator[str]:
    for rule in role.rules:
        about = f" of {_some(rule.resource_names)}" if rule.resource_names else ""
        yield f"{', '.join(rule.verbs)} images{about}{', by a rule for everything' if rule.wildcard else ''}"
    if role.foreign_rules:
        yield f"{measures.count(role.foreign_rules, 'rule')} about other things"
    if role.owner:
        yield f"of the release {role.owner}"


def _added(conversion: RoleConversion | None) -> str:
    if conversion is None:
        return ""
    if conversion.problem:
        return f"left to a person: {conversion.problem}"
    gets = (f"{', '.join(rule['resources'])}: {', '.join(rule['verbs'])}" for rule in conversion.added)
    return f"gets {'; '.join(gets)}" if conversion.added else ""


def _bindings(inventory: Inventory, plan: Plan | None, steps: Steps) -> Iterator[Row]:
    for binding in inventory.bindings:
        marks = steps.of(binding.object)
        facts = (
            f"gives {binding.role} to {_some(binding.subjects, 'nobody')}",
            *(["made by the controller of the registry before"] if binding.managed else []),
        )
        said = f"{STAYS}: the gate of rights asks for each of its subjects" if plan and not marks else ""
        yield Row(binding.object, facts, said=said, steps=marks)


def _limits(inventory: Inventory, plan: Plan | None, steps: Steps) -> Iterator[Row]:
    for number, fact in enumerate(inventory.limits):
        said = ""
        if plan and number:
            said = "another one came first, which is converted"
        elif plan:
            said = f"becomes {measures.count(len(plan.limits.ranges), 'LimitRange')}, one in each namespace with limits"
            said = "; ".join((said, *(f"not said by one: {text}" for text in plan.limits.unconverted)))
        yield Row(fact.object, tuple(_limit(fact)), said=said, steps=steps.of(fact.object))
    for namespace, document in (plan.limits.ranges if plan else {}).items():
        name = ObjectName("LimitRange", document["metadata"]["name"], namespace)
        most = (f"{entry['type']}: {value}" for entry in document["spec"]["limits"] for value in entry["max"].values())
        yield Row(name, tuple(most), steps=steps.of(name))


def _limit(fact: LimitFact) -> Iterator[str]:
    yield (
        f"an image at most {fact.max_image_size or 'as large as it is'}, a repository at most "
        f"{fact.tag_count_limit or 'all'} tags"
    )
    for rule in fact.rules[:NAMED]:
        yield f"{rule.path}: {rule.max_image_size or '-'}, {rule.tag_count_limit or '-'} tags"
    if len(fact.rules) > NAMED:
        yield f"and {measures.count(len(fact.rules) - NAMED, 'rule')} more"
    if fact.problem:
        yield fact.problem


def _cleanups(inventory: Inventory, plan: Plan | None, steps: Steps) -> Iterator[Row]:
    values = {name: value for name, value in (plan.pruner if plan else {}).items() if name != "registryHosts"}
    pruner = ", ".join(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in values.items())
    for cleanup in inventory.cleanups:
        facts = (
            *([f"at {cleanup.schedule}"] if cleanup.schedule else []),
            *(["suspended"] if cleanup.suspended else []),
            *([" ".join(cleanup.arguments)] if cleanup.arguments else []),
            *(["nobody has read what it does"] if cleanup.unread else []),
        )
        said = f"this registry's pruner gets {pruner}" if pruner and cleanup.schedule else ""
        yield Row(cleanup.object, facts, said=said, steps=steps.of(cleanup.object))


def _ways_in(inventory: Inventory, plan: Plan | None, steps: Steps) -> Iterator[Row]:
    for installation in inventory.installations:
        for exposed in installation.exposures:
            marks = steps.of(exposed.object)
            said = "no step is about it: see the findings" if plan and not marks else ""
            yield Row(exposed.object, tuple(_exposure(exposed)), said=said, steps=marks)


def _exposure(exposed: ExposureFact) -> Iterator[str]:
    yield f"hosts {_some(exposed.hosts, 'none')}"
    if exposed.tls_secret:
        there = "" if exposed.tls_secret_exists is not False else ", which is not there"
        yield f"TLS by {exposed.tls_secret}{there}"
    elif exposed.tls:
        yield "TLS by what its controller has"
    if exposed.class_name:
        yield f"class {exposed.class_name}"
    if exposed.annotations:
        yield f"annotations {_some(exposed.annotations)}"  # by name: somebody may have written a login there


def _platform(inventory: Inventory, plan: Plan | None, steps: Steps) -> Iterator[Row]:
    applied = {release.object: tuple(_applied(release)) for release in inventory.releases}
    for installation in inventory.installations:
        for record in installation.records:
            facts = (
                f"says that {installation.name} {record.version}".rstrip()
                + f" is installed, in the {record.cluster} cluster",
                *([f"undocumented settings, left alone: {_some(record.undocumented)}"] if record.undocumented else []),
                *applied.pop(record.object, ()),
            )
            yield Row(record.object, facts, steps=steps.of(record.object))
    for name, facts in applied.items():
        yield Row(name, facts, steps=steps.of(name))
    if inventory.controller is not None:
        fact = inventory.controller
        running = f"makes pull Secrets; {fact.ready} of {fact.replicas} ready"
        owned = (f"of the release {fact.owner}",) if fact.owner else ()
        yield Row(fact.object, (running, *owned), steps=steps.of(fact.object))
    yield from gateway_rows(inventory, plan, steps)
    for name in inventory.patches:
        said = "a person removes it before the cutover" if plan else ""
        yield Row(name, ("the platform applies this change again after every other",), said=said, steps=steps.of(name))
    if inventory.velero is not None:
        pair = inventory.velero
        facts = (f"restores of backups take {pair.new or '-'} where they say {pair.old or '-'}",)
        marks = steps.of(pair.object)
        yield Row(pair.object, facts, said="" if marks or not plan else STAYS, steps=marks)


def _applied(release: ReleaseFact) -> Iterator[str]:
    yield f"the platform applies {_some(release.releases, 'it')}, " + (
        "again by itself" if release.applied_again else "only when it is changed"
    )
    for sync in release.syncs:
        written = f", written by {_some(sync.written_by)}" if sync.written_by else ""
        yield f"{sync.annotation}={sync.value}{written}"
    if release.made_by:
        yield f"made by {release.made_by}"
