"""Whatever happened before: nothing that somebody needs is lost, and everything else goes."""

from __future__ import annotations

import json
import tempfile
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from image_registry.garbage.links import clean_pending
from image_registry.imagestreams.errors import ImageInUse
from image_registry.imagestreams.inventory import Inventory
from image_registry.metadata.database import Database
from image_registry.oci import media_types
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository
from tests.app.distribution_api.conftest import assemble, manifest_of
from tests.app.garbage.conftest import Yard
from tests.app.schema import upgraded

REPOSITORIES = st.sampled_from(["demo/a", "demo/b", "other/c"])
TAGS = st.sampled_from(["v1", "v2"])
LAYERS = st.lists(st.sampled_from([b"one", b"two", b"three", b"four"]), min_size=1, max_size=3, unique=True)
CONFIG = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {}}).encode()


class History(RuleBasedStateMachine):
    """Pushes, deletes and collections in any order; ``held`` is what clients were promised."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        root = Path(self.folder.name)
        self.database = Database(upgraded(f"sqlite:///{root / 'metadata.db'}"))
        self.yard = Yard(assemble(self.database, root / "blobs"), root / "blobs")
        self.client = self.yard.registry.client
        self.held: dict[str, dict[str, tuple[Digest, list[bytes]]]] = {}
        self.promised: set[tuple[str, bytes]] = set()
        """Blobs that a client was told of since the last day passed."""

    def teardown(self) -> None:
        self.database.dispose()
        self.folder.cleanup()

    def _send(self, repository: str, data: bytes) -> None:
        """As clients do: ask first, push what is not there."""
        digest = Digest.of(data)
        if self.client.head(f"/v2/{repository}/blobs/{digest}").status_code != 200:
            self.yard.registry.upload(repository, data)
        self.promised.add((repository, data))

    @rule(repository=REPOSITORIES, layers=LAYERS)
    def push_blobs(self, repository: str, layers: list[bytes]) -> None:
        for data in (*layers, CONFIG):
            self._send(repository, data)

    @rule(repository=REPOSITORIES, source=REPOSITORIES, data=st.sampled_from([b"one", b"two"]))
    def mount(self, repository: str, source: str, data: bytes) -> None:
        answer = self.client.post(f"/v2/{repository}/blobs/uploads/?mount={Digest.of(data)}&from={source}")
        if answer.status_code == 201:
            self.promised.add((repository, data))

    @rule(repository=REPOSITORIES, tag=TAGS, layers=LAYERS)
    def push_image(self, repository: str, tag: str, layers: list[bytes]) -> None:
        for data in (*layers, CONFIG):
            if (repository, data) not in self.promised:
                self._send(repository, data)
        body = manifest_of(CONFIG, *layers)
        put = self.client.put(f"/v2/{repository}/manifests/{tag}", data=body, content_type=media_types.OCI_MANIFEST)
        assert put.status_code == 201, put.text
        self.held.setdefault(repository, {})[tag] = (Digest.of(body), layers)

    @rule(repository=REPOSITORIES, tag=TAGS)
    def delete(self, repository: str, tag: str) -> None:
        found = self.held.get(repository, {}).pop(tag, None)
        if found is None:
            return
        self.client.delete(f"/v2/{repository}/manifests/{found[0]}")
        clean_pending(self.yard.registry.store, self.yard.registry.streams)
        tags = self.held[repository]
        self.held[repository] = {name: value for name, value in tags.items() if value[0] != found[0]}

    @rule(repository=REPOSITORIES)
    def delete_stream(self, repository: str) -> None:
        if self.held.pop(repository, None) is not None:
            self.yard.registry.streams.delete_stream(Repository.parse(repository))
            clean_pending(self.yard.registry.store, self.yard.registry.streams)
            self.promised = {(name, data) for name, data in self.promised if name != repository}

    @rule()
    def forget_images(self) -> None:
        """What pruning does: Images that no stream holds go."""
        for image in self.yard.registry.streams.images().items:
            with suppress(ImageInUse):
                self.yard.registry.streams.delete_image(image.digest)

    @rule()
    def a_day_passes(self) -> None:
        self.yard.pass_time(timedelta(hours=25))
        self.promised.clear()

    @rule(trash=st.sampled_from([timedelta(0), timedelta(hours=24)]))
    def collect(self, trash: timedelta) -> None:
        plan = self.yard.collect(dry_run=True, trash=trash)
        done = self.yard.collect(trash=trash)
        assert set(plan.links) == set(done.links)
        assert {blob.digest for blob in plan.thrown_away} == {blob.digest for blob in done.thrown_away}
        assert {blob.digest for blob in plan.removed} == {blob.digest for blob in done.removed}
        assert set(plan.taken_back) == set(done.taken_back)

    @precondition(lambda self: bool(self.held))
    @rule()
    def everything_else_goes(self) -> None:
        self.yard.pass_time(timedelta(hours=25))
        self.promised.clear()
        self.yard.collect(trash=timedelta(0))
        needed = set(Inventory(self.database).digests())
        assert self.yard.blobs() <= needed

    @invariant()
    def everything_that_is_held_can_be_pulled(self) -> None:
        for repository, tags in self.held.items():
            for tag, (digest, layers) in tags.items():
                answer = self.client.get(f"/v2/{repository}/manifests/{tag}")
                assert answer.headers["Docker-Content-Digest"] == str(digest)
                for data in (*layers, CONFIG):
                    assert self.client.get(f"/v2/{repository}/blobs/{Digest.of(data)}").data == data

    @invariant()
    def promised_blobs_are_there(self) -> None:
        for repository, data in self.promised:
            assert self.client.get(f"/v2/{repository}/blobs/{Digest.of(data)}").data == data


TestHistories: Any = History.TestCase
TestHistories.settings = settings(
    max_examples=10, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
