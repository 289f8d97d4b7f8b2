"""A named fake of kube-apiserver that agrees to everything: what the Image API asks of it is not what is measured.

It says which certificate the front proxy has, that every namespace is there and every request permitted; its lists are
empty and its watches silent. The TLS is real, and so are the certificates, which are made anew for each run.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from image_registry.operator import certificates

PROXY = "front-proxy-client"
TRUST = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
SILENCE = 300.0
"""Seconds of a watch."""


class AgreeableCluster:
    """Its certificates lie in ``folder``: ``kubeconfig``, ``proxy.pem``, ``server.crt`` and ``server.key``."""

    def __init__(self, folder: Path) -> None:
        now = datetime.now(UTC)
        authority = certificates.make_authority("benchmark", now)
        own = certificates.make_leaf(authority, ["127.0.0.1", "localhost"], now)
        self.ca = authority.certificate.decode()
        _secret(folder / "cluster.pem", own.certificate + own.key)
        _secret(folder / "server.crt", own.certificate)
        _secret(folder / "server.key", own.key)
        _secret(folder / "proxy.pem", client_certificate(authority, PROXY, now))
        self._folder = folder
        self._over = threading.Event()
        self._server = self._listening(folder / "cluster.pem")
        self._write_kubeconfig()

    def client_context(self) -> ssl.SSLContext:
        """How the front proxy speaks to the server."""
        context = ssl.create_default_context(cadata=self.ca)
        context.load_cert_chain(self._folder / "proxy.pem")
        return context

    @property
    def kubeconfig(self) -> Path:
        """Where the server finds this."""
        return self._folder / "kubeconfig"

    def close(self) -> None:
        """No more answers."""
        self._over.set()
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, path: str) -> tuple[int, dict[str, Any]]:
        """What is said to a request that ends."""
        if method == "POST" and path.endswith("/subjectaccessreviews"):
            return 201, {"status": {"allowed": True}}
        if path == TRUST:
            return 200, {
                "data": {
                    "requestheader-client-ca-file": self.ca,
                    "requestheader-allowed-names": json.dumps([PROXY]),
                    "requestheader-username-headers": '["X-Remote-User"]',
                    "requestheader-group-headers": '["X-Remote-Group"]',
                    "requestheader-extra-headers-prefix": '["X-Remote-Extra-"]',
                }
            }
        if path.startswith("/api/v1/namespaces/") and path.count("/") == 4:
            return 200, {"metadata": {"uid": path}, "status": {"phase": "Active"}}
        return 200, {"kind": "List", "items": [], "metadata": {"resourceVersion": "1"}}

    def _listening(self, pair: Path) -> ThreadingHTTPServer:
        cluster = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def handle_request(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                target = urlsplit(self.path)
                if "watch=true" in target.query:
                    self.close_connection = True
                    self.send_response(200)
                    self.send_header("Content-Type", "application/json")
                    self.end_headers()
                    cluster._over.wait(SILENCE)
                    return
                status, document = cluster.answer(self.command or "", target.path)
                content = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = handle_request  # noqa: N815

            def log_message(self, *_: object) -> None:
                """Nothing."""

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair)
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return server

    def _write_kubeconfig(self) -> None:
        (self._folder / "ca.crt").write_text(self.ca, encoding="ascii")
        document = {
            "current-context": "benchmark",
            "contexts": [{"name": "benchmark", "context": {"cluster": "benchmark", "user": "server"}}],
            "clusters": [
                {
                    "name": "benchmark",
                    "cluster": {
                        "server": f"https://127.0.0.1:{self._server.server_port}",
                        "certificate-authority": "ca.crt",
                    },
                }
            ],
            "users": [{"name": "server", "user": {"token": "of-no-value"}}],
        }
        self.kubeconfig.write_text(json.dumps(document), encoding="utf-8")


@contextmanager
def agreeable(folder: Path) -> Iterator[AgreeableCluster]:
    """One that answers, and is gone afterwards."""
    cluster = AgreeableCluster(folder)
    try:
        yield cluster
    finally:
        cluster.close()


def client_certificate(authority: certificates.KeyPair, name: str, now: datetime) -> bytes:
    """What a client shows who calls itself ``name``, with its key; for a day."""
    issuer = x509.load_pem_x509_certificate(authority.certificate)
    signer = serialization.load_pem_private_key(authority.key, None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise TypeError("the authority's key is of another kind")
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _secret(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
