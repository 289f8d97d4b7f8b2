"""Clients of one registry, the memory of what they were promised, and the search for what is not so."""

from __future__ import annotations

import hashlib
import http.client
import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
REPOSITORIES = tuple(f"soak/app{number}" for number in range(6))
TAGS = tuple(f"v{number}" for number in range(5))
LAYERS = 40
"""Layers that images are made of at a time: few enough to be shared and pushed again all the time."""

FASHION = 4.0
"""Seconds after which other layers are used, all but a few; those that were return now and then."""


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def layer(number: int) -> bytes:
    """Always the same bytes for a number, 1 to about 200 KiB."""
    source = random.Random(number)  # noqa: S311 - bytes that can be made again, not a secret
    return source.randbytes(source.randrange(1 << 10, 200 << 10))


@dataclass(frozen=True, slots=True)
class Held:
    """What a tag was told to mean."""

    digest: str
    manifest: bytes
    blobs: tuple[bytes, ...]


@dataclass
class Memory:
    """What was acknowledged; whoever changes or checks a tag holds its lock."""

    held: dict[tuple[str, str], Held] = field(default_factory=dict)
    locks: dict[tuple[str, str], threading.Lock] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    pulls: list[float] = field(default_factory=list)
    """Seconds of each request that reads."""
    began: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def alone(self, key: tuple[str, str]) -> Iterator[None]:
        """Nobody else has this tag."""
        with self._lock:
            lock = self.locks.setdefault(key, threading.Lock())
        with lock:
            yield

    def count(self, what: str) -> None:
        with self._lock:
            self.counts[what] = self.counts.get(what, 0) + 1

    def fail(self, text: str) -> None:
        with self._lock:
            self.failures.append(text)


class Client:
    """One client: a connection, and a mind of its own."""

    def __init__(self, host: str, memory: Memory, seed: int) -> None:
        self._connection = http.client.HTTPConnection(host, timeout=60)
        self._memory = memory
        self._mind = random.Random(seed)  # noqa: S311 - a choice that can be made again, not a secret

    def close(self) -> None:
        self._connection.close()

    def step(self) -> None:
        """One thing that clients do."""
        key = (self._mind.choice(REPOSITORIES), self._mind.choice(TAGS))
        with self._memory.alone(key):
            action = self._mind.choices((self._push, self._pull, self._delete), (4, 5, 2))[0]
            try:
                action(key)
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                self._memory.fail(f"{action.__name__} of {key}: {error!r}")

    def check(self, key: tuple[str, str]) -> None:
        """Raise no doubt about a tag: all of it is as it was pushed."""
        with self._memory.alone(key):
            self._pull(key)

    def _ask(self, method: str, path: str, body: bytes = b"", kind: str = "") -> tuple[int, bytes, dict[str, str]]:
        headers = {"Content-Type": kind} if kind else {}
        started = time.monotonic()
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        data = answer.read()
        if method == "GET":
            self._memory.pulls.append(time.monotonic() - started)
        return answer.status, data, {name.lower(): value for name, value in answer.headers.items()}

    def _push(self, key: tuple[str, str]) -> None:
        repository, tag = key
        blobs = [layer(self._choice()) for _ in range(self._mind.randrange(1, 5))]
        config = json.dumps({"architecture": "amd64", "os": "linux", "of": [tag, self._choice()]}).encode()
        for data in (*blobs, config):
            if not self._send(repository, data):
                return
        manifest = _manifest(config, blobs)
        status, said, _ = self._ask("PUT", f"/v2/{repository}/manifests/{tag}", manifest, MANIFEST)
        if status != 201:
            self._memory.fail(f"push of {repository}:{tag}: {status} {said[:300]!r}")
            return
        before = self._memory.held.get(key)
        self._memory.held[key] = Held(digest_of(manifest), manifest, (*blobs, config))
        self._memory.count("pushes")
        if before is not None and before.digest != digest_of(manifest):
            self._let_go(repository, before)

    def _choice(self) -> int:
        age = int((time.monotonic() - self._memory.began) / FASHION)
        if age and self._mind.random() < 0.1:
            age = self._mind.randrange(age)
        return age * LAYERS // 2 + self._mind.randrange(LAYERS)

    def _send(self, repository: str, data: bytes) -> bool:
        """As every client does: look, mount, upload."""
        digest = digest_of(data)
        if self._ask("HEAD", f"/v2/{repository}/blobs/{digest}")[0] == 200:
            self._memory.count("blobs that were there")
            return True
        source = self._mind.choice(REPOSITORIES)
        query = f"?mount={digest}&from={source}" if self._mind.random() < 0.5 else ""
        status, said, headers = self._ask("POST", f"/v2/{repository}/blobs/uploads/{query}")
        if status == 201:
            self._memory.count("mounts")
            return True
        if status == 202:
            place = headers["location"]
            mark = "&" if "?" in place else "?"
            status, said, _ = self._ask("PUT", f"{place}{mark}digest={digest}", data, "application/octet-stream")
        if status != 201:
            self._memory.fail(f"upload of {digest} to {repository}: {status} {said[:300]!r}")
            return False
        self._memory.count("uploads")
        return True

    def _pull(self, key: tuple[str, str]) -> None:
        held = self._memory.held.get(key)
        if held is None:
            return
        repository, tag = key
        status, data, _ = self._ask("GET", f"/v2/{repository}/manifests/{tag}")
        if (status, data) != (200, held.manifest):
            self._memory.fail(f"{repository}:{tag} is not {held.digest}: {status} {data[:300]!r}")
            return
        for blob in held.blobs:
            status, data, _ = self._ask("GET", f"/v2/{repository}/blobs/{digest_of(blob)}")
            if (status, data) != (200, blob):
                self._memory.fail(f"{digest_of(blob)} of {repository}:{tag}: {status} {data[:300]!r}")
        self._memory.count("pulls")

    def _delete(self, key: tuple[str, str]) -> None:
        held = self._memory.held.pop(key, None)
        if held is not None:
            self._let_go(key[0], held)

    def _let_go(self, repository: str, held: Held) -> None:
        """No other tag has this image: the tag is in its configuration."""
        status, said, _ = self._ask("DELETE", f"/v2/{repository}/manifests/{held.digest}")
        if status != 202:
            self._memory.fail(f"delete of {repository}@{held.digest}: {status} {said[:300]!r}")
        self._memory.count("deletes")


def _manifest(config: bytes, blobs: list[bytes]) -> bytes:
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": _descriptor("application/vnd.oci.image.config.v1+json", config),
            "layers": [_descriptor("application/vnd.oci.image.layer.v1.tar", data) for data in blobs],
        }
    ).encode()


def _descriptor(kind: str, data: bytes) -> dict[str, object]:
    return {"mediaType": kind, "digest": digest_of(data), "size": len(data)}
