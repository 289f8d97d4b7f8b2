"""Writing records: they follow the tables, by the log of revisions, one process at a time.

How far they are is a record too, written after what it speaks of; whoever looks next goes on from there. A log that is
not the one of that position is not followed: tables that were lost or are older than the records would make them say
less, and they are what those tables are to be made from. The rebuild puts that right.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from image_registry.imagestreams import records
from image_registry.imagestreams.rebuild_ledger import OUTSIDE, RebuildLedger
from image_registry.imagestreams.records import DamagedRecord, Position, Records
from image_registry.storage.blob_store import BlobStore


class Followed(Enum):
    """What a look came to."""

    NOTHING = "nothing has changed"
    PART = "there is more to write"
    BEHIND = "the tables are older than the records, or others"
    UNFINISHED = "the tables are being made from storage"


class Recorder:
    """One for each process. Methods may raise ``MetadataUnavailable`` and ``StorageFault``."""

    def __init__(self, store: BlobStore, tables: Records, ledger: RebuildLedger) -> None:
        self._store = store
        self._tables = tables
        self._ledger = ledger

    def catch_up(self) -> Followed:
        """Go on until nothing is left to write."""
        while (followed := self.once()) is Followed.PART:
            pass
        return followed

    def once(self) -> Followed:
        """Write a portion of what changed."""
        if self._ledger.state().finished is None:
            return Followed.UNFINISHED
        with self._tables.alone():
            position = self.position()
            known = None if position is None or position.begins else self._tables.knows(position)
            if known is False:
                return Followed.BEHIND
            if position is not None and known:
                portion = self._tables.since(position.revision)
                if portion is None:
                    return Followed.NOTHING
                self._write(portion.records)
                self._note(portion.position)
                return Followed.PART
        if (position is None or not position.begins) and self._would_forget():
            return Followed.BEHIND
        self.everything()
        return Followed.PART

    def is_behind(self) -> bool:
        """Whether the tables are surely older than the records, or others."""
        position = self.position()
        return position is not None and not position.begins and self._tables.knows(position) is False

    def _would_forget(self) -> bool:
        """Whether there are records of streams that the tables do not have, when the log cannot say if these went."""
        names = list(self._store.record_names(records.STREAMS))
        for start in range(0, len(names), records.AT_ONCE):
            with self._tables.alone():
                if None in self._tables.now(names[start : start + records.AT_ONCE]).values():
                    return True
        return False

    def everything(self) -> None:
        """Let the records say what the tables do, whatever they said."""
        began = self._tables.newest()
        repository = OUTSIDE
        while True:
            with self._tables.alone():
                found, last = self._tables.streams(repository)
                self._write(found)
            if last is None:
                break
            repository = last
        digest = ""
        while True:
            with self._tables.alone():
                found, behind = self._tables.images(digest)
                self._write(found)
            if behind is None:
                break
            digest = behind
        for folder in (records.STREAMS, records.IMAGES):
            names = list(self._store.record_names(folder))
            for start in range(0, len(names), records.AT_ONCE):
                with self._tables.alone():
                    now = self._tables.now(names[start : start + records.AT_ONCE])
                    self._store.remove_records(name for name, data in now.items() if data is None)
        with self._tables.alone():
            self._note(began)

    def position(self) -> Position | None:
        """How far the records are; ``None`` if they have to begin, or if nobody can tell."""
        data = self._store.read_record(records.POSITION)
        try:
            return records.read_position(data) if data is not None else None
        except DamagedRecord:
            return None

    def _write(self, found: Mapping[str, bytes | None]) -> None:
        self._store.write_records({name: data for name, data in found.items() if data is not None})
        self._store.remove_records(name for name, data in found.items() if data is None)

    def _note(self, position: Position) -> None:
        self._store.write_records({records.POSITION: records.write_position(position)})
