"""A client that pushes small images without a pause and remembers what was acknowledged, and one that checks it all."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import threading
from dataclasses import dataclass, field

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
REPOSITORY = "/v2/demo/app"


class Gone(Exception):
    """The registry does not answer, or not as it should."""


def ask(host: str, method: str, path: str, body: bytes = b"", kind: str = "application/octet-stream") -> Answer:
    """One request on a connection of its own. Raises :class:`Gone` when there is no whole answer."""
    connection = http.client.HTTPConnection(host, timeout=30)
    try:
        connection.request(method, path, body, {"Content-Type": kind})
        response = connection.getresponse()
        return Answer(response.status, dict(response.headers), response.read())
    except (OSError, http.client.HTTPException) as error:
        raise Gone(f"{method} {path}: {error!r}") from error
    finally:
        connection.close()


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def expect(self, status: int) -> Answer:
        """Raises :class:`Gone` for another status."""
        if self.status != status:
            raise Gone(f"{self.status} instead of {status}: {self.body[:500]!r}")
        return self


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def push_blob(host: str, data: bytes) -> dict[str, object]:
    """In chunks; returns the descriptor."""
    location = ask(host, "POST", f"{REPOSITORY}/blobs/uploads/").expect(202).headers["Location"]
    ask(host, "PATCH", location, data[: len(data) // 2]).expect(202)
    ask(host, "PUT", f"{location}?digest={digest_of(data)}", data[len(data) // 2 :]).expect(201)
    return {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest_of(data), "size": len(data)}


def push_image(host: str, tag: str, size: int = 100_000) -> str:
    """An image of new random bytes; returns its digest once it is acknowledged."""
    layer, config = push_blob(host, os.urandom(size)), push_blob(host, json.dumps({"tag": tag}).encode())
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}
    body = json.dumps(document).encode()
    ask(host, "PUT", f"{REPOSITORY}/manifests/{tag}", body, MANIFEST).expect(201)
    return digest_of(body)


def pull_image(host: str, tag: str) -> str:
    """The digest of a tag whose manifest and blobs are all what their digests say."""
    manifest = ask(host, "GET", f"{REPOSITORY}/manifests/{tag}").expect(200).body
    document = json.loads(manifest)
    for blob in (document["config"], *document["layers"]):
        data = ask(host, "GET", f"{REPOSITORY}/blobs/{blob['digest']}").expect(200).body
        if digest_of(data) != blob["digest"]:
            raise Gone(f"{tag}: {blob['digest']} has other bytes")
    return digest_of(manifest)


def tags(host: str) -> list[str]:
    found: list[str] = json.loads(ask(host, "GET", f"{REPOSITORY}/tags/list").expect(200).body)["tags"]
    return found


@dataclass
class Pusher:
    """Pushes from a thread until the registry is gone; ``acknowledged`` maps tags to digests."""

    host: str
    name: str
    acknowledged: dict[str, str] = field(default_factory=dict)

    def start(self) -> None:
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        """Finish the push that is under way, if the registry lets it finish."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        number = 0
        while not self._stopped.is_set():
            tag = f"{self.name}-{number}"
            try:
                self.acknowledged[tag] = push_image(self.host, tag)
            except Gone:
                return
            number += 1
