"""A store that fails: answers of 5xx, silence, connections that break, keys that are wrong, buckets that are not there.

The store is a real one; between it and the registry stands a small relay that breaks what it is told to break.
"""

from __future__ import annotations

import dataclasses
import io
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import pytest

from image_registry.oci.digest import Digest
from image_registry.storage import azure, gcs, object_uploads, s3, swift
from image_registry.storage.blob_store import BlobStore, StorageFault
from image_registry.storage.choice import S3, Storage, open_store
from tests.serve.conftest import free_port
from tests.stores import servers
from tests.stores.relay import Relay
from tests.stores.serving import serving
from tests.stores.test_contract import APP, MIB, upload
from tests.stores.test_serving import Client

pytestmark = pytest.mark.slow

DATA = os.urandom(6 * MIB)
DIGEST = Digest.of(DATA)


def said(status: str, code: str) -> bytes:
    """An answer of S3 that is a failure."""
    body = f"<Error><Code>{code}</Code><Message>not now</Message></Error>".encode()
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


SLOW = said("503 Slow Down", "SlowDown")
BROKEN = said("500 Internal Server Error", "InternalError")


@pytest.fixture
def bucket(backends: Callable[[str], Storage], tmp_path: Path) -> S3:
    found = servers.apart(backends("s3"), tmp_path)
    assert isinstance(found, S3)
    return found


