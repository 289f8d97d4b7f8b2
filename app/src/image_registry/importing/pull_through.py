"""Content of imported images that is not here yet: fetched from where the image came from when somebody asks for it.

One fetch serves everybody who asks meanwhile, in this process and, by a claim in the database, in all others. What was
fetched is kept, so the next pull needs no other registry, and one that is down only matters for what nobody asked for
yet. Only what an import of this repository lists may be fetched, and it is always fetched: that some other repository
has the same bytes proves nothing about who may read them here (registries reference 4.3, rows 9 and 19).
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import structlog

from image_registry.imagestreams.errors import MetadataUnavailable
from image_registry.imagestreams.importer import Imports, Origin
from image_registry.importing.flight import Flight, Incoming
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository
from image_registry.remote.asking import Access
from image_registry.remote.credentials import Keyring
from image_registry.remote.errors import RemoteError, Unreachable
from image_registry.remote.reference import RemoteReference
from image_registry.remote.registry import Registries
from image_registry.storage.blob_store import BlobMissing, BlobStore, StorageFault, UploadBusy, UploadMissing

TOGETHER = 16
"""Blobs that one process fetches at once; others wait for their turn."""

PATIENCE = 60.0
"""Seconds that a reader waits for the first byte."""

REMEMBERED = 3.0
"""Seconds for which a failure is the answer to whoever asks next: a crowd must not become a crowd elsewhere."""

LOOK = 0.25
"""Seconds between two looks whether another process has finished."""

LONGEST = 3600.0
"""Seconds that another process may take."""

RENEW = 10.0
"""Seconds after which the claim is renewed."""

Key = tuple[Repository, Digest]


class PullThrough:
    """Thread-safe. ``paused`` while the storage must not be changed: then content passes through and is not kept.

    Methods raise :class:`RemoteError`, :class:`StorageFault` and :class:`MetadataUnavailable`.
    """

    def __init__(
        self,
        registries: Registries,
        imports: Imports,
        store: BlobStore,
        keyring: Callable[[Repository], Keyring],
        *,
        paused: Callable[[], bool] = lambda: False,
        fetched: Callable[[str, str], None] = lambda _kind, _result: None,
    ) -> None:
        self._registries, self._imports, self._store, self._keyring = registries, imports, store, keyring
        self._paused, self._count = paused, fetched
        self._holder = uuid.uuid4().hex
        self._lock = threading.Lock()
        self._flights: dict[Key, Flight] = {}
        self._manifests: dict[Key, threading.Lock] = {}
        self._failed: dict[Key, tuple[float, Exception]] = {}
        self._turns = threading.BoundedSemaphore(TOGETHER)

    def manifest(self, repository: Repository, digest: Digest) -> bytes | None:
        """The bytes of a manifest that the repository holds; ``None`` if it was not imported."""
        origin = self._imports.origin(repository, digest)
        if origin is None:
            return None
        key = (repository, digest)
        with self._lock:
            turn = self._manifests.setdefault(key, threading.Lock())
        try:
            with turn:
                self._raise_known(key)
                if self._store.manifest_linked(repository, digest):
                    with suppress(BlobMissing):
                        return self._store.read(digest)
                with self._told(key, "manifest"):
                    return self._fetch_manifest(repository, digest, origin)
        finally:
            with self._lock:
                self._manifests.pop(key, None)

    def concerns(self, repository: Repository) -> bool:
        """Whether the repository has imported images at all."""
        return self._imports.any_of(repository)

    def size(self, repository: Repository, digest: Digest) -> int | None:
        """Bytes of a blob as the imported manifest says; ``None`` if no imported image has it."""
        origins = self._imports.blob_origins(repository, digest)
        return origins[0].size if origins else None

    def blob(self, repository: Repository, digest: Digest) -> Flight | None:
        """A blob that is coming: its first bytes are on their way. ``None`` if no imported image has it."""
        origins = self._imports.blob_origins(repository, digest)
        if not origins:
            return None
        key = (repository, digest)
        self._raise_known(key)
        with self._lock:
            flight = self._flights.get(key)
            if flight is None:
                flight = Flight(self._store, repository, digest, origins[0].size, str(uuid.uuid4()))
                self._flights[key] = flight
                threading.Thread(target=self._run, args=(flight, origins), name="fetch", daemon=True).start()
        flight.opened(PATIENCE)
        return flight

    def passing(self, repository: Repository, digest: Digest) -> Iterator[bytes]:
        """The bytes of a blob of an imported image, verified and not kept."""
        for number, origin in enumerate(origins := self._imports.blob_origins(repository, digest)):
            begun = False
            try:
                with self._open(repository, digest, origin) as parts:
                    for part in parts:
                        begun = True
                        yield part
                    return
            except RemoteError:
                if begun or number + 1 == len(origins):
                    raise

    def wait(self, seconds: float) -> bool:
        """Wait until nothing is being fetched; false if something still is by then."""
        deadline = time.monotonic() + seconds
        while self._flights:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    @property
    def keeps(self) -> bool:
        """Whether what is fetched is kept now."""
        return not self._paused()

    def _fetch_manifest(self, repository: Repository, digest: Digest, origin: Origin) -> bytes:
        reference = RemoteReference.parse(origin.name).at(digest)
        access = Access(self._keyring(repository), origin.insecure)
        raw = self._registries.manifest(reference, access).manifest.raw
        if not self._paused():
            try:
                self._store.put_manifest(repository, raw, digest)
            except StorageFault as error:  # whoever asked is served all the same
                structlog.get_logger().warning("a fetched manifest was not kept", reason=str(error))
            else:
                if self._imports.origin(repository, digest) is None:  # deleted meanwhile
                    self._store.unlink_manifest(repository, digest)
        return raw

    @contextmanager
    def _open(self, repository: Repository, digest: Digest, origin: Origin) -> Iterator[Iterator[bytes]]:
        reference = RemoteReference.parse(origin.name).at(digest)
        access = Access(self._keyring(repository), origin.insecure)
        with self._registries.blob(reference, access, size=origin.size) as parts:
            yield parts

    def _run(self, flight: Flight, origins: tuple[Origin, ...]) -> None:
        """The thread of a flight."""
        key = (flight.repository, flight.digest)
        try:
            with self._told(key, "blob"), self._turns:
                if self._claimed(flight):
                    try:
                        self._fetch(flight, origins)
                    finally:
                        with suppress(MetadataUnavailable):
                            self._imports.end_fetch(flight.repository, flight.digest, self._holder)
            flight.finish()
        except Exception as error:  # noqa: BLE001 - told to everybody who waits
            flight.fail(error)
            if not isinstance(error, RemoteError | StorageFault | MetadataUnavailable):
                structlog.get_logger().error("a fetch failed for a reason that nobody thought of", exc_info=error)
        finally:
            with self._lock:
                self._flights.pop(key, None)

    def _claimed(self, flight: Flight) -> bool:
        """Wait for our turn to fetch it; false when another process brought it."""
        deadline = time.monotonic() + LONGEST
        while True:
            if self._here(flight.repository, flight.digest):
                return False
            if self._imports.claim_fetch(flight.repository, flight.digest, self._holder):
                # whoever had the claim before us may have finished between our two looks
                if not self._here(flight.repository, flight.digest):
                    return True
                self._imports.end_fetch(flight.repository, flight.digest, self._holder)
                return False
            if time.monotonic() > deadline:
                raise Unreachable(f"another process did not finish to fetch {flight.digest}; try again")
            time.sleep(LOOK)

    def _here(self, repository: Repository, digest: Digest) -> bool:
        return self._store.blob_linked(repository, digest) and self._store.stat(digest) is not None

    def _fetch(self, flight: Flight, origins: tuple[Origin, ...]) -> None:
        for number, origin in enumerate(origins):
            try:
                with self._open(flight.repository, flight.digest, origin) as parts:
                    self._keep(flight, parts)
            except RemoteError:
                if number + 1 == len(origins):
                    raise
            else:
                return

    def _keep(self, flight: Flight, parts: Iterator[bytes]) -> None:
        repository, upload = flight.repository, flight.upload_id
        renewed = time.monotonic()

        def alive() -> None:
            nonlocal renewed
            if time.monotonic() > renewed + RENEW:
                renewed = time.monotonic()
                with suppress(MetadataUnavailable):
                    self._imports.claim_fetch(repository, flight.digest, self._holder)

        self._store.begin_upload(repository, upload)
        try:
            flight.begin()
            size = self._store.append(repository, upload, 0, Incoming(parts, flight, alive), None)
            self._store.commit_upload(repository, upload, flight.digest, size)
        except (UploadBusy, UploadMissing) as error:
            raise StorageFault(f"the upload of {flight.digest} was disturbed: {error}") from error
        except BaseException:
            with suppress(StorageFault):
                self._store.abort_upload(repository, upload)
            raise
        if not self._imports.blob_origins(repository, flight.digest):  # deleted meanwhile
            self._store.unlink_blob(repository, flight.digest)

    def _raise_known(self, key: Key) -> None:
        with self._lock:
            until, error = self._failed.get(key, (0.0, None))
            if error is not None and until > time.monotonic():
                raise error
            self._failed.pop(key, None)

    @contextmanager
    def _told(self, key: Key, kind: str) -> Iterator[None]:
        """Remember a failure for a moment, and count."""
        try:
            yield
        except RemoteError as error:
            self._count(kind, error.reason)
            now = time.monotonic()
            with self._lock:
                for old in [name for name, (until, _) in self._failed.items() if until < now]:
                    del self._failed[old]
                self._failed[key] = (now + REMEMBERED, error)
            raise
        self._count(kind, "ok")
