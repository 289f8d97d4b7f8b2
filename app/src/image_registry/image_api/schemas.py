"""What the kinds look like, for ``kubectl explain``, for typed clients and for validation (parity reference 2.3).

Schemas are written once, in the words of JSON Schema, with ``{"$ref": Name}`` for another of them; :mod:`openapi` puts
them into both versions of OpenAPI. Their names have a prefix of our own, because the aggregator joins the documents of
all servers and renames what two of them call the same.
"""

from __future__ import annotations

from collections.abc import Mapping

from image_registry.image_api.import_schemas import IMPORT_SCHEMAS
from image_registry.image_api.meta_schemas import META
from image_registry.image_api.resources import RESOURCES, Resource
from image_registry.image_api.schema_words import (
    TYPE,
    Schema,
    array,
    atomic,
    flag,
    gvk,
    members,
    number,
    of,
    text,
    texts,
    time,
)

PREFIX = "com.alauda.image.v1."


def schemas() -> dict[str, Schema]:
    """All of them, by name without the prefix."""
    lists = {resource.list_kind: _list(resource) for resource in RESOURCES if "list" in resource.verbs}
    return {**META, **_KINDS, **IMPORT_SCHEMAS, **lists}


def _kind(name: str, description: str, properties: Mapping[str, Schema], required: tuple[str, ...] = ()) -> Schema:
    metadata = {"metadata": of("ObjectMeta", "Name, identity, labels and annotations.")}
    return {**members(description, {**TYPE, **metadata, **properties}, required), **gvk(name)}


def _list(resource: Resource) -> Schema:
    properties = {
        **TYPE,
        "metadata": of("ListMeta", "State and continuation of the list."),
        "items": array({"$ref": resource.kind}, "The objects."),
    }
    schema = members(f"A list of {resource.kind} objects.", properties, ("items",))
    return {**schema, **gvk(resource.list_kind)}


def _by_digest(name: str, description: str) -> Schema:
    return {"description": description, "type": "object", "additionalProperties": {"$ref": name}}


