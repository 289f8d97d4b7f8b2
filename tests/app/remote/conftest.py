"""Real registries to import from: CNCF distribution as Debian packages it, and our own, with users."""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import bcrypt
import pytest

from benchmarks.distribution_tree import Tree
from image_registry.oci import media_types
from image_registry.oci.digest import Digest
from image_registry.remote.addresses import AddressRules
from image_registry.remote.budget import Budget
from image_registry.remote.credentials import Keyring
from image_registry.remote.registry import Registries
from image_registry.remote.sources import SourceRules
from image_registry.remote.wire import Wire
from tests.app.remote.faulting_proxy import FaultingProxy
from tests.app.remote.zot import zot
from tests.clients.certificates import Certificates, make_certificates
from tests.serve.conftest import free_port, serve, wait_for_port

LOOPBACK = AddressRules.of(["127.0.0.0/8"])
REPOSITORY = "team/app"

_CONFIG = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {root}}}}}
http: {{addr: {address}}}
{auth}
"""


@dataclass(frozen=True)
class Content:
    """What the registries hold in ``team/app``."""

    layer: bytes
    image: Digest
    """Tags ``v1`` and ``latest``."""
    arm: Digest
    index: Digest
    """Tag ``multi``: the image for linux/amd64 and the other one for linux/arm64."""
    config: bytes

    @property
    def blob(self) -> Digest:
        return Digest.of(self.layer)


@dataclass(frozen=True)
class Remote:
    """A running registry without TLS."""

    host: str
    content: Content
    user: str = ""
    password: str = field(default="", repr=False)

    def keyring(self, host: str | None = None, password: str | None = None) -> Keyring:
        """A login for it under the name ``host``."""
        return keyring(host or self.host, self.user, self.password if password is None else password)


def keyring(host: str, user: str, password: str) -> Keyring:
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    return Keyring.parse(json.dumps({"auths": {host: {"auth": auth}}}).encode())


def fill(root: Path, repository: str = REPOSITORY) -> Content:
    """Two images and an index, as distribution lays them down."""
    tree = Tree(root)
    layer = os.urandom(700_000)
    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {}, "config": {"Cmd": ["run"]}}).encode()
    images = []
    for settings in (config, json.dumps({"architecture": "arm64", "os": "linux", "rootfs": {}}).encode()):
        for data in (settings, layer):
            tree.link(repository, f"_layers/sha256/{tree.blob(data).removeprefix('sha256:')}", str(Digest.of(data)))
        document = {
            "schemaVersion": 2,
            "mediaType": media_types.OCI_MANIFEST,
            "config": {"mediaType": media_types.OCI_CONFIG, "digest": str(Digest.of(settings)), "size": len(settings)},
            "layers": [
                {
                    "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                    "digest": str(Digest.of(layer)),
                    "size": len(layer),
                }
            ],
        }
        images.append(json.dumps(document).encode())
    entries = [
        {
            "mediaType": media_types.OCI_MANIFEST,
            "digest": str(Digest.of(image)),
            "size": len(image),
            "platform": {"os": "linux", "architecture": architecture},
        }
        for image, architecture in zip(images, ("amd64", "arm64"), strict=True)
    ]
    index = json.dumps({"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": entries}).encode()
    tags = {"v1": images[0], "latest": images[0], "1.0.0": images[0], "1.1.0": images[1], "multi": index}
    for raw in (*images, index):
        name = tree.blob(raw)
        tree.link(repository, f"_manifests/revisions/sha256/{name.removeprefix('sha256:')}", name)
    for tag, raw in tags.items():
        name = str(Digest.of(raw))
        tree.link(repository, f"_manifests/tags/{tag}/current", name)
        tree.link(repository, f"_manifests/tags/{tag}/index/sha256/{name.removeprefix('sha256:')}", name)
    return Content(layer, Digest.of(images[0]), Digest.of(images[1]), Digest.of(index), config)


@contextmanager
def distribution(folder: Path, *, user: str = "", password: str = "") -> Iterator[Remote]:
    """Debian's ``docker-registry`` over a filled folder."""
    program = shutil.which("docker-registry")
    assert program, "these tests import from CNCF distribution: apt-get install docker-registry"
    folder.mkdir(exist_ok=True)
    content, host, auth = fill(folder / "data"), f"127.0.0.1:{free_port()}", ""
    if user:
        users = folder / "users"
        users.write_text(f"{user}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()}\n", encoding="utf-8")
        auth = f"auth: {{htpasswd: {{realm: test, path: {users}}}}}"
    config, log = folder / "config.yml", folder / "log"
    config.write_text(_CONFIG.format(root=folder / "data", address=host, auth=auth), encoding="utf-8")
    with log.open("wb") as output:
        process = subprocess.Popen([program, "serve", str(config)], stdout=output, stderr=output)
    try:
        wait_for_port(host, process, log)
        yield Remote(host, content, user, password)
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def open_distribution(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    """CNCF distribution, open to everybody."""
    with distribution(tmp_path_factory.mktemp("open")) as remote:
        yield remote


@pytest.fixture(scope="session")
def guarded_distribution(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    """CNCF distribution that asks for Basic."""
    with distribution(tmp_path_factory.mktemp("guarded"), user="mary", password=secrets.token_urlsafe(12)) as remote:
        yield remote


@pytest.fixture(scope="session")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    """Our own registry, which asks for tokens."""
    folder = tmp_path_factory.mktemp("own")
    content = fill(folder / "registry")
    user, password = "john", secrets.token_urlsafe(12)
    users = folder / "users"
    users.write_text(f"{user}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()}\n", encoding="utf-8")
    for served in serve(folder, "--auth", f"htpasswd:{users}"):
        yield Remote(served.host, content, user, password)


@pytest.fixture(scope="session")
def guarded_zot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    """zot that asks for Basic, and holds nothing."""
    user, password = "zoe", secrets.token_urlsafe(12)
    nothing = Content(b"", Digest.of(b""), Digest.of(b""), Digest.of(b""), b"")
    with zot(tmp_path_factory.mktemp("zot"), user=user, password=password) as host:
        yield Remote(host, nothing, user, password)


@pytest.fixture
def proxy(open_distribution: Remote, certificates: Certificates) -> Iterator[FaultingProxy]:
    """TLS and faults in front of the open registry."""
    with FaultingProxy(open_distribution.host, certificates).running() as running:
        yield running


class Clock:
    """Time that passes by sleeping alone."""

    def __init__(self) -> None:
        self.now = time.monotonic()
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(certificates: Certificates, clock: Clock) -> Callable[..., Registries]:
    """Makes a client that trusts the CA of the tests, may connect to this machine, and does not really sleep."""

    def make(rules: SourceRules | None = None, addresses: AddressRules = LOOPBACK, *, trust: bool = True) -> Registries:
        wire = Wire(addresses, authorities=certificates.ca.read_text() if trust else "", connect=0.5, read=5)
        budget = Budget(clock=clock, sleep=clock.sleep)
        return Registries(wire, rules or SourceRules(), budget, sleep=clock.sleep)

    return make
