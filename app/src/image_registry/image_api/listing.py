"""Lists: pages, selectors and the state they show (parity reference 2.4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from image_registry.image_api import continuation
from image_registry.image_api.collections import Collection, fields_of
from image_registry.image_api.continuation import Place
from image_registry.image_api.detail import Detail
from image_registry.image_api.documents import Document
from image_registry.image_api.parameters import ListOptions
from image_registry.image_api.status import APIError, Cause, Expired, NotFound, Timeout
from image_registry.oci.reference import is_namespace

FEWEST = 100
"""Objects read at once when a selector may leave some out of a short page."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of documents, and the ``metadata`` of the list."""

    items: tuple[Document, ...]
    revision: int
    token: str = ""

    @property
    def metadata(self) -> dict[str, str]:
        """A ``ListMeta``."""
        return {"resourceVersion": str(self.revision)} | ({"continue": self.token} if self.token else {})


def collect(collection: Collection, namespace: str, options: ListOptions, *, detail: Detail = Detail.WHOLE) -> Listing:
    """Read one page; an empty namespace stands for all. ``detail`` as for :meth:`Collection.page`."""
    scope = f"{collection.resource.name}/{namespace}"
    place = continuation.decode(options.token, scope) if options.token else None
    one = _only_one(collection, namespace, options)
    if one is not None and place is None:
        return _single(collection, *one, options)
    within = namespace or options.fields.required.get("metadata.namespace", "")
    if within and not is_namespace(within):
        revision = collection.revision()
        _check_state(options, place, revision)
        return Listing((), revision)
    found: list[Document] = []
    after = place.key if place else None
    revision = 0
    while True:
        at_once = _read_at_once(options, len(found))
        page = collection.page(within, limit=at_once, after=after, detail=detail)
        if not revision:
            revision = page.revision
            _check_state(options, place, revision)
        last = None
        for item in page.items:
            if options.limit is not None and len(found) >= options.limit:
                break
            last = item
            if _selected(collection, item, options):
                found.append(item)
        full = options.limit is not None and len(found) >= options.limit
        after = collection.key(last) if last is not None else page.next
        more = page.next is not None or (bool(page.items) and last is not page.items[-1])
        large = at_once is not None and len(page.items) < at_once  # the rules ended it early: so does the answer
        if full or large or not more:
            break
    # every page tells the revision of the first one: whoever then watches from it misses nothing
    revision = place.revision if place else revision
    token = continuation.encode(Place(scope, revision, after)) if more and after else ""
    return Listing(tuple(found), revision, token)


def check_version(requested: int | None, newest: int) -> None:
    """Raises :class:`Timeout` when a client has seen a state that this server has not."""
    if requested is not None and requested > newest:
        raise Timeout(
            f"Too large resource version: {requested}, current: {newest}",
            causes=[Cause("ResourceVersionTooLarge", "Too large resource version")],
            retry_after=1,
        )


def _check_state(options: ListOptions, place: Place | None, revision: int) -> None:
    if place is not None:
        continuation.check_age(place, revision)
    check_version(options.resource_version, revision)
    if options.exactly and options.resource_version != revision:
        raise Expired(
            f"The resourceVersion for the provided list is too old: only the newest state, {revision}, can be listed"
        )


def _read_at_once(options: ListOptions, found: int) -> int | None:
    if options.limit is None:
        return None
    wanted = options.limit - found
    return max(wanted, FEWEST) if options.selects else wanted


def _only_one(collection: Collection, namespace: str, options: ListOptions) -> tuple[str, str] | None:
    """Namespace and name, when the fields allow a single object: kubectl waits for one like this."""
    name = options.fields.required.get("metadata.name")
    within = namespace or options.fields.required.get("metadata.namespace", "")
    if name is None or (collection.resource.namespaced and not within):
        return None
    return within, name


def _single(collection: Collection, namespace: str, name: str, options: ListOptions) -> Listing:
    # the state first, the object after it: the list may then show more than it promises, never less
    revision = collection.revision()
    _check_state(options, None, revision)
    try:
        item = collection.get(namespace, name)
    except NotFound:
        return Listing((), revision)
    except APIError as error:
        if error.code == 400:  # a name of the wrong form names nothing
            return Listing((), revision)
        raise
    return Listing((item,) if _selected(collection, item, options) else (), revision)


def _selected(collection: Collection, item: Mapping[str, Any], options: ListOptions) -> bool:
    if not options.selects:
        return True
    return options.fields.matches(fields_of(collection, item)) and options.labels.matches(
        item["metadata"].get("labels", {})
    )