_KINDS: dict[str, Schema] = {
    "Image": _kind(
        "Image",
        "The metadata of one image or of one index of images. Its name is the digest of its manifest, and it belongs "
        "to the cluster: every stream that holds the digest means the same Image. Pushes make it; it can be deleted "
        "when no stream holds it any more.",
        {
            "dockerImageReference": text("Pull specification that the image was first known by."),
            "dockerImageMetadata": {
                "description": "What the image's configuration says: Architecture, Os, Created, Config and more. "
                "Absent for an index and for artifacts that are no container images.",
                "type": "object",
                "x-kubernetes-preserve-unknown-fields": True,
            },
            "dockerImageMetadataVersion": text("Version of the form of dockerImageMetadata."),
            "dockerImageManifest": text(
                "The manifest as it was pushed. Needed for an Image that is made without a push; never kept, because "
                "the registry has it. In the answer to an import that asks for it."
            ),
            "dockerImageConfig": text("The configuration that the manifest names, likewise."),
            "dockerImageManifestMediaType": text("Media type of the manifest."),
            "dockerImageLayers": array(
                {"$ref": "ImageLayer"},
                "Layers, in the order that the annotation image.alauda.io/dockerLayersOrder tells. Empty for an index.",
            ),
            "dockerImageManifests": array({"$ref": "ImageManifest"}, "Entries of an index; empty for one image."),
            "signatures": array(
                {"$ref": "ImageSignature"}, "Signatures of the image, verified by nobody here; absent in lists."
            ),
            "artifactType": text("Type of an artifact that is no container image."),
            "subject": text("Digest of the manifest that this one is about, such as the image of a signature."),
        },
    ),
    "ImageSignature": _kind(
        "ImageSignature",
        "A signature of an Image, named <image>@<name>. It is kept in every stream that holds the image, and read as "
        "part of the Image. It is never changed.",
        {
            "type": text("Form of the content, such as AtomicImageV1."),
            "content": text("The signature, base64.", format="byte"),
            "conditions": array(
                {"$ref": "SignatureCondition"},
                "What somebody noted who verified it; by the annotation image.alauda.io/verified-signatures of the "
                "Image. Not set by who makes a signature.",
                "type",
            ),
            "imageIdentity": text("For which name the image is signed, by the same note."),
            "issuedTo": of("SignatureSubject", "Whose key made it, by the same note."),
        },
        ("type", "content"),
    ),
    "SignatureCondition": members(
        "What is known of a signature.",
        {
            "type": text("Trusted or ForImage; there are both or none."),
            "status": text("True."),
            "lastProbeTime": time("When it was verified."),
            "lastTransitionTime": time("Since when."),
            "reason": text("For programs: one word."),
            "message": text("For people."),
        },
        ("type", "status"),
    ),
    "SignatureSubject": members("Who signed.", {"publicKeyID": text("The fingerprint of the key.")}, ("publicKeyID",)),
    "ImageLayer": members(
        "One layer of an image.",
        {
            "name": text("Digest of the layer."),
            "size": number("Bytes."),
            "mediaType": text("Media type of the layer."),
        },
        ("name", "size", "mediaType"),
    ),
    "ImageManifest": members(
        "One entry of an index.",
        {
            "digest": text("Digest of the manifest; the name of another Image once it is pushed."),
            "mediaType": text("Media type of the manifest."),
            "manifestSize": number("Bytes of the manifest."),
            "architecture": text("Architecture that the image runs on."),
            "os": text("Operating system that the image runs on."),
            "variant": text("Variant of the architecture."),
        },
        ("digest", "mediaType", "manifestSize", "architecture", "os"),
    ),
    "ImageStream": _kind(
        "ImageStream",
        "One repository of the registry: its settings, its tags, and what each tag meant before. The registry makes a "
        "stream on the first push to <namespace>/<name>.",
        {
            "spec": of("ImageStreamSpec", "What is wanted."),
            "status": of("ImageStreamStatus", "What is; written by the registry."),
        },
        ("spec",),
    ),
    "ImageStreamSpec": members(
        "What is wanted of a stream.",
        {
            "lookupPolicy": of("ImageLookupPolicy", "Whether short names of images may mean this stream."),
            "dockerImageRepository": text(
                "Deprecated: a repository of another registry that the stream mirrors; neither tag nor digest."
            ),
            "tags": array(
                {"$ref": "TagReference"},
                "Tags that are wanted to follow something else. A tag that was pushed has no entry here.",
                "name",
            ),
        },
    ),
    "ImageLookupPolicy": members(
        "How names of images are looked up.",
        {"local": flag("Pods of the namespace may name the stream instead of a full pull specification.")},
        ("local",),
    ),
    "TagReference": members(
        "A tag that is wanted.",
        {
            "name": text("The tag."),
            "annotations": texts("Annotations of the tag."),
            "from": of("ObjectReference", "What the tag is to mean."),
            "reference": flag("Only point there; never import."),
            "generation": number("Generation of the stream in which this was last changed; 0 asks for a new import."),
            "importPolicy": of("TagImportPolicy", "How it is imported from another registry."),
            "referencePolicy": of("TagReferencePolicy", "Which pull specification consumers are given."),
        },
        ("name",),
    ),
    "TagImportPolicy": members(
        "How a tag is imported from another registry.",
        {
            "insecure": flag("Allow HTTP and certificates that nobody vouches for."),
            "scheduled": flag("Import again from time to time."),
            "importMode": text("Legacy: one platform of an index. PreserveOriginal: the index with all of them."),
        },
    ),
    "TagReferencePolicy": members(
        "Which pull specification consumers of a tag are given.",
        {"type": text("Source: that of the other registry. Local: that of this one, which fetches what it lacks.")},
        ("type",),
    ),
    "ObjectReference": atomic(
        "A reference to an image.",
        {
            "kind": text("DockerImage, ImageStreamTag or ImageStreamImage."),
            "namespace": text("Namespace of the stream, if it is another one."),
            "name": text("Pull specification, stream:tag or stream@digest."),
        },
    ),
    "ImageStreamStatus": members(
        "What a stream is.",
        {
            "dockerImageRepository": text("Where the images are pulled from inside of the cluster."),
            "publicDockerImageRepository": text("Where they are pulled from outside, if there is such an address."),
            "tags": array({"$ref": "NamedTagEventList"}, "The tags with their history.", "tag"),
        },
    ),
    "NamedTagEventList": members(
        "The history of one tag.",
        {
            "tag": text("The tag."),
            "items": array({"$ref": "TagEvent"}, "What it meant; the first is what it means."),
            "conditions": array({"$ref": "TagEventCondition"}, "What hinders it from meaning what is wanted.", "type"),
        },
        ("tag", "items"),
    ),
    "TagEventCondition": members(
        "What hinders a tag.",
        {
            "type": text("ImportSuccess."),
            "status": text("False: the last import failed."),
            "lastTransitionTime": time("Since when."),
            "reason": text("For programs: one word."),
            "message": text("For people."),
            "generation": number("Generation of the tag that could not be had."),
        },
        ("type", "status", "generation"),
    ),
    "TagEvent": members(
        "From when on a tag meant which image.",
        {
            "created": time("Since when."),
            "dockerImageReference": text("Pull specification of the image."),
            "image": text("Digest: the name of the Image."),
            "generation": number("Generation of the stream in which this happened."),
        },
        ("created", "dockerImageReference", "image", "generation"),
    ),
    "ImageStreamTag": _kind(
        "ImageStreamTag",
        "One tag of one stream, named <stream>:<tag>, together with the Image that it means. It is a view of the "
        "stream: uid, resourceVersion and labels are those of the stream. Deleting it deletes the tag with its "
        "history, never an Image.",
        {
            "tag": of("TagReference", "What is wanted of the tag; absent for a tag that was pushed."),
            "generation": number("Generation of the stream in which the tag last changed."),
            "lookupPolicy": of("ImageLookupPolicy", "That of the stream."),
            "conditions": array({"$ref": "TagEventCondition"}, "What hinders it from meaning what is wanted.", "type"),
            "image": of("Image", "What the tag means. Lists tell its metadata.name and dockerImageReference only."),
        },
        ("generation", "lookupPolicy", "image"),
    ),
    "ImageTag": _kind(
        "ImageTag",
        "One tag of one stream, named <stream>:<tag>: what is wanted of it, and what it meant. It is a view of the "
        "stream, whose uid and resourceVersion it has. Lists hold tags that were pushed and tags that are wanted.",
        {
            "spec": of("TagReference", "What is wanted of the tag; absent for a tag that was pushed."),
            "status": of("NamedTagEventList", "What it meant; absent for a tag that was not imported yet."),
            "image": of("Image", "What the tag means; absent in lists."),
        },
    ),
    "ImageStreamImage": _kind(
        "ImageStreamImage",
        "One image of one stream, named <stream>@<digest>; the beginning of the digest is enough to ask for it.",
        {"image": of("Image", "The image.")},
        ("image",),
    ),
    "ImageStreamMapping": _kind(
        "ImageStreamMapping",
        "A command: an Image is from now on what a tag of the stream metadata.name means.",
        {
            "image": of("Image", "The Image; one that is not known yet needs its manifest."),
            "tag": text("The tag; latest if it is absent."),
            "dockerImageRepository": text("Never set; accepted because old clients send it."),
        },
        ("image",),
    ),
    "ImageStreamLayers": _kind(
        "ImageStreamLayers",
        "Every blob and every image of a repository. To get it is the right to pull, to update it the right to push.",
        {
            "blobs": _by_digest("ImageLayerData", "Blobs and manifests, by digest."),
            "images": _by_digest("ImageBlobReferences", "What each image is made of, by digest."),
        },
        ("blobs", "images"),
    ),
    "SecretList": {
        **members(
            "The Secrets with credentials for other registries that imports of a namespace use.",
            {
                **TYPE,
                "metadata": of("ListMeta", "State of the list."),
                "items": array({"$ref": "PullSecret"}, "The Secrets."),
            },
            ("items",),
        ),
        **gvk("SecretList"),
    },
    "PullSecret": members(
        "A Secret of type kubernetes.io/dockerconfigjson or kubernetes.io/dockercfg.",
        {
            **TYPE,
            "metadata": of("ObjectMeta", "Name, identity, labels and annotations."),
            "type": text("What kind of Secret it is."),
            "immutable": flag("Whether its data may change no more."),
            "data": texts("The document with the credentials, in base64, under the key that belongs to the type."),
        },
    ),
    "ImageLayerData": members(
        "A blob.",
        {"size": number("Bytes; absent for a manifest."), "mediaType": text("Media type, if it is known.")},
    ),
    "ImageBlobReferences": members(
        "What an image is made of.",
        {
            "imageMissing": flag("The tag's history names it, and nobody has it here."),
            "layers": array({"type": "string"}, "Digests of its layers."),
            "config": text("Digest of its configuration."),
            "manifests": array({"type": "string"}, "Digests of the entries of an index."),
        },
    ),
}
