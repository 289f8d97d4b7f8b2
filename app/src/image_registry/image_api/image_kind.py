"""Images as a kind that can be written.

What an Image says about its content comes from ``dockerImageManifest`` when it is made, and from nobody afterwards.
"""

from __future__ import annotations

from image_registry.image_api import documents, drafts
from image_registry.image_api.collections import Images, translated
from image_registry.image_api.documents import LAYERS_ORDER, Document
from image_registry.image_api.kinds import Call
from image_registry.imagestreams.image_writes import ImageDraft
from image_registry.imagestreams.problems import Problems
from image_registry.imagestreams.service import ImageStreams
from image_registry.imagestreams.spec_rules import is_pull_spec
from image_registry.oci.digest import Digest, InvalidDigest
from image_registry.oci.manifest import InvalidManifest, Manifest, parse_manifest


class WritableImages(Images):
    """The same collection with its writes."""

    def __init__(self, streams: ImageStreams) -> None:
        super().__init__(streams)
        self._editor = streams.editor

    def check(self, document: Document, problems: Problems) -> None:
        check_image(document, problems)

    def create(self, namespace: str, document: Document, call: Call) -> Document:  # noqa: ARG002 - one shape for all
        problems = Problems()
        manifest, config = content(document, problems)
        problems.check()
        name = document["metadata"]["name"]
        with translated(self.resource, name):
            made = self._editor.create_image(image_draft(document, manifest, config), dry_run=call.dry_run)
        return documents.image(made)

    def update(self, namespace: str, old: Document, new: Document, call: Call) -> Document:  # noqa: ARG002 - same
        metadata = old["metadata"]
        with translated(self.resource, metadata["name"]):
            made = self._editor.update_image(
                image_draft(new, None, None),
                uid=metadata["uid"],
                resource_version=int(metadata["resourceVersion"]),
                dry_run=call.dry_run,
            )
            return documents.image(made, self._editor.signatures(made.digest))


def check_image(document: Document, problems: Problems, path: str = "") -> None:
    """What is wrong with an Image, whether it is new or not; ``path`` is where it is embedded."""
    name = document["metadata"].get("name", "")
    try:
        Digest.parse(name)
    except InvalidDigest as error:
        problems.invalid(f"{path}metadata.name", name, str(error))
    reference = document.get("dockerImageReference", "")
    if not reference:
        problems.required(f"{path}dockerImageReference", "the pull specification that the image is known by")
    elif not is_pull_spec(reference):
        problems.invalid(f"{path}dockerImageReference", reference, "must be a pull specification")
    if document.get("dockerImageManifests") and document.get("dockerImageLayers"):
        problems.forbidden(f"{path}dockerImageLayers", "an index has manifests, and no layers of its own")


def content(document: Document, problems: Problems, path: str = "") -> tuple[Manifest | None, bytes | None]:
    """Manifest and configuration of a new Image; the first hashes to its name, the second is what the first names."""
    text = document.get("dockerImageManifest", "")
    if not text:
        problems.required(
            f"{path}dockerImageManifest", "what an Image says about its content comes from its manifest; push the image"
        )
        return None, None
    name, raw = document["metadata"].get("name", ""), text.encode()
    try:
        digest = Digest.parse(name)
        if Digest.of(raw, digest.algorithm) != digest:
            problems.invalid(f"{path}dockerImageManifest", "", "does not hash to metadata.name")
            return None, None
        manifest = parse_manifest(raw, document.get("dockerImageManifestMediaType", ""), digest=digest)
    except InvalidDigest:
        return None, None  # told already
    except InvalidManifest as error:
        problems.invalid(f"{path}dockerImageManifest", "", str(error))
        return None, None
    config = document.get("dockerImageConfig", "").encode() or None
    if config is not None and (
        manifest.config is None or Digest.of(config, manifest.config.digest.algorithm) != manifest.config.digest
    ):
        problems.invalid(f"{path}dockerImageConfig", "", "does not hash to the configuration that the manifest names")
    return manifest, config


def image_draft(document: Document, manifest: Manifest | None, config: bytes | None) -> ImageDraft:
    """What the rules understand."""
    metadata = document["metadata"]
    annotations = {key: value for key, value in metadata.get("annotations", {}).items() if key != LAYERS_ORDER}
    return ImageDraft(
        digest=Digest.parse(metadata["name"]),
        reference=document.get("dockerImageReference", ""),
        manifest=manifest,
        config=config,
        **{**drafts.metadata(metadata), "annotations": annotations},
    )
