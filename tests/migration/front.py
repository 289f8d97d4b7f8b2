"""A named fake of an ingress controller: one address, behind which an Ingress decides who answers by a host.

It looks at the Ingresses of the API server, as controllers do, and gives connections to the registry that the oldest
one leads to. With a TLS section it speaks TLS to its clients, and plain HTTP to who is behind.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.errors import ClusterUnreachable, KubeError
from tests.clients.certificates import make_certificates

LOOK = 0.25
HANDSHAKE = b"\x16"
"""The first byte of who speaks TLS."""
INGRESSES = object_path("networking.k8s.io/v1", "ingresses")


class Front:
    """While it listens; ``backends`` are addresses of Services, as ``<namespace>/<name>``."""

    def __init__(self, client: ClusterClient, folder: Path, host: str, backends: Mapping[str, str]) -> None:
        self._client, self._host, self._backends = client, host, backends
        folder.mkdir()
        made = make_certificates(folder, host)
        self.authority = made.ca
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(made.certificate, made.key)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._over = threading.Event()
        self._leads: Mapping[str, Any] | None = None
        self._threads = [threading.Thread(target=each, daemon=True) for each in (self._look, self._accept)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    @property
    def leads_to(self) -> str:
        """The namespace of the Ingress that has the host; empty for none."""
        return "" if self._leads is None else str(self._leads["metadata"]["namespace"])

    def _look(self) -> None:
        while not self._over.wait(LOOK):
            with suppress(KubeError, ClusterUnreachable):
                found = [item for item in self._client.get(INGRESSES)["items"] if self._about(item)]
                age = {item["metadata"]["uid"]: item["metadata"]["creationTimestamp"] for item in found}
                self._leads = min(found, key=lambda item: age[item["metadata"]["uid"]], default=None)

    def _about(self, ingress: Mapping[str, Any]) -> bool:
        return any(rule.get("host") == self._host for rule in ingress["spec"].get("rules") or ())

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        leads = self._leads
        with connection, suppress(OSError):
            if leads is None:
                return  # nobody has this host
            tls = bool(leads["spec"].get("tls"))
            if not tls and connection.recv(1, socket.MSG_PEEK) == HANDSHAKE:
                return  # somebody tries TLS first
            client = self._tls.wrap_socket(connection, server_side=True) if tls else connection
            address, _, port = self._backends[_service(leads, self._host)].partition(":")
            # one question a connection, one direction at a time: a TLS socket is not for two threads at once
            with client, socket.create_connection((address, int(port)), 30) as behind:
                behind.sendall(_head(client))
                while data := behind.recv(1 << 16):
                    client.sendall(data)


def _service(ingress: Mapping[str, Any], host: str) -> str:
    """Where the first path of the host leads; all of them lead to the same one here."""
    paths = next(rule["http"]["paths"] for rule in ingress["spec"]["rules"] if rule.get("host") == host)
    return f"{ingress['metadata']['namespace']}/{paths[0]['backend']['service']['name']}"


def _head(client: socket.socket) -> bytes:
    """Of a question without a body, whose sender closes the connection when it is answered."""
    found = b""
    while b"\r\n\r\n" not in found and (data := client.recv(1 << 16)):
        found += data
    return found
