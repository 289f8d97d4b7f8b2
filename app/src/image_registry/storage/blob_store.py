"""The seam between the registry and the medium that keeps its bytes.

Every backend implements :class:`BlobStore`; one suite of contract tests runs against each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import BinaryIO, Protocol

from image_registry.oci.digest import Digest, Hasher
from image_registry.oci.reference import Repository


class StorageFault(Exception):
    """The medium failed; the text names the operation and the place."""


class OutOfSpace(StorageFault):
    """The medium is full."""


class BlobMissing(Exception):
    """No bytes under this digest."""


class UploadMissing(Exception):
    """No such upload session in this repository."""


RENEWED = 3600.0
"""Seconds for which a link or a blob stays as young as it is; a promise about an older one makes it young again."""


class UploadBusy(Exception):
    """Another request is writing to this upload right now."""


@dataclass(frozen=True, slots=True)
class Held:
    """What the links of a repository say it holds; ``blobs`` with the time each link was written."""

    tags: frozenset[str]
    manifests: frozenset[Digest]
    blobs: Mapping[Digest, datetime]


NEVER = datetime.fromtimestamp(0, UTC)
"""When a link was written that is not there."""


@dataclass(frozen=True, slots=True)
class TagLinks:
    """What the links of a tag say: what it means since when, and what it has meant; ``None`` for a damaged link."""

    current: Digest | None
    since: datetime
    past: Mapping[Digest, datetime]


@dataclass(frozen=True, slots=True)
class Links:
    """Every link of a repository with the time it was written; ``damaged`` names those that say nothing sensible."""

    tags: Mapping[str, TagLinks]
    manifests: Mapping[Digest, datetime]
    blobs: frozenset[Digest]
    damaged: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Linked:
    """Digests that one folder of links names, whoever made it; ``name`` is a repository, or a name like one.

    ``values`` are as they lie there: their form is not checked.
    """

    name: str
    manifests: bool
    algorithm: str
    values: tuple[str, ...]
    lost: bool = False
    """Instead of a folder there is something that leads nowhere: nobody knows which digests are named behind it."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A blob as it lies in the store, or in its trash: bytes, and when it was written, or thrown away."""

    digest: Digest
    size: int
    since: datetime


class OffsetMismatch(Exception):
    """A chunk does not begin where the upload stands; ``actual`` is the size in bytes so far."""

    def __init__(self, actual: int) -> None:
        super().__init__(f"the upload stands at {actual} bytes")
        self.actual = actual


class Readable(Protocol):
    """A request body or anything else that gives bytes; an empty answer is the end."""

    def read(self, size: int, /) -> bytes: ...


