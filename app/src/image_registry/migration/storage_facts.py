"""Where the bytes of a legacy registry lie: a claim with its volume, a folder of a node, a bucket.

What runs counts; the settings of the installation fill in what is not running any more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from image_registry.kube.quantity import whole as quantity
from image_registry.migration.facts import DriverFact, ObjectName, Setting, StorageFact, VolumeFact, WorkloadFact
from image_registry.migration.generations import Generation
from image_registry.migration.reading import Reader, at, objects, text, texts, words
from image_registry.migration.running_parts import registry_container
from image_registry.migration.volume_sharing import SOURCES

S3_KEYS = ("access-key-id", "secret-access-key")
_TOLD = ("csi", "nfs", "hostPath", "local")
"""Kinds of volumes whose place people know by its attributes."""

_S3_DRIVERS = ("s3", "s3aws")
_VARIABLES = ("REGISTRY_STORAGE_S3_ACCESSKEY", "REGISTRY_STORAGE_S3_SECRETKEY")


def read_storage(
    reader: Reader,
    known: Generation,
    namespace: str,
    deployment: Mapping[str, Any] | None,
    workload: WorkloadFact | None,
    driver: DriverFact | None,
    settings: Mapping[str, Setting],
) -> StorageFact | None:
    """``None`` if nothing at all says where."""
    wants_s3 = _says(settings, "s3storage.enabled") == "true"
    if driver is not None and driver.driver in _S3_DRIVERS:
        return _bucket(reader, namespace, driver, workload, settings)
    if driver is not None and driver.driver != "filesystem":
        return StorageFact(driver.driver, driver.source, root=driver.parameters.get("rootdirectory", ""))
    root = driver.parameters.get("rootdirectory", "") if driver else ""
    if deployment is not None and not wants_s3:
        found = _mounted(reader, namespace, deployment, root)
        if found is not None:
            return _as_wished(found, settings) if found.kind == "hostPath" else found
    if wants_s3:
        return _bucket(reader, namespace, None, workload, settings)
    if _says(settings, "persistence.type") == "LocalVolume":
        source = settings["persistence.type"].source
        nodes = tuple(value.value for name, value in sorted(settings.items()) if name.startswith("persistence.nodes"))
        path = _says(settings, "persistence.path") or known.host_path
        return StorageFact("hostPath", source, path=path, nodes=nodes, root=root, size=_wished(settings))
    claim = ObjectName("PersistentVolumeClaim", known.name, namespace)
    document = reader.get("storage claim", claim, "persistentvolumeclaims")
    if document is not None:
        return _claimed(reader, document, claim, str(claim), root, "")
    if workload is None and not settings:
        return None
    return StorageFact("unknown", str(workload.object) if workload else next(iter(settings.values())).source)


def _as_wished(found: StorageFact, settings: Mapping[str, Setting]) -> StorageFact:
    """A folder with what only the settings know: its size, and its node if nothing pins the Pod."""
    told = tuple(value.value for name, value in sorted(settings.items()) if name.startswith("persistence.nodes"))
    return replace(found, size=_wished(settings), nodes=found.nodes or (told if len(told) == 1 else ()))


def _wished(settings: Mapping[str, Setting]) -> int:
    """Of a folder only who installed it knows how large it was meant to be, in GiB; nothing holds it to that."""
    said = _says(settings, "persistence.size").removesuffix("Gi")
    return int(said) << 30 if said.isdecimal() else 0


def _mounted(reader: Reader, namespace: str, deployment: Mapping[str, Any], root: str) -> StorageFact | None:
    """The volume of the registry's container that holds the root of the storage."""
    source = f"Deployment {namespace}/{text(at(deployment, 'metadata', 'name'))}"
    spec = at(deployment, "spec", "template", "spec")
    volumes = {text(volume.get("name")): volume for volume in objects(at(spec, "volumes"))}
    mounts = [
        (text(mount.get("mountPath")), volumes[text(mount.get("name"))])
        for mount in objects(registry_container(deployment).get("volumeMounts"))
        if text(mount.get("name")) in volumes
    ]
    holding = [(path, volume) for path, volume in mounts if root and f"{root}/".startswith(f"{path.rstrip('/')}/")]
    kinds = ("persistentVolumeClaim", "hostPath", "nfs", "emptyDir")
    for path, volume in sorted(holding or mounts, key=lambda pair: len(pair[0]), reverse=True):
        kind = next((kind for kind in kinds if isinstance(volume.get(kind), dict)), "")
        if kind == "persistentVolumeClaim":
            claim = ObjectName("PersistentVolumeClaim", text(at(volume, kind, "claimName")), namespace)
            document = reader.get("storage claim", claim, "persistentvolumeclaims")
            if document is not None:
                return _claimed(reader, document, claim, source, root, path)
            return StorageFact("pvc", source, claim, root=root, mounted_at=path)
        if kind == "hostPath":
            nodes = words(at(spec, "nodeSelector")).get("kubernetes.io/hostname", "")
            pinned = (nodes,) if nodes else _affine(at(spec, "affinity", "nodeAffinity"))
            place = text(at(volume, kind, "path"))
            return StorageFact("hostPath", source, path=place, nodes=pinned, root=root, mounted_at=path)
        if kind:
            return StorageFact(kind, source, root=root, mounted_at=path)
    return None


