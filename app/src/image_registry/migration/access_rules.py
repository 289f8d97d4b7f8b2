"""Findings about rights, pull Secrets, limits, exposure and jobs, and about what could not be read."""

from __future__ import annotations

from collections.abc import Iterator

from image_registry.migration.access_facts import OURS
from image_registry.migration.case import Case
from image_registry.migration.facts import RoleFact
from image_registry.migration.findings import Finding, blocking, note, warning
from image_registry.migration.gateway_rules import gateway_findings
from image_registry.migration.generations import GENERATIONS
from image_registry.migration.global_records import records_elsewhere
from image_registry.migration.install_records import RELEASES
from image_registry.migration.limit_conversion import convert_limits
from image_registry.migration.pruner_conversion import convert_cleanups
from image_registry.migration.reading import PAGE
from image_registry.migration.release_facts import AGAIN
from image_registry.migration.role_conversion import convert_roles
from image_registry.migration.spelling import Said
from image_registry.migration.target_values import unfit_hosts

_RELEASES = frozenset(known.name for known in GENERATIONS)
_TOLD_ELSEWHERE = ("consumers: ",)


def access_findings(case: Case) -> Iterator[Finding]:
    """Everything about what surrounds the registry."""
    yield from _roles(case)
    yield from _secrets(case)
    yield from _limits(case)
    yield from _exposure(case)
    yield from _jobs(case)
    yield from _custom(case)
    yield from _unread(case)


def _roles(case: Case) -> Iterator[Finding]:
    target = case.inventory.target.namespace
    for role in case.inventory.roles:
        if role.object.kind == "ClusterRole" and role.object.name in OURS:
            yield from _collision(role, target)
    for conversion in convert_roles(case.inventory.roles):
        if conversion.problem:
            yield warning(
                "role", conversion.object, conversion.problem, "give its subjects other rights on image streams"
            )
        elif "delete" in conversion.before and conversion.object.kind == "Role":
            yield note("role", conversion.object, "deleting images becomes deleting tags and streams of the namespace")


def _collision(role: RoleFact, target: str) -> Iterator[Finding]:
    release = role.owner.rpartition("/")[2]
    where = role.owner.partition("/")[0]
    if role.foreign_rules:
        yield blocking(
            "role-collision",
            role.object,
            f"it has the name of a role of this registry, and {role.foreign_rules} rules about other things",
            "give those rights by another role first, or install without the roles (clusterRoles.create=false)",
        )
    elif role.owner and release in _RELEASES and where != target:
        yield warning(
            "role-collision",
            role.object,
            f"it belongs to the release {role.owner} of the legacy registry, which this one needs too",
            "nothing: it is saved, handed over, and holds the rules of both until the migration is finalized",
        )
    elif role.owner and where != target:
        yield blocking(
            "role-collision",
            role.object,
            f"it belongs to the release {role.owner}",
            "let that release give it up, or install without the roles (clusterRoles.create=false)",
        )
    elif not role.owner:
        yield warning(
            "role-collision",
            role.object,
            "it exists and belongs to no release, so Helm would refuse to install over it",
            "nothing: it is saved, and handed over to this registry",
        )


def _secrets(case: Case) -> Iterator[Finding]:
    controller = case.inventory.controller
    if controller is not None:
        yield note(
            "pull-secret-controller",
            controller.object,
            "it makes the pull Secrets of the ServiceAccounts named default anew every hour; an hour after it stops "
            "none of them is good any more",
            "nothing: this registry's Secrets for the legacy hosts are in place before it stops",
        )
    for secret in case.inventory.pull_secrets:
        if not secret.managed:
            yield warning(
                "pull-secret",
                secret.object,
                f"it was made by hand for {', '.join(secret.hosts)}, used by {', '.join(secret.used_by) or 'nobody'}",
                "this registry does not know that login: let its users use a ServiceAccount's Secret instead",
            )


def _limits(case: Case) -> Iterator[Finding]:
    if len(case.inventory.limits) > 1:
        names = ", ".join(fact.object.name for fact in case.inventory.limits)
        yield warning(
            "limits",
            case.inventory.namespace,
            f"there are several ConfigMaps with limits: {names}",
            "the first one is converted",
        )
    plan = convert_limits(case.inventory.limits, case.namespaces)
    for problem in plan.unconverted:
        yield warning("limits", problem.partition(":")[0][:80], problem, "decide whether it still matters")
    for namespace, limit in plan.ranges.items():
        for entry in limit["spec"]["limits"]:
            most = entry["max"].get("alauda.io/image-tags")
            if most is not None and case.most_tags.get(namespace, 0) > int(most):
                yield warning(
                    "limit-exceeded",
                    namespace,
                    f"a repository has {case.most_tags[namespace]} tags and the limit is {most}",
                    "tags that are there stay, new ones are refused: raise the limit, or prune",
                )
    yield from gateway_findings(case)
    for name in case.inventory.patches:
        yield warning(
            "resource-patch",
            name,
            "the platform applies this change again after every other",
            "remove it before the cutover",
        )


