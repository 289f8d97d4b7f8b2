"""Values of the rules as Kubernetes objects (parity reference 1.3, 1.5, 1.6): pure functions, one per kind.

Empty members are left out as Kubernetes leaves them out, so that a diff of two objects shows what differs.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from image_registry.image_api.negotiation import META_GROUP
from image_registry.image_api.resources import (
    GROUP_VERSION,
    IMAGE_TAGS,
    IMAGES,
    SIGNATURES,
    STREAM_IMAGES,
    STREAM_LAYERS,
    STREAM_TAGS,
    STREAMS,
    Resource,
)
from image_registry.imagestreams import verified_signatures
from image_registry.imagestreams.annotations import UNPULLED
from image_registry.imagestreams.image_signatures import ImageSignature
from image_registry.imagestreams.local_names import pull_spec
from image_registry.imagestreams.model import (
    Image,
    ImageStream,
    ObjectMeta,
    StreamSummary,
    TagCondition,
    TagHistory,
    TagSpec,
)
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository

Document = dict[str, Any]

LAYERS_ORDER = "image.alauda.io/dockerLayersOrder"
"""Annotation of an Image: its layers are listed from the base upwards."""


@dataclass(frozen=True, slots=True)
class Hosts:
    """Under which names the registry is reached; ``public`` is empty where it has none."""

    internal: str
    public: str = ""


def image(value: Image, signatures: Sequence[ImageSignature] = ()) -> Document:
    """An ``Image``; lists leave its signatures out."""
    notes = verified_signatures.read(value.meta.annotations) if signatures else {}
    signed = [signature(value.digest, found, notes.get(found.signature.name)) for found in signatures]
    return {**_head(IMAGES), **_image_body(value), **({"signatures": signed} if signed else {})}


def signature(digest: Digest, value: ImageSignature, note: verified_signatures.Note | None = None) -> Document:
    """An ``ImageSignature``, with what somebody noted about it."""
    return {
        **_head(SIGNATURES),
        "metadata": {"name": f"{digest}@{value.signature.name}", "creationTimestamp": timestamp(value.created)},
        "type": value.signature.type,
        "content": base64.b64encode(value.signature.content).decode(),
        **(verified_signatures.members(note) if note is not None else {}),
    }


def stream(value: ImageStream, hosts: Hosts) -> Document:
    """An ``ImageStream`` with the history of all its tags."""
    return {
        **_head(STREAMS),
        "metadata": _metadata(value.meta, value.repository.name, value.repository.namespace),
        "spec": _present(
            lookupPolicy={"local": value.lookup_local},
            dockerImageRepository=value.source_repository,
            tags=[tag_spec(spec) for spec in value.specs],
        ),
        "status": _present(
            dockerImageRepository=f"{hosts.internal}/{value.repository}",
            publicDockerImageRepository=f"{hosts.public}/{value.repository}" if hosts.public else "",
            tags=_tag_statuses(value),
        ),
    }


def stream_summary(value: StreamSummary, hosts: Hosts) -> Document:
    """An ``ImageStream`` as far as tables and ``metadata`` show it: tags have names, and the first the time of all."""
    document = stream(value.stream, hosts)
    tags: list[Document] = [{"tag": tag, "items": ()} for tag in value.tags]
    if tags and value.updated:
        tags[0]["items"] = ({"created": timestamp(value.updated)},)
    document["status"]["tags"] = tags
    return document


def tag_spec(spec: TagSpec) -> Document:
    """A ``TagReference``."""
    source = spec.source
    return _present(
        name=spec.name,
        annotations=dict(spec.annotations),
        generation=spec.generation,
        reference=spec.reference or None,
        importPolicy=_present(
            insecure=spec.insecure or None, scheduled=spec.scheduled or None, importMode=spec.import_mode
        ),
        referencePolicy={"type": spec.reference_policy},
        **({"from": _present(kind=source.kind, namespace=source.namespace, name=source.name)} if source else {}),
    )


def stream_tag(
    owner: ImageStream, history: TagHistory | None, image_value: Image | None = None, *, hosts: Hosts, tag: str = ""
) -> Document:
    """An ``ImageStreamTag``. Lists know the image by name only; ``uid`` and ``resourceVersion`` are the stream's.

    A tag without a history is one of which something is only wanted.
    """
    name = history.tag if history else tag
    spec = owner.spec(name)
    newest = history.newest if history else None
    body: Document = {"metadata": {"name": newest.digest if newest else ""}}
    if image_value is not None:
        body = _image_body(image_value)
    if reference := pull_spec(owner.repository, spec, newest, hosts.internal):
        body["dockerImageReference"] = reference
    metadata = _metadata(owner.meta, tag_name(owner.repository, name), owner.repository.namespace)
    if newest is not None:
        metadata["creationTimestamp"] = timestamp(newest.created)
    metadata.pop("generation")
    for stream_only in _OF_THE_STREAM:
        metadata.pop(stream_only, None)
    if spec is not None and spec.annotations:  # those of a tag are its own
        metadata["annotations"] = dict(spec.annotations)
    conditions = [tag_condition(value) for value in owner.conditions.get(name, ())]
    return {
        **_head(STREAM_TAGS),
        "metadata": metadata,
        **({"tag": tag_spec(spec)} if spec is not None else {}),
        "generation": newest.generation if newest else (spec.generation if spec else None) or 0,
        "lookupPolicy": {"local": owner.lookup_local},
        **({"conditions": conditions} if conditions else {}),
        "image": body,
    }


_OF_THE_STREAM = (
    "annotations",
    "managedFields",
    "finalizers",
    "ownerReferences",
    "generateName",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)
"""Metadata of a stream that its tags do not have."""


def stream_tag_of(owner: ImageStream, tag: str, image_value: Image | None, hosts: Hosts) -> Document:
    """An ``ImageStreamTag`` of a stream that is known with all its tags."""
    return stream_tag(owner, owner.history(tag), image_value, hosts=hosts, tag=tag)


def image_tag(owner: ImageStream, tag: str, image_value: Image | None) -> Document:
    """An ``ImageTag``; lists leave the image out."""
    metadata = _metadata(owner.meta, tag_name(owner.repository, tag), owner.repository.namespace)
    for stream_only in _OF_THE_STREAM[1:]:
        metadata.pop(stream_only, None)
    spec, history, conditions = owner.spec(tag), owner.history(tag), owner.conditions.get(tag, ())
    return {
        **_head(IMAGE_TAGS),
        "metadata": metadata,
        **({"spec": tag_spec(spec)} if spec is not None else {}),
        **({"status": _tag_status(tag, history, conditions)} if history or conditions else {}),
        **({"image": _image_body(image_value)} if image_value is not None else {}),
    }


def stream_image(
    owner: ImageStream,
    digest: Digest,
    image_value: Image | None,
    pushed: datetime | None = None,
    unpulled: datetime | None = None,
) -> Document:
    """An ``ImageStreamImage``, as old as the stream has it; brief lists know the image by name only.

    Since when nobody has pulled it stands beside the annotations of the stream, in place of what those say of it.
    """
    metadata = _metadata(owner.meta, f"{owner.repository.name}@{digest}", owner.repository.namespace)
    for stream_only in _OF_THE_STREAM[1:]:
        metadata.pop(stream_only, None)
    since = pushed or (image_value.meta.created if image_value is not None else owner.meta.created)
    metadata["creationTimestamp"] = timestamp(since)
    annotations = {name: text for name, text in metadata.get("annotations", {}).items() if name != UNPULLED}
    if unpulled is not None:
        annotations[UNPULLED] = timestamp(unpulled)
    if annotations:
        metadata["annotations"] = annotations
    else:
        metadata.pop("annotations", None)
    body = {"metadata": {"name": str(digest)}} if image_value is None else _image_body(image_value)
    return {**_head(STREAM_IMAGES), "metadata": metadata, "image": body}


def stream_layers(owner: ImageStream, images: Sequence[Image]) -> Document:
    """An ``ImageStreamLayers``: every blob and every image of a repository."""
    blobs: Document = {}
    found: Document = {}
    for value in images:
        blobs[str(value.digest)] = {"mediaType": value.media_type}
        blobs.update((str(layer.digest), {"size": layer.size, "mediaType": layer.media_type}) for layer in value.layers)
        if value.config is not None:
            layers = {layer.digest: layer.size for layer in value.layers}
            blobs[str(value.config)] = {"size": max(value.content_size - sum(layers.values()), 0)}
        found[str(value.digest)] = {
            "layers": [str(layer.digest) for layer in value.layers],
            **({"config": str(value.config)} if value.config is not None else {}),
            **({"manifests": [str(entry.digest) for entry in value.manifests]} if value.manifests else {}),
        }
    for history in owner.tags:
        for event in history.events:
            if event.image is None:
                continue
            found.setdefault(event.digest, {"imageMissing": True, "layers": []})
    metadata = _metadata(owner.meta, owner.repository.name, owner.repository.namespace)
    for stream_only in _OF_THE_STREAM[1:]:
        metadata.pop(stream_only, None)
    return {**_head(STREAM_LAYERS), "metadata": metadata, "blobs": blobs, "images": found}


def tag_name(repository: Repository, tag: str) -> str:
    """The name of an ``ImageStreamTag``."""
    return f"{repository.name}:{tag}"


def list_of(resource: Resource, items: Sequence[Document], metadata: Mapping[str, str]) -> Document:
    """An ``ImageList`` and its like; ``metadata`` holds ``resourceVersion`` and perhaps ``continue``."""
    return {
        "kind": resource.list_kind,
        "apiVersion": GROUP_VERSION,
        "metadata": dict(metadata),
        "items": list(items),
    }


def metadata_only(document: Mapping[str, Any], version: str) -> Document:
    """A ``PartialObjectMetadata``."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": f"{META_GROUP}/{version}",
        "metadata": document["metadata"],
    }


