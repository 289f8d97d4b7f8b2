"""ImageStreams as a kind that can be written."""

from __future__ import annotations

from image_registry.auth import access
from image_registry.image_api import documents, drafts
from image_registry.image_api.collections import Streams, translated
from image_registry.image_api.documents import Document, Hosts
from image_registry.image_api.kinds import Call
from image_registry.image_api.resources import STREAM_STATUS
from image_registry.imagestreams import spec_rules
from image_registry.imagestreams.problems import Problems
from image_registry.imagestreams.service import ImageStreams
from image_registry.oci.reference import InvalidName, Repository


class WritableStreams(Streams):
    """The same collection with its writes."""

    def __init__(self, streams: ImageStreams, hosts: Hosts) -> None:
        super().__init__(streams, hosts)
        self._editor = streams.editor

    def check(self, document: Document, problems: Problems) -> None:
        check_name(document, problems)
        spec_rules.check(drafts.stream(document), problems)

    def create(self, namespace: str, document: Document, call: Call) -> Document:  # noqa: ARG002 - the document says it
        name = document["metadata"]["name"]
        with translated(self.resource, name):
            made = self._editor.create_stream(
                drafts.stream(document),
                may_pull=lambda source: call.may(access.pull(source)),
                confirm_create=lambda: call.admit_again(name),
                dry_run=call.dry_run,
            )
        return documents.stream(made, self._hosts)

    def update(self, namespace: str, old: Document, new: Document, call: Call) -> Document:  # noqa: ARG002 - same
        metadata = old["metadata"]
        with translated(self.resource, metadata["name"]):
            made = self._editor.update_stream(
                drafts.stream(new),
                uid=metadata["uid"],
                resource_version=int(metadata["resourceVersion"]),
                may_pull=lambda source: call.may(access.pull(source)),
                dry_run=call.dry_run,
            )
        return documents.stream(made, self._hosts)


class StreamStatuses(WritableStreams):
    """``/status``: what the tags meant, for those who clean up; ``spec`` of a body is passed over."""

    resource = STREAM_STATUS

    def check(self, document: Document, problems: Problems) -> None:
        drafts.check_status(document, problems)

    def update(self, namespace: str, old: Document, new: Document, call: Call) -> Document:
        metadata = old["metadata"]
        with translated(self.resource, metadata["name"]):
            made = self._editor.update_status(
                Repository.of(namespace, metadata["name"]),
                drafts.status(new),
                managed_fields=new["metadata"].get("managedFields", ()),
                uid=metadata["uid"],
                resource_version=int(metadata["resourceVersion"]),
                dry_run=call.dry_run,
            )
        return documents.stream(made, self._hosts)


def check_name(document: Document, problems: Problems) -> None:
    """The name of a stream is that of a repository."""
    metadata = document["metadata"]
    name = metadata.get("name", "")
    if not name:
        return
    try:
        Repository.of(metadata.get("namespace", ""), name)
    except InvalidName as error:
        problems.invalid("metadata.name", name, str(error))