def _exposure(case: Case) -> Iterator[Finding]:
    for host in unfit_hosts(case):
        yield blocking(
            "route-host",
            host,
            "no route of this registry can have this host, so clients that use it find nothing after the cutover",
            "make an Ingress with single hosts, or accept that it ends",
        )
    for service in case.installation.services[:1] if case.installation else ():
        yield note(
            "node-names",
            service.object,
            "the platform writes its names and its address into /etc/hosts of every node (the line with "
            "cpaas-generated-node-resolver), where a migration does not look: when the Service has gone, nodes that "
            "kept the line ask an address that is nobody's",
            "after finalize look at each node, and take out the line that the platform has left",
        )
    for exposed in case.installation.exposures if case.installation else ():
        if exposed.object.kind == "Service":
            yield warning(
                "node-port",
                exposed.object,
                f"it can be reached by ports of nodes ({', '.join(exposed.hosts[:3])})",
                "this registry has none: use a host (config.routes)",
            )
        elif exposed.tls_secret is not None and exposed.tls_secret_exists is False:
            yield blocking(
                "tls-secret", exposed.tls_secret, "the certificate of the route is not there", "make the Secret again"
            )
        elif exposed.tls_secret is None and (exposed.tls or exposed.object.kind == "Setting"):
            yield warning(
                "no-certificate",
                exposed.object,
                f"{', '.join(exposed.hosts)} names no Secret: a certificate of its controller is served, if any",
                "see that clients trust what this registry's route will show, or give it a certificate (config.routes)",
            )
        elif exposed.tls_secret is None:
            yield blocking(
                "plain-http",
                exposed.object,
                f"{', '.join(exposed.hosts)} is served without TLS, and by TLS alone after the cutover: clients that "
                "were told http:// (hosts.toml of containerd) can pull by it no more",
                "tell them https://, or give the old registry a certificate, and plan anew; or accept it, where "
                "clients try TLS first (--insecure-registry, insecure-registries)",
            )


def _jobs(case: Case) -> Iterator[Finding]:
    pruner = convert_cleanups(case.inventory.cleanups)
    for problem in pruner.problems:
        yield note("cleanup", problem.partition(":")[0], problem, "decide whether it still matters")
    for cleanup in case.inventory.cleanups:
        if cleanup.unread:
            yield warning(
                "cleanup-unread",
                cleanup.object,
                "by its label or its program it prunes, but its commands do not say so: it is taken for a cleanup "
                "of the old registry, suspended with the freeze and waited for",
                "read what it does: if it deletes images, say the same as imagePruner of this registry; if it does "
                "something else, let it run again after the migration",
            )
    if pruner.why_not:
        yield note(
            "pruner-suspended",
            "image-pruner",
            f"{pruner.why_not}: the pruner stays suspended after the migration too",
            f"look at what {case.choices.spelling(Said.DO_PRUNE)} would delete, then let it run "
            "(imagePruner.suspend=false)",
        )
    known = case.inventory.velero
    if known is not None and known.old and known.old not in case.inventory.hosts:
        yield note(
            "restore-mapping",
            known.object,
            f"restores of backups take {known.new} where they say {known.old}, and there can be one such pair: images "
            "that a backup names by the old registry are not mapped",
            "before such a backup is restored, write the old registry's host and the new one into it",
        )


def _custom(case: Case) -> Iterator[Finding]:
    """Objects that go on naming the registry before, because nobody said that they do."""
    silent, say = list[str](), case.choices.spelling
    for kind in case.inventory.further_kinds:
        if not kind.naming:
            silent.append(kind.name)
            continue
        looked_at = f"the first {kind.objects} objects" if kind.objects >= PAGE else f"{kind.objects} objects"
        fields = " ".join(say(Said.IMAGE_FIELD, f"'{kind.name}={path}'") for path in kind.fields)
        yield warning(
            "custom-resource",
            kind.name,
            f"{kind.naming} of {looked_at} name the registry before, and nobody looks at them, so they would go on",
            f"discover again with {fields}, and they are rewritten with the workloads"
            if fields
            else "change them by hand: they name it within longer texts, which nobody rewrites",
        )
    if silent:
        yield note(
            "custom-resources",
            "not looked at",
            f"these kinds could name images, and none of their first {PAGE} objects names the registry before: "
            f"{', '.join(silent)}",
            f"if another does: {say(Said.IMAGE_FIELD, 'GROUP/VERSION/RESOURCE=PATH')}",
        )


def _unread(case: Case) -> Iterator[Finding]:
    for entry in case.inventory.unread:
        action = f"give the right to {entry.right}" if entry.right else "try again"
        if entry.what == RELEASES:
            yield blocking(
                "releases-unread",
                case.inventory.namespace,
                f"{entry.why}: a release that the platform applies again by itself is neither known nor held, and "
                "would bring back the right to push behind the freeze, the Ingress, and what was stopped",
                f"{action}, and discover anew; accept it where you know that no AppRelease there has {AGAIN}",
            )
        elif not entry.what.startswith(_TOLD_ELSEWHERE):
            yield warning("unread", entry.what, entry.why, action)
    if not case.inventory.global_cluster:
        beyond = "; ".join(records_elsewhere(case))
        yield note(
            "global-cluster",
            "ModuleInfo",
            "the global cluster was not asked; what runs here says the same"
            + (", and by its records there the platform would install again what finalize removes" if beyond else ""),
            f"name it; else finalize stops when it holds the roles, and a person does this then, not before: {beyond}"
            if beyond
            else "nothing",
        )
