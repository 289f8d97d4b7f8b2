"""Google Cloud Storage, through Google's library.

An object is composed of up to 32 others at a time, inside of the store and at once: many pieces are composed in rounds.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any, BinaryIO

import requests
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError
from google.cloud import storage as google
from google.cloud.storage.retry import DEFAULT_RETRY
from google.oauth2 import service_account

from image_registry.storage.blob_store import OutOfSpace, StorageFault
from image_registry.storage.choice import GCS
from image_registry.storage.object_client import Entry, Incoming, ObjectExists, ObjectMissing
from image_registry.storage.proxied_sessions import mount

TIMEOUT = (5.0, 60.0)
"""Seconds to wait for a connection and for a byte."""

RETRY = DEFAULT_RETRY.with_deadline(30.0)
"""Pauses of growing and random length; every call here may be repeated."""

CONNECTIONS = 64
LOGIN_ATTEMPTS = 3
"""Tries after the first to reach the service that gives tokens, as the library has it by itself."""

WINDOW = 16 << 20
"""Bytes of a piece that are held in memory."""

COMPOSED = 32
"""Objects that one request composes at most."""

TOGETHER = 8
"""Objects that are removed at once."""

SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"


class GCSClient:
    """An :class:`~image_registry.storage.object_client.ObjectClient` for one bucket."""

    listing_lags = False

    def __init__(self, settings: GCS) -> None:
        self._prefix = f"{settings.rootdirectory.strip('/')}/".lstrip("/")
        self._place = str(settings)
        self._key = settings.keyid or None
        options: dict[str, Any] = {}
        self._signs = bool(settings.keyfile)
        if settings.keyfile:
            try:
                account = json.loads(settings.keyfile)
                options["credentials"] = service_account.Credentials.from_service_account_info(account, scopes=[SCOPE])
                options["project"] = account.get("project_id", "none")
            except (ValueError, GoogleAuthError):  # its text may hold the key
                raise StorageFault(
                    "REGISTRY_STORAGE_GCS_KEYFILE is not the JSON key of a service account: make one anew"
                ) from None
        elif settings.endpoint:
            options |= {"credentials": AnonymousCredentials(), "project": "none"}
        if settings.endpoint:
            options["client_options"] = {"api_endpoint": settings.endpoint}
        self._endpoint = settings.endpoint or None
        try:
            client = google.Client(**options)
        except (GoogleAuthError, OSError) as error:
            raise StorageFault(f"no credentials for {self._place}: {error}") from error
        session = client._http  # noqa: SLF001 - its only way to keep more connections
        mount(session, settings.proxies, pool_maxsize=CONNECTIONS)
        logins = getattr(session, "_auth_request_session", None)  # that of the service that gives tokens
        if settings.proxies and logins is not None:
            mount(logins, settings.proxies, max_retries=LOGIN_ATTEMPTS)
        self._client: Any = client
        self._bucket: Any = client.bucket(settings.bucket)

    def size(self, key: str) -> int | None:
        with self._faults("look at", key):
            found = self._bucket.get_blob(self._prefix + key, timeout=TIMEOUT, retry=RETRY)
            return None if found is None else int(found.size)

    def get(self, key: str, start: int = 0) -> Incoming:
        blob = self._blob(key)
        with self._faults("read", key):
            answer = self._client._http.get(  # noqa: SLF001 - the library reads whole objects or seeks by requests
                blob._get_download_url(self._client),  # noqa: SLF001
                headers={"Range": f"bytes={start}-"} if start else {},
                stream=True,
                timeout=TIMEOUT,
            )
            if answer.status_code >= 400:
                with answer:
                    raise exceptions.from_http_response(answer)
        return _Body(answer, lambda: self._faults("read", key))

    def put(self, key: str, data: BinaryIO, length: int, *, new: bool = False) -> None:
        blob, mark = self._blob(key), uuid.uuid4().hex
        blob.chunk_size = WINDOW
        if new:
            blob.metadata = {"writer": mark}
        try:
            with self._faults("write", key):
                blob.upload_from_file(
                    data,
                    size=length,
                    rewind=True,
                    content_type="application/octet-stream",
                    if_generation_match=0 if new else None,
                    timeout=TIMEOUT,
                    retry=RETRY,
                    checksum="crc32c",
                )
        except ObjectExists:
            if self._marked(key) != mark:  # else it is ours, and the answer to the first try got lost
                raise

    def delete(self, keys: Iterable[str]) -> None:
        def remove(key: str) -> None:
            with suppress(ObjectMissing), self._faults("remove", key):
                self._bucket.delete_blob(self._prefix + key, timeout=TIMEOUT, retry=RETRY)

        found = list(keys)
        if len(found) == 1:
            remove(found[0])
        elif found:
            with ThreadPoolExecutor(TOGETHER, thread_name_prefix="remove") as pool:
                list(pool.map(remove, found))

    def entries(self, prefix: str) -> Iterator[Entry]:
        with self._faults("list", prefix):
            for found in self._listed(prefix):
                yield Entry(found.name[len(self._prefix) :], int(found.size), found.updated)

    def folders(self, prefix: str) -> Iterator[str]:
        with self._faults("list", prefix):
            seen: set[str] = set()
            listed = self._listed(prefix, delimiter="/")
            for _page in listed.pages:
                for found in sorted(set(listed.prefixes) - seen):
                    yield found[len(self._prefix) + len(prefix) :].rstrip("/")
                seen |= set(listed.prefixes)

    def join(self, key: str, pieces: Sequence[Entry]) -> None:
        names, made = [piece.key for piece in pieces], list[str]()
        folder = pieces[0].key.rpartition("/")[0]
        while len(names) > COMPOSED:
            groups = [names[start : start + COMPOSED] for start in range(0, len(names), COMPOSED)]
            names = []
            for group in groups:
                joined = f"{folder}/joined-{uuid.uuid4().hex}"
                self._compose(joined, group)
                made.append(joined)
                names.append(joined)
        self._compose(key, names)
        self.delete(made)

    def signed(self, key: str, seconds: int) -> str | None:
        if not self._signs:
            return None
        with self._faults("sign", key):
            return str(
                self._blob(key).generate_signed_url(
                    expiration=timedelta(seconds=seconds),
                    version="v4",
                    method="GET",
                    api_access_endpoint=self._endpoint or "https://storage.googleapis.com",
                )
            )

    def sweep(self, before: datetime) -> int:  # noqa: ARG002 - what a join leaves lies in the upload's folder
        return 0

    # what the methods above share

    def _blob(self, key: str) -> Any:
        return self._bucket.blob(self._prefix + key, kms_key_name=self._key)

    def _compose(self, key: str, names: Sequence[str]) -> None:
        with self._faults("join", key):
            target = self._blob(key)
            target.content_type = "application/octet-stream"
            target.compose([self._bucket.blob(self._prefix + name) for name in names], timeout=TIMEOUT, retry=RETRY)

    def _marked(self, key: str) -> str | None:
        with self._faults("look at", key):
            found = self._bucket.get_blob(self._prefix + key, timeout=TIMEOUT, retry=RETRY)
        return None if found is None else (found.metadata or {}).get("writer")

    def _listed(self, prefix: str, **more: str) -> Any:
        return self._client.list_blobs(self._bucket, prefix=self._prefix + prefix, timeout=TIMEOUT, retry=RETRY, **more)

    @contextmanager
    def _faults(self, action: str, key: str) -> Iterator[None]:
        """Say of a failure what could not be done where; never what was sent."""
        where = f"cannot {action} {key} in {self._place}"
        try:
            yield
        except exceptions.NotFound as error:
            if "bucket" in str(error.message).lower():
                raise StorageFault(f"there is no {self._place}: make the bucket, or correct its name") from error
            raise ObjectMissing(key) from None
        except exceptions.PreconditionFailed:
            raise ObjectExists(key) from None
        except (exceptions.Forbidden, exceptions.Unauthorized) as error:
            raise StorageFault(f"{where}: {error.code}; check the key and what it may do with the bucket") from error
        except exceptions.GoogleAPICallError as error:
            kind = OutOfSpace if error.code == 507 else StorageFault
            raise kind(f"{where}: {error.code} {error.message}") from error
        except (exceptions.GoogleAPIError, GoogleAuthError, requests.RequestException, OSError) as error:
            raise StorageFault(f"{where}: {error}") from error


class _Body:
    """Bytes that arrive, with failures in our words."""

    def __init__(self, answer: requests.Response, faults: Any) -> None:
        self._answer = answer
        self._faults = faults

    def read(self, size: int, /) -> bytes:
        with self._faults():
            try:
                return bytes(self._answer.raw.read(size))
            except Exception as error:
                raise requests.ConnectionError(error) from error

    def close(self) -> None:
        self._answer.close()
