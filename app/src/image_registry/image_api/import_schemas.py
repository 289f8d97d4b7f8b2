"""What an ``ImageStreamImport`` looks like (parity reference 1.10)."""

from __future__ import annotations

from image_registry.image_api.schema_words import TYPE, Schema, array, flag, gvk, members, of, text

_POLICIES = {
    "importPolicy": of("TagImportPolicy", "How it is imported."),
    "referencePolicy": of("TagReferencePolicy", "Which pull specification consumers of the tags are given."),
    "includeManifest": flag("Tell the manifests in the answer."),
}

IMPORT_SCHEMAS: dict[str, Schema] = {
    "ImageStreamImport": {
        **members(
            "A request to import images of another registry into the stream of this name, or only to look at them. It "
            "is answered when the import is done and is kept nowhere; every item has a status of its own.",
            {
                **TYPE,
                "metadata": of("ObjectMeta", "Name of the stream; uid and resourceVersion are preconditions on it."),
                "spec": of("ImageStreamImportSpec", "What to import."),
                "status": of("ImageStreamImportStatus", "What became of it."),
            },
            ("spec",),
        ),
        **gvk("ImageStreamImport"),
    },
    "ImageStreamImportSpec": members(
        "What to import.",
        {
            "import": flag("Write what is found into the stream; without it this is only a look."),
            "repository": of("RepositoryImportSpec", "The most important tags of a repository."),
            "images": array({"$ref": "ImageImportSpec"}, "Single images."),
        },
        ("import",),
    ),
    "RepositoryImportSpec": members(
        "A repository of another registry.",
        {"from": of("ObjectReference", "A DockerImage with neither tag nor digest."), **_POLICIES},
        ("from",),
    ),
    "ImageImportSpec": members(
        "An image of another registry.",
        {
            "from": of("ObjectReference", "A DockerImage."),
            "to": of("LocalObjectReference", "The tag it becomes; by default the tag in from, or latest."),
            **_POLICIES,
        },
        ("from",),
    ),
    "LocalObjectReference": members("A name.", {"name": text("The name.")}),
    "ImageStreamImportStatus": members(
        "What became of an import.",
        {
            "import": of("ImageStream", "The stream as it is now, if anything was to be written."),
            "repository": of("RepositoryImportStatus", "What became of the repository."),
            "images": array({"$ref": "ImageImportStatus"}, "What became of each image, in the order of the request."),
        },
    ),
    "RepositoryImportStatus": members(
        "What became of a repository.",
        {
            "status": of("Status", "Whether its tags could be listed."),
            "images": array({"$ref": "ImageImportStatus"}, "What became of each tag."),
            "additionalTags": array(text("A tag."), "Tags that were not imported, because there are too many."),
        },
    ),
    "ImageImportStatus": members(
        "What became of an image.",
        {
            "tag": text("The tag."),
            "status": of("Status", "Success, or why there is no image."),
            "image": of("Image", "The image that the tag means."),
            "manifests": array({"$ref": "Image"}, "The images of an index that was imported as it is."),
        },
        ("status",),
    ),
}