def _claimed(
    reader: Reader, document: Mapping[str, Any], claim: ObjectName, source: str, root: str, mounted_at: str
) -> StorageFact:
    spec, volume_name = document.get("spec"), text(at(document, "spec", "volumeName"))
    size = text(at(document, "status", "capacity", "storage")) or text(at(spec, "resources", "requests", "storage"))
    return StorageFact(
        "pvc",
        source,
        claim,
        text(at(document, "status", "phase")),
        _bytes(size),
        texts(at(spec, "accessModes")),
        _volume(reader, volume_name) if volume_name else None,
        root=root,
        mounted_at=mounted_at,
    )


def _volume(reader: Reader, name: str) -> VolumeFact | None:
    place = ObjectName("PersistentVolume", name)
    document = reader.get("persistent volume", place, "persistentvolumes")
    if document is None:
        return None
    spec = document.get("spec")
    kind = next((kind for kind in SOURCES if isinstance(at(spec, kind), dict)), "")
    told = words(at(spec, kind)) if kind in _TOLD else {}
    attributes = {key: value for key, value in told.items() if value}
    if kind == "csi":
        # attributes may be anything, so only well-known ones are kept; credentials are references to Secrets
        handed = words(at(spec, "csi", "volumeAttributes"))
        wanted = (
            "server",
            "share",
            "subdir",
            "path",
            "clusterID",
            "pool",
            "fsName",
        )
        attributes |= {key: handed[key] for key in wanted if key in handed}
    terms = objects(at(spec, "nodeAffinity", "required", "nodeSelectorTerms"))
    return VolumeFact(
        place,
        text(at(document, "status", "phase")),
        _bytes(text(at(spec, "capacity", "storage"))),
        texts(at(spec, "accessModes")),
        text(at(spec, "persistentVolumeReclaimPolicy")),
        text(at(spec, "storageClassName")),
        kind,
        attributes,
        _hostnames(terms),
    )


def _bucket(
    reader: Reader,
    namespace: str,
    driver: DriverFact | None,
    workload: WorkloadFact | None,
    settings: Mapping[str, Setting],
) -> StorageFact:
    """The running registry's word first, then that of the installation."""
    own = dict(driver.parameters) if driver else {}
    source = driver.source if driver else settings["s3storage.enabled"].source
    skip = own.get("skipverify") or _says(settings, "s3storage.env.REGISTRY_STORAGE_S3_SKIPVERIFY")
    found = StorageFact(
        "s3",
        source,
        root=own.get("rootdirectory", ""),
        bucket=own.get("bucket") or _says(settings, "s3storage.bucket"),
        region=own.get("region") or _says(settings, "s3storage.region"),
        endpoint=own.get("regionendpoint") or _says(settings, "s3storage.regionEndpoint"),
        skip_verify=skip.lower() == "true",
    )
    hidden = dict(workload.secret_environment) if workload else {}
    named = {reference.partition("/")[0] for name, reference in hidden.items() if name in _VARIABLES} - {"(value)"}
    keys = tuple(hidden[name].partition("/")[2] for name in _VARIABLES if "/" in hidden.get(name, ""))
    name = next(iter(sorted(named)), "") or _says(settings, "s3storage.secretName")
    if not name:
        return found
    place = ObjectName("Secret", name, namespace)
    document = reader.get("storage credentials", place, "secrets")
    if document is None:
        known = _refused(reader, "storage credentials")
        return replace(found, secret=place, secret_missing=() if known else keys or S3_KEYS)
    data = words(document.get("data"))
    return replace(
        found,
        secret=place,
        secret_keys=tuple(sorted(data)),
        secret_missing=tuple(key for key in keys or S3_KEYS if key not in data),
        fingerprint=_fingerprint(data),
    )


def _refused(reader: Reader, what: str) -> bool:
    """Whether something is unknown because it was refused, and not because it is not there."""
    return any(entry.what == what for entry in reader.unread)


def _fingerprint(data: Mapping[str, str]) -> str:
    """Tells whether credentials have changed and nothing about them; slow to make, for passwords may be short."""
    joined = "\n".join(f"{key}={data[key]}" for key in sorted(data))
    return hashlib.scrypt(joined.encode(), salt=b"image-registry migration", n=1 << 14, r=8, p=1, dklen=8).hex()


def _affine(affinity: Any) -> tuple[str, ...]:
    terms = objects(at(affinity, "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms"))
    return _hostnames(terms)


def _hostnames(terms: list[dict[str, Any]]) -> tuple[str, ...]:
    return tuple(
        host
        for term in terms
        for expression in objects(term.get("matchExpressions"))
        if expression.get("key") == "kubernetes.io/hostname"
        for host in texts(expression.get("values"))
    )


def _says(settings: Mapping[str, Setting], name: str) -> str:
    return settings[name].value if name in settings else ""


def _bytes(text_: str) -> int:
    try:
        return quantity(text_) if text_ else 0
    except ValueError:
        return 0