def metadata_list(items: Sequence[Mapping[str, Any]], metadata: Mapping[str, str], version: str) -> Document:
    """A ``PartialObjectMetadataList``."""
    return {
        "kind": "PartialObjectMetadataList",
        "apiVersion": f"{META_GROUP}/{version}",
        "metadata": dict(metadata),
        "items": [metadata_only(item, version) for item in items],
    }


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with whole seconds, as ``metav1.Time`` is written."""
    in_utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return f"{in_utc.isoformat()[:19]}Z"


def _head(resource: Resource) -> Document:
    return {"kind": resource.kind, "apiVersion": GROUP_VERSION}


def _metadata(meta: ObjectMeta, name: str, namespace: str = "", **annotations: str) -> Document:
    return _present(
        name=name,
        generateName=meta.generate_name,
        namespace=namespace,
        uid=meta.uid,
        resourceVersion=str(meta.resource_version),
        generation=meta.generation,
        creationTimestamp=timestamp(meta.created),
        labels=dict(meta.labels),
        annotations={**meta.annotations, **annotations},
        deletionTimestamp=timestamp(meta.deleted) if meta.deleted else "",
        deletionGracePeriodSeconds=0 if meta.deleted else None,
        ownerReferences=[dict(owner) for owner in meta.owner_references],
        finalizers=list(meta.finalizers),
        managedFields=[dict(entry) for entry in meta.managed_fields],
    )


def _image_body(value: Image) -> Document:
    order = {LAYERS_ORDER: "ascending"} if value.layers else {}
    return _present(
        metadata=_metadata(value.meta, str(value.digest), **order),
        dockerImageReference=value.reference,
        dockerImageMetadata=dict(value.docker_metadata),
        dockerImageMetadataVersion="1.0" if value.docker_metadata else "",
        dockerImageManifestMediaType=value.media_type,
        dockerImageLayers=[
            {"name": str(layer.digest), "size": layer.size, "mediaType": layer.media_type} for layer in value.layers
        ],
        dockerImageManifests=[
            {
                "digest": str(entry.digest),
                "mediaType": entry.media_type,
                "manifestSize": entry.size,
                "architecture": entry.architecture,
                "os": entry.os,
                **({"variant": entry.variant} if entry.variant else {}),
            }
            for entry in value.manifests
        ],
        artifactType=value.artifact_type,
        subject=str(value.subject) if value.subject else "",
    )


def _tag_statuses(value: ImageStream) -> list[Document]:
    """What each tag meant, and what hinders those that mean nothing yet."""
    histories = {history.tag: history for history in value.tags}
    return [
        _tag_status(tag, histories.get(tag), value.conditions.get(tag, ()))
        for tag in sorted(histories.keys() | value.conditions.keys())
    ]


def _tag_status(tag: str, history: TagHistory | None, conditions: Sequence[TagCondition]) -> Document:
    items = [
        {
            "created": timestamp(event.created),
            "dockerImageReference": event.reference,
            "image": event.digest,
            "generation": event.generation,
        }
        for event in (history.events if history else ())
    ]
    shown: Document = {"tag": tag, "items": items}
    if conditions:
        shown["conditions"] = [tag_condition(value) for value in conditions]
    return shown


def tag_condition(value: TagCondition) -> Document:
    """A ``TagEventCondition``."""
    return _present(
        type=value.type,
        status=value.status,
        lastTransitionTime=timestamp(value.transitioned),
        reason=value.reason,
        message=value.message,
        generation=value.generation,
    )


def _present(**members: Any) -> Document:
    return {name: value for name, value in members.items() if value or value == 0}
