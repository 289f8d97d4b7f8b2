"""What is particular to one kind of store: addresses, certificates, encryption, rests, credentials."""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import io
import json
import os
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import boto3
import pytest
import urllib3
from botocore.config import Config
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository
from image_registry.storage import gcs, layout, s3, swift_access
from image_registry.storage import swift as swift_client
from image_registry.storage.blob_store import StorageFault
from image_registry.storage.choice import GCS, S3, Azure, Storage, Swift, open_store
from image_registry.storage.object_store import ObjectStore
from tests.clients.certificates import make_certificates
from tests.stores import servers
from tests.stores.test_contract import APP, DATA, DIGEST, MIB, upload

pytestmark = pytest.mark.slow

LARGE = os.urandom(6 * MIB)
LATER = timedelta(hours=1)


@pytest.fixture
def bucket(backends: Callable[[str], Storage], tmp_path: Path) -> S3:
    found = servers.apart(backends("s3"), tmp_path)
    assert isinstance(found, S3)
    return found


def amazon(bucket: S3) -> Any:
    """The bucket by the library itself."""
    return boto3.session.Session().client(
        "s3",
        region_name=bucket.region,
        endpoint_url=bucket.regionendpoint,
        aws_access_key_id=bucket.accesskey,
        aws_secret_access_key=bucket.secretkey,
        config=Config(s3={"addressing_style": "path"}),
    )


def test_keys_are_those_of_distribution(bucket: S3) -> None:
    store = open_store(bucket)
    upload(store, DATA, DIGEST)
    store.link_manifest(APP, DIGEST)
    store.write_tag(APP, "v1", DIGEST)
    listed = amazon(bucket).list_objects_v2(Bucket=bucket.bucket, Prefix=f"{bucket.rootdirectory}/")["Contents"]
    base = "docker/registry/v2/repositories/demo/app"
    assert [entry["Key"].removeprefix(f"{bucket.rootdirectory}/") for entry in listed] == [
        f"docker/registry/v2/blobs/sha256/{DIGEST.hex[:2]}/{DIGEST.hex}/data",
        f"{base}/_layers/sha256/{DIGEST.hex}/link",
        f"{base}/_manifests/revisions/sha256/{DIGEST.hex}/link",
        f"{base}/_manifests/tags/v1/current/link",
        f"{base}/_manifests/tags/v1/index/sha256/{DIGEST.hex}/link",
    ]


def test_a_store_with_a_ca_of_its_own_is_trusted_by_that_ca_alone(tmp_path: Path) -> None:
    made = make_certificates(tmp_path)
    options = ("--cert", str(made.certificate), "--key", str(made.key))
    with servers.s3(tmp_path, *options, scheme="https") as bucket:
        with pytest.raises(StorageFault, match="CERTIFICATE_VERIFY_FAILED"):
            open_store(bucket).stat(DIGEST)
        store = open_store(dataclasses.replace(bucket, trustedca=made.ca))
        upload(store, DATA, DIGEST)
        assert store.read(DIGEST) == DATA
        address = store.location(DIGEST)
        assert address is not None
        assert urllib3.PoolManager(ca_certs=str(made.ca)).request("GET", address).data == DATA
        with pytest.warns(urllib3.exceptions.InsecureRequestWarning):
            assert open_store(dataclasses.replace(bucket, skipverify=True)).read(DIGEST) == DATA


