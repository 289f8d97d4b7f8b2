"""Reading records: what the tables knew, as it lies in the storage. What cannot be read becomes a finding.

Without records, as in a tree that another registry wrote, everything here is empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from image_registry.imagestreams import records
from image_registry.imagestreams.adoption import Finding
from image_registry.imagestreams.records import DamagedRecord, Position, Recalled, Records
from image_registry.metadata.revisions import KEPT
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository
from image_registry.storage.blob_store import BlobStore

DAMAGED_RECORD = "damaged record"

T = TypeVar("T")


class Archive:
    """The records of one storage. Methods may raise ``StorageFault``; without tables nothing is said of them."""

    def __init__(self, store: BlobStore, tables: Records | None) -> None:
        self._store = store
        self._tables = tables

    def repositories(self) -> Iterator[Repository]:
        """Every stream that has a record."""
        for name in self._store.record_names(records.STREAMS):
            if (repository := records.repository_of(name)) is not None:
                yield repository

    def recall(self, repository: Repository, manifests: Iterable[Digest], findings: list[Finding]) -> Recalled:
        """What records say of a repository which has these manifests in storage."""
        stream = self._read(records.stream_name(repository), records.read_stream, str(repository), findings)
        wanted = set(manifests)
        if stream is not None:
            wanted |= {Digest.parse(row["digest"]) for row in stream.of("remote_manifests")}
        images = {}
        for digest in wanted:
            row = self._read(records.image_name(digest), records.read_image, str(digest), findings)
            if row is not None:
                images[digest] = row
        return Recalled(stream, images)

    def other_images(self, findings: list[Finding]) -> Iterator[list[Mapping[str, Any]]]:
        """Records of Images that the tables do not have, some at a time."""
        if self._tables is None:
            return
        waiting: list[Digest] = []
        for name in self._store.record_names(records.IMAGES):
            if (digest := records.digest_of(name)) is not None:
                waiting.append(digest)
            if len(waiting) == records.AT_ONCE:
                yield self._missing(self._tables, waiting, findings)
                waiting = []
        if waiting:
            yield self._missing(self._tables, waiting, findings)

    def resume_revisions(self) -> None:
        """Let the counter go on far behind where it was, so that whoever watched before is told to begin anew."""
        if self._tables is not None and (position := self._foreign_position()) is not None:
            self._tables.continue_after(position.revision + KEPT, datetime.now(UTC))

    def begin_anew(self) -> None:
        """From now on the records follow the tables that were made from them."""
        if self._tables is not None and self._foreign_position() is not None:
            position = Position(self._tables.newest().revision, "")
            self._store.write_records({records.POSITION: records.write_position(position)})

    def _foreign_position(self) -> Position | None:
        """How far the records had come, if that is no place in the log of these tables."""
        data = self._store.read_record(records.POSITION)
        try:
            position = records.read_position(data) if data is not None else None
        except DamagedRecord:
            return None
        if self._tables is None or position is None or self._tables.knows(position) is not False:
            return None
        return position

    def _missing(self, tables: Records, digests: list[Digest], findings: list[Finding]) -> list[Mapping[str, Any]]:
        found = [
            self._read(records.image_name(digest), records.read_image, str(digest), findings)
            for digest in tables.missing_images(digests)
        ]
        return [row for row in found if row is not None]

    def _read(self, name: str, understand: Callable[[bytes], T], subject: str, findings: list[Finding]) -> T | None:
        data = self._store.read_record(name)
        if data is None:
            return None
        try:
            return understand(data)
        except DamagedRecord as error:
            findings.append(Finding(DAMAGED_RECORD, subject, str(error)))
            return None
