"""Pruning and garbage collection together, over the real storage and the real tables: whatever has happened before,
nothing that somebody needs goes, and what stays is exactly what can be reached.

Clients push over the real door of the registry, people use the real Image API; workloads are lists of a named fake.
What must stay is said here in another way than by the plan or the mark.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from werkzeug.test import Client

from image_registry.auth.local import AllowAll
from image_registry.distribution_api.app import create_app
from image_registry.distribution_api.parts import Parts
from image_registry.garbage.links import clean_pending
from image_registry.metadata.database import Database
from image_registry.oci import media_types
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository
from image_registry.storage.filesystem import FilesystemStore
from tests.app.distribution_api.conftest import Registry, manifest_of
from tests.app.garbage.conftest import Yard
from tests.app.image_api.conftest import FakeCluster, ImageAPI
from tests.app.pruning.conftest import PrunedCluster
from tests.app.schema import upgraded

NAMES = ("team/app", "team/web", "other/app")
REPOSITORIES = st.sampled_from(NAMES)
TAGS = st.sampled_from(["v1", "v2"])
LAYERS = st.lists(st.sampled_from([b"one", b"two", b"three", b"four"]), min_size=1, max_size=3, unique=True)
WHICH = st.integers(0, 20)
CONFIG = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {}}).encode()
DAY, HOUR = timedelta(hours=25), 3600

Place = tuple[str, str]
"""Repository and digest."""


@dataclass(frozen=True)
class Made:
    """A manifest that somebody pushed once."""

    raw: bytes
    blobs: tuple[bytes, ...] = ()
    children: tuple[str, ...] = ()
    subject: str = ""


class Cluster(RuleBasedStateMachine):
    """``held`` and ``tags`` are what clients and people did, not what the tables say."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        root = Path(self.folder.name)
        self.database = Database(upgraded(f"sqlite:///{root / 'metadata.db'}"))
        self.api = ImageAPI(self.database, FakeCluster())
        self.api.now = datetime.now(UTC)
        self.store = FilesystemStore(root / "blobs")
        parts = Parts(store=self.store, streams=self.api.streams, authorizer=AllowAll())
        self.client = Client(create_app(parts))
        registry = Registry(self.client, self.store, self.api.streams, self.database, parts)
        self.yard = Yard(registry, root / "blobs")
        self.cluster = PrunedCluster(self.api)
        self.made: dict[str, Made] = {}
        self.held: dict[Place, int] = {}
        """When each came into its repository, or was pushed again without a tag."""
        self.tags: dict[Place, str] = {}
        self.promised: set[tuple[str, bytes]] = set()
        """Blobs that a client was told of since the last day passed."""
        self.uploads: list[tuple[str, str, bytes]] = []
        self.used: list[tuple[str, str, str]] = []
        """Of each workload: repository, tag or digest, and the digest of what runs, if it runs."""

    def teardown(self) -> None:
        self.database.dispose()
        self.folder.cleanup()

    # clients

    @initialize(past=st.lists(st.tuples(REPOSITORIES, st.none() | TAGS, LAYERS), min_size=4, max_size=10))
    def something_is_there_already(self, past: list[tuple[str, str | None, list[bytes]]]) -> None:
        """What is young stays: a history that begins with nothing has little to prune."""
        for repository, tag, layers in past:
            self._push_image(repository, tag, layers)
        self.a_day_passes()

    @rule(repository=REPOSITORIES, tag=st.none() | TAGS, layers=LAYERS)
    def push(self, repository: str, tag: str | None, layers: list[bytes]) -> None:
        self._push_image(repository, tag, layers)

    @rule(repository=REPOSITORIES, tag=st.none() | TAGS, parts=st.lists(LAYERS, min_size=1, max_size=2))
    def push_index(self, repository: str, tag: str | None, parts: list[list[bytes]]) -> None:
        children = list(dict.fromkeys(self._push_image(repository, None, layers) for layers in parts))
        entries = [
            {"mediaType": media_types.OCI_MANIFEST, "digest": child, "size": len(self.made[child].raw),
             "platform": {"os": "linux", "architecture": ("amd64", "arm64")[number]}}
            for number, child in enumerate(children)
        ]  # fmt: skip
        document = {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": entries}
        raw = json.dumps(document).encode()
        self._put(repository, tag, Made(raw, children=tuple(children)), media_types.OCI_INDEX)

    @rule(repository=REPOSITORIES, which=WHICH, layers=LAYERS)
    def push_referrer(self, repository: str, which: int, layers: list[bytes]) -> None:
        """A signature as OCI has it."""
        if digest := self._one_of(repository, which):
            raw = self.made[digest].raw
            kind = json.loads(raw)["mediaType"]
            subject = {"mediaType": kind, "digest": digest, "size": len(raw)}
            self._push_image(repository, None, layers, subject=subject)

    @rule(repository=REPOSITORIES, which=WHICH, layers=LAYERS)
    def push_signature(self, repository: str, which: int, layers: list[bytes]) -> None:
        """A signature under a tag of its own."""
        if digest := self._one_of(repository, which):
            self._push_image(repository, f"sha256-{digest[7:]}.sig", [*layers, b"signature"])

    @rule(repository=REPOSITORIES, layers=LAYERS)
    def push_blobs(self, repository: str, layers: list[bytes]) -> None:
        """A push whose manifest is still to come."""
        for data in layers:
            self._send(repository, data)

    @rule(repository=REPOSITORIES, data=st.sampled_from([b"one", b"two", b"late"]))
    def begin_upload(self, repository: str, data: bytes) -> None:
        place = self.client.post(f"/v2/{repository}/blobs/uploads/").headers["Location"]
        answer = self.client.patch(place, data=data[:1])
        assert answer.status_code == 202, answer.text
        self.uploads.append((repository, answer.headers["Location"], data))

    @precondition(lambda self: bool(self.uploads))
    @rule()
    def end_upload(self) -> None:
        repository, place, data = self.uploads.pop()
        joint = "&" if "?" in place else "?"
        answer = self.client.put(f"{place}{joint}digest={Digest.of(data)}", data=data[1:])
        assert answer.status_code == 201, answer.text
        self.promised.add((repository, data))

    @rule(repository=REPOSITORIES, source=REPOSITORIES, data=st.sampled_from([b"one", b"two"]))
    def mount(self, repository: str, source: str, data: bytes) -> None:
        answer = self.client.post(f"/v2/{repository}/blobs/uploads/?mount={Digest.of(data)}&from={source}")
        if answer.status_code == 201:
            self.promised.add((repository, data))

    # people

    @rule(repository=REPOSITORIES, tag=TAGS)
    def delete_tag(self, repository: str, tag: str) -> None:
        namespace, name = repository.split("/")
        if self.tags.pop((repository, tag), None):
            self.api.delete(f"namespaces/{namespace}/imagestreamtags/{name}:{tag}")
            self._cleaned()

    @rule(repository=REPOSITORIES, which=WHICH)
    def delete_manifest(self, repository: str, which: int) -> None:
        digest = self._one_of(repository, which)
        if digest and self.client.delete(f"/v2/{repository}/manifests/{digest}").status_code == 202:
            del self.held[repository, digest]
            for place in [place for place, meant in self.tags.items() if (place[0], meant) == (repository, digest)]:
                del self.tags[place]
            self._cleaned()

    @rule(repository=REPOSITORIES)
    def delete_stream(self, repository: str) -> None:
        namespace, name = repository.split("/")
        if self.api.ask(f"namespaces/{namespace}/imagestreams/{name}", method="DELETE").status_code == 200:
            self.held = {place: when for place, when in self.held.items() if place[0] != repository}
            self.tags = {place: digest for place, digest in self.tags.items() if place[0] != repository}
            self.promised = {(name, data) for name, data in self.promised if name != repository}
            self._cleaned()

    @rule(repository=REPOSITORIES, tag=TAGS, kind=st.sampled_from(["Deployment", "CronJob"]))
    def deploy(self, repository: str, tag: str, kind: str) -> None:
        self.cluster.run(f"{self.cluster.host}/{repository}:{tag}", kind=kind)
        self.used.append((repository, tag, ""))

    @rule(repository=REPOSITORIES, which=WHICH)
    def deploy_by_digest(self, repository: str, which: int) -> None:
        if digest := self._one_of(repository, which):
            self.cluster.run(f"{self.cluster.public}/{repository}@{digest}")
            self.used.append((repository, digest, ""))

    @rule(repository=REPOSITORIES, which=WHICH, child=st.booleans())
    def start(self, repository: str, which: int, child: bool) -> None:
        """A Pod that runs an image, or of an index the first one that it lists; the tag may move on."""
        if digest := self._one_of(repository, which):
            children = self.made[digest].children
            running = children[0] if child and children else digest
            self.cluster.pod(f"{self.cluster.host}/{repository}:v1", f"{self.cluster.host}/{repository}@{running}")
            self.used.append((repository, "v1", running))

    @precondition(lambda self: bool(self.used))
    @rule()
    def everybody_stops(self) -> None:
        for things in self.cluster.lists.values():
            things.clear()
        self.used.clear()

    # time

    @rule()
    def a_day_passes(self) -> None:
        self.yard.pass_time(DAY)
        self.api.now += DAY
        self.promised.clear()
        self.uploads.clear()  # their sessions are over

    # upkeep

    @rule(revisions=st.integers(0, 2), over_limit=st.sampled_from([False, False, True]), later=st.booleans())
    def prune(self, revisions: int, over_limit: bool, later: bool) -> None:
        if later:
            self.a_day_passes()
        if over_limit:
            limit = {"type": "alauda.io/Image", "max": {"storage": "9"}}
            sizes = {"metadata": {"name": "sizes", "namespace": "team"}, "spec": {"limits": [limit]}}
            self.cluster.lists["/api/v1/limitranges"] = [sizes]
        self._prune(keep_tag_revisions=revisions, over_limit=over_limit)

    @rule(trash=st.sampled_from([timedelta(0), timedelta(hours=24)]))
    def collect(self, trash: timedelta) -> None:
        before = self._seen()
        plan = self.yard.collect(dry_run=True, trash=trash)
        assert self._seen() == before  # looking changes nothing
        done = self.yard.collect(trash=trash)
        assert set(plan.links) == set(done.links)
        for name in ("thrown_away", "removed"):
            assert {one.digest for one in getattr(plan, name)} == {one.digest for one in getattr(done, name)}
        assert set(plan.taken_back) == set(done.taken_back)
        assert not done.failed
        assert not done.skipped
        self._everything_is_there()

    @rule(revisions=st.integers(0, 1))
    def what_is_left_is_what_can_be_reached(self, revisions: int) -> None:
        self.a_day_passes()
        self._prune(keep_tag_revisions=revisions)
        self.yard.collect(trash=timedelta(0))
        self.store.sweep(datetime.now(UTC))
        images = self.cluster.images()
        reached = {digest for image in images for digest in self._reached(image)}
        assert self.yard.blobs() == reached
        assert list(self.store.trash()) == []
        assert not list(self.yard.root.rglob("_uploads/*"))
        for name in NAMES:
            links = self.store.links(Repository.parse(name))
            here = {digest for repository, digest in self.held if repository == name}
            assert {str(digest) for digest in links.manifests} == here
            assert {str(digest) for digest in links.blobs} == {
                str(Digest.of(data)) for digest in here for data in self.made[digest].blobs
            }
        again = self.yard.collect(trash=timedelta(0))
        assert (again.links, again.thrown_away, again.removed, again.waiting) == ([], [], [], [])

    # how

    def _prune(self, **rules: Any) -> None:
        tags, needed = self.cluster.tags(), self._needed(**rules)
        assert self.cluster.held() == set(self.held)  # what clients were told is what the tables say
        before, images = self._seen(), self.cluster.images()
        plan = self.cluster.plan(later=0, **rules)
        planned = {(f"{release.namespace}/{release.name}", release.digest) for release in plan.releases()}
        deleted = set(plan.deletions())
        assert not planned & needed  # nothing protected is ever in the plan
        assert not deleted & ({digest for _, digest in needed} | {running for *_, running in self.used})
        assert (self._seen(), self.cluster.tags()) == (before, tags)  # the dry run changes nothing

        outcome = self.cluster.prune(later=0, **rules)
        totals = plan.totals
        assert (outcome.failed, outcome.kept, outcome.stopped) == (0, 0, "")
        assert (outcome.dropped_events, outcome.released, outcome.deleted_images) == (
            totals.dropped_events,
            totals.released,
            totals.deleted_images,
        )
        assert self.cluster.held() == set(self.held) - planned
        assert self.cluster.images() == images - deleted
        self._cleaned()

        self.held = {place: when for place, when in self.held.items() if place not in planned}
        after = self.cluster.tags()
        for name, events in after.items():
            assert events[0] == tags[name][0], "a tag came to mean something else"
        self.tags = {
            (repository, tag): digest
            for (repository, tag), digest in self.tags.items()
            if f"{repository}:{tag}" in after
        }
        seen = self._seen()
        again = self.cluster.prune(later=0, **rules)
        assert (again.dropped_events, again.released, again.deleted_images, again.failed) == (0, 0, 0, 0)
        self._cleaned()
        assert self._seen() == seen  # nothing more the second time
        self._everything_is_there()

    def _needed(self, *, keep_tag_revisions: int, over_limit: bool = False) -> set[Place]:
        """What must stay."""
        events = self.cluster.tags()
        now = self.cluster.now()
        needed = {(name, digest) for name, digest, _ in self.used if digest.startswith("sha256:")}
        needed |= {(name, self.tags[name, tag]) for name, tag, _ in self.used if (name, tag) in self.tags}
        running = {running for *_, running in self.used}
        needed |= {place for place in self.held if place[1] in running}
        if not over_limit:
            needed |= {place for place, when in self.held.items() if now - when < HOUR}
            needed |= {
                (name.partition(":")[0], digest)
                for name, meant in events.items()
                if not name.endswith(".sig")
                for digest in meant[:keep_tag_revisions]
            }
        needed &= set(self.held)
        while True:
            more = {place for found in needed for place in self._kept_by(found)} & set(self.held)
            if more <= needed:
                return needed
            needed |= more

    def _kept_by(self, place: Place) -> Iterator[Place]:
        repository, digest = place
        yield from ((repository, child) for child in self.made[digest].children)
        yield from ((name, other) for name, other in self.held if self.made[other].subject == digest)
        if signature := self.tags.get((repository, f"sha256-{digest[7:]}.sig")):
            yield repository, signature

    def _reached(self, image: str) -> Iterator[str]:
        made = self.made[image]
        yield image
        yield from (str(Digest.of(data)) for data in made.blobs)
        yield from made.children

    def _everything_is_there(self) -> None:
        for repository, digest in self.held:
            made = self.made[digest]
            assert self.client.get(f"/v2/{repository}/manifests/{digest}").data == made.raw
            for data in made.blobs:
                assert self.client.get(f"/v2/{repository}/blobs/{Digest.of(data)}").data == data
        for (repository, tag), digest in self.tags.items():
            answer = self.client.get(f"/v2/{repository}/manifests/{tag}")
            assert answer.headers["Docker-Content-Digest"] == digest
        for repository, data in self.promised:
            assert self.client.get(f"/v2/{repository}/blobs/{Digest.of(data)}").data == data

    def _seen(self) -> dict[str, float]:
        """Every file, and when it was written."""
        return {
            str(path): path.stat().st_mtime
            for path in self.yard.root.rglob("*")
            if path.is_file() and "_uploads" not in path.parts
        }

    def _one_of(self, repository: str, which: int) -> str:
        here = sorted(digest for name, digest in self.held if name == repository)
        return here[which % len(here)] if here else ""

    def _push_image(
        self, repository: str, tag: str | None, layers: list[bytes], subject: dict[str, Any] | None = None
    ) -> str:
        for data in (*layers, CONFIG):
            if (repository, data) not in self.promised:
                self._send(repository, data)
        about = {"subject": subject} if subject else {}
        raw = manifest_of(CONFIG, *layers, **about)
        made = Made(raw, (CONFIG, *layers), subject=subject["digest"] if subject else "")
        return self._put(repository, tag, made, media_types.OCI_MANIFEST)

    def _put(self, repository: str, tag: str | None, made: Made, kind: str) -> str:
        digest = str(Digest.of(made.raw))
        put = self.client.put(f"/v2/{repository}/manifests/{tag or digest}", data=made.raw, content_type=kind)
        assert put.status_code == 201, put.text
        self.made[digest] = made
        if tag is None:  # an index may follow
            self.held[repository, digest] = self.cluster.now()
        self.held.setdefault((repository, digest), self.cluster.now())
        if tag is not None:
            self.tags[repository, tag] = digest
        return digest

    def _send(self, repository: str, data: bytes) -> None:
        """As clients do: ask first, push what is not there."""
        if self.client.head(f"/v2/{repository}/blobs/{Digest.of(data)}").status_code != 200:
            self.yard.registry.upload(repository, data)
        self.promised.add((repository, data))

    def _cleaned(self) -> None:
        clean_pending(self.store, self.api.streams)


TestPrunedAndCollected: Any = Cluster.TestCase
TestPrunedAndCollected.settings = settings(
    max_examples=8, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