def test_the_bucket_can_be_part_of_the_host_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names below ``store.test`` are this machine, as the DNS of a site would say."""
    resolve = socket.getaddrinfo

    def site(host: str, *arguments: Any, **options: Any) -> Any:
        return resolve("127.0.0.1" if host.endswith("store.test") else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", site)
    with servers.s3(tmp_path, "--virtual-domain", "store.test") as bucket:
        port = bucket.regionendpoint.rpartition(":")[2]
        endpoint = f"http://store.test:{port}"
        store = open_store(dataclasses.replace(bucket, regionendpoint=endpoint, forcepathstyle=False))
        upload(store, LARGE, Digest.of(LARGE))
        assert store.read(Digest.of(LARGE)) == LARGE
        address = store.location(Digest.of(LARGE))
        assert address is not None
        assert address.startswith(f"http://images.store.test:{port}/some/where/docker/")
        assert urllib3.PoolManager().request("GET", address).data == LARGE


@pytest.mark.parametrize(
    ("settings", "sent"),
    [
        ({"encrypt": True}, {"ServerSideEncryption": "AES256"}),
        ({"encrypt": True, "keyid": "k"}, {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "k"}),
        ({}, {}),
    ],
    ids=["own key", "named key", "none"],
)
def test_everything_that_is_written_is_to_be_encrypted(
    bucket: S3, settings: dict[str, Any], sent: dict[str, str]
) -> None:
    """versitygw keeps nothing of it: what is looked at is the request."""
    client = s3.S3Client(dataclasses.replace(bucket, **settings))
    asked: dict[str, dict[str, Any]] = {}
    real = client._s3

    class Recording:
        def __getattr__(self, name: str) -> Any:
            def call(**options: Any) -> Any:
                asked[name] = {key: value for key, value in options.items() if key.startswith(("ServerSide", "SSE"))}
                return getattr(real, name)(**{key: value for key, value in options.items() if key not in asked[name]})

            return call if name.startswith(("put_", "copy_", "create_")) else getattr(real, name)

    client._s3 = Recording()
    store = ObjectStore(client, chunk=5 * MIB)
    upload(store, LARGE, Digest.of(LARGE))
    upload(store, DATA, DIGEST)
    assert asked == {"put_object": sent, "copy_object": sent, "create_multipart_upload": sent}


def test_a_key_that_the_store_does_not_know_makes_nothing_look_missing(bucket: S3) -> None:
    """versitygw answers 404 to it: pulls would be told that there is no such blob, and clients would push it again."""
    open_store(bucket).put_blob(APP, DATA, DIGEST)
    store = open_store(dataclasses.replace(bucket, accesskey="nobody", secretkey="hidden-word"))
    for ask in (store.probe, lambda: store.blob_linked(APP, DIGEST), lambda: store.read(DIGEST)):
        with pytest.raises(StorageFault, match="check the credentials") as refused:
            ask()
        assert "hidden-word" not in str(refused.value)


def test_joins_that_were_broken_off_are_swept(bucket: S3) -> None:
    key = f"{bucket.rootdirectory}/{layout.blob_data(DIGEST)}"
    amazon(bucket).create_multipart_upload(Bucket=bucket.bucket, Key=key)
    store, now = open_store(bucket), datetime.now(UTC)
    assert store.sweep(now - LATER) == 0
    assert store.sweep(now + LATER) == 1
    left = amazon(bucket).list_multipart_uploads(Bucket=bucket.bucket).get("Uploads", [])
    assert [found for found in left if found["Key"] == key] == []


def test_a_listing_of_many_pages_is_whole(bucket: S3) -> None:
    client = s3.S3Client(bucket)
    keys = [f"many/{number:05d}/link" for number in range(1005)]
    for key in keys:
        client.put(key, io.BytesIO(b"x"), 1)
    assert [entry.key for entry in client.entries("many/")] == keys
    assert list(client.folders("many/")) == [key.split("/")[1] for key in keys]
    client.delete(keys)
    assert list(client.entries("many/")) == []


@contextmanager
def token_endpoint() -> Iterator[str]:
    """A fake of Google's token endpoint: it gives everybody a token, and the store asks nobody for one."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = json.dumps({"access_token": "token", "expires_in": 3600, "token_type": "Bearer"}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the name is its parent's
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/token"
    finally:
        server.shutdown()
        server.server_close()


def test_the_key_of_a_service_account_signs_addresses(backends: Callable[[str], Storage], tmp_path: Path) -> None:
    bucket = servers.apart(backends("gcs"), tmp_path)
    assert isinstance(bucket, GCS)
    pem = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with token_endpoint() as token_uri:
        account = {
            "type": "service_account",
            "client_email": "registry@example.iam.gserviceaccount.com",
            "token_uri": token_uri,
            "private_key": pem.decode(),
            "private_key_id": "1",
            "project_id": "example",
        }
        store = open_store(dataclasses.replace(bucket, keyfile=json.dumps(account)))
        upload(store, LARGE, Digest.of(LARGE))
        assert store.read(Digest.of(LARGE)) == LARGE
        address = store.location(Digest.of(LARGE))
    assert address is not None
    assert "X-Goog-Signature=" in address
    assert "X-Goog-Expires=1200" in address
    assert urllib3.PoolManager().request("GET", address).data == LARGE


