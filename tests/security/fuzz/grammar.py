"""Requests as a client writes them, and as no client should: valid ones, and ones that are wrong in one or two places.

What is random comes from one generator, so a seed gives the same requests again. What the server answered (names of
upload sessions) is put in by position, so answers change the bytes of a request but not which request comes next.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"

REPOSITORIES = ("demo/app", "demo/web", "team/app", "team-b/tool.x", "a/b")
TAGS = ("latest", "v1", "v2", "1.0", "sha256-abc.sig", "x" * 128)
CONTENTS = [f"content {number}".encode() * (1 + number * 37) for number in range(24)] + [b"", b"{}"]
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
STRANGE = ("OPTIONS", "TRACE", "CONNECT", "BREW", "get", "PROPFIND", "G\u00cbT", "PRI")

NASTY = (
    "", ".", "..", "/", "//", "%", "%2", "%2f", "%2e%2e", "%00", "%0a", "%0d%0a", "%ff", "%c0%ae", "\u00e9", "~", "@",
    ":", "*", "'", '"', "<script>", "{}", "$(id)", "`id`", "0", "-1", "9" * 20, "9" * 400, "1e9", "NaN", "null",
    "true", "A" * 300, "a" * 4000, "sha256:",
    "sha256:" + "0" * 64, "sha512:" + "f" * 128, "sha256:" + "G" * 64, "bytes=0-", "bytes=-0",
    "bytes=9-1", "0-0", "18446744073709551616", "\t", " ", ";", ",", "=", "&", "#", "?", "%u0041", "\\", "..\\", "\x7f",
)  # fmt: skip


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


@dataclass
class Request:
    """One request before it is bytes."""

    method: str
    path: str
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    chunked: bool = False
    length: str | None = None
    """``Content-Length`` as it is sent, if not the true one."""
    announced: bool = True

    def bytes(self, host: str) -> bytes:
        """As it goes over the wire."""
        lines = [f"{self.method} {self.path or '/'} HTTP/1.1", f"Host: {host}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        body = self.body
        if self.chunked:
            lines.append("Transfer-Encoding: chunked")
            middle = len(body) // 2
            pieces = [piece for piece in (body[:middle], body[middle:]) if piece]
            body = b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces) + b"0\r\n\r\n"
        elif self.length is not None:
            lines.append(f"Content-Length: {self.length}")
        elif self.announced and (body or self.method in {"POST", "PUT", "PATCH"}):
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + body


class Grammar:
    """Makes requests; ``sessions`` are the upload sessions that the server has named lately."""

    def __init__(self, chance: random.Random, user: str, password: str) -> None:
        self._chance = chance
        self._known = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self.tokens: deque[str] = deque(maxlen=4)
        self.sessions: deque[str] = deque(maxlen=32)
        self._makers: list[tuple[int, Callable[[], Request]]] = [
            (6, self._push_manifest), (4, self._whole_blob), (4, self._begin), (5, self._chunk), (4, self._finish),
            (2, self._cancel), (6, self._read_blob), (6, self._read_manifest), (3, self._list), (2, self._referrers),
            (2, self._delete), (2, self._signature), (2, self._token), (1, self._open), (2, self._anything),
        ]  # fmt: skip

    def next(self) -> Request:
        """One request; a third of them as it should be."""
        [(_, make)] = self._chance.choices(self._makers, [weight for weight, _ in self._makers])
        request = make()
        request.headers.insert(0, ("Authorization", self._authorization()))
        for _ in range(self._chance.choice((0, 1, 1, 2))):
            self._chance.choice(self._spoilers)(self, request)
        return request

    # requests as they should be

    def _repository(self) -> str:
        return self._chance.choice(REPOSITORIES)

    def _content(self) -> bytes:
        return self._chance.choice(CONTENTS)

    def _push_manifest(self) -> Request:
        config, layers = self._content(), [self._content() for _ in range(self._chance.randrange(4))]
        kind = self._chance.choice((MANIFEST, MANIFEST, DOCKER, INDEX, DOCKER_LIST))
        document: dict[str, object] = {"schemaVersion": 2, "mediaType": kind}
        if kind in {INDEX, DOCKER_LIST}:
            document["manifests"] = [descriptor(layer, MANIFEST) for layer in layers]
        else:
            document["config"] = descriptor(config, "application/vnd.oci.image.config.v1+json")
            document["layers"] = [descriptor(layer, "application/vnd.oci.image.layer.v1.tar") for layer in layers]
        if self._chance.random() < 0.3:
            document["subject"] = descriptor(self._content(), MANIFEST)
            document["artifactType"] = self._chance.choice(("application/x", "x/y", ""))
        if self._chance.random() < 0.2:
            document["annotations"] = {self._chance.choice(NASTY): self._chance.choice(NASTY)}
        body = json.dumps(document).encode()
        if self._chance.random() < 0.5:
            body = self._spoiled_json(body)
        reference = self._chance.choice((*TAGS, digest_of(body), digest_of(body, "sha512")))
        query = self._chance.choice(("", "", "?tag=a", "?tag=b&tag=c", "?tag=" + self._chance.choice(NASTY)))
        path = f"/v2/{self._repository()}/manifests/{reference}{query}"
        return Request("PUT", path, [("Content-Type", kind)], body, chunked=self._chance.random() < 0.2)

    def _whole_blob(self) -> Request:
        data = self._content()
        path = f"/v2/{self._repository()}/blobs/uploads/?digest={digest_of(data, self._algorithm())}"
        return Request("POST", path, [("Content-Type", "application/octet-stream")], data)

    def _begin(self) -> Request:
        mount = f"mount={digest_of(self._content())}"
        queries = ("", "", f"?{mount}", f"?{mount}&from={self._repository()}", f"?digest-algorithm={self._algorithm()}")
        return Request("POST", f"/v2/{self._repository()}/blobs/uploads/{self._chance.choice(queries)}")

    def _session(self) -> str:
        position = self._chance.randrange(32)
        if self.sessions:
            return self.sessions[position % len(self.sessions)]
        return f"/v2/{self._repository()}/blobs/uploads/00000000-0000-0000-0000-000000000000"

    def _chunk(self) -> Request:
        data = self._content()
        start = self._chance.choice((0, 0, len(data), 7))
        headers = [("Content-Range", f"{start}-{start + len(data) - 1}")] if self._chance.random() < 0.5 else []
        return Request("PATCH", self._session(), headers, data, chunked=self._chance.random() < 0.3)

    def _finish(self) -> Request:
        data = self._content()
        body = data if self._chance.random() < 0.7 else b""
        session = self._session()
        mark = "&" if "?" in session else "?"
        return Request("PUT", f"{session}{mark}digest={digest_of(data, self._algorithm())}", [], body)

    def _cancel(self) -> Request:
        return Request(self._chance.choice(("DELETE", "GET")), self._session())

    def _read_blob(self) -> Request:
        ranges = ("bytes=0-0", "bytes=5-", "bytes=-3", "bytes=0-1,3-4", "bytes=99999999999-", f"bytes={'9' * 50}-")
        headers = [("Range", self._chance.choice(ranges))] if self._chance.random() < 0.4 else []
        return Request(
            self._chance.choice(("GET", "HEAD")),
            f"/v2/{self._repository()}/blobs/{digest_of(self._content())}",
            headers,
        )

    def _read_manifest(self) -> Request:
        reference = self._chance.choice((*TAGS, digest_of(self._content())))
        headers = [("Accept", self._chance.choice((MANIFEST, "*/*", INDEX, "text/html", "a/b;q=x," * 50)))]
        if self._chance.random() < 0.3:
            headers.append(("If-None-Match", f'"{digest_of(self._content())}"'))
        return Request(self._chance.choice(("GET", "HEAD")), f"/v2/{self._repository()}/manifests/{reference}", headers)

    def _list(self) -> Request:
        where = self._chance.choice((f"/v2/{self._repository()}/tags/list", "/v2/_catalog"))
        query = self._chance.choice(
            ("", "?n=1", "?n=0", "?n=1&last=v1", "?last=zzz", "?n=" + self._chance.choice(NASTY))
        )
        return Request("GET", where + query)

    def _referrers(self) -> Request:
        query = self._chance.choice(("", "?artifactType=x%2Fy", "?n=1", "?last=" + self._chance.choice(NASTY)))
        return Request("GET", f"/v2/{self._repository()}/referrers/{digest_of(self._content())}{query}")

    def _delete(self) -> Request:
        what = self._chance.choice((f"manifests/{self._chance.choice(TAGS)}", f"blobs/{digest_of(self._content())}"))
        return Request("DELETE", f"/v2/{self._repository()}/{what}")

    def _signature(self) -> Request:
        digest = digest_of(self._content())
        document = {"schemaVersion": 2, "name": f"{digest}@one", "type": "atomic", "content": "eA=="}
        path = f"/extensions/v2/{self._repository()}/signatures/{digest}"
        return Request(self._chance.choice(("GET", "PUT")), path, [], self._spoiled_json(json.dumps(document).encode()))

    def _token(self) -> Request:
        scope = f"scope=repository:{self._repository()}:pull,push"
        if self._chance.random() < 0.5:
            return Request("GET", f"/v2/token?service=image-registry&{scope}&scope={self._chance.choice(NASTY)}")
        form = f"grant_type=password&username=x&password=y&{scope}".encode()
        return Request("POST", "/v2/token", [("Content-Type", "application/x-www-form-urlencoded")], form)

    def _open(self) -> Request:
        return Request("GET", self._chance.choice(("/", "/livez", "/healthz", "/v2/", "/v2", "/metrics", "/nothing")))

    def _anything(self) -> Request:
        parts = [self._chance.choice((*NASTY, "v2", "demo", "app", "blobs", "uploads", "manifests", "tags", "list"))]
        parts += [self._chance.choice((*NASTY, "v2", "blobs", "uploads")) for _ in range(self._chance.randrange(7))]
        path = "/" + "/".join(parts).replace(" ", "%20").replace("\t", "%09")
        return Request(self._chance.choice(METHODS), path, [], self._content())

    # what spoils them

    def _algorithm(self) -> str:
        return self._chance.choice(("sha256", "sha256", "sha256", "sha512"))

    def _authorization(self) -> str:
        number = self._chance.random()
        if number < 0.8:
            return self._known
        if number < 0.9 and self.tokens:
            return f"Bearer {self.tokens[self._chance.randrange(4) % len(self.tokens)]}"
        kinds = ("", "Basic", "Basic !!", "Bearer", "Bearer a.b.c", "Bearer " + "a" * 9000, "Digest x", "Basic Og==")
        return self._chance.choice(kinds)

    def _spoiled_json(self, body: bytes) -> bytes:
        number = self._chance.randrange(8)
        if number == 0:
            return body[: self._chance.randrange(len(body) + 1)]
        if number == 1:
            position = self._chance.randrange(len(body))
            return body[:position] + bytes([self._chance.randrange(256)]) + body[position + 1 :]
        if number == 2:
            return body.replace(
                b'"schemaVersion": 2', self._chance.choice((b'"schemaVersion": "2"', b'"schemaVersion": 1'))
            )
        if number == 3:
            return b"[" * self._chance.choice((1, 1000, 60_000)) + body
        if number == 4:
            return body.replace(b'"size"', self._chance.choice((b'"size": -1, "size"', b'"Size"', b'"digest"')))
        if number == 5:
            return body.replace(b"sha256:", self._chance.choice((b"sha512:", b"sha256:0", b"SHA256:", b"")))
        if number == 6:
            return (
                body[:-1]
                + b', "x": '
                + self._chance.choice((b"NaN", b"9" * 5000, b'"\\ud800"', b"{}", b"1e999"))
                + b"}"
            )
        return body

    def _spoil_method(self, request: Request) -> None:
        request.method = self._chance.choice((*METHODS, *STRANGE))

    def _spoil_path(self, request: Request) -> None:
        head, question, query = request.path.partition("?")
        parts = head.split("/")
        position = self._chance.randrange(len(parts))
        nasty = (
            self._chance.choice(NASTY).replace(" ", "%20").replace("\t", "%09").replace("#", "%23").replace("?", "%3f")
        )
        match self._chance.randrange(4):
            case 0:
                parts[position] = nasty
            case 1:
                parts[position] += nasty
            case 2:
                parts.insert(position, nasty)
            case _:
                del parts[position]
        request.path = "/".join(parts) + question + query

    def _spoil_query(self, request: Request) -> None:
        names = (
            "n",
            "last",
            "digest",
            "mount",
            "from",
            "tag",
            "artifactType",
            "digest-algorithm",
            "scope",
            "_state",
            "",
        )
        mark = "&" if "?" in request.path else "?"
        nasty = self._chance.choice(NASTY).replace(" ", "+").replace("\t", "%09").replace("#", "%23")
        request.path += f"{mark}{self._chance.choice(names)}={nasty}"

    def _spoil_header(self, request: Request) -> None:
        names = (
            "Range", "Content-Range", "Content-Type", "If-None-Match", "If-Match", "If-Range", "Accept", "Host",
            "Authorization", "X-Request-Id", "Expect", "Connection", "Content-Encoding", "Accept-Encoding", "Cookie",
            "X-Forwarded-Host", "Upgrade", "TE", "Trailer", "Transfer-Encoding", "Content-Length", "Origin", "Via",
        )  # fmt: skip
        value = self._chance.choice(
            (*NASTY, "100-continue", "close", "keep-alive", "gzip", "h2c", "trailers", "chunked")
        )
        request.headers.append((self._chance.choice(names), value))

    def _spoil_length(self, request: Request) -> None:
        lengths = (str(len(request.body) + 5), str(max(len(request.body) - 1, 0)), "0", "-1", "1" * 30, "x", "+3", " 3")
        request.length = self._chance.choice(lengths)

    def _spoil_body(self, request: Request) -> None:
        request.body = self._chance.choice(
            (b"", b"\x00" * 1000, bytes(range(256)) * 8, b"x" * 200_000, request.body * 2)
        )

    def _spoil_framing(self, request: Request) -> None:
        request.chunked = not request.chunked

    _spoilers = (
        _spoil_method, _spoil_path, _spoil_path, _spoil_query, _spoil_query, _spoil_header, _spoil_header,
        _spoil_length, _spoil_body, _spoil_framing,
    )  # fmt: skip


def descriptor(data: bytes, kind: str) -> dict[str, object]:
    return {"mediaType": kind, "digest": digest_of(data), "size": len(data)}


def mangled(chance: random.Random, raw: bytes) -> bytes:
    """The bytes of a request, changed without regard for what they mean."""
    data = bytearray(raw)
    for _ in range(chance.choice((1, 1, 2, 8))):
        position = chance.randrange(len(data) + 1)
        match chance.randrange(8):
            case 0:
                data[position : position + chance.randrange(1, 20)] = b""
            case 1:
                data[position:position] = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 12)))
            case 2:
                data[position:position] = chance.choice(
                    (b"\r\n", b"\n", b"\r", b"\x00", b"\r\n\r\n", b" ", b":", b"\x0b")
                )
            case 3 if data:
                data[position % len(data)] = chance.randrange(256)
            case 4:
                data = data[:position]
            case 5:
                data[position:position] = data[:position]
            case 6:
                data[position:position] = b"X-A: " + b"a" * chance.choice((10, 20_000)) + b"\r\n"
            case _:
                data[position:position] = b"".join(b"H%d: x\r\n" % number for number in range(chance.choice((3, 600))))
        if not data:
            break
    return bytes(data[: 1 << 20])


_CHUNKED = b"POST /v2/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

GARBAGE = (
    b"",
    b"\r\n",
    b"\n" * 1000,
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,
    b"GET\r\n\r\n",
    b"GET /\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x00" * 5000,
    b"A" * 100_000,
    b"GET " + b"/a" * 50_000,
    b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 5000,
    _CHUNKED + b"fffffffffffffffff\r\n",
    _CHUNKED + b"-1\r\n",
    _CHUNKED + b"1;" + b"a" * 100_000,
    _CHUNKED + b"0\r\n" + b"Trailer: x\r\n" * 5000,
    b"PUT /v2/demo/app/manifests/x HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n{",
    b"HTTP/1.1 200 OK\r\n\r\n",
    b"PROXY TCP4 1.1.1.1 1.1.1.1 1 1\r\n",
    b"GET /v2/ HTTP/1.0\r\n\r\nGET /v2/ HTTP/1.0\r\n\r\n",
)
