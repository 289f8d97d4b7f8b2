"""The proxy in front of a legacy registry: who calls is asked of TokenReview, what they may do of SubjectAccessReview.

It is a program of the standard library alone, because it runs in a Pod from a ConfigMap. It does what is known of the
platform's own one: a Bearer token, or Basic with the user ``<token>`` and a token as password; the first part of the
path is the namespace, which must exist; the right is asked for on ``images`` of ``registry.alauda.io``.

With ``--forward`` it is a gateway before such a proxy: it asks nobody, and hands everything on, logins too.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import http.client
import json
import os
import re
import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ACCOUNT = Path(os.environ.get("PROXY_ACCOUNT", "/var/run/secrets/kubernetes.io/serviceaccount"))
VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
NAMESPACED = re.compile(r"/v2/([^/]+)/.+")
HOP = {"connection", "keep-alive", "transfer-encoding", "te", "upgrade", "host", "authorization"}


def source() -> str:
    """The text of this program, for the ConfigMap it runs from."""
    return Path(__file__).read_text(encoding="utf-8")


def ask(method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
    """One request to the API server, as this Pod's account."""
    context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], int(os.environ.get("KUBERNETES_SERVICE_PORT", "443"))
    connection = http.client.HTTPSConnection(host, port, timeout=10, context=context)
    token = (ACCOUNT / "token").read_text(encoding="ascii").strip()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection.request(method, path, json.dumps(body) if body else None, headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, json.loads(content or b"{}")


def token_in(header: str) -> str:
    """What was brought as a token; empty if nothing that can be checked was."""
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(value).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return ""
        return password if user == "<token>" else ""
    return ""


def who(token: str) -> dict[str, Any]:
    """The caller as the cluster knows them; empty for nobody."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    _, answer = ask("POST", "/apis/authentication.k8s.io/v1/tokenreviews", body)
    status = answer.get("status") or {}
    return dict(status["user"]) if status.get("authenticated") and "user" in status else {}


def allowed(user: dict[str, Any], verb: str, namespace: str) -> bool:
    """Whether they may."""
    attributes = {"group": "registry.alauda.io", "resource": "images", "verb": verb, "namespace": namespace}
    spec = {"user": user.get("username"), "groups": user.get("groups") or [], "resourceAttributes": attributes}
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    _, answer = ask("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", body)
    return bool((answer.get("status") or {}).get("allowed"))


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    upstream = "127.0.0.1:5000"
    gateway = False

    def handle_request(self) -> None:
        """Who, what, and then on to the registry."""
        if self.gateway:
            self.forward()
            return
        token = token_in(self.headers.get("Authorization", ""))
        user = who(token) if token else {}
        if not user:
            self.refuse(401, "UNAUTHORIZED", "authentication required")
            return
        path = urlsplit(self.path).path
        if path in ("/v2/", "/v1/users/"):
            self.tell(200, {})
            return
        if path != "/v2/_catalog":  # which the shipped one lets administrators page through
            match = NAMESPACED.fullmatch(path)
            namespace = match[1] if match else ""
            if not namespace or ask("GET", f"/api/v1/namespaces/{namespace}")[0] != 200:
                self.refuse(404, "NAME_UNKNOWN", f"namespace {namespace} does not exist")
                return
        else:
            namespace = ""
        if not allowed(user, VERBS[self.command], namespace):
            self.refuse(
                403, "DENIED", f"{user.get('username')} may not {VERBS[self.command]} images in {namespace or 'all'}"
            )
            return
        self.forward()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_request  # noqa: N815

    def forward(self) -> None:
        """Head and body there, head and body back."""
        host, _, port = self.upstream.partition(":")
        connection = http.client.HTTPConnection(host, int(port or 80), timeout=60)
        length = self.headers.get("Content-Length")
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
        headers["Host"] = self.headers.get("Host", self.upstream)
        if self.gateway and "Authorization" in self.headers:
            headers["Authorization"] = self.headers["Authorization"]
        body: Any = None
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            body = self.chunks()
        elif length and length != "0":
            body = self.counted(int(length))
        connection.request(self.command, self.path, body, headers, encode_chunked=length is None and body is not None)
        answer = connection.getresponse()
        self.send_response(answer.status)
        size = answer.getheader("Content-Length")
        for name, value in answer.getheaders():
            if name.lower() not in HOP | {"content-length"}:
                self.send_header(name, value)
        bodiless = self.command == "HEAD" or answer.status in (204, 304)
        if size is None and not bodiless:
            self.send_header("Connection", "close")
            self.close_connection = True
        else:
            self.send_header("Content-Length", size or "0")
        self.end_headers()
        if not bodiless:
            while part := answer.read(1 << 16):
                self.wfile.write(part)
        connection.close()

    def counted(self, left: int) -> Any:
        """A body of known length, in parts."""
        while left and (part := self.rfile.read(min(left, 1 << 16))):
            left -= len(part)
            yield part

    def chunks(self) -> Any:
        """A body whose length nobody knew."""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def refuse(self, status: int, code: str, message: str) -> None:
        """As the protocol has it."""
        self.close_connection = True
        self.tell(status, {"errors": [{"code": code, "message": message}]})

    def tell(self, status: int, document: dict[str, Any]) -> None:
        """A small answer of our own."""
        content = json.dumps(document).encode()
        self.send_response(status)
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="registry"')
            if "kubectl-acp" in self.headers.get("User-Agent", ""):  # all others would ask there for a token
                self.send_header("WWW-Authenticate", f'Bearer realm="http://{self.headers.get("Host")}/auth"')
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, form: str, *arguments: Any) -> None:
        """One line; paths hold no secrets here."""
        sys.stderr.write(f"{self.address_string()} {form % arguments}\n")


def main() -> None:
    """Serve until the end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--upstream", default="http://127.0.0.1:5000")
    parser.add_argument("--insecure-listen-address", default=":8080")
    parser.add_argument("--forward", action="store_true", help="hand everything on, for the next one asks for rights")
    options = parser.parse_args()
    Handler.gateway = options.forward
    Handler.upstream = urlsplit(options.upstream).netloc
    host, _, port = options.insecure_listen_address.rpartition(":")
    ThreadingHTTPServer((host, int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main()
