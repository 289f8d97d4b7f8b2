"""For every test below: the lab cluster where one is asked for, and a named fake of the Kubernetes API for the rest.

An ambient ``KUBECONFIG`` is never looked at, so no test can touch a cluster by accident.
"""

from __future__ import annotations

import base64
import json
import queue
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from image_registry.kube.client import ClusterClient
from image_registry.kube.endpoint import Endpoint
from image_registry.operator import certificates
from image_registry_lab.places import Places, cache


@pytest.fixture(scope="session")
def lab_kubeconfig() -> Path:
    """The administrator's kubeconfig of the running lab; tests that use it are marked ``lab``."""
    path = Places(cache()).kubeconfig
    if not path.is_file():
        pytest.fail(f"no lab cluster ({path} does not exist): start it with `make lab`")
    return path


class FakeCluster:
    """A named fake of kube-apiserver over real TLS: objects with resource versions, the two reviews, planned failures.

    It authenticates one token, authorizes everything but ``forbidden`` paths and knows no schema.
    """

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.tokens: dict[str, tuple[dict[str, Any], set[str]]] = {}
        """Tokens of callers: user info and audiences; ``api`` is the API server's own."""
        self.rights: set[tuple[str, str, str, str]] = set()
        """(user, verb, resource/subresource, namespace)"""
        self.credentials = "own-token"
        self.forbidden: set[str] = set()
        self.failures: list[int] = []
        """Statuses of the next answers."""
        self.requests: list[tuple[str, str]] = []
        self.audit_ids: list[str] = []
        """What each request brought as ``Audit-ID``."""
        self.reviews: list[dict[str, Any]] = []
        self.before: Callable[[str, str], None] = lambda _method, _path: None
        """Called with method and path before each request, outside of the lock: a place for races."""
        self.watched: set[str] = set()
        """Collections that may be listed and watched."""
        self._watchers: list[tuple[str, queue.SimpleQueue[dict[str, Any] | None]]] = []
        self._lock = threading.RLock()
        self._version = 0
        now = datetime.now(UTC)
        authority = certificates.make_authority("fake cluster", now)
        self.ca = authority.certificate.decode()
        self._leaf = certificates.make_leaf(authority, ["localhost", "127.0.0.1"], now)
        self._server: ThreadingHTTPServer | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def start(self, folder: Path) -> None:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # head and body are two writes: the second would wait for an answer

            def handle_request(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else {}
                if fake._server is None:  # a stopped server answers no kept connection either
                    self.close_connection = True
                    return
                method = self.command or ""
                fake.audit_ids.append(self.headers.get("Audit-ID", ""))
                target = urlsplit(self.path)
                watching = "watch=true" in target.query
                if method == "GET" and target.path in fake.watched and watching:
                    self.watch(target.path)
                    return
                if "as=PartialObjectMetadata;" in self.headers.get("Accept", "") and not watching:
                    status, answer = refusal_of_a_list(target.path)
                else:
                    status, answer = fake.answer(method, self.path, body, self.headers.get("Authorization", ""))
                content = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def watch(self, collection: str) -> None:
                """Events in chunks, one a line, until the fake says that it is enough."""
                self.close_connection = True
                events = fake.follow(collection)
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                with suppress(OSError):
                    while (event := events.get()) is not None:
                        line = json.dumps(event).encode() + b"\n"
                        self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
                    self.wfile.write(b"0\r\n\r\n")

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_request  # noqa: N815

            def log_message(self, *_: object) -> None:
                """Nothing: pytest shows what matters."""

        pair = folder / "fake-cluster.pem"
        pair.write_bytes(self._leaf.certificate + self._leaf.key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair)
        server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        server.daemon_threads = True
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = server.server_port
        self._server = server
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self.tell_nobody()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def client(self) -> ClusterClient:
        return ClusterClient(Endpoint(server=self.url, source="a test", ca=self.ca, token=self.credentials))

    def kubeconfig(self, path: Path, **user: object) -> Path:
        """Write a kubeconfig for this cluster; ``user`` replaces the token."""
        data = base64.b64encode(self.ca.encode()).decode()
        document = {
            "current-context": "fake",
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "me"}}],
            "clusters": [{"name": "fake", "cluster": {"server": self.url, "certificate-authority-data": data}}],
            "users": [{"name": "me", "user": user or {"token": self.credentials}}],
        }
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        return path

    def follow(self, collection: str) -> queue.SimpleQueue[dict[str, Any] | None]:
        """What happens in a collection from now on."""
        events: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        with self._lock:
            self._watchers.append((collection, events))
        return events

    def tell(
        self, collection: str, kind: str, namespace: str = "", name: str = "", annotations: dict[str, str] | None = None
    ) -> None:
        """Send an event to everybody who watches the collection."""
        with self._lock:
            self._version += 1
            metadata: dict[str, Any] = {"namespace": namespace, "name": name, "resourceVersion": str(self._version)}
            if annotations:
                metadata["annotations"] = annotations
            for watched, events in self._watchers:
                if watched == collection:
                    events.put({"type": kind, "object": {"metadata": metadata}})

    def following(self, collection: str) -> bool:
        """Whether anybody watches it."""
        with self._lock:
            return any(watched == collection for watched, _ in self._watchers)

    def tell_nobody(self) -> None:
        """End every watch."""
        with self._lock:
            for _, events in self._watchers:
                events.put(None)
            self._watchers.clear()

    def put(self, path: str, item: dict[str, Any]) -> None:
        """Store an object as if somebody else had written it."""
        with self._lock:
            self._version += 1
            metadata = {**item.get("metadata", {}), "name": path.rpartition("/")[2]}
            self.objects[path] = {**item, "metadata": {**metadata, "resourceVersion": str(self._version)}}

    def answer(self, method: str, target: str, body: dict[str, Any], credentials: str) -> tuple[int, dict[str, Any]]:
        path, query = urlsplit(target).path, parse_qs(urlsplit(target).query)
        self.before(method, path)
        with self._lock:
            self.requests.append((method, path))
            if self.failures:
                return status(self.failures.pop(0), "planned failure")
            if credentials != f"Bearer {self.credentials}":
                return status(401, "Unauthorized")
            if any(path.startswith(prefix) for prefix in self.forbidden):
                return status(403, f'"{path}" is forbidden: User "me" cannot {method.lower()} it')
            if path.endswith("/tokenreviews"):
                return 201, {"status": self._review_token(body["spec"])}
            if path.endswith("/subjectaccessreviews"):
                return 201, {"status": self._review_access(body["spec"])}
            if method == "GET" and path in self.watched:
                return 200, {"kind": "List", "items": [], "metadata": {"resourceVersion": str(self._version)}}
            return self._object(method, path, query, body)

    def _review_token(self, spec: dict[str, Any]) -> dict[str, Any]:
        self.reviews.append(spec)
        user, audiences = self.tokens.get(spec["token"], ({}, set()))
        good = audiences & set(spec.get("audiences", ["api"]))
        if not good:
            return {"authenticated": False, "error": "invalid bearer token"}
        return {"authenticated": True, "user": user, "audiences": sorted(good)}

    def _review_access(self, spec: dict[str, Any]) -> dict[str, Any]:
        self.reviews.append(spec)
        wanted = spec["resourceAttributes"]
        resource = "/".join(part for part in (wanted["resource"], wanted.get("subresource")) if part)
        allowed = (spec["user"], wanted["verb"], resource, wanted.get("namespace", "")) in self.rights
        return {"allowed": allowed, "reason": "RBAC: bound" if allowed else ""}

    def _object(
        self, method: str, path: str, query: dict[str, list[str]], body: dict[str, Any]
    ) -> tuple[int, dict[str, Any]]:
        if method == "POST":
            path = f"{path}/{body['metadata']['name']}"
            if path in self.objects:
                return status(409, "already exists", "AlreadyExists")
        elif path not in self.objects:
            return status(404, f"{path} not found", "NotFound")
        current = self.objects.get(path, {})
        if method == "GET":
            return 200, current
        if method == "DELETE":
            return 200, self.objects.pop(path)
        if method == "PATCH":
            body = merged(current, body)
            body["metadata"]["appliedBy"] = query.get("fieldManager", [""])[0]
        elif method == "PUT" and body["metadata"].get("resourceVersion") != current["metadata"]["resourceVersion"]:
            return status(409, "the object has been modified", "Conflict")
        self.put(path, body)
        return 201 if method == "POST" else 200, self.objects[path]


def refusal_of_a_list(path: str) -> tuple[int, dict[str, Any]]:
    """What the real one says to who wants a list in the form of one object."""
    return status(406, f"you requested PartialObjectMetadata, but the requested object is a list ({path})")


def status(code: int, message: str, reason: str = "") -> tuple[int, dict[str, Any]]:
    """An answer that is an error."""
    return code, {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}


def merged(old: Any, new: Any) -> Any:
    """JSON merge patch."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    return {**old, **{key: merged(old.get(key), value) for key, value in new.items()}}


@pytest.fixture
def fake_cluster(tmp_path: Path) -> Iterator[FakeCluster]:
    fake = FakeCluster()
    fake.start(tmp_path)
    try:
        yield fake
    finally:
        fake.stop()