class BlobStore(Protocol):
    """Blobs, links and uploads. Any method may raise :class:`StorageFault`."""

    def stat(self, digest: Digest) -> int | None:
        """Size in bytes, or ``None`` if the blob is not there."""
        ...

    def open(self, digest: Digest) -> BinaryIO:
        """The bytes, from the start; a real file where the medium has one. Raises :class:`BlobMissing`."""
        ...

    def read(self, digest: Digest) -> bytes:
        """All bytes of small content (manifests, configurations). Raises :class:`BlobMissing`."""
        ...

    def location(self, digest: Digest) -> str | None:
        """An address where a reader may fetch the bytes from the medium itself, for a while; ``None``: nowhere."""
        ...

    def put(self, data: bytes, digest: Digest) -> None:
        """Store small content whose digest the caller has checked; durable on return, idempotent."""
        ...

    def put_blob(self, repository: Repository, data: bytes, digest: Digest) -> None:
        """:meth:`put` and :meth:`link_blob` in one: both durable on return."""
        ...

    def put_manifest(self, repository: Repository, data: bytes, digest: Digest) -> None:
        """:meth:`put` and :meth:`link_manifest` in one: both durable on return."""
        ...

    def link_blob(self, repository: Repository, digest: Digest) -> None: ...

    def blob_linked(self, repository: Repository, digest: Digest) -> bool: ...

    def unlink_blob(self, repository: Repository, digest: Digest) -> bool:
        """Take the blob out of the repository; ``False`` if it was not in it."""
        ...

    def link_manifest(self, repository: Repository, digest: Digest) -> None: ...

    def manifest_linked(self, repository: Repository, digest: Digest) -> bool: ...

    def unlink_manifest(self, repository: Repository, digest: Digest) -> bool: ...

    def link_all(self, repository: Repository, manifests: Iterable[Digest], blobs: Iterable[Digest]) -> None:
        """Link many that are there already; durable on return."""
        ...

    def write_tag(self, repository: Repository, tag: str, digest: Digest) -> None:
        """Let the tag mean ``digest``; whoever writes or removes tags holds the repository's lock (see the rules)."""
        ...

    def write_tags(self, repository: Repository, tags: Mapping[str, Digest]) -> None:
        """:meth:`write_tag` for many at once; durable on return."""
        ...

    def read_tag(self, repository: Repository, tag: str) -> Digest | None:
        """What the tag means; ``None`` for a missing, empty or damaged link."""
        ...

    def remove_tag(self, repository: Repository, tag: str) -> bool: ...

    def tags(self, repository: Repository) -> list[str]:
        """Tags in ASCII order."""
        ...

    def held(self, repository: Repository) -> Held: ...

    def links(self, repository: Repository) -> Links:
        """Everything that the links of a repository say, for whoever makes the tables anew."""
        ...

    def present(self, digest: Digest) -> bool:
        """Whether the bytes are here at this moment, whatever is remembered of them."""
        ...

    def renew_blob(self, repository: Repository, digest: Digest) -> None:
        """Let an old link be young again, because somebody was just told that the blob is here."""
        ...

    def blob_linked_at(self, repository: Repository, digest: Digest) -> datetime | None:
        """When the link was written or renewed; ``None`` if there is none."""
        ...

    # for who collects garbage: see image_registry.garbage

    def all_linked(self) -> Iterator[Linked]:
        """Every link of every folder below the repositories, in no particular order, some folders in several parts."""
        ...

    def blobs(self, wanted: Callable[[str, str], bool]) -> Iterator[Stored]:
        """Every blob, except for those whose algorithm and value are not ``wanted``."""
        ...

    def throw_away(self, digest: Digest, before: datetime) -> bool:
        """Put a blob into the trash if it was written before a time; ``False`` if it is younger or not there.

        Whoever asks for its bytes gets them back out of there: :meth:`stat`, :meth:`open` and :meth:`read` know no
        trash.
        """
        ...

    def in_place(self, digest: Digest) -> bool:
        """Whether the bytes are where they belong, without a look into the trash."""
        ...

    def take_back(self, digest: Digest) -> bool:
        """Bring a blob back from the trash; ``False`` if it is not there, or has been pushed anew: that one stays."""
        ...

    def trash(self) -> Iterator[Stored]:
        """What lies in the trash."""
        ...

    def remove_for_good(self, digest: Digest) -> bool:
        """Remove a blob from the trash; ``False`` if it is not there any more."""
        ...

    def quarantine(self, blob: Stored) -> bool:
        """Put a blob aside whose bytes are wrong; ``False`` if it is not there, or of another time or size: somebody
        has pushed it anew since it was listed.

        Nobody finds it there: :meth:`stat` says ``None``, and whoever pushes the digest again writes it anew.
        """
        ...

    def quarantined(self) -> Iterator[Stored]:
        """What was put aside, each of them as often as that happened."""
        ...

    def strays(self) -> Iterator[str]:
        """Names of repositories in the layout that are not ``<namespace>/<repository>``, in no particular order."""
        ...

    def repositories(self, namespace: str | None = None) -> Iterator[Repository]:
        """Every repository that has a folder, of one namespace or of all, in no particular order."""
        ...

    def write_records(self, records: Mapping[str, bytes]) -> None:
        """Let the records of these names say this, each whole or as before; durable on return.

        Records are no part of the layout: nothing that is served depends on them.
        """
        ...

    def read_record(self, name: str) -> bytes | None:
        """What a record says; ``None`` if there is none."""
        ...

    def remove_records(self, names: Iterable[str]) -> None:
        """Remove records; nothing happens for those that are gone."""
        ...

    def record_names(self, folder: str) -> Iterator[str]:
        """Names of all records that begin with ``folder/``, in no particular order."""
        ...

    def begin_upload(self, repository: Repository, upload_id: str) -> None: ...

    def upload_size(self, repository: Repository, upload_id: str) -> int:
        """Bytes received so far. Raises :class:`UploadMissing`."""
        ...

    def append(
        self, repository: Repository, upload_id: str, offset: int, source: Readable, hasher: Hasher | None
    ) -> int:
        """Write ``source`` at ``offset`` and feed ``hasher``; returns the new size.

        When ``source`` breaks, what arrived stays and the exception of ``source`` passes through, so that the client
        can go on from :meth:`upload_size`. Raises :class:`UploadBusy` while another request writes,
        :class:`OffsetMismatch` and :class:`UploadMissing`.
        """
        ...

    def open_upload(self, repository: Repository, upload_id: str) -> BinaryIO:
        """The bytes received so far. Raises :class:`UploadMissing`."""
        ...

    def commit_upload(self, repository: Repository, upload_id: str, digest: Digest, size: int) -> None:
        """Make the upload the blob ``digest``, linked into the repository; durable on return.

        The caller has verified the digest of the first ``size`` bytes; if there are more by now nothing becomes visible
        and :class:`OffsetMismatch` is raised, and :class:`UploadBusy` while somebody is adding to them. Raises
        :class:`UploadMissing`. An upload whose bytes the medium failed to keep is gone afterwards.
        """
        ...

    def abort_upload(self, repository: Repository, upload_id: str) -> None:
        """Forget an upload; nothing happens if it is gone already."""
        ...

    def sweep(self, before: datetime) -> int:
        """Remove what broken requests left before a time and no session refers to; returns how many things went.

        Sessions of which nothing was written since then are among them: their owners have given up.
        """
        ...

    def probe(self) -> None:
        """Write, read and remove a marker."""
        ...
