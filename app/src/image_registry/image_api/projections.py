"""What is read of a stream in other forms, and the command that maps an Image to a tag."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from image_registry.auth import access
from image_registry.image_api import documents, status
from image_registry.image_api.collections import translated, within
from image_registry.image_api.detail import Detail
from image_registry.image_api.documents import Document
from image_registry.image_api.image_kind import check_image, content, image_draft
from image_registry.image_api.kinds import Call
from image_registry.image_api.resources import MAPPINGS, STREAM_IMAGES, STREAM_LAYERS
from image_registry.image_api.status import APIError, BadRequest
from image_registry.image_api.stream_kind import check_name
from image_registry.imagestreams.image_writes import ImageDraft
from image_registry.imagestreams.model import Page
from image_registry.imagestreams.problems import Problems
from image_registry.imagestreams.service import ImageStreams
from image_registry.oci.digest import Digest
from image_registry.oci.reference import InvalidTag, Repository, parse_tag


class ReadOnly:
    """A resource without lists and deletions; its routes have neither."""

    fields: tuple[str, ...] = ()

    def __init__(self, streams: ImageStreams) -> None:
        self._streams = streams
        self._editor = streams.editor

    def revision(self) -> int:
        """The newest state."""
        return self._streams.revision()

    def page(self, namespace: str, *, limit: int | None, after: str | None, detail: Detail) -> Page[Document]:
        """Never asked."""
        raise APIError(f"no list is served here ({namespace}, {limit}, {after}, {detail})")

    def key(self, document: Mapping[str, Any]) -> str:
        """Its name."""
        return str(document["metadata"]["name"])

    def delete(
        self, namespace: str, name: str, *, uid: str | None, resource_version: int | None, dry_run: bool
    ) -> Document | None:
        """Never asked."""
        raise APIError(f"nothing is deleted here ({namespace}, {name}, {uid}, {resource_version}, {dry_run})")


class StreamImages(ReadOnly):
    """``<stream>@<digest>``, of which the beginning is enough to see one when no other image begins like it.

    Lists are of what streams hold. Deleting one takes an image out of its stream, when nothing needs it there.
    """

    resource = STREAM_IMAGES
    fields: tuple[str, ...] = ("metadata.name", "metadata.namespace")

    def get(self, namespace: str, name: str) -> Document:
        """One image of a stream."""
        stream, beginning = _stream_and_digest(name)
        with translated(self.resource, name):
            owner, image, pushed, unpulled = self._editor.stream_image(Repository.of(namespace, stream), beginning)
        return documents.stream_image(owner, image.digest, image, pushed, unpulled)

    def current(self, namespace: str, name: str) -> Document:
        """One that is to be deleted: the beginning of a digest is not enough for that."""
        with translated(self.resource, name):
            Digest.parse(_stream_and_digest(name)[1])
        return self.get(namespace, name)

    def page(self, namespace: str, *, limit: int | None, after: str | None, detail: Detail) -> Page[Document]:
        """What streams hold."""
        with translated(self.resource, ""):
            if after is not None:
                repository, _, digest = after.partition("@")
                after = f"{within(namespace, repository)}@{Digest.parse(digest)}"
            found = self._editor.held_images(
                namespace=namespace or None, limit=limit, after=after, brief=detail < Detail.WHOLE
            )
        items = (
            documents.stream_image(value.stream, value.digest, value.image, value.pushed, value.unpulled_since)
            for value in found.items
        )
        return Page(tuple(items), found.next, found.revision)

    def key(self, document: Mapping[str, Any]) -> str:
        """Its place in lists."""
        return f"{document['metadata']['namespace']}/{document['metadata']['name']}"

    def delete(
        self, namespace: str, name: str, *, uid: str | None, resource_version: int | None, dry_run: bool
    ) -> Document | None:
        """Take it out of the stream."""
        stream, digest = _stream_and_digest(name)
        with translated(self.resource, name):
            self._editor.release_image(
                Repository.of(namespace, stream),
                Digest.parse(digest),
                uid=uid,
                resource_version=resource_version,
                dry_run=dry_run,
            )
        return None


def _stream_and_digest(name: str) -> tuple[str, str]:
    stream, at, digest = name.partition("@")
    if not (stream and at and digest) or "@" in digest:
        raise BadRequest(f"{name[:300]!r} does not name an ImageStreamImage: the form is <stream>@<digest>")
    return stream, digest


class StreamLayers(ReadOnly):
    """Which blobs and which images a repository has."""

    resource = STREAM_LAYERS

    def get(self, namespace: str, name: str) -> Document:
        """All of them."""
        with translated(self.resource, name):
            return documents.stream_layers(*self._editor.stream_images(Repository.of(namespace, name)))


class Mappings(ReadOnly):
    """``ImageStreamMapping``: this Image is now that tag of that stream."""

    resource = MAPPINGS

    def get(self, namespace: str, name: str) -> Document:
        """Never there."""
        raise status.not_found(self.resource.plural, f"{namespace}/{name}")

    def check(self, document: Document, problems: Problems) -> None:
        """Stream, tag and Image."""
        check_name(document, problems)
        tag = document.get("tag", "") or "latest"
        try:
            parse_tag(tag)
        except InvalidTag as error:
            problems.invalid("tag", tag, str(error))
        if "image" not in document:
            problems.required("image")
            return
        image = document["image"]
        image.setdefault("metadata", {})
        metadata = document["metadata"]
        digest = image["metadata"].get("name", "")
        place = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"
        check_image({"dockerImageReference": f"{place}@{digest}" if digest else "x", **image}, problems, "image.")

    def create(self, namespace: str, document: Document, call: Call) -> Document:
        """Make the event; the answer is a ``Status``."""
        image, name = document["image"], document["metadata"]["name"]
        repository, digest = Repository.of(namespace, name), Digest.parse(image["metadata"]["name"])
        reference = image.get("dockerImageReference", "")
        with translated(self.resource, name):
            self._streams.stream(repository)
            self._editor.map_image(
                repository,
                document.get("tag") or "latest",
                digest,
                reference,
                draft=None if self._streams.find_image(digest) else _draft(image),
                may_pull=lambda source: call.may(access.pull(source)),
                dry_run=call.dry_run,
            )
        return {**status.success(resource=self.resource.plural, name=name), "code": 201}

    def update(self, namespace: str, old: Document, new: Document, call: Call) -> Document:
        """Never asked."""
        raise APIError(f"a mapping is not changed ({namespace}, {len(old)}, {len(new)}, {call.dry_run})")


def _draft(image: Document) -> ImageDraft:
    """Of an Image that comes with its manifest. Raises :class:`InvalidObject`."""
    problems = Problems()
    manifest, config = content(image, problems, "image.")
    problems.check()
    return image_draft(image, manifest, config)
