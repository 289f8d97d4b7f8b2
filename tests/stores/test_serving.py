"""Push, resume, mount, pull and delete by plain HTTP, on each kind of storage."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import secrets
import signal
import socket
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import bcrypt
import pytest
import urllib3

from image_registry.storage.choice import S3, ObjectStorage, Storage
from tests.serve.conftest import program, run
from tests.stores.relay import Relay
from tests.stores.servers import apart
from tests.stores.serving import serving

pytestmark = pytest.mark.slow

MIB = 1 << 20
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Client:
    """Requests of a client that follows redirects only when it is told to."""

    def __init__(self, host: str) -> None:
        self.host = host
        self._http = urllib3.PoolManager()

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> urllib3.BaseHTTPResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._http.request(
            method, f"http://{self.host}{path}", body=body, headers=named, redirect=False, retries=False, timeout=60
        )

    def push(self, repository: str, data: bytes) -> str:
        """A blob in one piece; returns its digest."""
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        location = self.ask("POST", f"/v2/{repository}/blobs/uploads/").headers["Location"]
        assert self.ask("PUT", f"{location}?digest={digest}", data).status == 201
        return digest

    def pull(self, repository: str, digest: str, **headers: str) -> urllib3.BaseHTTPResponse:
        """A blob, from wherever the registry sends its reader."""
        answer = self.ask("GET", f"/v2/{repository}/blobs/{digest}", None, **headers)
        if answer.status != 307:
            return answer
        return self._http.request("GET", answer.headers["Location"], headers=headers, retries=False, timeout=60)


@dataclass(frozen=True)
class Served:
    """A registry on a storage; ``redirects`` when its readers are sent there."""

    client: Client
    redirects: bool


@pytest.fixture(scope="module", params=["s3", "s3 through", "gcs", "azure", "swift"])
def served(
    request: pytest.FixtureRequest, backends: Callable[[str], Storage], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A registry on each kind of storage, for all tests that name their repositories; S3 without redirects too."""
    kind, _, through = request.param.partition(" ")
    folder = tmp_path_factory.mktemp("serving")
    storage = apart(backends(kind), folder)
    assert isinstance(storage, ObjectStorage)
    storage = cast("Storage", dataclasses.replace(storage, redirect=not through))
    with serving(storage, folder) as (host, _):
        yield Served(Client(host), redirects=kind in ("s3", "azure") and not through)


@pytest.fixture
def client(served: Served) -> Client:
    return served.client


def test_an_image_is_pushed_pulled_mounted_and_deleted(client: Client) -> None:
    layer, config = os.urandom(6 * MIB), b"{}"
    digests = [client.push("demo/app", data) for data in (layer, config)]
    manifest: dict[str, Any] = {"schemaVersion": 2, "mediaType": MANIFEST}
    manifest["config"] = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digests[1], "size": 2}
    manifest["layers"] = [
        {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digests[0], "size": len(layer)}
    ]
    body = json.dumps(manifest).encode()
    assert client.ask("PUT", "/v2/demo/app/manifests/v1", body, Content_Type=MANIFEST).status == 201
    assert client.ask("GET", "/v2/demo/app/manifests/v1", Accept=MANIFEST).data == body
    assert client.ask("GET", "/v2/demo/app/tags/list").json()["tags"] == ["v1"]
    head = client.ask("HEAD", f"/v2/demo/app/blobs/{digests[0]}")
    assert (head.status, head.headers["Content-Length"]) == (200, str(len(layer)))
    assert client.pull("demo/app", digests[0]).data == layer
    part = client.pull("demo/app", digests[0], Range="bytes=1000-1999")
    assert (part.status, part.data) == (206, layer[1000:2000])
    assert client.ask("GET", f"/v2/demo/app/blobs/{digests[0]}", Range=f"bytes={len(layer)}-").status == 416
    mounted = client.ask("POST", f"/v2/demo/other/blobs/uploads/?mount={digests[0]}&from=demo/app")
    assert mounted.status == 201
    assert client.pull("demo/other", digests[0]).data == layer
    assert client.ask("DELETE", f"/v2/demo/other/blobs/{digests[0]}").status == 202
    assert client.ask("GET", f"/v2/demo/other/blobs/{digests[0]}").status == 404
    assert client.pull("demo/app", digests[0]).data == layer
    assert client.ask("GET", "/healthz").status == 200


