"""The three kinds of objects behind one shape, so that listing, deleting and answering are written once.

Names that cannot exist are simply not found, whatever is wrong with them; Kubernetes clients know what to do then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from image_registry.image_api import documents, status
from image_registry.image_api.detail import Detail
from image_registry.image_api.documents import Document, Hosts
from image_registry.image_api.resources import IMAGES, STREAM_TAGS, STREAMS, Resource
from image_registry.image_api.status import APIError, BadRequest
from image_registry.imagestreams import errors
from image_registry.imagestreams.limits import LimitExceeded, LimitsUnknown
from image_registry.imagestreams.model import Image, ImageStream, Page
from image_registry.imagestreams.service import ImageStreams
from image_registry.oci.digest import Digest, InvalidDigest
from image_registry.oci.reference import InvalidName, InvalidTag, Repository, parse_tag


class Collection(Protocol):
    """One resource. Every method may raise an :class:`APIError`."""

    resource: Resource
    fields: tuple[str, ...]
    """Supported field selectors: paths into the document."""

    def revision(self) -> int:
        """The newest state."""
        ...

    def get(self, namespace: str, name: str) -> Document:
        """One object."""
        ...

    def page(self, namespace: str, *, limit: int | None, after: str | None, detail: Detail) -> Page[Document]:
        """Objects in order of their keys; an empty namespace stands for all.

        Each holds at least what ``detail`` says. A page may end before its limit.
        """
        ...

    def key(self, document: Mapping[str, Any]) -> str:
        """The place of an object in its list."""
        ...

    def delete(
        self, namespace: str, name: str, *, uid: str | None, resource_version: int | None, dry_run: bool
    ) -> Document | None:
        """Delete an object, or with ``dry_run`` only make every check of that; one that waits is returned."""
        ...


class Watchable(Collection, Protocol):
    """A resource whose changes are in the log of revisions."""

    def shown(self, value: object) -> Document | None:
        """A changed value as an object of this resource; ``None`` if it is another's."""
        ...


def field(document: Mapping[str, Any], path: str) -> str:
    """The value of a selectable field; absent is empty."""
    value: Any = document
    for step in path.split("."):
        value = value.get(step, "") if isinstance(value, Mapping) else ""
    return str(value)


def fields_of(collection: Collection, document: Mapping[str, Any]) -> dict[str, str]:
    """The values that a field selector is about."""
    return {path: field(document, path) for path in collection.fields}


class Images:
    """Cluster-scoped: one object for each digest, wherever it is used."""

    resource = IMAGES
    fields: tuple[str, ...] = ("metadata.name",)

    def __init__(self, streams: ImageStreams) -> None:
        self._streams = streams

    def revision(self) -> int:
        return self._streams.revision()

    def get(self, namespace: str, name: str) -> Document:  # noqa: ARG002 - one shape for all
        with translated(self.resource, name):
            found = self._streams.image(_digest(name))
            return documents.image(found, self._streams.editor.signatures(found.digest))

    def page(self, namespace: str, *, limit: int | None, after: str | None, detail: Detail) -> Page[Document]:  # noqa: ARG002 - same
        with translated(self.resource, ""):
            found = self._streams.images(limit=limit, after=str(_digest(after)) if after else None)
        return Page(tuple(documents.image(value) for value in found.items), found.next, found.revision)

    def key(self, document: Mapping[str, Any]) -> str:
        return str(document["metadata"]["name"])

    def shown(self, value: object) -> Document | None:
        return documents.image(value) if isinstance(value, Image) else None

    def delete(
        self,
        namespace: str,  # noqa: ARG002 - same
        name: str,
        *,
        uid: str | None,
        resource_version: int | None,
        dry_run: bool,
    ) -> Document | None:
        with translated(self.resource, name):
            digest = _digest(name)
            left = self._streams.delete_image(digest, uid=uid, resource_version=resource_version, dry_run=dry_run)
        return documents.image(left) if left.meta.deleted is not None else None


class Streams:
    """One object for each repository."""

    resource = STREAMS
    fields: tuple[str, ...] = (
        "metadata.name",
        "metadata.namespace",
        "spec.dockerImageRepository",
        "status.dockerImageRepository",
    )

    def __init__(self, streams: ImageStreams, hosts: Hosts) -> None:
        self._streams = streams
        self._hosts = hosts

    def revision(self) -> int:
        return self._streams.revision()

    def get(self, namespace: str, name: str) -> Document:
        with translated(self.resource, name):
            return documents.stream(self._streams.stream(Repository.of(namespace, name)), self._hosts)

    def page(self, namespace: str, *, limit: int | None, after: str | None, detail: Detail) -> Page[Document]:
        with translated(self.resource, ""):
            start = str(within(namespace, after)) if after else None
            if detail < Detail.WHOLE:
                lines = self._streams.summaries(
                    namespace=namespace or None, limit=limit, after=start, tags=detail >= Detail.ROW
                )
                shown = tuple(documents.stream_summary(value, self._hosts) for value in lines.items)
                return Page(shown, lines.next, lines.revision)
            found = self._streams.streams(namespace=namespace or None, limit=limit, after=start)
        return Page(tuple(documents.stream(value, self._hosts) for value in found.items), found.next, found.revision)

    def key(self, document: Mapping[str, Any]) -> str:
        return f"{document['metadata']['namespace']}/{document['metadata']['name']}"

    def shown(self, value: object) -> Document | None:
        return documents.stream(value, self._hosts) if isinstance(value, ImageStream) else None

    def delete(
        self, namespace: str, name: str, *, uid: str | None, resource_version: int | None, dry_run: bool
    ) -> Document | None:
        with translated(self.resource, name):
            repository = Repository.of(namespace, name)
            left = self._streams.delete_stream(repository, uid=uid, resource_version=resource_version, dry_run=dry_run)
        return documents.stream(left, self._hosts) if left.meta.deleted is not None else None


