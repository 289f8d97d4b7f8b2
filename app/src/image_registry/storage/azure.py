"""Azure Blob Storage, through Microsoft's library.

A blob is a list of blocks that were put beside it. Two who make the same blob at once throw away each other's blocks:
the one whose blocks are gone looks whether the blob is there by now, and begins again if not.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
)
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import (
    BlobBlock,
    BlobPrefix,
    BlobSasPermissions,
    ContainerClient,
    ExponentialRetry,
    generate_blob_sas,
)
from requests import Session

from image_registry.storage.blob_store import OutOfSpace, StorageFault
from image_registry.storage.choice import Azure
from image_registry.storage.object_client import Entry, Incoming, ObjectExists, ObjectMissing
from image_registry.storage.proxied_sessions import mount

CONNECT, READ, ATTEMPTS = 5, 60, 3
FIRST_PAUSE = 1
"""Seconds to wait for a connection and for a byte, tries after the first, and seconds before the first of these; the
pauses grow, and are of random length."""

CONNECTIONS = 64
TOGETHER = 4
BLOCK = 100 << 20
"""Bytes that are copied as one block; every version of the service takes that much."""

WINDOW = 4 << 20
"""Bytes that are held in memory for a reader or a writer."""

COPY_MINUTES = 60
"""For which our own copies may read the pieces."""

AGAIN = 3


class AzureClient:
    """An :class:`~image_registry.storage.object_client.ObjectClient` for one container."""

    listing_lags = False

    def __init__(self, settings: Azure) -> None:
        self._prefix = f"{settings.rootdirectory.strip('/')}/".lstrip("/")
        self._place = str(settings)
        self._account, self._name, self._key = settings.accountname, settings.container, settings.accountkey
        session = Session()
        mount(session, settings.proxies, pool_maxsize=CONNECTIONS)
        try:
            self._container = ContainerClient(
                settings.endpoint or f"https://{settings.accountname}.blob.{settings.realm}",
                settings.container,
                credential={"account_name": settings.accountname, "account_key": settings.accountkey},
                retry_policy=ExponentialRetry(
                    initial_backoff=FIRST_PAUSE, increment_base=2, retry_total=ATTEMPTS, random_jitter_range=1
                ),
                transport=RequestsTransport(session=session, session_owner=False),
                connection_timeout=CONNECT,
                read_timeout=READ,
                max_single_get_size=WINDOW,
                max_chunk_get_size=WINDOW,
                max_single_put_size=WINDOW,
                max_block_size=WINDOW,
            )
            base64.b64decode(settings.accountkey, validate=True)
        except ValueError:  # its text may hold the key
            raise StorageFault(
                "REGISTRY_STORAGE_AZURE_ACCOUNTKEY is not a key of a storage account: copy it anew"
            ) from None

    def size(self, key: str) -> int | None:
        try:
            with self._faults("look at", key):
                return int(self._blob(key).get_blob_properties().size)
        except ObjectMissing:
            return None

    def get(self, key: str, start: int = 0) -> Incoming:
        with self._faults("read", key):
            return _Body(self._blob(key).download_blob(offset=start or None), lambda: self._faults("read", key))

    def put(self, key: str, data: BinaryIO, length: int, *, new: bool = False) -> None:
        mark = uuid.uuid4().hex
        condition: dict[str, Any] = {"metadata": {"writer": mark}} if new else {}
        try:
            with self._faults("write", key):
                self._blob(key).upload_blob(data, length=length, overwrite=not new, **condition)
        except ObjectExists:
            if self._marked(key) != mark:  # else it is ours, and the answer to the first try got lost
                raise

    def delete(self, keys: Iterable[str]) -> None:
        def remove(key: str) -> None:
            with suppress(ObjectMissing), self._faults("remove", key):
                self._blob(key).delete_blob()

        found = list(keys)
        if len(found) == 1:
            remove(found[0])
        elif found:
            with ThreadPoolExecutor(TOGETHER, thread_name_prefix="remove") as pool:
                list(pool.map(remove, found))

    def entries(self, prefix: str) -> Iterator[Entry]:
        with self._faults("list", prefix):
            for found in self._container.list_blobs(name_starts_with=self._prefix + prefix):
                yield Entry(found.name[len(self._prefix) :], int(found.size), found.last_modified)

    def folders(self, prefix: str) -> Iterator[str]:
        with self._faults("list", prefix):
            for found in self._container.walk_blobs(name_starts_with=self._prefix + prefix, delimiter="/"):
                if isinstance(found, BlobPrefix):
                    yield found.name[len(self._prefix) + len(prefix) :].rstrip("/")

    def join(self, key: str, pieces: Sequence[Entry]) -> None:
        size = sum(piece.size for piece in pieces)
        for attempt in range(AGAIN):
            try:
                with self._faults("join", key):
                    self._commit(key, pieces)
            except _BlocksGone as error:
                if self.size(key) == size:
                    return  # somebody else was quicker with the same content
                if attempt == AGAIN - 1:
                    raise StorageFault(str(error)) from error
            else:
                return

    def signed(self, key: str, seconds: int) -> str | None:
        return self._readable(key, timedelta(seconds=seconds))

    def sweep(self, before: datetime) -> int:  # noqa: ARG002 - the service forgets blocks of no blob after a week
        return 0

    # what the methods above share

    def _blob(self, key: str) -> Any:
        return self._container.get_blob_client(self._prefix + key)

    def _commit(self, key: str, pieces: Sequence[Entry]) -> None:
        target, mark = self._blob(key), uuid.uuid4().hex
        extents = [
            (piece.key, start, min(BLOCK, piece.size - start))
            for piece in pieces
            for start in range(0, piece.size, BLOCK)
        ]
        addresses = {piece.key: self._readable(piece.key, timedelta(minutes=COPY_MINUTES)) for piece in pieces}

        def stage(number: int, extent: tuple[str, int, int]) -> BlobBlock:
            source, start, length = extent
            block = f"{mark}-{number:08d}"
            target.stage_block_from_url(block, addresses[source], source_offset=start, source_length=length)
            return BlobBlock(block)

        with ThreadPoolExecutor(TOGETHER, thread_name_prefix="join") as pool:
            blocks = list(pool.map(stage, range(len(extents)), extents))
        target.commit_block_list(blocks)

    def _readable(self, key: str, duration: timedelta) -> str:
        begins = datetime.now(UTC) - timedelta(minutes=5)  # clocks differ
        signature = generate_blob_sas(
            self._account,
            self._name,
            self._prefix + key,
            account_key=self._key,
            permission=BlobSasPermissions(read=True),
            start=begins,
            expiry=datetime.now(UTC) + duration,
        )
        return f"{self._blob(key).url}?{signature}"

    def _marked(self, key: str) -> str | None:
        with self._faults("look at", key):
            return dict(self._blob(key).get_blob_properties().metadata or {}).get("writer")

    @contextmanager
    def _faults(self, action: str, key: str) -> Iterator[None]:
        """Say of a failure what could not be done where; never what was sent."""
        where = f"cannot {action} {key} in {self._place}"
        try:
            yield
        except HttpResponseError as error:
            raise self._fault(where, key, error) from error
        except (AzureError, OSError) as error:
            raise StorageFault(f"{where}: {error}") from error

    def _fault(self, where: str, key: str, error: HttpResponseError) -> Exception:
        named = getattr(error, "error_code", None)
        code, status = str(getattr(named, "value", named) or ""), error.status_code
        if code == "ContainerNotFound":
            return StorageFault(f"there is no {self._place}: make the container, or correct its name")
        if code in {"InvalidBlockList", "InvalidBlockId", "InvalidBlobOrBlock"}:
            return _BlocksGone(f"{where}: {code}")
        if status == 404:
            return ObjectMissing(key)
        if status in (409, 412) and code in {"BlobAlreadyExists", "ConditionNotMet", ""}:
            return ObjectExists(key)
        if isinstance(error, ClientAuthenticationError) or status in (401, 403):
            return StorageFault(f"{where}: {code or status}; check the account key and the firewall of the account")
        kind = OutOfSpace if status == 507 else StorageFault
        return kind(f"{where}: {code or status}")


class _BlocksGone(StorageFault):
    """Somebody else has made the blob meanwhile."""


class _Body:
    """Bytes that arrive a few megabytes at a time, with failures in our words."""

    def __init__(self, download: Any, faults: Any) -> None:
        self._chunks = iter(download.chunks())
        self._faults = faults
        self._waiting = memoryview(b"")

    def read(self, size: int, /) -> bytes:
        while not self._waiting:
            with self._faults():
                chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            self._waiting = memoryview(chunk)
        data, self._waiting = self._waiting[:size], self._waiting[size:]
        return bytes(data)

    def close(self) -> None:
        self._chunks = iter(())
