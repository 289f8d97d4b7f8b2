"""Findings about the legacy registry itself: is it whole, may somebody push past the freeze, is there room for it."""

from __future__ import annotations

from collections.abc import Iterator

from image_registry.migration.access_facts import may_write
from image_registry.migration.case import Case
from image_registry.migration.choices import Way
from image_registry.migration.facts import Installation
from image_registry.migration.findings import Finding, blocking, note, warning
from image_registry.migration.moved_hosts import moves_away
from image_registry.migration.release_rules import release_findings
from image_registry.migration.spelling import Said
from image_registry.migration.storage_rules import copying, storage_findings
from image_registry.migration.volume_sharing import why_not_both

TIGHT = 0.8
"""Part of a claim that should not be filled by the move alone."""

CLAIM = "image-registry-storage"


def source_findings(case: Case) -> Iterator[Finding]:
    """Everything about the source and its storage."""
    inventory, chosen = case.inventory, case.installation
    if not inventory.installations:
        yield blocking(
            "no-registry",
            inventory.namespace,
            f"no legacy registry was found in namespace {inventory.namespace}",
            "name its namespace, and see what could not be read",
        )
        return
    yield from _generations(case)
    if chosen is None:
        return
    yield from _installation(case, chosen)
    yield from _records(chosen)
    yield from release_findings(case)
    yield from _ways_past_the_freeze(case, chosen)
    yield from _moving_address(case, chosen)
    yield from storage_findings(case, chosen)
    yield from _target(case)
    yield from _space(case)


def _generations(case: Case) -> Iterator[Finding]:
    found = case.inventory.installations
    if case.choices.generation and case.installation is None:
        known = ", ".join(entry.name for entry in found)
        yield blocking(
            "generation",
            case.choices.generation,
            f"there is no registry {case.choices.generation} here",
            f"choose of: {known}",
        )
    running = [entry.name for entry in found if entry.runs]
    if len(running) > 1 and not case.choices.generation:
        yield blocking(
            "generation",
            " and ".join(running),
            "two registries run",
            f"choose one ({case.choices.spelling(Said.GENERATION)}), migrate it, then the other",
        )
    for entry in found:
        if entry is not case.installation and not entry.runs:
            yield warning(
                "leftover",
                entry.name,
                f"parts of a registry of {entry.versions} are left and nothing of it runs",
                "remove them after the migration; workloads that still name its hosts are rewritten along",
            )


def _installation(case: Case, chosen: Installation) -> Iterator[Finding]:
    name, spelling = chosen.name, case.choices.spelling
    if chosen.workload is None:
        yield warning(
            "not-running",
            name,
            "there is no Deployment: images cannot be asked for, and can be read in their storage only",
            f"survey the storage ({spelling(Said.STORAGE_ROOT)} or {spelling(Said.SURVEY_BUCKET)})",
        )
    elif chosen.workload.ready == 0:
        yield warning(
            "not-running",
            name,
            f"none of {chosen.workload.replicas} Pods is ready",
            f"look at the Pods of {chosen.workload.object}; or survey the storage",
        )
    for piece in chosen.missing:
        if piece not in ("Deployment", "storage"):
            yield note(
                "partial",
                f"{name}/{piece}",
                f"an installation usually has one and this has no {piece}",
                "nothing, if you know why",
            )
    if chosen.driver is not None and chosen.driver.delete_enabled is False:
        yield note(
            "delete-disabled",
            name,
            "its configuration refuses deletions",
            "nothing: this registry allows them by right",
        )


def _records(chosen: Installation) -> Iterator[Finding]:
    """What the platform was told, and what runs."""
    for record in chosen.records:
        if record.undocumented:
            yield note(
                "settings",
                record.object,
                f"settings that are not documented: {', '.join(record.undocumented[:10])}",
                "see whether one of them matters to you; their values were not read",
            )
        for setting in record.settings:
            if setting.name == "global.oidc.ldapID" and setting.value:
                yield warning(
                    "password-login",
                    record.object,
                    f"people log in with passwords of {setting.value}",
                    "tell them to use `ac registry login` or a token: this registry takes tokens of the cluster alone",
                )


