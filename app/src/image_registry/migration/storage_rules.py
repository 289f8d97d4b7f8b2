"""Findings about where the bytes of the legacy registry lie: can they be reached, and can they stay.

What ``attach`` would refuse is said here, while nothing has happened: it comes behind the freeze.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

from image_registry.migration.case import Case
from image_registry.migration.choices import Way
from image_registry.migration.facts import Installation, StorageFact
from image_registry.migration.findings import Finding, blocking, note, warning
from image_registry.migration.spelling import Said
from image_registry.migration.volume_sharing import MANY, same_handle, why_not_both


def storage_findings(case: Case, chosen: Installation) -> Iterator[Finding]:
    """Everything about it."""
    storage = chosen.storage
    if storage is None or storage.kind == "unknown":
        yield blocking(
            "storage-unknown",
            chosen.name,
            "it is not known where the images lie",
            "see what could not be read; a copy needs a registry that runs",
        )
        return
    about = storage.claim or storage.bucket or storage.path or chosen.name
    to_copy = copying(case)
    reason = case.why_not_reuse
    if case.why_not_served and case.choices.way is Way.REUSE:
        yield blocking(
            "cannot-reuse", about, f"the bytes cannot stay where they are: {reason}", f"copy them ({to_copy})"
        )
    elif reason and case.choices.way is Way.REUSE:
        yield blocking("no-reuse", about, f"the bytes cannot stay where they are: {reason}", f"copy them ({to_copy})")
    elif reason:
        severity = warning if chosen.runs else blocking
        yield severity(
            "unsupported-storage", about, f"{reason}: images are copied", "nothing, if the registry goes on running"
        )
    if storage.kind == "emptyDir":
        yield warning("fleeting-storage", about, "images are gone when the Pod goes", "do not restart it; copy soon")
    yield from {"pvc": _claim, "hostPath": _folder, "s3": _bucket}.get(storage.kind, _nothing)(case, storage)


def copying(case: Case) -> str:
    """How somebody chooses a copy."""
    return case.choices.spelling(Said.WAY, Way.COPY.value)


def _nothing(_case: Case, _storage: StorageFact) -> Iterator[Finding]:
    return iter(())


def _claim(case: Case, storage: StorageFact) -> Iterator[Finding]:
    about = storage.claim
    if storage.phase != "Bound":
        yield blocking(
            "storage-unreachable",
            about,
            f"the claim is {storage.phase or 'not there'}",
            "let it be bound; see its events",
        )
        return
    volume = storage.volume
    if volume is None:
        severity = _if_reused(case)
        yield severity(
            "volume-unknown",
            about,
            "its PersistentVolume could not be read, so nothing can be bound to it",
            f"give the right to get persistentvolumes, and discover again; or copy ({copying(case)})",
        )
    elif volume.phase not in ("Bound", ""):
        yield blocking("storage-unreachable", volume.object, f"the volume is {volume.phase}", "see its events")
    elif not volume.kind and case.way is Way.REUSE:
        yield blocking(
            "volume-kind",
            volume.object,
            "it is of a kind of which no second volume object can be made",
            f"copy ({copying(case)})",
        )
    elif volume.reclaim_policy == "Delete" and case.way is Way.REUSE:
        yield note(
            "reclaim-policy",
            volume.object,
            "the volume is deleted with its claim",
            "nothing: the plan sets it to Retain before anything else is touched",
        )
    if case.way is Way.REUSE and MANY not in storage.access_modes and not why_not_both(storage):
        yield warning(
            "single-node-volume",
            about,
            f"the volume is {', '.join(storage.access_modes) or 'of one node'}: this registry comes up on its node",
            f"nothing, if that node has room for both; or copy ({copying(case)})",
        )
    if case.way is Way.REUSE and (driver := same_handle(storage)):
        yield warning(
            "shared-handle",
            about,
            f"{driver} finds both volume objects by one handle: a mount may hang where both registries are on one node",
            f"let this registry come up on another node than the old one; or copy ({copying(case)})",
        )
    yield from _root(case, storage, str(about))


def _if_reused(case: Case) -> Callable[[str, object, str, str], Finding]:
    """A copy asks the registry and need not know where the bytes lie; reuse would fail behind the freeze."""
    return blocking if case.way is Way.REUSE else warning


def _root(case: Case, storage: StorageFact, about: str) -> Iterator[Finding]:
    """This registry finds images at the root of its volume and nowhere else."""
    if not storage.mounted_at or not storage.root:
        return
    root, mounted = PurePosixPath(storage.root), PurePosixPath(storage.mounted_at)
    if root != mounted:
        where = f"the folder {root.relative_to(mounted)} of" if root.is_relative_to(mounted) else f"{root}, outside of"
        severity = _if_reused(case)
        yield severity(
            "root-directory",
            about,
            f"images lie in {where} the volume, not at its root",
            f"copy ({copying(case)})",
        )


def _folder(case: Case, storage: StorageFact) -> Iterator[Finding]:
    states = case.inventory.nodes
    for name in storage.nodes:
        if states.get(name, "ready") != "ready":
            yield blocking(
                "storage-unreachable", f"Node {name}", f"the node is {states[name]}", "bring it back, or replace it"
            )
    if not storage.nodes:
        severity = _if_reused(case)
        yield severity(
            "node-unknown",
            storage.path,
            "no node is named to which the folder belongs, so no volume can be made of it",
            "see where its Pod runs, pin its Deployment to that node (nodeSelector kubernetes.io/hostname), and "
            f"discover again; or copy ({copying(case)})",
        )
    yield from _root(case, storage, storage.path)
    if case.way is Way.REUSE:
        yield note(
            "local-volume",
            storage.path,
            "the folder of a node becomes a static local volume for this registry",
            "nothing: one replica, on that node, as before",
        )


def _bucket(case: Case, storage: StorageFact) -> Iterator[Finding]:
    about = storage.bucket or "bucket"
    if storage.secret is None and not case.inventory.could_not_read("storage credentials"):
        yield warning(
            "credentials-unknown",
            about,
            "no Secret with credentials is named",
            "the node's own rights may be used: check",
        )
    elif storage.secret_missing:
        yield blocking(
            "storage-unreachable",
            storage.secret,
            f"there is no {', '.join(storage.secret_missing)} in it",
            "put the credentials there again",
        )
    if storage.endpoint and "://" not in storage.endpoint:
        yield note(
            "endpoint-scheme", about, f"{storage.endpoint} has no scheme", "nothing: the plan writes https:// before it"
        )
    if storage.skip_verify:
        yield warning(
            "skip-verify",
            about,
            "its certificate is not verified",
            "give its CA (storage.s3.trustedCA); until then the plan sets skipVerify, which a condition reports",
        )
