"""A served registry with two workers, whose images lie in a real other registry: one fetch, whoever asks."""

from __future__ import annotations

import http.client
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from image_registry.imagestreams.service import ImageStreams
from image_registry.importing.importer import Importer
from image_registry.importing.requests import ImageWish, ImportWish, Policy
from image_registry.metadata.database import Database
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository
from image_registry.remote.credentials import Keyring
from image_registry.remote.registry import Registries
from image_registry.remote.sources import SourceRules
from image_registry.remote.wire import Wire
from tests.app.remote.conftest import LOOPBACK, REPOSITORY, Content, distribution
from tests.app.remote.faulting_proxy import Fault, FaultingProxy
from tests.app.schema import upgraded
from tests.serve.conftest import free_port, wait_for_port

STREAM = Repository("team", "imported")

SCRIPT = """
import sys
from pathlib import Path
from image_registry.auth.local import AllowAll
from image_registry.distribution_api.parts import Parts
from image_registry.importing.pull_through import PullThrough
from image_registry.remote.addresses import AddressRules
from image_registry.remote.credentials import Keyring
from image_registry.remote.registry import Registries
from image_registry.remote.sources import SourceRules
from image_registry.remote.wire import Wire
from image_registry.server import process, wiring
from image_registry.server.observability import Observability, shared_folder
from image_registry.server.settings import AuthMode, Settings
from image_registry.storage.choice import Filesystem, open_store

address, folder = sys.argv[1], Path(sys.argv[2])
settings = Settings(
    http_addr=address, storage=Filesystem(rootdirectory=folder / "blobs"),
    database_url=f"sqlite:///{folder}/metadata.db", auth=AuthMode.NONE,
)
numbers = shared_folder()

def build():
    watched = Observability(settings.audit, numbers, access=settings.access_log)
    store = watched.store(open_store(settings.storage))
    streams = wiring._streams_beside(store, settings, wiring.follow_modes(settings))
    registries = Registries(Wire(AddressRules.of(["127.0.0.0/8"])), SourceRules())
    pull_through = PullThrough(registries, streams.imports, store, lambda _namespace: Keyring())
    parts = Parts(store=store, streams=streams, authorizer=AllowAll(), pull_through=pull_through)
    return wiring._data_plane(settings, parts, watched)

process.run(process.Profile(name="image-registry", bind=address, workers=2, threads=32, build=build, tls=None))
"""


@dataclass
class Served:
    """The registry that pulls through, and the one that it pulls from."""

    host: str
    folder: Path
    proxy: FaultingProxy
    content: Content

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self.host, timeout=30)
        try:
            connection.request(method, f"/v2/{STREAM}/{path}", headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def bring(self) -> None:
        """Import, as the process of the Image API does."""
        database = Database(f"sqlite:///{self.folder / 'metadata.db'}")
        streams = ImageStreams(database, internal_hostname=self.host)
        registries = Registries(Wire(LOOPBACK), SourceRules())
        source = ImageWish(f"{self.proxy.host}/{REPOSITORY}:v1", "v1", Policy(insecure=True))
        wish = ImportWish(repository=STREAM, images=(source,), confirm_create=lambda: None)
        try:
            [item] = Importer(registries, streams.imports, lambda _namespace: Keyring()).run(wish).images
        finally:
            database.dispose()
        assert item.failure is None
        self.proxy.seen.clear()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    upgraded(f"sqlite:///{tmp_path / 'metadata.db'}")
    host, log = f"127.0.0.1:{free_port()}", tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, host, str(tmp_path)], stdout=output, stderr=output)
    try:
        wait_for_port(host, process, log)
        with distribution(tmp_path / "other") as other, FaultingProxy(other.host).running() as proxy:
            yield Served(host, tmp_path, proxy, other.content)
    finally:
        process.terminate()
        process.wait(40)


def test_a_crowd_pulls_through_two_workers_and_causes_one_fetch(served: Served) -> None:
    content = served.content
    blob = f"blobs/{content.blob}"
    # what is kept of "not there" must end with the import
    assert {served.ask(blob, "HEAD")[0] for _ in range(8)} == {404}
    served.bring()
    assert {served.ask(blob, "HEAD")[0] for _ in range(4)} == {200}
    with ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(lambda _number: served.ask(blob), range(60)))
    assert {status for status, _ in answers} == {200}
    assert all(body == content.layer for _, body in answers)
    assert len(served.proxy.asked("/blobs/")) == 1
    manifests = [served.ask("manifests/v1") for _ in range(6)]
    assert {Digest.of(body) for _, body in manifests} == {content.image}
    assert len(served.proxy.asked("/manifests/")) <= 2, "once for each worker at most"
    assert served.ask(blob, Range="bytes=5-9") == (206, content.layer[5:10])
    assert served.ask(f"blobs/sha256:{'0' * 64}", "HEAD")[0] == 404


def test_wrong_bytes_never_arrive_whole(served: Served) -> None:
    served.bring()
    served.proxy.faults.append(Fault("/blobs/", change=True))
    with pytest.raises(http.client.IncompleteRead) as broken:
        served.ask(f"blobs/{served.content.blob}")
    assert len(broken.value.partial) < len(served.content.layer)
