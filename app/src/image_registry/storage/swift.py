"""OpenStack Swift, by its plain HTTP interface.

A large object of Swift is a list of segments that stay where they are. So what an upload's pieces are joined from is
copied below ``segments/`` first; the folder carries the digest's key, by which segments without an object are found.
Keys begin with ``files/``, as CNCF distribution has them. A listing may lag behind what was written.
"""

from __future__ import annotations

import hashlib
import json
import random
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, BinaryIO
from urllib.parse import quote, urlencode

import urllib3
from urllib3.exceptions import HTTPError

from image_registry.storage.blob_store import OutOfSpace, StorageFault
from image_registry.storage.choice import Swift
from image_registry.storage.object_client import Entry, Incoming, ObjectExists, ObjectMissing
from image_registry.storage.proxied_pools import Pools
from image_registry.storage.swift_access import Access

TIMEOUT = urllib3.Timeout(connect=5.0, read=60.0)
ATTEMPTS, PAUSE = 4, 0.5
"""Tries, and seconds of the first pause at most; each next one is up to twice as long."""

CONNECTIONS = 64
TOGETHER = 4
SEGMENTS = 1000
"""Segments of a large object, as Swift allows unless it is told otherwise."""

_AGAIN = {408, 429, 498, 500, 502, 503, 504}


