"""Steps up to the moment at which this registry has all bytes: prepare, freeze, attach or copy. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from image_registry.migration.access_facts import OURS, may_write
from image_registry.migration.case import Case
from image_registry.migration.choices import Way
from image_registry.migration.facts import ObjectName, StorageFact
from image_registry.migration.limit_conversion import LimitPlan
from image_registry.migration.phases import Action, Phase
from image_registry.migration.plan import Step
from image_registry.migration.rewriting import Change
from image_registry.migration.role_conversion import RoleConversion
from image_registry.migration.target_values import CLAIM, CREDENTIALS
from image_registry.migration.volume_sharing import why_not_both

RESTORE, REMOVE = "the saved object is written back", "it is removed"


def prepare(
    case: Case,
    values: Mapping[str, Any],
    pruner: Mapping[str, Any],
    roles: Iterable[RoleConversion],
    limits: LimitPlan,
) -> Iterator[Step]:
    """This registry beside the old one, with rights and limits; nobody uses it yet."""
    target = case.inventory.target.namespace
    for role in case.inventory.roles:
        if role.object.kind == "ClusterRole" and role.object.name in OURS:
            yield Step(
                f"save/{role.object.name}",
                Phase.PREPARE,
                Action.SAVE,
                f"Save {role.object} as it is",
                role.object,
                undo=RESTORE,
                seconds=1,
            )
    yield from _secrets(case, target)
    yield Step(
        "install",
        Phase.PREPARE,
        Action.INSTALL,
        "Install this registry, suspended and unused",
        parameters={
            "values": {
                **{name: value for name, value in values.items() if name != "routes"},  # hosts move with the cutover
                "managementState": "Removed" if case.way is Way.REUSE else "Managed",
                **(
                    {"readOnly": False} if case.way is Way.COPY else {}
                ),  # a rollback makes it so, and takes that back here
            },
            "pruner": dict(pruner),
            "legacyRules": True,
            "namespace": target,
        },
        undo="it is uninstalled; its storage is kept",
        seconds=180,
    )
    for conversion in roles:
        if conversion.added:
            yield Step(
                f"role/{conversion.object}",
                Phase.PREPARE,
                Action.PATCH,
                f"Let {conversion.object} hold rights on image streams too",
                conversion.object,
                parameters={"addRules": list(conversion.added)},
                undo=RESTORE,
                seconds=1,
            )
    for namespace, document in limits.ranges.items():
        name = ObjectName("LimitRange", document["metadata"]["name"], namespace)
        yield Step(
            f"limits/{namespace}",
            Phase.PREPARE,
            Action.APPLY,
            f"Limit images of {namespace}",
            name,
            document=document,
            undo=REMOVE,
            seconds=1,
        )


def _secrets(case: Case, target: str) -> Iterator[Step]:
    storage = case.storage
    if case.way is Way.REUSE and storage and storage.secret:
        keys = {
            "access-key-id": "REGISTRY_STORAGE_S3_ACCESSKEY",
            "secret-access-key": "REGISTRY_STORAGE_S3_SECRETKEY",
        }
        yield _copied(storage.secret, ObjectName("Secret", CREDENTIALS, target), keys, "credentials of the bucket")
    seen: set[str] = set()
    for exposed in case.installation.exposures if case.installation else ():
        if exposed.tls_secret is not None and exposed.tls_secret.name not in seen:  # several Ingresses may share one
            seen.add(exposed.tls_secret.name)
            place = ObjectName("Secret", exposed.tls_secret.name, target)
            yield _copied(exposed.tls_secret, place, {}, f"the certificate of {', '.join(exposed.hosts)}")


def _copied(old: ObjectName, new: ObjectName, keys: Mapping[str, str], what: str) -> Step:
    return Step(
        f"secret/{new.name}",
        Phase.PREPARE,
        Action.COPY_SECRET,
        f"Copy {what} to {new}",
        new,
        parameters={"from": str(old), "fromNamespace": old.namespace, "fromName": old.name, "keys": dict(keys)},
        undo=REMOVE,
        seconds=1,
    )


def freeze(case: Case) -> Iterator[Step]:
    """Writes to the old registry end, reads go on. By rights: at once, taken back in a moment, no restart."""
    for name in [role.object for role in case.inventory.roles if may_write(role)]:
        yield Step(
            f"freeze/{name}",
            Phase.FREEZE,
            Action.PATCH,
            f"Take the right to push and delete in the old registry from {name}",
            name,
            parameters={"withoutWriting": True},
            undo=RESTORE,
            seconds=1,
        )
    for cleanup in case.inventory.cleanups:
        if cleanup.object.kind == "CronJob" and not cleanup.suspended:
            yield Step(
                f"freeze/{cleanup.object}",
                Phase.FREEZE,
                Action.PATCH,
                f"Suspend {cleanup.object}",
                cleanup.object,
                (Change("/spec/suspend", "false", "true"),),
                undo=RESTORE,
                seconds=1,
            )
    if case.inventory.cleanups:
        yield Step(
            "freeze/jobs",
            Phase.FREEZE,
            Action.WAIT,
            "Wait until no job prunes the old registry any more",
            parameters={
                "jobs": [
                    [each.object.kind, each.object.name, each.object.namespace] for each in case.inventory.cleanups
                ],
                "seconds": 3600,
            },
            seconds=5,
        )
    yield Step(
        "freeze/uploads",
        Phase.FREEZE,
        Action.WAIT,
        "Wait until uploads that had begun are over",
        parameters={"seconds": 60},
        seconds=60,
    )


def attach(case: Case) -> Iterator[Step]:
    """The bytes stay: this registry gets the same volume or bucket."""
    storage = case.storage
    if case.way is not Way.REUSE or storage is None:
        return
    target = case.inventory.target.namespace
    if storage.kind == "pvc" and storage.volume:
        if storage.volume.reclaim_policy != "Retain":
            yield Step(
                "attach/retain",
                Phase.ATTACH,
                Action.PATCH,
                f"Keep {storage.volume.object} whatever happens to its claim",
                storage.volume.object,
                (Change("/spec/persistentVolumeReclaimPolicy", storage.volume.reclaim_policy, "Retain"),),
                undo=RESTORE,
                seconds=1,
            )
        yield _bound(
            storage,
            target,
            {
                "volume": storage.volume.object.name,
                "kind": storage.volume.kind,
                "attributes": dict(storage.volume.attributes),
                **({"alone": storage.claim.name} if storage.claim and why_not_both(storage) else {}),
            },
        )
    elif storage.kind == "hostPath":
        yield _bound(storage, target, {"kind": "local", "path": storage.path, "nodes": list(storage.nodes)})
    yield Step(
        "attach/serve",
        Phase.ATTACH,
        Action.INSTALL,
        "Let this registry serve from that storage",
        parameters={"values": {"managementState": "Managed"}, "readOnly": True, "namespace": target},
        undo="managementState is Removed again; the storage is left alone",
        seconds=120,
    )
    if case.renames:
        renamed = {rename.old: rename.new for rename in case.renames if rename.new}
        yield Step(
            "attach/rename",
            Phase.ATTACH,
            Action.RENAME_IMAGES,
            f"Link {len(renamed)} repositories under their new names",
            parameters={"names": renamed},
            undo="the new links are removed; the old ones were not touched",
            seconds=1 + len(renamed) * 0.1,
        )


def _bound(storage: StorageFact, target: str, parameters: Mapping[str, Any]) -> Step:
    return Step(
        "attach/bind",
        Phase.ATTACH,
        Action.BIND,
        f"Give the same {storage.kind} to a claim of this registry",
        ObjectName("PersistentVolumeClaim", CLAIM, target),
        parameters={
            **parameters,
            "accessModes": list(storage.access_modes),
            "size": storage.size,
            "root": storage.root,
        },
        undo="the new claim and its static volume are removed; the old claim never was",
        seconds=30,
    )


def copy(case: Case) -> Iterator[Step]:
    """The bytes come over: everything while the old registry is still written to, then what was pushed since."""
    if case.way is not Way.COPY:
        return
    size = case.summary.size if case.summary else 0
    names = {rename.old: rename.new for rename in case.renames if rename.new}
    seconds = size / (case.choices.mib_per_second * (1 << 20))
    yield Step(
        "copy/all",
        Phase.PREPARE,
        Action.COPY_IMAGES,
        "Copy all images; writes to the old registry go on meanwhile",
        parameters={"renames": names, "bytes": size},
        undo="what was copied is kept: it is not taken again",
        seconds=seconds,
    )
    yield Step(
        "copy/rest",
        Phase.COPY,
        Action.COPY_IMAGES,
        "Copy what was pushed since, and compare every digest",
        parameters={"renames": names, "since": "copy/all", "verify": True},
        seconds=30 + seconds * 0.02,
    )
