"""The distribution protocol as a client speaks it: requests by hand, answers taken apart, tokens on demand.

No client library stands between a rule and the wire: what a library repairs in silence is what the rules are about.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import re
import socket
import ssl
import threading
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
OCTETS = "application/octet-stream"

TIMEOUT = 60.0


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    """The digest of these bytes."""
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer; names of headers in lower case, repeated ones in order."""

    request: str
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def __getitem__(self, name: str) -> str:
        """The value of a header that must be there."""
        values = self.all(name)
        assert values, f"{self.request}: no {name} in {self.headers}"
        return values[0]

    def __contains__(self, name: str) -> bool:
        return bool(self.all(name))

    def all(self, name: str) -> list[str]:
        """Every value of a header."""
        return [value for key, value in self.headers if key == name.lower()]

    def expect(self, *statuses: int) -> Answer:
        """Fail, with the whole answer shown, unless the status is one of these."""
        assert self.status in statuses, f"{self.request}: {self.status}, not {statuses}: {self.body[:600]!r}"
        return self

    def refuse(self, status: int, code: str) -> str:
        """Fail unless this is a refusal in the form of the specification; returns its message."""
        self.expect(status)
        assert self["content-type"] == "application/json", self
        errors = json.loads(self.body)["errors"]
        assert [error["code"] for error in errors] == [code], errors
        message: str = errors[0]["message"]
        assert message
        return message

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def next(self) -> str:
        """Where ``Link`` says the list goes on; empty at its end."""
        if "link" not in self:
            return ""
        match = re.fullmatch(r'<([^>]+)>; *rel="?next"?', self["link"])
        assert match, self["link"]
        return match[1]


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user; in a cluster any name, with a platform token for password."""

    user: str
    password: str = field(repr=False)

    @property
    def header(self) -> str:
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


class Client:
    """Speaks to one registry as one user, or as nobody. Safe for several threads."""

    def __init__(self, url: str, credentials: Credentials | None = None, ca: Path | None = None) -> None:
        parts = urlsplit(url)
        self.url, self.host, self.tls = url, parts.netloc, parts.scheme == "https"
        self.credentials, self.ca = credentials, ca
        self._address = (parts.hostname or "", parts.port or (443 if self.tls else 80))
        self._tokens: dict[str, str] = {}
        self._here = threading.local()
        self._opened: list[http.client.HTTPConnection] = []

    def close(self) -> None:
        """End every connection."""
        for connection in self._opened:
            connection.close()

    def anonymous(self) -> Client:
        """The same registry, by nobody."""
        return Client(self.url, None, self.ca)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] = b"",
        headers: Mapping[str, str] | None = None,
        *,
        bearer: str | None = None,
    ) -> Answer:
        """One request. Tokens are fetched as the registry's challenge says, unless ``bearer`` is given."""
        sent = dict(headers or {})
        if bearer is not None:
            return self._send(method, path, body, {**sent, "Authorization": f"Bearer {bearer}"})
        scope = _scope(path)
        if scope in self._tokens:
            sent["Authorization"] = f"Bearer {self._tokens[scope]}"
        answer = self._send(method, path, body, sent)
        if (
            answer.status == 401
            and self.credentials is not None
            and "authorization" not in {k.lower() for k in headers or {}}
        ):
            self._tokens[scope] = self.token(scope)
            answer = self._send(method, path, body, {**sent, "Authorization": f"Bearer {self._tokens[scope]}"})
        return answer

    def get(self, path: str, **headers: str) -> Answer:
        """GET; keyword names become header names."""
        return self.ask("GET", path, headers={key.replace("_", "-"): value for key, value in headers.items()})

    def head(self, path: str, **headers: str) -> Answer:
        """HEAD, likewise."""
        return self.ask("HEAD", path, headers={key.replace("_", "-"): value for key, value in headers.items()})

    def challenge(self) -> dict[str, str]:
        """What the registry says at its front door about tokens."""
        found = self._send("GET", "/v2/", b"", {}).expect(401)["www-authenticate"]
        assert found.startswith("Bearer "), found
        return dict(re.findall(r'(\w+)="([^"]*)"', found))

    def token(self, *scopes: str) -> str:
        """A token for these scopes."""
        found: str = self.token_answer(*scopes).expect(200).json["token"]
        return found

    def token_answer(self, *scopes: str) -> Answer:
        """What the token endpoint says to these scopes."""
        told = self.challenge()
        query = "&".join([f"service={told['service']}", *(f"scope={scope}" for scope in scopes)])
        headers = {"Authorization": self.credentials.header} if self.credentials else {}
        return self._send("GET", f"{urlsplit(told['realm']).path}?{query}", b"", headers)

    def talk(self, *pieces: bytes, silence: float = 5.0) -> bytes:
        """Say these bytes on a connection of its own; everything that is answered until it ends or falls silent."""
        with self.connect() as connection:
            for piece in pieces:
                connection.sendall(piece)
            connection.settimeout(silence)
            heard = b""
            try:
                while part := connection.recv(65536):
                    heard += part
            except TimeoutError:
                pass
            return heard

    def connect(self) -> socket.socket:
        """A connection."""
        connection = socket.create_connection(self._address, TIMEOUT)
        if not self.tls:
            return connection
        context = ssl.create_default_context(cafile=None if self.ca is None else str(self.ca))
        return context.wrap_socket(connection, server_hostname=self._address[0])

    def authorization(self, path: str) -> str:
        """The ``Authorization`` line for bytes said by hand; empty where none is needed."""
        if self.credentials is None:
            return ""
        scope = _scope(path)
        if scope not in self._tokens:
            self._tokens[scope] = self.token(scope)
        return f"Authorization: Bearer {self._tokens[scope]}\r\n"

    def _send(self, method: str, path: str, body: bytes | Iterable[bytes], headers: Mapping[str, str]) -> Answer:
        connection = getattr(self._here, "connection", None)
        fresh = connection is None
        if not isinstance(body, bytes):
            return self._once(self._open(), method, path, body, headers)  # a stream cannot be sent again
        if connection is None:
            connection = self._here.connection = self._open()
        try:
            return self._once(connection, method, path, body, headers)
        except (http.client.RemoteDisconnected, ConnectionError):
            connection.close()
            if fresh:
                self._here.connection = None
                raise
            self._here.connection = self._open()  # a kept connection may have ended in between
            return self._once(self._here.connection, method, path, body, headers)

    def _open(self) -> http.client.HTTPConnection:
        host, port = self._address
        if self.tls:
            context = ssl.create_default_context(cafile=None if self.ca is None else str(self.ca))
            opened: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, port, timeout=TIMEOUT, context=context
            )
        else:
            opened = http.client.HTTPConnection(host, port, timeout=TIMEOUT)
        self._opened.append(opened)
        return opened

    def _once(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: bytes | Iterable[bytes],
        headers: Mapping[str, str],
    ) -> Answer:
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        chunked = not isinstance(body, bytes)
        named = {name.lower() for name in headers}
        if chunked:
            connection.putheader("Transfer-Encoding", "chunked")
        elif (body or method in {"POST", "PUT", "PATCH"}) and "content-length" not in named:
            connection.putheader("Content-Length", str(len(body)))  # type: ignore[arg-type]
        connection.endheaders(body or None, encode_chunked=chunked)
        response = connection.getresponse()
        received = tuple((name.lower(), value) for name, value in response.getheaders())
        return Answer(f"{method} {path[:200]}", response.status, received, response.read())