class SwiftClient:
    """An :class:`~image_registry.storage.object_client.ObjectClient` for one container."""

    listing_lags = True

    def __init__(self, settings: Swift) -> None:
        self._root = f"{settings.rootdirectory.strip('/')}/".lstrip("/")
        self._prefix = f"{self._root}files/"
        self._container = settings.container
        self._place = str(settings)
        options: dict[str, Any] = {"maxsize": CONNECTIONS, "timeout": TIMEOUT, "retries": False, "blocksize": 1 << 20}
        if settings.trustedca:
            options["ca_certs"] = str(settings.trustedca)
        if settings.skipverify:
            options |= {"cert_reqs": "CERT_NONE", "assert_hostname": False}
        self._http = Pools(settings.proxies, **options)
        self._access = Access(self._http, settings)

    def size(self, key: str) -> int | None:
        try:
            return int(self._ask("HEAD", self._prefix + key).headers["Content-Length"])
        except ObjectMissing:
            return None

    def get(self, key: str, start: int = 0) -> Incoming:
        headers = {"Range": f"bytes={start}-"} if start else {}
        return _Body(self._ask("GET", self._prefix + key, headers=headers, stream=True), f"{key} in {self._place}")

    def put(self, key: str, data: BinaryIO, length: int, *, new: bool = False) -> None:
        mark = uuid.uuid4().hex
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(length)}
        if new:
            headers |= {"If-None-Match": "*", "X-Object-Meta-Writer": mark}
        try:
            self._ask("PUT", self._prefix + key, headers=headers, body=data)
        except ObjectExists:
            if self._ask("HEAD", self._prefix + key).headers.get("X-Object-Meta-Writer") != mark:
                raise  # else it is ours, and the answer to the first try got lost

    def delete(self, keys: Iterable[str]) -> None:
        self._delete([self._prefix + key for key in keys])

    def entries(self, prefix: str) -> Iterator[Entry]:
        for found in self._listed(self._prefix + prefix):
            if "name" in found:
                yield Entry(found["name"][len(self._prefix) :], int(found["bytes"]), _time(found["last_modified"]))

    def folders(self, prefix: str) -> Iterator[str]:
        for found in self._listed(self._prefix + prefix, delimiter="/"):
            if "subdir" in found:
                yield found["subdir"][len(self._prefix) + len(prefix) :].rstrip("/")

    def join(self, key: str, pieces: Sequence[Entry]) -> None:
        if len(pieces) == 1:
            self._copy(self._prefix + pieces[0].key, self._prefix + key)
            return
        if len(pieces) > SEGMENTS:
            raise StorageFault(
                f"the upload has {len(pieces)} pieces and Swift joins {SEGMENTS}: "
                "set REGISTRY_STORAGE_SWIFT_CHUNKSIZE to more"
            )
        folder = f"{self._segments(key)}{uuid.uuid4().hex}"

        def copy(number: int, piece: Entry) -> dict[str, Any]:
            name = f"{folder}/{number:08d}"
            self._copy(self._prefix + piece.key, name)
            return {"path": f"/{self._container}/{name}", "size_bytes": piece.size}

        with ThreadPoolExecutor(TOGETHER, thread_name_prefix="join") as pool:
            segments = list(pool.map(copy, range(len(pieces)), pieces))
        body = json.dumps(segments).encode()
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(len(body))}
        self._ask("PUT", self._prefix + key, {"multipart-manifest": "put"}, headers=headers, body=body)

    def signed(self, key: str, seconds: int) -> str | None:  # noqa: ARG002 - a key of the whole account would sign
        return None

    def sweep(self, before: datetime) -> int:
        """Remove segments that were copied before a time and that no object consists of."""
        folders: dict[str, list[dict[str, Any]]] = {}
        for found in self._listed(f"{self._root}segments/"):
            folders.setdefault(found["name"].rpartition("/")[0], []).append(found)
        swept = 0
        for folder, segments in folders.items():
            if max(_time(found["last_modified"]) for found in segments) < before and not self._used(folder, segments):
                self._delete([found["name"] for found in segments])
                swept += 1
        return swept

    # what the methods above share

    def _segments(self, key: str) -> str:
        """The folder of the segments of an object; the key is part of it, so that the object can be found."""
        return f"{self._root}segments/{hashlib.sha256(key.encode()).hexdigest()[:3]}/{key.replace('/', '~')}/"

    def _used(self, folder: str, segments: Sequence[Mapping[str, Any]]) -> bool:
        name = folder.removeprefix(f"{self._root}segments/").split("/")
        if len(name) != 3:
            return True  # distribution's own
        try:
            answer = self._ask("GET", self._prefix + name[1].replace("~", "/"), {"multipart-manifest": "get"})
        except ObjectMissing:
            return False
        if answer.headers.get("X-Static-Large-Object", "").lower() != "true":
            return False
        paths = {str(entry.get("name", "")) for entry in json.loads(answer.data)}
        return f"/{self._container}/{segments[0]['name']}" in paths

    def _copy(self, source: str, target: str) -> None:
        headers = {"X-Copy-From": quote(f"/{self._container}/{source}"), "Content-Length": "0"}
        self._ask("PUT", target, headers=headers, body=b"")

    def _delete(self, names: Sequence[str]) -> None:
        def remove(name: str) -> None:
            try:
                self._ask("DELETE", name)
            except ObjectMissing:
                return

        if len(names) == 1:
            remove(names[0])
        elif names:
            with ThreadPoolExecutor(TOGETHER, thread_name_prefix="remove") as pool:
                list(pool.map(remove, names))

    def _listed(self, prefix: str, **more: str) -> Iterator[dict[str, Any]]:
        marker = ""
        while True:
            query = {"format": "json", "prefix": prefix, "marker": marker, **more}
            try:
                page = json.loads(self._ask("GET", "", query).data or b"[]")
            except ObjectMissing:
                raise StorageFault(f"there is no {self._place}: make the container, or correct its name") from None
            yield from page
            if not page:
                return
            marker = str(page[-1].get("name") or page[-1].get("subdir"))

    def _ask(
        self,
        method: str,
        name: str,
        query: Mapping[str, str] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        body: BinaryIO | bytes | None = None,
        stream: bool = False,
    ) -> urllib3.BaseHTTPResponse:
        """One request, tried again where that may help. Raises what the protocol of clients says."""
        said = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(random.uniform(0, PAUSE * 2**attempt))  # noqa: S311 - spreads load, guards nothing
            if body is not None and not isinstance(body, bytes):
                body.seek(0)
            try:
                base, token = self._access.get()
                address = f"{base}/{quote(self._container)}" + (f"/{quote(name)}" if name else "")
                answer = self._http.request(
                    method,
                    f"{address}?{urlencode(query)}" if query else address,
                    headers={**(headers or {}), "X-Auth-Token": token},
                    body=body,
                    preload_content=not stream,
                )
            except HTTPError as error:
                said = str(error)
                continue
            if answer.status < 400:
                return answer
            said = f"{answer.status} {answer.reason or ''}".strip()
            if stream:
                answer.drain_conn()
                answer.release_conn()
            if answer.status == 401 and not attempt:
                self._access.forget(token)
            elif answer.status not in _AGAIN:
                raise self._refused(answer.status, method, name, said)
        raise StorageFault(f"cannot {method} {name} in {self._place}: {said}")

    def _refused(self, status: int, method: str, name: str, said: str) -> Exception:
        if status == 404:
            return ObjectMissing(name)
        if status == 412:
            return ObjectExists(name)
        where = f"cannot {method} {name} in {self._place}: {said}"
        if status in (401, 403):
            return StorageFault(f"{where}; check the credentials and what they may do with the container")
        return OutOfSpace(where) if status in (413, 507) else StorageFault(where)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


class _Body:
    """Bytes that arrive, with failures in our words."""

    def __init__(self, answer: urllib3.BaseHTTPResponse, what: str) -> None:
        self._answer = answer
        self._what = what

    def read(self, size: int, /) -> bytes:
        try:
            return bytes(self._answer.read(size))
        except (HTTPError, OSError) as error:
            raise StorageFault(f"cannot read {self._what}: {error}") from error

    def close(self) -> None:
        self._answer.close()
        self._answer.release_conn()
