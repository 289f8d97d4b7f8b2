"""What the kinds look like, for ``kubectl explain``, for typed clients and for validation (parity reference 2.3).

Schemas are written once, in the words of JSON Schema, with ``{"$ref": Name}`` for another of them; :mod:`openapi` puts
them into both versions of OpenAPI. Their names have a prefix of our own, because the aggregator joins the documents of
all servers and renames what two of them call the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from image_registry.auth.access import IMAGE_GROUP
from image_registry.image_api.resources import RESOURCES, VERSION, Resource

Schema = dict[str, Any]

PREFIX = "com.alauda.image.v1."


def schemas() -> dict[str, Schema]:
    """All of them, by name without the prefix."""
    return {**_META, **_KINDS, **{resource.list_kind: _list(resource) for resource in RESOURCES}}


def _object(description: str, properties: Mapping[str, Schema], required: tuple[str, ...] = ()) -> Schema:
    schema: Schema = {"description": description, "type": "object", "properties": dict(properties)}
    return schema | {"required": list(required)} if required else schema


def _text(description: str, **more: Any) -> Schema:
    return {"description": description, "type": "string", **more}


def _number(description: str) -> Schema:
    return {"description": description, "type": "integer", "format": "int64"}


def _flag(description: str) -> Schema:
    return {"description": description, "type": "boolean"}


def _time(description: str) -> Schema:
    return _text(description, format="date-time")


def _texts(description: str) -> Schema:
    return {"description": description, "type": "object", "additionalProperties": {"type": "string"}}


def _of(name: str, description: str) -> Schema:
    return {"$ref": name, "description": description}


def _array(item: Schema, description: str, merge_key: str = "") -> Schema:
    keys = {"x-kubernetes-patch-merge-key": merge_key, "x-kubernetes-patch-strategy": "merge"} if merge_key else {}
    return {"description": description, "type": "array", "items": item, **keys}


_TYPE = {
    "apiVersion": _text("Group and version of this representation."),
    "kind": _text("Kind of this object."),
}


def _kind(name: str, description: str, properties: Mapping[str, Schema], required: tuple[str, ...] = ()) -> Schema:
    metadata = {"metadata": _of("ObjectMeta", "Name, identity, labels and annotations.")}
    return {**_object(description, {**_TYPE, **metadata, **properties}, required), **_gvk(name)}


def _gvk(kind: str) -> Schema:
    """Only kinds of our own group: tools that read the joined document refuse a kind that is defined twice."""
    return {"x-kubernetes-group-version-kind": [{"group": IMAGE_GROUP, "kind": kind, "version": VERSION}]}


def _list(resource: Resource) -> Schema:
    properties = {
        **_TYPE,
        "metadata": _of("ListMeta", "State and continuation of the list."),
        "items": _array({"$ref": resource.kind}, "The objects."),
    }
    schema = _object(f"A list of {resource.kind} objects.", properties, ("items",))
    return {**schema, **_gvk(resource.list_kind)}


_META: dict[str, Schema] = {
    "ObjectMeta": _object(
        "What every object carries.",
        {
            "name": _text("Name; together with the namespace it is unique."),
            "namespace": _text("Namespace that owns the object; empty for objects of the cluster."),
            "uid": _text("Identity in time and space: an object made anew under the same name has another one."),
            "resourceVersion": _text("State of the object; it changes with every change. Compare for equality only."),
            "generation": _number("Counts the changes of what is wanted."),
            "creationTimestamp": _time("When the object was made."),
            "labels": _texts("Labels, which selectors match."),
            "annotations": _texts("Annotations, which tools read."),
        },
    ),
    "ListMeta": _object(
        "What every list carries.",
        {
            "resourceVersion": _text("State that the list shows at least."),
            "continue": _text("Set when more follows: send it to go on."),
            "remainingItemCount": _number("How many more there are, if known."),
        },
    ),
    "DeleteOptions": {
        **_object(
            "How to delete.",
            {
                **_TYPE,
                "dryRun": _array({"type": "string"}, "All: check everything and delete nothing."),
                "gracePeriodSeconds": _number("Ignored: nothing here ends slowly."),
                "orphanDependents": _flag("Ignored: nothing here has dependents."),
                "preconditions": _of("Preconditions", "What must hold, else the answer is a conflict."),
                "propagationPolicy": _text("Background, Foreground or Orphan; all mean the same here."),
            },
        ),
        **_gvk("DeleteOptions"),
    },
    "Preconditions": _object(
        "What must hold before an object is changed.",
        {"resourceVersion": _text("The resourceVersion of the object."), "uid": _text("The uid of the object.")},
    ),
    "Status": _object(
        "How a request ended that does not answer with an object.",
        {
            **_TYPE,
            "metadata": _of("ListMeta", "Continuation, when a list cannot go on as before."),
            "status": _text("Success or Failure."),
            "message": _text("For people."),
            "reason": _text("For programs: one word."),
            "details": _of("StatusDetails", "What it is about."),
            "code": {"description": "HTTP status code.", "type": "integer", "format": "int32"},
        },
    ),
    "StatusDetails": _object(
        "What a Status is about.",
        {
            "name": _text("Name of the object."),
            "group": _text("API group of the object."),
            "kind": _text("Resource of the object."),
            "uid": _text("uid of the object."),
            "causes": _array({"$ref": "StatusCause"}, "Everything that is wrong."),
            "retryAfterSeconds": {
                "description": "When to ask again.",
                "type": "integer",
                "format": "int32",
            },
        },
    ),
    "StatusCause": _object(
        "One thing that is wrong.",
        {
            "field": _text("Where, as a path."),
            "message": _text("For people."),
            "reason": _text("For programs: one word."),
        },
    ),
}

_KINDS: dict[str, Schema] = {
    "Image": _kind(
        "Image",
        "The metadata of one image or of one index of images. Its name is the digest of its manifest, and it belongs "
        "to the cluster: every stream that holds the digest means the same Image. Pushes make it; it can be deleted "
        "when no stream holds it any more.",
        {
            "dockerImageReference": _text("Pull specification that the image was first known by."),
            "dockerImageMetadata": {
                "description": "What the image's configuration says: Architecture, Os, Created, Config and more. "
                "Absent for an index and for artifacts that are no container images.",
                "type": "object",
                "x-kubernetes-preserve-unknown-fields": True,
            },
            "dockerImageMetadataVersion": _text("Version of the form of dockerImageMetadata."),
            "dockerImageManifestMediaType": _text("Media type of the manifest."),
            "dockerImageLayers": _array(
                {"$ref": "ImageLayer"},
                "Layers, in the order that the annotation image.alauda.io/dockerLayersOrder tells. Empty for an index.",
            ),
            "dockerImageManifests": _array({"$ref": "ImageManifest"}, "Entries of an index; empty for one image."),
            "artifactType": _text("Type of an artifact that is no container image."),
            "subject": _text("Digest of the manifest that this one is about, such as the image of a signature."),
        },
    ),
    "ImageLayer": _object(
        "One layer of an image.",
        {
            "name": _text("Digest of the layer."),
            "size": _number("Bytes."),
            "mediaType": _text("Media type of the layer."),
        },
        ("name", "size", "mediaType"),
    ),
    "ImageManifest": _object(
        "One entry of an index.",
        {
            "digest": _text("Digest of the manifest; the name of another Image once it is pushed."),
            "mediaType": _text("Media type of the manifest."),
            "manifestSize": _number("Bytes of the manifest."),
            "architecture": _text("Architecture that the image runs on."),
            "os": _text("Operating system that the image runs on."),
            "variant": _text("Variant of the architecture."),
        },
        ("digest", "mediaType", "manifestSize", "architecture", "os"),
    ),
    "ImageStream": _kind(
        "ImageStream",
        "One repository of the registry: its settings, its tags, and what each tag meant before. The registry makes a "
        "stream on the first push to <namespace>/<name>.",
        {
            "spec": _of("ImageStreamSpec", "What is wanted."),
            "status": _of("ImageStreamStatus", "What is; written by the registry."),
        },
        ("spec",),
    ),
    "ImageStreamSpec": _object(
        "What is wanted of a stream.",
        {
            "lookupPolicy": _of("ImageLookupPolicy", "Whether short names of images may mean this stream."),
            "tags": _array(
                {"$ref": "TagReference"},
                "Tags that are wanted to follow something else. A tag that was pushed has no entry here.",
                "name",
            ),
        },
    ),
    "ImageLookupPolicy": _object(
        "How names of images are looked up.",
        {"local": _flag("Pods of the namespace may name the stream instead of a full pull specification.")},
        ("local",),
    ),
    "TagReference": _object(
        "A tag that is wanted.",
        {
            "name": _text("The tag."),
            "annotations": _texts("Annotations of the tag."),
            "from": _of("ObjectReference", "What the tag is to mean."),
            "reference": _flag("Only point there; never import."),
            "generation": _number("Generation of the stream in which this was last changed."),
        },
        ("name",),
    ),
    "ObjectReference": _object(
        "A reference to an image.",
        {
            "kind": _text("DockerImage, ImageStreamTag or ImageStreamImage."),
            "namespace": _text("Namespace of the stream, if it is another one."),
            "name": _text("Pull specification, stream:tag or stream@digest."),
        },
    ),
    "ImageStreamStatus": _object(
        "What a stream is.",
        {
            "dockerImageRepository": _text("Where the images are pulled from inside of the cluster."),
            "publicDockerImageRepository": _text("Where they are pulled from outside, if there is such an address."),
            "tags": _array({"$ref": "NamedTagEventList"}, "The tags with their history.", "tag"),
        },
    ),
    "NamedTagEventList": _object(
        "The history of one tag.",
        {"tag": _text("The tag."), "items": _array({"$ref": "TagEvent"}, "What it meant; the first is what it means.")},
        ("tag", "items"),
    ),
    "TagEvent": _object(
        "From when on a tag meant which image.",
        {
            "created": _time("Since when."),
            "dockerImageReference": _text("Pull specification of the image."),
            "image": _text("Digest: the name of the Image."),
            "generation": _number("Generation of the stream in which this happened."),
        },
        ("created", "dockerImageReference", "image", "generation"),
    ),
    "ImageStreamTag": _kind(
        "ImageStreamTag",
        "One tag of one stream, named <stream>:<tag>, together with the Image that it means. It is a view of the "
        "stream: uid, resourceVersion and labels are those of the stream. Deleting it deletes the tag with its "
        "history, never an Image.",
        {
            "tag": _of("TagReference", "What is wanted of the tag; absent for a tag that was pushed."),
            "generation": _number("Generation of the stream in which the tag last changed."),
            "lookupPolicy": _of("ImageLookupPolicy", "That of the stream."),
            "image": _of("Image", "What the tag means. Lists tell its metadata.name and dockerImageReference only."),
        },
        ("generation", "lookupPolicy", "image"),
    ),
}
