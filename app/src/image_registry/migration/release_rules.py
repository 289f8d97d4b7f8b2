"""Findings about what the platform writes again by itself: from what it makes that, and what comes of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from image_registry.migration.case import Case
from image_registry.migration.facts import ReleaseFact
from image_registry.migration.findings import Finding, blocking, note, warning
from image_registry.migration.foreign_releases import rendered, starts_controller, stays


def release_findings(case: Case) -> Iterator[Finding]:
    """What the platform writes again, from what, and what comes of that."""
    for release in case.inventory.releases:
        yield _applied_again(case, release) if release.applied_again else _reverted_edits(release)
        if release.applied_again and stays(case, release) and starts_controller(case, release):
            yield _controller_again(release)
    for record in case.installation.records if case.installation else ():
        if record.object.kind != "AppRelease":
            yield note(
                "written-again",
                record.object,
                f"the platform makes the release from it ({record.cluster} cluster): when it is changed, the release "
                "is written and applied again, with the annotation by which it is applied on its own",
                "change nothing of it until finalize removes it: no upgrade of the plugin, no settings in the console; "
                "the gate `applied` says who wrote the annotation again",
            )


def _reverted_edits(release: ReleaseFact) -> Finding:
    return note(
        "reverted-edits",
        release.object,
        "the platform writes the objects of this release again when it is changed, and may when they are; it does not "
        "ask for that by itself",
        "let nobody change or sync it from the freeze to the end of the cutover; the gates `applied` and `frozen` find "
        "what comes back",
    )


def _applied_again(case: Case, release: ReleaseFact) -> Finding:
    syncs = [sync for sync in release.syncs if sync.on]
    writers = ", ".join(dict.fromkeys(who for sync in syncs for who in sync.written_by))
    said = ", ".join(f"{sync.annotation}={sync.value}" for sync in syncs)
    foreign = ""
    if stays(case, release):
        found = ", ".join(map(str, rendered(case, release)))
        foreign = (
            "; it is not the registry's own, so finalize gives it the annotation again as it was"
            + (f", and {found} will be as its chart has it, about a registry that is off then" if found else "")
        )  # fmt: skip
    return warning(
        "applied-again",
        release.object,
        f"the platform applies this release again by itself ({said}{f', written by {writers}' if writers else ''}"
        f"{f'; made by {release.made_by}' if release.made_by else ''}): the right to push that the freeze takes, the "
        f"Ingress that the cutover removes and what is stopped would come back{foreign}",
        "nothing: the first step of prepare takes the annotation away, a rollback brings it back as it was, and "
        "gates look whether somebody else does; have whoever looks after the platform know of it",
    )


def _controller_again(release: ReleaseFact) -> Finding:
    return blocking(
        "controller-again",
        release.object,
        "it is not the registry's own, it renders the controller of pull Secrets, and the platform applies it again by "
        "itself: as soon as finalize lets it, the controller runs again and gives ServiceAccounts logins for a "
        "registry that is off",
        "let its chart render the controller no more, and discover again; or accept it, and remove the controller "
        "from it before finalize",
    )
