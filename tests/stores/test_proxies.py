"""Object stores behind an egress proxy: who goes through it, what it is shown, and what it is not."""

from __future__ import annotations

import dataclasses
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import urllib3

from image_registry.oci.digest import Digest
from image_registry.proxies import Proxies, Proxy
from image_registry.storage.blob_store import StorageFault
from image_registry.storage.choice import GCS, S3, Azure, Filesystem, Storage, Swift, open_store
from tests.app.remote.egress_proxy import EgressProxy
from tests.clients.certificates import make_certificates
from tests.stores import servers
from tests.stores.serving import environment, serving
from tests.stores.test_contract import APP, DATA, DIGEST, upload

pytestmark = pytest.mark.slow

FAR = "192.0.2.7"
"""An address for documents: nothing is there, so who reaches a store at it has gone through the proxy."""

Objects = S3 | GCS | Azure | Swift
OBJECT_STORES = [name for name in servers.BACKENDS if name != "filesystem"]


def moved(storage: Storage, host: str) -> tuple[Objects, str]:
    """The same store under another host, and where it really is."""
    assert not isinstance(storage, Filesystem)
    member = {S3: "regionendpoint", GCS: "endpoint", Azure: "endpoint", Swift: "authurl"}[type(storage)]
    parts = urlsplit(getattr(storage, member))
    elsewhere: Any = {member: parts._replace(netloc=f"{host}:{parts.port}").geturl()}
    return dataclasses.replace(storage, **elsewhere), parts.netloc


def through(egress: EgressProxy, *direct: str, user: str = "", password: str = "") -> Proxies:
    proxy = Proxy.parse(egress.url, user, password)
    return Proxies(proxy, proxy, direct)


def used(storage: Objects) -> None:
    """Everything that a push, a pull and a removal do."""
    store = open_store(storage)
    upload(store, DATA, DIGEST)
    store.write_tag(APP, "v1", DIGEST)
    assert store.read(DIGEST) == DATA
    assert store.tags(APP) == ["v1"]
    assert store.remove_tag(APP, "v1")


@pytest.mark.parametrize("kind", OBJECT_STORES)
def test_a_store_that_only_the_proxy_reaches_is_used_through_it(
    backends: Callable[[str], Storage], tmp_path: Path, kind: str
) -> None:
    storage, real = moved(servers.apart(backends(kind), tmp_path), FAR)
    far = f"{FAR}:{real.rpartition(':')[2]}"
    user, password = "the user", secrets.token_hex(10) + "/@:%"
    with EgressProxy({far: real}, user, password).running() as egress:
        used(dataclasses.replace(storage, proxies=through(egress, user=user, password=password)))
        assert {target for _, target, _ in egress.seen} == {far}


@pytest.mark.parametrize("kind", ["s3", "gcs", "swift"])
def test_a_store_that_no_proxy_shall_be_asked_for_is_used_directly(
    backends: Callable[[str], Storage], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Also if the environment names a proxy: what was said of this registry alone decides."""
    resolve = socket.getaddrinfo

    def site(host: str, *arguments: Any, **options: Any) -> Any:
        return resolve("127.0.0.1" if host.endswith(".site.test") else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", site)
    storage, _ = moved(servers.apart(backends(kind), tmp_path), "store.site.test")
    with EgressProxy({}, refuse=403).running() as egress:
        monkeypatch.setenv("HTTP_PROXY", egress.url)
        used(dataclasses.replace(storage, proxies=through(egress, ".site.test")))
        assert egress.seen == []
        with pytest.raises(StorageFault):
            open_store(dataclasses.replace(storage, proxies=through(egress, "elsewhere.test"))).stat(DIGEST)
        assert egress.seen


def test_tls_is_with_the_store_and_credentials_of_the_proxy_are_for_it_alone(tmp_path: Path) -> None:
    name = "store.far.test"
    made = make_certificates(tmp_path, name)
    options = ("--cert", str(made.certificate), "--key", str(made.key))
    password = secrets.token_hex(10)
    with servers.s3(tmp_path, *options, scheme="https") as bucket:
        storage, real = moved(dataclasses.replace(bucket, trustedca=made.ca), name)
        far = f"{name}:{real.rpartition(':')[2]}"
        with EgressProxy({far: real}, "user", password).running() as egress:
            used(dataclasses.replace(storage, proxies=through(egress, user="user", password=password)))
            assert {(method, target) for method, target, _ in egress.seen} == {("CONNECT", far)}
            assert all("authorization" not in headers for _, _, headers in egress.seen)
            refused = "another" + password
            with pytest.raises(StorageFault) as caught:
                open_store(dataclasses.replace(storage, proxies=through(egress, user="user", password=refused))).stat(
                    DIGEST
                )
            assert password not in str(caught.value)


def test_a_registry_pushes_to_a_bucket_behind_the_proxy_of_its_settings(
    backends: Callable[[str], Storage], tmp_path: Path
) -> None:
    storage, real = moved(servers.apart(backends("s3"), tmp_path), FAR)
    far, data = f"{FAR}:{real.rpartition(':')[2]}", os.urandom(1000)
    with EgressProxy({far: real}).running() as egress:
        with serving(storage, tmp_path, REGISTRY_PROXY_HTTP=egress.url) as (host, _):
            address = f"http://{host}/v2/demo/app/blobs/uploads/?digest={Digest.of(data)}"
            headers = {"Content-Type": "application/octet-stream"}
            answer = urllib3.request("POST", address, body=data, headers=headers, timeout=20)
            assert answer.status == 201, answer.data
        assert {target for method, target, _ in egress.seen if method == "PUT"} == {far}


def test_a_copy_to_a_store_that_a_file_describes_goes_through_the_proxy_of_the_pod(
    backends: Callable[[str], Storage], tmp_path: Path
) -> None:
    storage, real = moved(servers.apart(backends("s3"), tmp_path), FAR)
    far, source, target = f"{FAR}:{real.rpartition(':')[2]}", tmp_path / "source", tmp_path / "target"
    upload(open_store(Filesystem(rootdirectory=source)), DATA, DIGEST)
    said = {"REGISTRY_STORAGE": "s3", **environment(storage, tmp_path / "credentials")}
    target.write_text("".join(f"{name}={value}\n" for name, value in said.items()))
    with EgressProxy({far: real}).running() as egress:
        program = str(Path(sys.executable).parent / "image-registry")
        command = [program, "storage", "copy", "--from", str(source), "--to", str(target), "--confirm"]
        variables = {"PATH": os.environ["PATH"], "REGISTRY_PROXY_HTTP": egress.url}
        done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert {target for _, target, _ in egress.seen} == {far}
        assert open_store(dataclasses.replace(storage, proxies=through(egress))).read(DIGEST) == DATA
