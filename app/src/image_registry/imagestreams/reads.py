"""Looking at streams, tags and images; every list is paged by its key, so a page costs what it shows.

A page may end before its limit when what it shows is large; ``next`` alone says whether more follows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from itertools import accumulate, groupby
from operator import attrgetter
from typing import Any, TypeVar

from sqlalchemy import Connection

from image_registry.imagestreams import pulls, rows
from image_registry.imagestreams.errors import Ambiguous, ImageUnknown, InvalidContinue, StreamUnknown, TagUnknown
from image_registry.imagestreams.local_names import Named, ShortName
from image_registry.imagestreams.model import (
    Image,
    ImageStream,
    Page,
    StoredManifest,
    StreamSummary,
    TagHistory,
)
from image_registry.metadata import held as held_queries
from image_registry.metadata import images, revisions, specs, stream_lists, streams
from image_registry.metadata import pulls as pull_queries
from image_registry.metadata.database import Database
from image_registry.metadata.tables import Record
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository

T = TypeVar("T")

MOST_EVENTS = 1_500
"""Tag events of a page of streams; with more it ends early, so that it is made in a few hundredths of a second, and
fits into memory, whoever pushed what."""

_LOOK_AHEAD = 100
"""Streams whose events are counted together."""

MOST_BYTES = 256 << 10
"""Bytes of the manifests of a page of images, likewise: what an Image says grows with its manifest."""


def manifest(database: Database, repository: Repository, digest: Digest) -> StoredManifest:
    """A manifest that the repository holds. Raises :class:`StreamUnknown`, :class:`ImageUnknown`."""
    with database.read() as connection:
        row = images.held(connection, repository.namespace, repository.name, str(digest))
        if row is None:
            _stream_id(connection, repository)
            raise ImageUnknown(f"repository {repository} holds no manifest {digest}")
    return rows.stored_manifest(row)


def held(database: Database, repository: Repository, digests: Collection[Digest]) -> frozenset[Digest]:
    """Those of ``digests`` that are manifests of the repository."""
    with database.read() as connection:
        stream = streams.find_id(connection, repository.namespace, repository.name)
        if stream is None:
            return frozenset()
        return frozenset(Digest.parse(text) for text in images.held_of(connection, stream, [str(d) for d in digests]))


def tag(database: Database, repository: Repository, name: str) -> StoredManifest:
    """What a tag means now. Raises :class:`StreamUnknown`, :class:`TagUnknown`."""
    with database.read() as connection:
        row = streams.tag_target(connection, repository.namespace, repository.name, name)
        if row is None:
            _stream_id(connection, repository)
            raise _no_tag(repository, name)
    return rows.stored_manifest(row)


def referrers(
    database: Database, repository: Repository, subject: Digest, *, limit: int | None, after: str | None
) -> Page[StoredManifest]:
    """Manifests of the repository that name ``subject``, in order of their digests."""
    with database.snapshot() as connection:
        revision = revisions.newest(connection)
        found = images.referrers(
            connection,
            repository.namespace,
            repository.name,
            str(subject),
            after=after or "",
            limit=_more(limit),
        )
    return _page(found, limit, revision, item=rows.stored_manifest, key=lambda row: str(row.digest))


def tags(database: Database, repository: Repository, *, limit: int | None, after: str | None) -> Page[str]:
    """Tag names in byte order."""
    with database.snapshot() as connection:
        revision = revisions.newest(connection)
        found = streams.tag_names(connection, _stream_id(connection, repository), after=after or "", limit=_more(limit))
    return _page(found, limit, revision, item=str, key=str)


def repositories(
    database: Database, *, namespaces: frozenset[str] | None, limit: int | None, after: str | None
) -> Page[Repository]:
    """Names of streams by namespace, then name."""
    with database.snapshot() as connection:
        revision = revisions.newest(connection)
        found = stream_lists.names(connection, within=namespaces, after=_after(after), limit=_more(limit))
    return _page(found, limit, revision, item=lambda row: Repository(row.namespace, row.name), key=_name)


def namespaces(database: Database) -> list[str]:
    """Namespaces that hold streams."""
    with database.read() as connection:
        return stream_lists.namespaces(connection)


def stream(database: Database, repository: Repository) -> ImageStream:
    """One stream with the history of all its tags. Raises :class:`StreamUnknown`."""
    with database.snapshot() as connection:
        return whole(connection, _stream_row(connection, repository))


def brief(database: Database, repository: Repository) -> list[ImageStream]:
    """A stream with the newest event of each tag, if there is one."""
    with database.snapshot() as connection:
        row = streams.find(connection, repository.namespace, repository.name)
        if row is None:
            return []
        events = rows.tag_histories(stream_lists.newest_events(connection, [row.id]))
        wanted = tuple(rows.tag_spec(spec) for spec in specs.of_streams(connection, [row.id]))
        hindered = rows.tag_conditions(specs.conditions(connection, [row.id]))
        return [rows.stream(row, events, specs=wanted, conditions=hindered)]


def whole(connection: Connection, row: Record) -> ImageStream:
    """A stream with everything that is known of it."""
    return rows.stream(
        row,
        rows.tag_histories(stream_lists.histories(connection, [row.id])),
        specs=tuple(rows.tag_spec(spec) for spec in specs.of_streams(connection, [row.id])),
        conditions=rows.tag_conditions(specs.conditions(connection, [row.id])),
    )


def all_streams(
    database: Database, *, namespace: str | None, limit: int | None, after: str | None, history: bool
) -> Page[ImageStream]:
    """Streams with the history of all their tags, or with the newest event of each."""
    within = None if namespace is None else {namespace}
    with database.snapshot() as connection:
        revision = revisions.newest(connection)
        if history and limit is not None:
            limit = _as_many_as_fit(connection, within, after, limit)
        found = stream_lists.page(connection, within=within, after=_after(after), limit=_more(limit))
        shown = [row.id for row in found[:limit]]
        read = stream_lists.histories if history else stream_lists.newest_events
        events = {
            stream_id: rows.tag_histories(group)
            for stream_id, group in groupby(read(connection, shown[:limit]), attrgetter("stream_id"))
        }
        wanted = _by_stream(specs.of_streams(connection, shown[:limit]))
        hindered = _by_stream(specs.conditions(connection, shown[:limit]))

    def item(row: Record) -> ImageStream:
        return rows.stream(
            row,
            events.get(row.id, ()),
            specs=tuple(rows.tag_spec(spec) for spec in wanted.get(row.id, ())),
            conditions=rows.tag_conditions(hindered.get(row.id, ())),
        )

    return _page(found, limit, revision, item=item, key=_name)


def _as_many_as_fit(connection: Connection, within: Collection[str] | None, after: str | None, limit: int) -> int:
    """How many of the next streams have :data:`MOST_EVENTS` together; found a few at a time, since few may be all."""
    ahead = stream_lists.keys(connection, within=within, after=_after(after), limit=limit)
    sizes: list[int] = []
    while len(sizes) < len(ahead) and sum(sizes) <= MOST_EVENTS:
        portion = [row.id for row in ahead[len(sizes) : len(sizes) + _LOOK_AHEAD]]
        counts = stream_lists.event_counts(connection, portion)
        sizes += [counts.get(stream_id, 0) for stream_id in portion]
    return fitting(sizes, MOST_EVENTS)


def summaries(
    database: Database, *, namespace: str | None, limit: int | None, after: str | None, tags: bool = True
) -> Page[StreamSummary]:
    """Streams with the names of their tags, unless ``tags`` is false."""
    within = None if namespace is None else {namespace}
    with database.snapshot() as connection:
        revision = revisions.newest(connection)
        found = stream_lists.page(connection, within=within, after=_after(after), limit=_more(limit))
        shown = [row.id for row in found[:limit]]
        lines = shown if tags else ()
        names = stream_lists.tag_names(connection, lines)
        updated = stream_lists.updated(connection, lines)
        wanted = _by_stream(specs.of_streams(connection, lines))

    def item(row: Record) -> StreamSummary:
        stream = rows.stream(row, specs=tuple(rows.tag_spec(spec) for spec in wanted.get(row.id, ())))
        newest = updated.get(row.id)
        return StreamSummary(stream, tuple(sorted(names.get(row.id, ()))), rows.utc(newest) if newest else None)

    return _page(found, limit, revision, item=item, key=_name)


def _by_stream(found: Sequence[Record]) -> dict[int, list[Record]]:
    return {stream_id: list(group) for stream_id, group in groupby(found, attrgetter("stream_id"))}


def stream_tag(database: Database, repository: Repository, name: str) -> tuple[ImageStream, TagHistory, Image | None]:
    """A tag with its history, its stream without tags, and its Image."""
    with database.snapshot() as connection:
        row = _stream_row(connection, repository)
        history = rows.tag_histories(streams.history(connection, row.id, name))
        if not history or history[0].newest.image is None:
            raise _no_tag(repository, name)
        found = images.find(connection, history[0].newest.digest)
        wanted = specs.find(connection, row.id, name)
    stream = rows.stream(row, specs=(rows.tag_spec(wanted),) if wanted else ())
    return stream, history[0], rows.image(found) if found else None


def named(database: Database, name: ShortName) -> Named | None:
    """What there is of a short name; ``None`` without a stream of that name."""
    repository = name.repository
    with database.snapshot() as connection:
        row = streams.find(connection, repository.namespace, repository.name)
        if row is None:
            return None
        if name.digest is None:
            event = streams.newest_event(connection, row.id, name.tag)
        else:
            event = streams.event_of_image(connection, row.id, str(name.digest))
        spec = specs.find(connection, row.id, event.tag if event else name.tag) if event or not name.digest else None
    return Named(rows.stream(row), rows.tag_spec(spec) if spec else None, rows.tag_event(event) if event else None)


def stream_image(
    database: Database, repository: Repository, beginning: str
) -> tuple[ImageStream, Image, datetime | None, datetime | None]:
    """An image of a stream, held or in its history, by the beginning of its digest.

    Since when it is held, if it is, and since when nobody has pulled it from there, if that is known.

    Raises :class:`StreamUnknown`, :class:`ImageUnknown`, :class:`Ambiguous`.
    """
    with database.snapshot() as connection:
        row = _stream_row(connection, repository)
        digests = images.like(connection, row.id, beginning)
        found = images.find(connection, digests[0]) if len(digests) == 1 else None
        pushed = held_queries.pushed(connection, row.id, digests[0]) if found is not None else None
        pulled = pull_queries.last(connection, row.id, digests[0]) if found is not None else None
        unpulled = pulls.unpulled_since(pulls.noted_since(connection), pushed, pulled)
    if len(digests) > 1:
        raise Ambiguous(f"{beginning} is the beginning of more than one image of {repository}; give more of it")
    if found is None:
        raise ImageUnknown(f"{repository} has no image {beginning}")
    return rows.stream(row), rows.image(found), rows.utc(pushed) if pushed is not None else None, unpulled


def stream_images(database: Database, repository: Repository) -> tuple[ImageStream, list[Image]]:
    """Everything that a stream holds. Raises :class:`StreamUnknown`."""
    with database.snapshot() as connection:
        row = _stream_row(connection, repository)
        return whole(connection, row), [rows.image(found) for found in images.of_stream(connection, row.id)]


def stream_tags(
    database: Database, *, namespace: str | None, limit: int | None, after: str | None
) -> Page[tuple[ImageStream, TagHistory]]:
    """Tags by namespace, stream and tag; each with its newest event only, and its stream without tags."""
    start = None
    if after is not None:
        name, colon, last = after.partition(":")
        if not colon or "/" not in name:
            raise InvalidContinue(f"{after[:300]!r} is not the end of a page of tags; start the list again")
        start = (*_split(name), last)
    with database.snapshot() as connection:
        revision = revisions.newest(connection)
        found = stream_lists.current_events(connection, namespace=namespace, after=start, limit=_more(limit))
    return _page(
        found,
        limit,
        revision,
        item=lambda row: (rows.stream(row, prefix="stream_"), TagHistory(row.tag, (rows.tag_event(row),))),
        key=lambda row: f"{row.stream_namespace}/{row.stream_name}:{row.tag}",
    )


def image(database: Database, digest: Digest) -> Image:
    """Raises :class:`ImageUnknown`."""
    with database.read() as connection:
        row = images.find(connection, str(digest))
    if row is None:
        raise ImageUnknown(f"no image {digest}")
    return rows.image(row)


def all_images(database: Database, *, limit: int | None, after: str | None) -> Page[Image]:
    """Images in order of their digests."""
    with database.snapshot() as connection:
        revision = revisions.newest(connection)
        if limit is None:
            found = images.page(connection, after=after or "", last=None)
            return Page(tuple(rows.image(row) for row in found), None, revision)
        ahead = images.sizes(connection, after=after or "", limit=max(limit, 0) + 1)
        shown = fitting([row.manifest_size for row in ahead[:limit]], MOST_BYTES)
        if not shown:
            return Page((), None, revision)
        last = ahead[shown - 1].digest
        found = images.page(connection, after=after or "", last=last)
    more = len(ahead) > shown
    return Page(tuple(rows.image(row) for row in found), str(last) if more else None, revision)


def revision(database: Database) -> int:
    """The newest revision."""
    with database.read() as connection:
        return revisions.newest(connection)


def _page(
    found: Sequence[Any], limit: int | None, at: int, *, item: Callable[[Any], T], key: Callable[[Any], str]
) -> Page[T]:
    shown = found if limit is None else found[:limit]
    more = len(found) > len(shown) and bool(shown)
    return Page(tuple(item(entry) for entry in shown), key(shown[-1]) if more else None, at)


def fitting(sizes: Sequence[int], most: int) -> int:
    """How many of the first are ``most`` together; at least one, or a list would never go on."""
    fitting = sum(1 for total in accumulate(sizes) if total <= most)
    return max(fitting, min(len(sizes), 1))


def _more(limit: int | None) -> int | None:
    """One more than is shown tells whether anything follows."""
    return None if limit is None else max(limit, 0) + 1


def _after(key: str | None) -> tuple[str, str] | None:
    return None if key is None else _split(key)


def _split(key: str) -> tuple[str, str]:
    namespace, _, name = key.partition("/")
    return namespace, name


def _name(row: Record) -> str:
    return f"{row.namespace}/{row.name}"


def _stream_id(connection: Connection, repository: Repository) -> int:
    number = streams.find_id(connection, repository.namespace, repository.name)
    if number is None:
        raise _no_stream(repository)
    return number


def _stream_row(connection: Connection, repository: Repository) -> Record:
    row = streams.find(connection, repository.namespace, repository.name)
    if row is None:
        raise _no_stream(repository)
    return row


def _no_stream(repository: Repository) -> StreamUnknown:
    return StreamUnknown(f"no ImageStream {repository}")


def _no_tag(repository: Repository, name: str) -> TagUnknown:
    return TagUnknown(f"repository {repository} has no tag {name!r}")