def _scope(path: str) -> str:
    """What a token must be for."""
    match = re.match(r"/v2/([^/?]+/[^/?]+)/(?:manifests|blobs|tags|referrers)", path)
    if match is None:
        return "registry:catalog:*"
    source = re.search(r"[?&]from=([^&]+)", path)
    scopes = [f"repository:{match[1]}:pull,push,delete"]
    if source is not None and source[1] != match[1]:
        scopes.append(f"repository:{source[1]}:pull")
    return "%20".join(scopes)


@dataclass(frozen=True, slots=True)
class Repository:
    """One repository of a registry."""

    client: Client
    name: str

    @property
    def base(self) -> str:
        return f"/v2/{self.name}"

    @property
    def namespace(self) -> str:
        return self.name.partition("/")[0]

    def sibling(self, suffix: str = "") -> Repository:
        """Another repository of the same namespace."""
        return Repository(self.client, f"{self.namespace}/{suffix or f'r-{uuid.uuid4().hex[:12]}'}")

    def begin(self, query: str = "") -> str:
        """Start an upload; its location."""
        return self.client.ask("POST", f"{self.base}/blobs/uploads/{query}").expect(202)["location"]

    def finish(self, location: str, digest: str, body: bytes = b"", **headers: str) -> Answer:
        """The last request of an upload."""
        joint = "&" if "?" in location else "?"
        sent = {"Content-Type": OCTETS, **{key.replace("_", "-"): value for key, value in headers.items()}}
        return self.client.ask("PUT", f"{location}{joint}digest={digest}", body, sent)

    def patch(self, location: str, body: bytes | Iterable[bytes], span: str = "") -> Answer:
        """One chunk."""
        headers = {"Content-Type": OCTETS, **({"Content-Range": span} if span else {})}
        return self.client.ask("PATCH", location, body, headers)

    def blob(self, data: bytes, algorithm: str = "sha256") -> str:
        """Push a blob; its digest."""
        digest = digest_of(data, algorithm)
        query = "" if algorithm == "sha256" else f"?digest-algorithm={algorithm}"
        self.finish(self.begin(query), digest, data).expect(201)
        return digest

    def put(
        self, reference: str, document: bytes | Mapping[str, Any], kind: str | None = None, **headers: str
    ) -> Answer:
        """Push a manifest."""
        raw = document if isinstance(document, bytes) else json.dumps(document).encode()
        if kind is None:
            kind = json.loads(raw).get("mediaType", OCI_MANIFEST)
        sent = {key.replace("_", "-"): value for key, value in headers.items()}
        return self.client.ask("PUT", f"{self.base}/manifests/{reference}", raw, {"Content-Type": kind, **sent})

    def manifest(self, reference: str, **headers: str) -> Answer:
        """Pull a manifest."""
        return self.client.get(f"{self.base}/manifests/{reference}", **headers)

    def delete(self, path: str, **headers: str) -> Answer:
        """Delete ``manifests/…`` or ``blobs/…``."""
        sent = {key.replace("_", "-"): value for key, value in headers.items()}
        return self.client.ask("DELETE", f"{self.base}/{path}", headers=sent)

    def tags(self, query: str = "") -> Answer:
        """The list of tags."""
        return self.client.get(f"{self.base}/tags/list{query}")

    def referrers(self, digest: str, query: str = "") -> Answer:
        """The list of referrers."""
        return self.client.get(f"{self.base}/referrers/{digest}{query}")

    def image(self, tag: str = "", *, text: str = "", **members: Any) -> Pushed:
        """Push a small image with a layer and a configuration of its own; by its digest if there is no tag."""
        layer = (text or uuid.uuid4().hex).encode()
        config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}})
        self.blob(layer)
        self.blob(config.encode())
        raw = json.dumps(image_of(config.encode(), [layer], **members)).encode()
        digest = digest_of(raw)
        self.put(tag or digest, raw).expect(201)
        return Pushed(raw, digest, digest_of(layer), layer)

    def artifact(self, *, reference: str = "", **members: Any) -> Pushed:
        """Push an artifact that is nothing but its members."""
        self.blob(b"{}")
        raw = json.dumps(image_of(b"{}", [], config_type=OCI_EMPTY, **members)).encode()
        digest = digest_of(raw)
        self.put(reference or digest, raw).expect(201)
        return Pushed(raw, digest, digest_of(b"{}"), b"{}")


@dataclass(frozen=True, slots=True)
class Pushed:
    """A manifest that was pushed, and its one layer."""

    raw: bytes
    digest: str
    layer: str
    data: bytes

    @property
    def descriptor(self) -> dict[str, Any]:
        kind = json.loads(self.raw)["mediaType"]
        return {"mediaType": kind, "digest": self.digest, "size": len(self.raw)}


def descriptor(data: bytes, kind: str, algorithm: str = "sha256", **members: Any) -> dict[str, Any]:
    """A descriptor of these bytes."""
    return {"mediaType": kind, "digest": digest_of(data, algorithm), "size": len(data), **members}


def image_of(
    config: bytes, layers: Sequence[bytes], /, *, config_type: str = OCI_CONFIG, **members: Any
) -> dict[str, Any]:
    """An image manifest over these blobs; members may add or replace."""
    return {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(config, config_type),
        "layers": [descriptor(layer, OCI_LAYER) for layer in layers],
        **members,
    }


def index_of(*entries: Mapping[str, Any], **members: Any) -> dict[str, Any]:
    """An index over these descriptors."""
    return {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(entries), **members}