def cut(client: Client, data: bytes) -> str:
    """Where an upload is whose client sent 3 MiB, then 7 of the rest, and vanished."""
    location = client.ask("POST", "/v2/demo/resumed/blobs/uploads/").headers["Location"]
    assert client.ask("PATCH", location, data[: 3 * MIB], Content_Range=f"0-{3 * MIB - 1}").status == 202
    address, _, port = client.host.rpartition(":")
    with socket.create_connection((address, int(port))) as connection:
        head = f"PATCH {location} HTTP/1.1\r\nHost: {client.host}\r\nContent-Length: {len(data) - 3 * MIB}\r\n\r\n"
        connection.sendall(head.encode() + data[3 * MIB : 10 * MIB])
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1000)
    return location


def finish(client: Client, location: str, data: bytes) -> None:
    """Ask how far the upload is, send the rest, and have the blob back."""
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    status = client.ask("GET", location)
    assert status.status == 204
    size = int(status.headers["Range"].partition("-")[2]) + 1
    assert size == 10 * MIB
    rest = client.ask("PATCH", location, data[size:], Content_Range=f"{size}-{len(data) - 1}")
    assert rest.status == 202
    assert client.ask("PUT", f"{rest.headers['Location']}?digest={digest}").status == 201
    assert client.pull("demo/resumed", digest).data == data


def test_an_upload_that_was_cut_goes_on(client: Client) -> None:
    data = os.urandom(13 * MIB)
    finish(client, cut(client, data), data)


def test_an_upload_goes_on_in_another_process_after_the_first_was_killed(
    backends: Callable[[str], Storage], tmp_path: Path
) -> None:
    storage, data = apart(backends("s3"), tmp_path), os.urandom(13 * MIB)
    with serving(storage, tmp_path) as (host, process):
        location = cut(Client(host), data)
        assert Client(host).ask("GET", location).status == 204  # until what arrived is kept
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii").split()
        for pid in (*children, str(process.pid)):
            os.kill(int(pid), signal.SIGKILL)
        process.wait(10)
    with serving(storage, tmp_path) as (host, _):
        finish(Client(host), location, data)


def test_readers_are_sent_to_the_store_with_an_address_that_nobody_keeps(served: Served) -> None:
    digest = served.client.push("demo/app", b"small")
    answer = served.client.ask("GET", f"/v2/demo/app/blobs/{digest}", Authorization="Basic dGVzdDp3b3Jk")
    assert answer.status == (307 if served.redirects else 200)
    if served.redirects:
        assert "no-store" in answer.headers["Cache-Control"]
        assert answer.headers["Docker-Content-Digest"] == digest
        assert "dGVzdDp3b3Jk" not in answer.headers["Location"]


def test_clients_with_credentials_follow_to_the_store_and_leave_them_behind(
    backends: Callable[[str], Storage], tmp_path: Path
) -> None:
    """Amazon refuses a request that has a signature and somebody's token; versitygw does not, so it is looked at."""
    storage = apart(backends("s3"), tmp_path)
    assert isinstance(storage, S3)
    relay = Relay(storage.regionendpoint.removeprefix("http://"))
    # another host than the registry's, as in every installation
    endpoint = f"http://{relay.address}".replace("127.0.0.1", "localhost")
    elsewhere = dataclasses.replace(storage, regionendpoint=endpoint)
    users, word, content = tmp_path / "users", secrets.token_urlsafe(12), tmp_path / "layer.tar"
    users.write_text(f"mary:{bcrypt.hashpw(word.encode(), bcrypt.gensalt(4)).decode()}\n", encoding="utf-8")
    with tarfile.open(content, "w") as tar:
        tar.add(__file__, "content")
    crane = program("crane", "run `lab/lab build crane`")
    skopeo = program("skopeo", "apt-get install skopeo")
    login = {"DOCKER_CONFIG": str(tmp_path), "REGISTRY_AUTH_FILE": str(tmp_path / "config.json")}
    with closing(relay), serving(elsewhere, tmp_path, "--auth", f"htpasswd:{users}") as (host, _):
        image = f"{host}/demo/app:v1"
        run(crane, "auth", "login", host, "-u", "mary", "--password-stdin", env=login, stdin=word)
        run(crane, "append", "--insecure", "-f", content, "-t", image, env=login)
        run(crane, "validate", "--insecure", "--remote", image, env=login)
        target = f"oci:{tmp_path / 'pulled'}:v1"
        run(skopeo, "--insecure-policy", "copy", "--src-tls-verify=false", f"docker://{image}", target, env=login)
    assert any(b"X-Amz-Signature=" in head.split(b"\r\n")[0] for head in relay.heads)
    assert not any(word in head for head in relay.heads for word in (b"Bearer", b"Basic"))