class StreamTags:
    """A projection: one object for each tag of each stream, named ``stream:tag``."""

    resource = STREAM_TAGS
    fields: tuple[str, ...] = ("metadata.name", "metadata.namespace")

    def __init__(self, streams: ImageStreams, hosts: Hosts) -> None:
        self._streams = streams
        self._hosts = hosts

    def revision(self) -> int:
        return self._streams.revision()

    def get(self, namespace: str, name: str) -> Document:
        repository, tag = stream_and_tag(namespace, name)
        with translated(self.resource, name):
            return documents.stream_tag(*self._streams.stream_tag(repository, tag), hosts=self._hosts)

    def page(self, namespace: str, *, limit: int | None, after: str | None, detail: Detail) -> Page[Document]:  # noqa: ARG002 - always rows
        with translated(self.resource, ""):
            if after is not None:
                repository, _, tag = after.partition(":")
                after = f"{within(namespace, repository)}:{parse_tag(tag)}"
            found = self._streams.stream_tags(namespace=namespace or None, limit=limit, after=after)
        return Page(
            tuple(documents.stream_tag(*value, hosts=self._hosts) for value in found.items), found.next, found.revision
        )

    def key(self, document: Mapping[str, Any]) -> str:
        return f"{document['metadata']['namespace']}/{document['metadata']['name']}"

    def delete(
        self, namespace: str, name: str, *, uid: str | None, resource_version: int | None, dry_run: bool
    ) -> Document | None:
        repository, tag = stream_and_tag(namespace, name)
        with translated(self.resource, name):
            self._streams.delete_tag(repository, tag, uid=uid, resource_version=resource_version, dry_run=dry_run)
        return None

    def delete_together(self, items: Sequence[Mapping[str, Any]], *, dry_run: bool) -> None:
        """One transaction for each stream: a namespace is emptied like this, and may have tens of thousands of tags."""
        of_streams: dict[Repository, list[str]] = {}
        for item in items:
            repository, tag = stream_and_tag(item["metadata"]["namespace"], item["metadata"]["name"])
            of_streams.setdefault(repository, []).append(tag)
        with translated(self.resource, ""):
            for repository, tags in of_streams.items():
                self._streams.delete_tags(repository, tags, dry_run=dry_run)


def stream_and_tag(namespace: str, name: str) -> tuple[Repository, str]:
    """The two parts of ``stream:tag``. Raises ``BadRequest``, ``NotFound``."""
    stream, colon, tag = name.partition(":")
    if not (stream and colon and tag) or ":" in tag:
        raise BadRequest(f"{name[:300]!r} does not name an ImageStreamTag: the form is <stream>:<tag>, as in app:v1.0")
    with translated(STREAM_TAGS, name):
        return Repository.of(namespace, stream), parse_tag(tag)


def _digest(name: str) -> Digest:
    return Digest.parse(name)


def within(namespace: str, text: str) -> Repository:
    """The place of a continued list; it must lie in the list."""
    place = Repository.parse(text)
    if namespace and place.namespace != namespace:
        raise InvalidName(f"{text[:300]!r} is not in namespace {namespace!r}")
    return place


@contextmanager
def translated(resource: Resource, name: str) -> Iterator[None]:
    """The rules speak their own words; here they become a ``Status``. Without a name it is a list that went wrong."""
    try:
        yield
    except (InvalidName, InvalidTag, InvalidDigest, errors.InvalidContinue) as error:
        raise _no_such(resource, name, error) from None
    except (errors.StreamUnknown, errors.TagUnknown, errors.ImageUnknown, errors.SignatureUnknown):
        raise status.not_found(resource.plural, name) from None
    except errors.StreamExists:
        raise status.already_exists(resource.plural, name) from None
    except errors.Ambiguous as error:
        raise status.conflict(resource.plural, name, str(error)) from None
    except (errors.TagExists, errors.ImageExists, errors.SignatureExists):
        raise status.already_exists(resource.plural, name) from None
    except (errors.Conflict, errors.ImageInUse, errors.TooManySignatures) as error:
        raise status.conflict(resource.plural, name, str(error)) from None
    except LimitExceeded as error:
        raise status.beyond_limit(resource.plural, name, error.sentence, error.limit.resource) from None
    except LimitsUnknown as error:
        raise status.ServiceUnavailable(f"{error}; try again in a moment", retry_after=5) from None


def _no_such(resource: Resource, name: str, error: Exception) -> APIError:
    if name:
        return status.not_found(resource.plural, name)
    return BadRequest(f"continue key is not valid: {error}; start the list again without it")
