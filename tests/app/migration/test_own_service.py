"""A registry that nobody has named an address of is found by its Service, and believed by its own CA and name."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from image_registry.kube.errors import KubeError
from image_registry.migration.actions import Context, RegistryDoor, StepFailed
from image_registry.migration.own_service import by_address
from image_registry.migration.registry_access import target_of
from image_registry.migration.spelling import command_line
from image_registry.remote.asking import Access
from image_registry.remote.errors import Untrusted
from image_registry.remote.reference import RemoteReference
from tests.clients.certificates import make_certificates

ADDRESS, NAMESPACE = "127.213.7.5", "image-registry-system"
HOST = f"image-registry.{NAMESPACE}.svc"
SERVICES = f"/api/v1/namespaces/{NAMESPACE}/services/image-registry"
BUNDLE = f"/api/v1/namespaces/{NAMESPACE}/configmaps/image-registry-ca"


@dataclass
class Cluster:
    """A named fake of the API server: it has these objects."""

    objects: dict[str, Any] = field(default_factory=dict)

    def find(self, path: str) -> Any:
        return self.objects.get(path)


class Tags(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        content = b'{"name": "team/app", "tags": ["v1"]}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content if self.headers["Host"] == f"{HOST}:5000" else b" " * len(content))

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@contextmanager
def registry(folder: Path, name: str) -> Iterator[str]:
    """At the Service's address, with a certificate for a name; the CA."""
    made = make_certificates(folder, name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
    with HTTPServer((ADDRESS, 5000), Tags) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield made.ca.read_text()
        server.shutdown()
        thread.join(5)


def context(cluster: Any, url: str = "", authorities: str = "") -> Context:
    door = RegistryDoor(url, Access(patience=0), authorities)
    found = SimpleNamespace(
        target=door, client=cluster, plan=SimpleNamespace(target_namespace=NAMESPACE), spelling=command_line
    )
    return cast("Context", found)


def cluster(ca: str) -> Cluster:
    return Cluster({SERVICES: {"spec": {"clusterIP": ADDRESS}}, BUNDLE: {"data": {"ca-bundle.crt": ca}}})


def tags(asked: Context) -> Any:
    found = target_of(asked)
    return found.client.registries.tags(RemoteReference(found.name, "team/app"), found.access, most=10)


def test_it_is_asked_under_its_name_at_the_address_of_its_service(tmp_path: Path) -> None:
    with registry(tmp_path, HOST) as ca:
        assert tags(context(cluster(ca))) == ["v1"]


@pytest.mark.parametrize("url", ["", f"https://{ADDRESS}:5000", f"{ADDRESS}:5000"])
def test_another_one_at_that_address_is_not_believed(tmp_path: Path, url: str) -> None:
    with registry(tmp_path, "somebody.else.svc") as ca, pytest.raises(Untrusted):
        tags(context(cluster(ca), url))


@pytest.mark.parametrize("url", [f"https://{ADDRESS}:5000", f"{ADDRESS}:5000", f"https://{HOST}:5000"])
def test_an_address_of_its_service_that_somebody_names_is_asked_under_its_name(tmp_path: Path, url: str) -> None:
    with registry(tmp_path, HOST) as ca:
        assert tags(context(cluster(ca), url)) == ["v1"]


def test_its_own_ca_is_trusted_at_another_address_too() -> None:
    named = context(cluster("-- own --"), "https://registry.example.com", "-- given --")
    door = by_address(cast("RegistryDoor", named.target), named)
    assert (door.url, door.authorities, dict(door.known)) == (
        "https://registry.example.com",
        "-- given --\n-- own --",
        {},
    )


def test_an_address_is_taken_as_it_was_named_where_the_cluster_may_not_be_asked() -> None:
    class Closed:
        def find(self, path: str) -> Any:
            raise KubeError(403, "Forbidden", path)

    assert target_of(context(Closed(), "https://registry.example.com")).door.authorities == ""
    assert target_of(context(Closed(), f"http://{ADDRESS}:5000")).name == f"{ADDRESS}:5000", "without TLS as it is"


def test_before_it_is_installed_it_is_said_what_to_name() -> None:
    with pytest.raises(StepFailed, match=r"Service image-registry-system/image-registry is not there: name it"):
        target_of(context(Cluster()))
