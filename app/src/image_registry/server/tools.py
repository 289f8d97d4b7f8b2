"""What the commands that work on storage and tables are made of; :mod:`~image_registry.server.wiring` builds servers.

Apart from it, so that a command does not import what only a server needs: that takes longer than a short command.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from image_registry.garbage.collection import Collector, Progress, Rules
from image_registry.imagestreams.inventory import Inventory
from image_registry.imagestreams.rebuild_ledger import RebuildLedger
from image_registry.imagestreams.records import Records
from image_registry.imagestreams.service import ImageStreams
from image_registry.metadata.database import Database
from image_registry.oci.digest import Digest
from image_registry.rebuilding.rebuild import Rebuild
from image_registry.rebuilding.recording import Recorder
from image_registry.server.settings import Settings
from image_registry.storage.blob_store import BlobStore
from image_registry.storage.choice import open_store


@dataclass(frozen=True, slots=True)
class RebuildTools:
    """What the commands need to make tables from storage, and records from tables."""

    database: Database
    store: BlobStore
    streams: ImageStreams
    ledger: RebuildLedger
    rebuild: Rebuild
    recorder: Recorder


@contextmanager
def rebuild_tools(settings: Settings) -> Iterator[RebuildTools]:
    """For the length of a command."""
    database = Database(settings.database_url)
    try:
        streams = ImageStreams(database, internal_hostname=settings.internal_hostname)
        ledger, tables, store = RebuildLedger(database), Records(database), open_store(settings.storage)
        rebuild, recorder = Rebuild(store, streams, ledger, tables), Recorder(store, tables, ledger)
        yield RebuildTools(database, store, streams, ledger, rebuild, recorder)
    finally:
        database.dispose()


@contextmanager
def integrity_tools(settings: Settings) -> Iterator[tuple[BlobStore, Inventory]]:
    """For the length of a command that verifies."""
    database = Database(settings.database_url)
    try:
        yield open_store(settings.storage), Inventory(database)
    finally:
        database.dispose()


@contextmanager
def fetching_tools(settings: Settings) -> Iterator[tuple[BlobStore, Callable[[Digest], str]]]:
    """For the length of a command that scrubs, and fetches again what it put aside."""
    from image_registry.server import importing_parts  # of no use to who only reads

    database = Database(settings.database_url)
    try:
        store, streams = open_store(settings.storage), ImageStreams(database, internal_hostname="")
        yield store, importing_parts.refetching(settings, streams.imports, store)
    finally:
        database.dispose()


@contextmanager
def garbage_tools(settings: Settings, rules: Rules, progress: Progress) -> Iterator[Collector]:
    """For the length of a command that collects garbage."""
    database = Database(settings.database_url)
    try:
        store = open_store(settings.storage)
        recorder = Recorder(store, Records(database), RebuildLedger(database))
        yield Collector(store, Inventory(database), rules, behind=recorder.is_behind, progress=progress)
    finally:
        database.dispose()