def _ways_past_the_freeze(case: Case, chosen: Installation) -> Iterator[Finding]:
    """What lets somebody push while nobody should: both are looked for again by the gates and before the last step."""
    for role in case.inventory.roles:
        if role.owner and role.owner.rpartition("/")[2] == chosen.name and may_write(role):
            yield warning(
                "release-owned-role",
                role.object,
                f"the release {role.owner} brings back the right to push, which the freeze takes, when it is applied",
                "let nobody upgrade or sync that release from the freeze to the end of the cutover",
            )
    for service in chosen.services:
        if service.role == "direct":
            yield warning(
                "direct-service",
                service.object,
                "it leads past the proxy that asks for rights: who reaches it can push, frozen or not",
                "see who uses it, and close it to all but this migration (a NetworkPolicy) from the freeze on; the "
                "gate `frozen` finds a push by it if the registry before is named "
                f"({case.choices.spelling(Said.SOURCE_URL)})",
            )


def _moving_address(case: Case, chosen: Installation) -> Iterator[Finding]:
    """The last gate asks the registry before; by then its hosts lead to this one."""
    if case.way is Way.REUSE and why_not_both(case.storage):
        return  # it is stopped by then
    host = moves_away(case.choices.source_url, {case.choices.host, *case.moving_hosts})
    if host:
        service = next((entry for entry in chosen.services if entry.role == "registry" and entry.addresses), None)
        address = f"http://{service.addresses[0]}" if service else "http://<its address>"
        yield blocking(
            "source-host",
            host,
            "the registry before is to be asked by this host, which leads to this registry before the last gate asks",
            f"name its Service, with its port if that is not 80 ({case.choices.spelling(Said.SOURCE_URL, address)}); a "
            "survey may use the host",
        )


def _target(case: Case) -> Iterator[Finding]:
    target = case.inventory.target
    chosen = case.choices.claim_class
    if case.way is Way.COPY and chosen and target.storage_classes and chosen not in target.storage_classes:
        yield blocking(
            "claim-class",
            chosen,
            "the cluster has no such StorageClass, so the claim of a copy would never be bound",
            f"name one of: {', '.join(target.storage_classes)} ({case.choices.spelling(Said.CLAIM_CLASS)})",
        )
    if CLAIM in target.claims and case.way is Way.REUSE and case.storage and case.storage.kind != "s3":
        yield blocking(
            "target-claim",
            f"{target.namespace}/{CLAIM}",
            "this registry has a claim of its own already, which may hold images",
            f"see what is in it; copy ({copying(case)}), or remove it and the registry",
        )
    if target.config_state == "Managed" and case.way is Way.REUSE:
        yield warning(
            "target-serves",
            target.namespace,
            "this registry serves already, from another storage",
            "what was pushed to it is not in the storage that it gets: copy that first",
        )


def _space(case: Case) -> Iterator[Finding]:
    if case.way is not Way.COPY or (case.keeps_its_storage and case.summary is not None):
        return
    size = case.choices.claim_size or case.inventory.target.claims.get(CLAIM, 0)
    if case.summary is None:
        yield note("space-unknown", "target", "it is not known how much is to be copied", "survey the registry")
        return
    if not size:
        yield warning(
            "space-unknown",
            "target",
            f"{case.summary.size} bytes are to be copied, into storage of unknown size",
            f"say how large it is ({case.choices.spelling(Said.CLAIM_SIZE)})",
        )
    elif case.summary.size > size:
        yield blocking(
            "space",
            "target",
            f"{case.summary.size} bytes are to be copied into {size}",
            f"make the claim larger ({case.choices.spelling(Said.CLAIM_SIZE)})",
        )
    elif case.summary.size > size * TIGHT:
        yield warning(
            "space", "target", f"the copy fills {case.summary.size * 100 // size} % of the storage", "make it larger"
        )