@pytest.fixture
def relay(bucket: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    monkeypatch.setattr(s3, "READ", 1.0)
    monkeypatch.setattr(s3, "ATTEMPTS", 3)
    with closing(Relay(urlsplit(bucket.regionendpoint).netloc)) as found:
        yield found


@pytest.fixture
def store(bucket: S3, relay: Relay) -> BlobStore:
    """A store behind the relay."""
    return open_store(dataclasses.replace(bucket, regionendpoint=f"http://{relay.address}"))


OTHERS = {"gcs": "endpoint", "azure": "endpoint", "swift": "authurl"}
"""Where each kind of storage is told its address."""


@pytest.fixture(params=OTHERS)
def behind(
    request: pytest.FixtureRequest, backends: Callable[[str], Storage], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[BlobStore, Relay]]:
    """A store of each other kind behind a relay, with little patience."""
    monkeypatch.setattr(gcs, "RETRY", gcs.RETRY.with_deadline(3.0).with_delay(0.1, 2, 1))
    monkeypatch.setattr(azure, "FIRST_PAUSE", 0)
    monkeypatch.setattr(azure, "ATTEMPTS", 1)
    monkeypatch.setattr(swift, "PAUSE", 0.1)
    storage = servers.apart(backends(request.param), tmp_path)
    address = urlsplit(getattr(storage, OTHERS[request.param]))
    with closing(Relay(address.netloc)) as relay:
        changed = {OTHERS[request.param]: address._replace(netloc=relay.address).geturl()}
        yield open_store(dataclasses.replace(cast("Any", storage), **changed)), relay


def test_every_kind_of_store_is_asked_again_after_a_failure(behind: tuple[BlobStore, Relay]) -> None:
    store, relay = behind
    store.probe()
    relay.answers = [SLOW]
    upload(store, DATA, DIGEST)
    relay.answers = [BROKEN]
    assert store.read(DIGEST) == DATA


def test_every_kind_of_store_that_stays_broken_is_a_fault_that_says_where(behind: tuple[BlobStore, Relay]) -> None:
    store, relay = behind
    store.probe()
    relay.always = SLOW
    with pytest.raises(StorageFault, match=r"docker/registry/v2/blobs/.* in (bucket|container) images"):
        store.stat(DIGEST)
    relay.always = None
    assert store.stat(DIGEST) is None


def test_every_kind_of_store_goes_on_reading_where_a_connection_broke(behind: tuple[BlobStore, Relay]) -> None:
    store, relay = behind
    upload(store, DATA, DIGEST)
    relay.cut_after = 2 * MIB
    with store.open(DIGEST) as file:
        assert b"".join(iter(lambda: file.read(65536), b"")) == DATA
    assert relay.cut_after is None


@pytest.mark.parametrize("answer", [SLOW, BROKEN], ids=["SlowDown", "500"])
def test_a_store_that_is_slow_for_a_moment_is_asked_again(store: BlobStore, relay: Relay, answer: bytes) -> None:
    relay.answers = [answer, answer]
    upload(store, DATA, DIGEST)
    relay.answers = [answer]
    assert store.read(DIGEST) == DATA


@pytest.mark.parametrize("answer", [SLOW, BROKEN], ids=["SlowDown", "500"])
def test_a_store_that_stays_broken_is_a_fault_that_says_where(store: BlobStore, relay: Relay, answer: bytes) -> None:
    relay.answers = [answer] * 3
    with pytest.raises(StorageFault, match=r"cannot write docker/.*/\.probe in bucket images at .*(Slow|Inter)"):
        store.probe()
    assert relay.requests == 3


def test_silence_is_a_fault_and_not_a_wait_for_ever(store: BlobStore, relay: Relay) -> None:
    relay.silent = True
    begun = time.monotonic()
    with pytest.raises(StorageFault, match=r"[Tt]imed? ?out"):
        store.stat(DIGEST)
    assert time.monotonic() - begun < 15


def test_a_store_that_can_not_be_reached_is_a_fault(bucket: S3) -> None:
    nowhere = dataclasses.replace(bucket, regionendpoint=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(StorageFault, match="Could not connect"):
        open_store(nowhere).stat(DIGEST)


def test_a_connection_that_breaks_while_a_blob_is_read_goes_on_where_it_was(store: BlobStore, relay: Relay) -> None:
    upload(store, DATA, DIGEST)
    relay.cut_after = 2 * MIB
    with store.open(DIGEST) as file:
        assert b"".join(iter(lambda: file.read(65536), b"")) == DATA
    assert relay.cut_after is None


def test_a_piece_whose_answer_got_lost_is_written_once(store: BlobStore, relay: Relay) -> None:
    upload_id = str(uuid.uuid4())
    store.begin_upload(APP, upload_id)

    class Source:
        """Sends its bytes; from then on the store's next answer is lost."""

        def __init__(self) -> None:
            self.left = [b"bytes", b""]

        def read(self, _size: int, /) -> bytes:
            if len(self.left) == 1:
                relay.cut_after = 0
            return self.left.pop(0)

    assert store.append(APP, upload_id, 0, Source(), None) == 5
    assert store.upload_size(APP, upload_id) == 5
    store.commit_upload(APP, upload_id, Digest.of(b"bytes"), 5)
    assert store.read(Digest.of(b"bytes")) == b"bytes"


def test_an_upload_that_a_fault_cut_goes_on_when_the_store_is_back(store: BlobStore, relay: Relay) -> None:
    upload_id = str(uuid.uuid4())
    store.begin_upload(APP, upload_id)
    store.append(APP, upload_id, 0, io.BytesIO(DATA[:1000]), None)
    relay.answers = [BROKEN] * 4
    with pytest.raises(StorageFault):
        store.append(APP, upload_id, 1000, io.BytesIO(DATA[1000:]), None)
    relay.answers = []
    size = store.upload_size(APP, upload_id)
    store.append(APP, upload_id, size, io.BytesIO(DATA[size:]), None)
    for failing in range(1, 9):  # whichever request of the end fails, the next attempt completes it
        relay.answers = [BROKEN] * 3 if failing == 1 else []
        with suppress(StorageFault):
            store.commit_upload(APP, upload_id, DIGEST, len(DATA))
            break
    assert store.read(DIGEST) == DATA
    assert store.blob_linked(APP, DIGEST)


def test_a_join_that_comes_out_short_is_never_a_blob(store: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_uploads, "VISIBLE", (0.0, 0.0))
    real = s3.S3Client.join
    monkeypatch.setattr(s3.S3Client, "join", lambda client, key, pieces: real(client, key, pieces[:1]))
    upload_id = str(uuid.uuid4())
    store.begin_upload(APP, upload_id)
    store.append(APP, upload_id, 0, io.BytesIO(DATA), None)
    with pytest.raises(StorageFault, match="send the last request again"):
        store.commit_upload(APP, upload_id, DIGEST, len(DATA))
    assert store.stat(DIGEST) is None
    monkeypatch.undo()
    store.commit_upload(APP, upload_id, DIGEST, len(DATA))
    assert store.read(DIGEST) == DATA


def test_a_store_that_ignores_conditions_is_noticed_and_never_believed(
    bucket: S3, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = s3.S3Client.put

    def unconditional(client: s3.S3Client, key: str, data: io.BytesIO, length: int, *, new: bool = False) -> None:
        del new
        real(client, key, data, length)

    monkeypatch.setattr(s3.S3Client, "put", unconditional)
    upload(open_store(bucket), DATA, DIGEST)
    assert "ignores If-None-Match" in "".join(capsys.readouterr())
    store, other, upload_id, digest = open_store(bucket), open_store(bucket), str(uuid.uuid4()), Digest.of(b"first")

    class Meanwhile:
        """A client whose bytes are exchanged by those of another one."""

        def __init__(self) -> None:
            self.left = [b"first", b""]

        def read(self, _size: int, /) -> bytes:
            return self.left.pop(0)

    store.begin_upload(APP, upload_id)
    store.append(APP, upload_id, 0, Meanwhile(), None)
    piece = f"docker/registry/v2/repositories/demo/app/_uploads/{upload_id}/{0:020d}"
    s3.S3Client(bucket).put(piece, io.BytesIO(b"other"), 5)
    with pytest.raises(StorageFault, match="two requests wrote to one upload"):
        other.commit_upload(APP, upload_id, digest, 5)
    assert store.stat(digest) is None


def test_a_wrong_key_and_a_missing_bucket_are_said_with_the_cure_and_without_the_key(bucket: S3) -> None:
    wrong = dataclasses.replace(bucket, secretkey="0123456789abcdef")
    with pytest.raises(StorageFault, match="check the credentials") as refused:
        open_store(wrong).probe()
    assert "0123456789abcdef" not in str(refused.value)
    with pytest.raises(StorageFault, match=r"there is no bucket nowhere at .*: make the bucket, or correct its name"):
        open_store(dataclasses.replace(bucket, bucket="nowhere")).probe()


def test_clients_are_told_to_come_back_and_the_registry_is_not_ready(bucket: S3, relay: Relay, tmp_path: Path) -> None:
    placed = dataclasses.replace(bucket, regionendpoint=f"http://{relay.address}")
    with serving(placed, tmp_path) as (host, _):
        client = Client(host)
        digest = client.push("demo/app", b"small")
        relay.always = SLOW
        answer = client.ask("GET", f"/v2/demo/app/blobs/{digest}")
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.json()["errors"][0]["code"] == "UNAVAILABLE"
        relay.always = None
        assert client.pull("demo/app", digest).data == b"small"
        relay.always = BROKEN
        assert client.ask("GET", "/healthz").status == 503
        relay.always = None
        assert client.ask("GET", "/livez").status == 200
