"""Real object stores on the loopback address, each from a pinned program, with generated credentials.

What they serve lies in the folder they are given. The programs are built once, outside of the repository, by
``lab/lab build``; a missing one fails the test and names that command.
"""

from __future__ import annotations

import base64
import dataclasses
import os
import secrets
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import urllib3
from azure.storage.blob import ContainerClient

from image_registry.storage.choice import GCS, S3, Azure, Filesystem, Storage, Swift
from image_registry_lab import places
from tests.serve.conftest import free_port, wait_for_port

CURE = "run `lab/lab build versitygw fake-gcs-server azurite swift`"
BUCKET = "images"


def program(name: str) -> str:
    """The path of a store's program; fails with the cure."""
    found = places.Places(places.cache()).programs / name
    if not found.exists():
        pytest.fail(f"{name} is needed by this test: {CURE}")
    return str(found)


@contextmanager
def running(command: list[str], host: str, log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A server from when it listens until it has ended."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env={"PATH": os.environ["PATH"], **environment}
        )
    try:
        wait_for_port(host, process, log)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


@contextmanager
def filesystem(folder: Path) -> Iterator[Storage]:
    """A folder."""
    yield Filesystem(rootdirectory=folder / "registry")


@contextmanager
def s3(folder: Path, *options: str, scheme: str = "http") -> Iterator[S3]:
    """versitygw on a folder."""
    host, served = f"127.0.0.1:{free_port()}", folder / "s3"
    (served / BUCKET).mkdir(parents=True)
    access, secret = secrets.token_hex(10), secrets.token_hex(20)
    command = [program("versitygw"), "--port", host, "--keep-alive", *options, "posix", str(served)]
    keys = {"ROOT_ACCESS_KEY": access, "ROOT_SECRET_KEY": secret}
    with running(command, host, folder / "s3.log", **keys):
        yield S3(
            bucket=BUCKET,
            regionendpoint=f"{scheme}://{host}",
            rootdirectory="some/where",
            accesskey=access,
            secretkey=secret,
            chunksize=5 << 20,
        )


@contextmanager
def gcs(folder: Path) -> Iterator[GCS]:
    """fake-gcs-server; the account whose key signs is made up, and the server does not ask for it."""
    host = f"127.0.0.1:{free_port()}"
    bucket = folder / "gcs" / BUCKET
    bucket.mkdir(parents=True)
    options = ["-scheme", "http", "-host", "127.0.0.1", "-port", host.rpartition(":")[2], "-backend", "filesystem"]
    options += ["-filesystem-root", str(folder / "gcs"), "-public-host", host, "-external-url", f"http://{host}"]
    with running([program("fake-gcs-server"), *options], host, folder / "gcs.log"):
        yield GCS(bucket=BUCKET, endpoint=f"http://{host}", rootdirectory="some/where", chunksize=5 << 20)


@contextmanager
def azure(folder: Path) -> Iterator[Azure]:
    """Azurite, with one account and a container in it."""
    host, key = f"127.0.0.1:{free_port()}", base64.b64encode(secrets.token_bytes(32)).decode()
    place = folder / "azure"
    place.mkdir()
    main = Path(program("azurite")) / "node_modules/azurite/dist/src/blob/main.js"
    node = shutil.which("node") or pytest.fail("node is needed by this test: apt-get install nodejs")
    options = ["--silent", "--disableTelemetry", "--skipApiVersionCheck"]
    command = [node, str(main), "--blobPort", host.rpartition(":")[2], "--location", str(place), *options]
    accounts = f"account:{key}"
    with running(command, host, folder / "azure.log", AZURITE_ACCOUNTS=accounts):
        endpoint = f"http://{host}/account"
        ContainerClient(endpoint, BUCKET, credential={"account_name": "account", "account_key": key}).create_container()
        yield Azure(
            accountname="account",
            container=BUCKET,
            endpoint=endpoint,
            accountkey=key,
            rootdirectory="some/where",
            chunksize=5 << 20,
        )


@contextmanager
def swift(folder: Path) -> Iterator[Swift]:
    """OpenStack Swift, with one account and a container in it."""
    host, user, key = f"127.0.0.1:{free_port()}", "user", secrets.token_hex(10)
    place, made = folder / "swift", Path(program("swift"))
    place.mkdir()
    command = [str(made / "bin/python"), "-W", "ignore", str(made / "serve.py"), str(place), host.rpartition(":")[2]]
    with running(command, host, folder / "swift.log", SWIFT_USER=user, SWIFT_KEY=key):
        http = urllib3.PoolManager()
        login = f"http://{host}/auth/v1.0"
        account = http.request("GET", login, headers={"X-Auth-User": f"lab:{user}", "X-Auth-Key": key})
        assert account.status == 200, account.data
        access = {"X-Auth-Token": account.headers["X-Auth-Token"]}
        made_container = http.request("PUT", f"{account.headers['X-Storage-Url']}/{BUCKET}", headers=access)
        assert made_container.status < 300, made_container.data
        yield Swift(
            authurl=login,
            container=BUCKET,
            tenant="lab",
            username=user,
            password=key,
            rootdirectory="some/where",
            chunksize=5 << 20,
        )


BACKENDS = {"filesystem": filesystem, "s3": s3, "gcs": gcs, "azure": azure, "swift": swift}


def apart(storage: Storage, folder: Path) -> Storage:
    """The same server, below a prefix that nobody else uses."""
    if isinstance(storage, Filesystem):
        return Filesystem(rootdirectory=folder)
    return dataclasses.replace(storage, rootdirectory=f"tests/{uuid.uuid4().hex}")
