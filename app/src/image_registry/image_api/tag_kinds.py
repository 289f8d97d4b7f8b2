"""ImageStreamTags and ImageTags as kinds that can be written: two views of one tag of a stream.

They have the uid and the ``resourceVersion`` of the stream, and no managers of their own.
"""

from __future__ import annotations

from collections.abc import Iterator

from image_registry.auth import access
from image_registry.image_api import documents, drafts, status
from image_registry.image_api.collections import StreamTags, stream_and_tag, translated, within
from image_registry.image_api.detail import Detail
from image_registry.image_api.documents import Document, Hosts
from image_registry.image_api.kinds import Call
from image_registry.image_api.resources import IMAGE_TAGS
from image_registry.image_api.status import BadRequest, NotFound
from image_registry.imagestreams import spec_rules
from image_registry.imagestreams.model import Image, ImageStream, Page, TagHistory, TagSpec
from image_registry.imagestreams.problems import Problems
from image_registry.imagestreams.service import ImageStreams
from image_registry.imagestreams.tag_edits import TagEdit
from image_registry.oci.reference import InvalidName, InvalidTag, Repository, parse_tag

AT_ONCE = 50
"""Streams that are read at once for a page of tags."""


class WritableStreamTags(StreamTags):
    """``ImageStreamTag``: ``tag`` and the annotations are what a write changes."""

    member = "tag"
    """Where a document keeps what is wanted of the tag."""

    def __init__(self, streams: ImageStreams, hosts: Hosts) -> None:
        super().__init__(streams, hosts)
        self._editor = streams.editor

    def current(self, namespace: str, name: str) -> Document:
        """The tag as a write finds it: also one of which something is only wanted. Raises ``NotFound``."""
        repository, tag = stream_and_tag(namespace, name)
        with translated(self.resource, name):
            stream = self._streams.stream(repository)
        found = self._shown(stream, tag)
        if found is None:
            raise status.not_found(self.resource.plural, name)
        return found

    def check(self, document: Document, problems: Problems) -> None:
        name = document["metadata"].get("name", "")
        if not name:
            return
        stream, _, tag = name.partition(":")
        if not (stream and tag) or ":" in tag:
            raise BadRequest(f"{name[:300]!r} does not name an {self.resource.kind}: the form is <stream>:<tag>")
        try:
            Repository.of(document["metadata"].get("namespace", ""), stream)
            parse_tag(tag)
        except (InvalidName, InvalidTag) as error:
            problems.invalid("metadata.name", name, str(error))
        spec = document.get(self.member)
        if spec is None:
            return
        if spec.get("name", tag) != tag:
            problems.invalid(f"{self.member}.name", spec["name"], f"must be {tag!r}, the tag of metadata.name")
        spec_rules.check_tag(self._own(document, tag), problems, self.member)

    def create(self, namespace: str, document: Document, call: Call) -> Document:
        if document.get(self.member) is None:
            raise BadRequest(f"{self.resource.kind}: {self.member} says what is wanted of the tag, and is missing")
        return self._put(namespace, document, call, TagEdit(*self._place(namespace, document), None, new=True))

    def update(self, namespace: str, old: Document, new: Document, call: Call) -> Document:
        if new.get(self.member) is None and not self._may_be_empty(old, new):
            raise BadRequest(f"{self.resource.kind}: {self.member} says what is wanted of the tag, and is missing")
        version = int(old["metadata"]["resourceVersion"])
        edit = TagEdit(*self._place(namespace, new), None, resource_version=version)
        return self._put(namespace, new, call, edit)

    def _may_be_empty(self, old: Document, new: Document) -> bool:
        """A tag that was only pushed stays like that, unless its annotations need somewhere to be."""
        return old.get(self.member) is None and not new["metadata"].get("annotations")

    def _wanted(self, document: Document, tag: str) -> TagSpec:
        annotations = document["metadata"].get("annotations", {})
        return drafts.tag({**document[self.member], "name": tag, "annotations": annotations})

    def _own(self, document: Document, tag: str) -> TagSpec:
        """What :attr:`member` says; annotations of the metadata are looked at as such."""
        return drafts.tag({**document[self.member], "name": tag})

    def _put(self, namespace: str, document: Document, call: Call, edit: TagEdit) -> Document:
        repository, tag = self._place(namespace, document)
        spec = self._wanted(document, tag) if document.get(self.member) is not None else None
        name = document["metadata"]["name"]
        with translated(self.resource, name):
            stream = self._editor.put_tag(
                TagEdit(repository, tag, spec, edit.new, edit.resource_version),
                may_pull=lambda source: call.may(access.pull(source)),
                confirm_create=lambda: call.admit_again(name),
                dry_run=call.dry_run,
            )
        found = self._shown(stream, tag)
        if found is None:
            raise NotFound(f"nothing is wanted of {name} any more", resource=self.resource.plural, name=name)
        return found

    def _place(self, namespace: str, document: Document) -> tuple[Repository, str]:
        return stream_and_tag(namespace, document["metadata"]["name"])

    def _image(self, history: TagHistory | None) -> Image | None:
        if history is None or history.newest.image is None:
            return None
        return self._streams.find_image(history.newest.image)

    def _shown(self, stream: ImageStream, tag: str) -> Document | None:
        history = stream.history(tag)
        if history is None and stream.spec(tag) is None:
            return None
        return documents.stream_tag_of(stream, tag, self._image(history), self._hosts)


class ImageTags(WritableStreamTags):
    """``ImageTag``: ``spec`` is what is wanted, ``status`` what the tag meant; lists hold both kinds of tags."""

    resource = IMAGE_TAGS
    member = "spec"

    def get(self, namespace: str, name: str) -> Document:
        return self.current(namespace, name)

    def page(self, namespace: str, *, limit: int | None, after: str | None, detail: Detail) -> Page[Document]:  # noqa: ARG002 - always rows
        with translated(self.resource, ""):
            start, last = None, ""
            if after is not None:
                place, _, last = after.partition(":")
                start = within(namespace, place)
                parse_tag(last)
            found: list[Document] = []
            revision = self._streams.revision()
            for stream in self._from(namespace, start):
                names = {history.tag for history in stream.tags} | {spec.name for spec in stream.specs}
                for tag in sorted(names):
                    if stream.repository == start and tag <= last:
                        continue
                    if limit is not None and len(found) >= limit:
                        return Page(tuple(found), self.key(found[-1]), revision)
                    found.append(documents.image_tag(stream, tag, None))
            return Page(tuple(found), None, revision)

    def _from(self, namespace: str, start: Repository | None) -> Iterator[ImageStream]:
        """The stream that a page ended in, and those behind it."""
        if start is not None:
            yield from self._streams.brief_stream(start)
        after = str(start) if start else None
        while True:
            page = self._streams.streams(namespace=namespace or None, limit=AT_ONCE, after=after, history=False)
            yield from page.items
            after = page.next
            if after is None:
                return

    def _wanted(self, document: Document, tag: str) -> TagSpec:
        return drafts.tag({**document["spec"], "name": tag})

    def _may_be_empty(self, old: Document, new: Document) -> bool:  # noqa: ARG002 - without it nothing is wanted
        return True

    def _shown(self, stream: ImageStream, tag: str) -> Document | None:
        history = stream.history(tag)
        if history is None and stream.spec(tag) is None:
            return None
        return documents.image_tag(stream, tag, self._image(history))
