"""What gates need to know of the cluster as it was: pure, for it goes into the parameters of the plan's steps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from image_registry.migration.case import Case
from image_registry.migration.rewriting import repository_of, rewritten, wanted_of
from image_registry.migration.role_conversion import convert_roles

_PUSH = frozenset({"create", "update", "patch", "*"})


def gate_facts(case: Case, gate: str) -> dict[str, Any]:
    """Parameters of one gate besides its name."""
    match gate:
        case "hosts":
            return _hosts(case)
        case "access":
            return {"bindings": list(_bindings(case))}
        case "pull-secrets":
            return {"namespaces": _logins(case), "accounts": _accounts(case)}
        case "frozen" | "applied":
            return {"workload": _workload(case), "releases": _releases(case)}
        case "consumers":
            return {
                "hosts": sorted(set(case.inventory.hosts) - case.moving_hosts - {case.choices.host}),
                "fields": list(case.inventory.fields),
            }
    return {}


def host_of(image: str) -> str:
    """The host that a reference names."""
    return image.rpartition("://")[2].partition("/")[0]


def _hosts(case: Case) -> dict[str, Any]:
    names = {name: name for name in case.names} | dict(case.new_names)
    images, hosts, unknown = set(), {case.choices.host}, set()
    for consumer in case.inventory.consumers:
        for use in consumer.uses:
            after = rewritten(use.image, host=case.choices.host, moving=case.moving_hosts, renames=names)
            repository, wanted = repository_of(use.image), wanted_of(use.image)
            if after is None:
                continue
            if wanted in case.tags_in_use.get(repository, frozenset()):
                images.add(after.rpartition("://")[2])
                hosts.add(host_of(after))
            else:  # broken today, unless it was pushed since the survey
                unknown.add((repository, wanted, after.rpartition("://")[2]))
    return {"hosts": sorted(hosts), "images": sorted(images), "unknown": [list(entry) for entry in sorted(unknown)]}


def _releases(case: Case) -> list[list[str]]:
    """What the platform applies."""
    places = [release.object for release in case.inventory.releases]
    return [[place.kind, place.name, place.namespace, place.api_version] for place in places]


def _workload(case: Case) -> list[str]:
    """The Deployment of the registry before; empty for one that has none."""
    found = case.installation.workload if case.installation else None
    return [found.object.kind, found.object.name, found.object.namespace, found.object.api_version] if found else []


def _bindings(case: Case) -> Iterator[dict[str, Any]]:
    verbs = {
        f"{found.object.kind} {found.object.name}": set(found.before) for found in convert_roles(case.inventory.roles)
    }
    local = {
        (found.object.namespace, found.object.name): set(found.before)
        for found in convert_roles(case.inventory.roles)
        if found.object.kind == "Role"
    }
    for binding in case.inventory.bindings:
        kind, _, name = binding.role.partition(" ")
        held = local.get((binding.object.namespace, name), set()) if kind == "Role" else verbs.get(binding.role, set())
        actions = [
            action
            for action, asked in (("pull", {"get", "*"}), ("push", _PUSH), ("delete", {"delete", "*"}))
            if held & asked
        ]
        if actions and binding.subjects:
            yield {
                "object": str(binding.object),
                "namespace": binding.object.namespace,
                "subjects": list(binding.subjects),
                "actions": actions,
            }


def _accounts(case: Case) -> list[list[Any]]:
    """ServiceAccounts whose Pods name no pull Secret of their own, so that they pull with the account's alone."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for consumer in case.inventory.consumers:
        if consumer.account and consumer.object.namespace and not consumer.pull_secrets and not consumer.over:
            for use in consumer.uses:
                hosts = {host_of(use.image), host_of(case.choices.host)}
                found[consumer.object.namespace, consumer.account] |= hosts
    return [[namespace, account, sorted(hosts)] for (namespace, account), hosts in sorted(found.items())]


def _logins(case: Case) -> dict[str, list[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for consumer in case.inventory.consumers:
        for use in consumer.uses:
            if consumer.object.namespace:
                found[consumer.object.namespace] |= {host_of(use.image), host_of(case.choices.host)}
    return {namespace: sorted(hosts) for namespace, hosts in sorted(found.items())}
