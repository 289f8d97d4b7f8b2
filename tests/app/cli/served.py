"""A named fake of kube-apiserver over TLS, with the real Image API behind it, and ``ac`` as somebody types it."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import yaml
from click.testing import CliRunner, Result

from image_registry.cli import ac
from image_registry.operator import certificates
from tests.app.pruning.conftest import PrunedCluster

Answer = Callable[[str, str, Any, Mapping[str, str], str], tuple[int, dict[str, Any]]]
RBAC = "/apis/rbac.authorization.k8s.io/v1/"


class Office(PrunedCluster):
    """What commands besides ask of a cluster: versions, bindings of roles, tokens of ServiceAccounts."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.objects: dict[str, dict[str, Any]] = {}
        """What was written, by path; those below RBAC and workloads."""
        self.refused: dict[tuple[str, str], str] = {}
        """Messages of requests that are answered with 403."""
        self.broken: set[str] = set()
        """Paths that are answered with 500."""
        self.sent: list[tuple[str, str, Any, Mapping[str, str]]] = []

    def answer(
        self, method: str, path: str, body: Any, query: Mapping[str, str], accept: str
    ) -> tuple[int, dict[str, Any]]:
        self.sent.append((method, path, body, query))
        if path in self.broken:
            return 500, {"kind": "Status", "reason": "InternalError", "code": 500, "message": "etcd is gone"}
        if (method, path) in self.refused:
            text = self.refused[method, path]
            return 403, {"kind": "Status", "reason": "Forbidden", "code": 403, "message": text}
        if path == "/version":
            return 200, {"gitVersion": "v1.36.1"}
        if path == "/openapi/v3/apis/image.alauda.io/v1":
            found = self.api.client.get(path)
            return found.status_code, found.get_json()
        if path.endswith("/token") and method == "POST":
            return 201, {"status": {"token": f"token-of-{path.split('/')[-2]}"}}
        if self.failures.get((method, path)):
            return super().answer(method, path, body, query, accept)
        if path.startswith("/apis/image.alauda.io") and method in ("PATCH", "DELETE"):
            patch = "application/json-patch+json" if isinstance(body, list) else "application/merge-patch+json"
            kind = patch if method == "PATCH" else "application/json"
            data = None if body is None else json.dumps(body)
            changed = self.api.client.open(path, method=method, data=data, content_type=kind, query_string=query)
            return changed.status_code, changed.get_json()
        if path.startswith(RBAC) or path in self.objects or method == "PATCH":
            return self._stored(method, path, body, query)
        return super().answer(method, path, body, query, accept)

    def _stored(self, method: str, path: str, body: Any, query: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        dry = query.get("dryRun") == "All"
        if method == "POST":
            path = f"{path}/{body['metadata']['name']}"
            if path in self.objects:
                return 409, {"kind": "Status", "reason": "AlreadyExists", "message": f"{path} is there"}
        elif path not in self.objects:
            below = [found for name, found in sorted(self.objects.items()) if name.rpartition("/")[0] == path]
            if method == "GET" and path.rpartition("/")[2] in ("rolebindings", "clusterrolebindings"):
                return 200, {"items": below, "metadata": {}}
            return 404, {"kind": "Status", "reason": "NotFound", "message": f"{path} is not there"}
        if method == "GET":
            return 200, self.objects[path]
        if method == "DELETE":
            found = self.objects[path] if dry else self.objects.pop(path)
            return 200, found
        found = {**self.objects[path], **body} if method == "PATCH" else body
        if not dry:
            self.objects[path] = found
        return 201 if method == "POST" else 200, found


@contextmanager
def listening(
    answer: Answer, folder: Path, address: str = "127.0.0.1", names: Sequence[str] = ()
) -> Iterator[Path]:  # fmt: skip
    """Serve answers; the path of a kubeconfig that leads there, with the namespace ``team``.

    The certificate is for ``address`` and more ``names``.
    """
    turn = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_request(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            target = urlsplit(self.path)
            with turn:
                query = dict(parse_qsl(target.query))
                status, document = answer(self.command or "", unquote(target.path), body, query, self.headers["Accept"])
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_request  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Nothing."""

    authority = certificates.make_authority("fake", datetime.now(UTC))
    leaf = certificates.make_leaf(authority, [address, *names], datetime.now(UTC))
    (folder / "pair.pem").write_bytes(leaf.certificate + leaf.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "pair.pem")
    server = ThreadingHTTPServer((address, 0), Handler)
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    trust = {"certificate-authority-data": base64.b64encode(authority.certificate).decode()}
    document = {
        "current-context": "one",
        "contexts": [{"name": "one", "context": {"cluster": "one", "user": "me", "namespace": "team"}}],
        "clusters": [{"name": "one", "cluster": {"server": f"https://{address}:{server.server_port}", **trust}}],
        "users": [{"name": "me", "user": {"token": "my-token"}}],
    }
    config = folder / "kubeconfig"
    config.write_text(yaml.safe_dump(document), encoding="utf-8")
    try:
        yield config
    finally:
        server.shutdown()
        server.server_close()


@dataclass(frozen=True)
class Ac:
    """``ac`` with a kubeconfig, and a home without other files."""

    config: Path
    home: Path

    def __call__(self, *arguments: str, **environment: str) -> Result:
        inherited = dict.fromkeys(("KUBECONFIG", "REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "XDG_RUNTIME_DIR"))
        inherited |= dict.fromkeys(("XDG_CONFIG_HOME", "https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY"))
        given = {"HOME": str(self.home), "KUBECONFIG": str(self.config), "PATH": "/nowhere", **environment}
        return CliRunner().invoke(ac.cli, arguments, prog_name="ac", env={**inherited, **given})

    def good(self, *arguments: str, **environment: str) -> str:
        """The output of what must work."""
        done = self(*arguments, **environment)
        assert done.exit_code == 0, f"{done.output}{done.stderr}{done.exception!r}"
        return done.stdout

    def bad(self, code: int, *arguments: str, **environment: str) -> str:
        """What is said of what must fail like this."""
        done = self(*arguments, **environment)
        assert done.exit_code == code, f"{done.exit_code}: {done.output}{done.stderr}{done.exception!r}"
        return done.stderr