def test_a_key_that_is_none_is_refused_without_showing_it() -> None:
    with pytest.raises(StorageFault, match="REGISTRY_STORAGE_GCS_KEYFILE is not the JSON key") as google:
        open_store(GCS(bucket="images", keyfile='{"private_key": "hidden-word"}'))
    with pytest.raises(StorageFault, match="REGISTRY_STORAGE_AZURE_ACCOUNTKEY is not a key") as azure:
        open_store(Azure(accountname="images", container="images", accountkey="hidden-word!"))
    assert "hidden-word" not in f"{google.value}{azure.value}"


def test_an_upload_of_many_pieces_is_composed_in_rounds(
    backends: Callable[[str], Storage], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gcs, "COMPOSED", 3)
    store = open_store(servers.apart(backends("gcs"), tmp_path))
    data, upload_id = os.urandom(20), str(uuid.uuid4())
    store.begin_upload(APP, upload_id)
    for offset in range(20):
        store.append(APP, upload_id, offset, io.BytesIO(data[offset : offset + 1]), None)
    store.commit_upload(APP, upload_id, Digest.of(data), 20)
    assert store.read(Digest.of(data)) == data
    assert store.sweep(datetime.now(UTC) + LATER) == 0


@pytest.mark.parametrize("kind", ["s3", "gcs", "azure", "swift"])
def test_a_piece_that_is_larger_than_what_is_held_in_memory_arrives_whole(
    kind: str, backends: Callable[[str], Storage], tmp_path: Path
) -> None:
    storage = dataclasses.replace(cast("Any", servers.apart(backends(kind), tmp_path)), chunksize=40 * MIB)
    store, data = open_store(storage), os.urandom(33 * MIB)
    upload(store, data, Digest.of(data))
    assert hashlib.sha256(store.read(Digest.of(data))).digest() == hashlib.sha256(data).digest()


@pytest.fixture
def container(backends: Callable[[str], Storage], tmp_path: Path) -> Swift:
    found = servers.apart(backends("swift"), tmp_path)
    assert isinstance(found, Swift)
    return found


def test_segments_stay_with_their_blob_and_go_without_it(container: Swift) -> None:
    store, client = open_store(container), swift_client.SwiftClient(container)
    upload(store, LARGE, Digest.of(LARGE))
    assert store.sweep(datetime.now(UTC) + LATER) == 0
    assert open_store(container).read(Digest.of(LARGE)) == LARGE
    client.delete([layout.blob_data(Digest.of(LARGE))])
    assert store.sweep(datetime.now(UTC) - LATER) == 0
    assert store.sweep(datetime.now(UTC) + LATER) == 1
    assert store.sweep(datetime.now(UTC) + LATER) == 0


def test_a_token_that_is_not_accepted_any_more_is_replaced(container: Swift) -> None:
    client = swift_client.SwiftClient(container)
    base, _ = client._access.get()
    client._access._found = (base, "AUTH_tkgone")
    assert client.size("nothing") is None
    assert client._access.get()[1] != "AUTH_tkgone"


def test_a_wrong_password_and_a_missing_container_are_said_with_the_cure(container: Swift) -> None:
    with pytest.raises(StorageFault, match="check user, password and project") as refused:
        open_store(dataclasses.replace(container, password="hidden-word")).probe()
    assert "hidden-word" not in str(refused.value)
    with pytest.raises(StorageFault, match="make the container, or correct its name"):
        list(open_store(dataclasses.replace(container, container="nowhere")).repositories())


def test_keystone_is_told_who_logs_in_to_what() -> None:
    """There is no Keystone in this test: what is sent is looked at."""
    named = Swift(authurl="u", container="c", username="user", password="word", tenant="project", domain="Default")
    assert swift_access.identity(named) == {
        "identity": {
            "methods": ["password"],
            "password": {"user": {"name": "user", "password": "word", "domain": {"name": "Default"}}},
        },
        "scope": {"project": {"name": "project", "domain": {"name": "Default"}}},
    }
    application = Swift(authurl="u", container="c", applicationcredentialid="id", applicationcredentialsecret="secret")
    assert swift_access.identity(application) == {
        "identity": {"methods": ["application_credential"], "application_credential": {"id": "id", "secret": "secret"}}
    }


def test_many_repositories_are_listed_by_namespace(bucket: S3) -> None:
    store = open_store(bucket)
    for name in ("demo/app", "demo/app2", "other/app"):
        store.link_blob(Repository.parse(name), DIGEST)
    assert sorted(map(str, store.repositories())) == ["demo/app", "demo/app2", "other/app"]
    assert sorted(map(str, store.repositories("demo"))) == ["demo/app", "demo/app2"]
    assert set(store.held(APP).blobs) == {DIGEST}
