"""Between rows of the tables and the values of the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from itertools import groupby
from operator import attrgetter
from typing import Any

from image_registry.imagestreams.annotations import MANAGED
from image_registry.imagestreams.docker_image import docker_image
from image_registry.imagestreams.model import (
    Image,
    ImageLayer,
    ImageStream,
    ObjectMeta,
    StoredManifest,
    SubManifest,
    TagCondition,
    TagEvent,
    TagHistory,
    TagSource,
    TagSpec,
)
from image_registry.metadata.tables import Record
from image_registry.oci.digest import Digest
from image_registry.oci.manifest import Descriptor, Manifest, Platform
from image_registry.oci.reference import Repository

_event = attrgetter("created", "image", "reference", "generation")
_SURROGATES = dict.fromkeys((0, *range(55296, 57344)), "�")


def utc(time: datetime) -> datetime:
    """SQLite forgets the zone, PostgreSQL answers in that of the session; all our times are UTC."""
    if time.tzinfo is UTC:
        return time
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def text(value: str) -> str:
    """``value`` without characters that are JSON but that no database stores: NUL and halves of surrogate pairs."""
    return value.translate(_SURROGATES)


def stored_manifest(row: Record) -> StoredManifest:
    """From ``digest``, ``media_type``, ``size``."""
    digest, media_type, size = row
    return StoredManifest(Digest.parse(digest), media_type, size)


def tag_event(row: Record) -> TagEvent:
    """From a row of ``tag_events``."""
    created, image, reference, generation = _event(row)
    return TagEvent(utc(created), meaning(image), reference, generation)


def meaning(image: str) -> Digest | None:
    """What an event says that a tag means; nothing if it only points to somewhere."""
    return Digest.parse(image) if image else None


def tag_histories(rows: Iterable[Record]) -> tuple[TagHistory, ...]:
    """From the events of one stream, sorted by tag, the newest first."""
    return tuple(
        TagHistory(tag, tuple([tag_event(row) for row in events])) for tag, events in groupby(rows, attrgetter("tag"))
    )


def tag_spec(row: Record) -> TagSpec:
    """From a row of ``tag_specs``."""
    source = TagSource(row.from_kind, row.from_name, row.from_namespace) if row.from_kind else None
    return TagSpec(
        name=row.tag,
        source=source,
        annotations=row.annotations,
        reference=row.reference,
        generation=row.generation,
        insecure=row.insecure,
        scheduled=row.scheduled,
        import_mode=row.import_mode,
        reference_policy=row.reference_policy,
    )


def spec_row(spec: TagSpec, *, follows: str | None) -> dict[str, Any]:
    """The row of ``tag_specs``, without its stream."""
    source = spec.source or TagSource("", "")
    return {
        "tag": spec.name,
        "annotations": dict(spec.annotations),
        "from_kind": source.kind,
        "from_namespace": source.namespace,
        "from_name": source.name,
        "reference": spec.reference,
        "generation": spec.generation or 0,
        "insecure": spec.insecure,
        "scheduled": spec.scheduled,
        "import_mode": spec.import_mode,
        "reference_policy": spec.reference_policy,
        "follows": follows,
    }


def condition_row(condition: TagCondition) -> dict[str, Any]:
    """The row of ``tag_conditions``, without its stream and tag."""
    return {
        "type": condition.type,
        "status": condition.status,
        "transitioned": condition.transitioned,
        "reason": condition.reason,
        "message": condition.message,
        "generation": condition.generation,
    }


def tag_conditions(rows: Iterable[Record]) -> dict[str, tuple[TagCondition, ...]]:
    """From the conditions of one stream, by tag."""
    return {
        tag: tuple(
            TagCondition(row.type, row.status, utc(row.transitioned), row.reason, row.message, row.generation)
            for row in group
        )
        for tag, group in groupby(rows, lambda row: row.tag)
    }


def stream(
    row: Record,
    tags: tuple[TagHistory, ...] = (),
    *,
    prefix: str = "",
    specs: tuple[TagSpec, ...] = (),
    conditions: Mapping[str, tuple[TagCondition, ...]] | None = None,
) -> ImageStream:
    """From a row of ``image_streams``, or of a join that labels its columns with ``prefix``."""
    values = row._mapping  # noqa: SLF001 - public in SQLAlchemy; the underscore avoids column names
    return ImageStream(
        repository=Repository(values[f"{prefix}namespace"], values[f"{prefix}name"]),
        meta=_meta({key: values[prefix + key] for key in _META}),
        lookup_local=values[f"{prefix}lookup_local"],
        tags=tags,
        source_repository=values[f"{prefix}source_repository"] or "",
        specs=specs,
        conditions=conditions or {},
    )


def last_state(meta: ObjectMeta) -> dict[str, Any]:
    """What the log of revisions remembers of an object that is gone, for those who watch."""
    return {
        "uid": meta.uid,
        "created": meta.created.isoformat(),
        "generation": meta.generation,
        "labels": dict(meta.labels),
        "annotations": dict(meta.annotations),
    }


def image(row: Record) -> Image:
    """From a row of ``images``."""
    return Image(
        digest=Digest.parse(row.digest),
        meta=_meta(row._mapping),  # noqa: SLF001 - as above
        reference=row.reference,
        media_type=row.media_type,
        manifest_size=row.manifest_size,
        config=Digest.parse(row.config) if row.config else None,
        content_size=row.content_size,
        layers=tuple(ImageLayer(Digest.parse(digest), size, kind) for digest, size, kind in row.layers),
        manifests=tuple(SubManifest(Digest.parse(digest), *rest) for digest, *rest in row.manifests),
        docker_metadata=row.docker_metadata,
        artifact_type=row.artifact_type,
        subject=Digest.parse(row.subject) if row.subject else None,
    )


def image_row(
    manifest: Manifest, config: bytes | None, *, uid: str, created: datetime, reference: str, managed: bool = True
) -> dict[str, Any]:
    """The row of ``images`` for a pushed manifest, or for one whose content lies elsewhere (not ``managed``).

    Its revision comes at the end of the transaction.
    """
    return {
        "digest": str(manifest.digest),
        "uid": uid,
        "created": created,
        "labels": {},
        "annotations": {MANAGED: "true"} if managed else {},
        "generation": 1,
        "resource_version": 0,
        "reference": reference,
        "media_type": manifest.media_type,
        "manifest_size": len(manifest.raw),
        "content_size": manifest.content_size,
        "config": str(manifest.config.digest) if manifest.config else None,
        "layers": [[str(layer.digest), layer.size, layer.media_type] for layer in manifest.layers],
        "manifests": [_child(entry) for entry in manifest.manifests],
        "docker_metadata": docker_image(manifest, config),
        "artifact_type": text(manifest.artifact_type),
        "subject": str(manifest.subject.digest) if manifest.subject else None,
    }


_META = (
    "uid",
    "created",
    "resource_version",
    "generation",
    "labels",
    "annotations",
    "owner_references",
    "finalizers",
    "managed_fields",
    "deleted",
    "generate_name",
)


def _meta(values: Any) -> ObjectMeta:
    return ObjectMeta(
        uid=values["uid"],
        created=utc(values["created"]),
        resource_version=values["resource_version"],
        generation=values["generation"],
        labels=values["labels"],
        annotations=values["annotations"],
        owner_references=tuple(values["owner_references"] or ()),
        finalizers=tuple(values["finalizers"] or ()),
        managed_fields=tuple(values["managed_fields"] or ()),
        deleted=utc(values["deleted"]) if values["deleted"] is not None else None,
        generate_name=values["generate_name"] or "",
    )


def _child(entry: Descriptor) -> list[Any]:
    platform = entry.platform or Platform()
    return [
        str(entry.digest),
        entry.size,
        entry.media_type,
        platform.architecture,
        platform.os,
        platform.variant,
    ]
