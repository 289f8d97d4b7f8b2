"""Any sequence of pushes and deletes: a small model of what must be true, compared after every step."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from image_registry.imagestreams.cleaning import Kept
from image_registry.imagestreams.errors import ImageInUse, ImageStreamsError
from image_registry.imagestreams.tag_events import HISTORY
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository

NAMES = [Repository("a", "x"), Repository("a", "y"), Repository("b", "x")]
TAGS = ["1", "2", None]

steps = st.one_of(
    st.tuples(st.just("push"), st.sampled_from(NAMES), st.integers(0, 3), st.sampled_from(TAGS)),
    st.tuples(st.just("break"), st.sampled_from(NAMES), st.integers(0, 3), st.sampled_from(TAGS)),
    st.tuples(st.just("delete tag"), st.sampled_from(NAMES), st.integers(0, 3), st.sampled_from(TAGS[:2])),
    st.tuples(st.just("delete manifest"), st.sampled_from(NAMES), st.integers(0, 3), st.none()),
    st.tuples(st.just("delete stream"), st.sampled_from(NAMES), st.integers(0, 3), st.none()),
    st.tuples(st.just("delete image"), st.sampled_from(NAMES), st.integers(0, 3), st.none()),
    st.tuples(st.just("clean"), st.sampled_from(NAMES), st.integers(0, 3), st.none()),
)


class Broken(Exception):
    """A push that fails after its links are written."""


class Model:
    """What should be stored, and the links that a storage behind the rules would have."""

    def __init__(self, registry: Any) -> None:
        self.registry = registry
        self.held: dict[Repository, set[Digest]] = {}
        self.tags: dict[Repository, dict[str, list[Digest]]] = {}
        self.images: set[Digest] = set()
        self.links: dict[Repository, tuple[dict[str, Digest], set[Digest]]] = {name: ({}, set()) for name in NAMES}

    def do(self, what: str, name: Repository, number: int, tag: str | None) -> None:
        manifest = self.registry.image(number)
        digest = manifest.digest
        streams = self.registry.streams
        revision = streams.revision()
        changed = True
        try:
            if what == "push":
                outcome = self.registry.push(
                    str(name), manifest, tag, before_commit=lambda: self.link(name, digest, tag)
                )
                changed = outcome.created_stream or outcome.created_image or outcome.changed_tag
                self.pushed(name, digest, tag)
            elif what == "break":
                # the links are written, the commit fails
                broken = lambda: self.link_and_break(name, digest, tag)  # noqa: E731
                self.registry.push(str(name), manifest, tag, before_commit=broken)
            elif what == "delete tag":
                streams.delete_tag(name, tag)
                del self.tags[name][tag or ""]
            elif what == "delete manifest":
                removed = streams.delete_manifest(name, digest)
                meaning = [tag for tag, history in self.tags[name].items() if history[0] == digest]
                assert list(removed) == sorted(meaning)
                self.forget(name, digest)
            elif what == "delete stream":
                streams.delete_stream(name)
                del self.held[name], self.tags[name]
            elif what == "delete image":
                streams.delete_image(digest)
                self.images.remove(digest)
            else:
                changed = False
                streams.clean(name, lambda kept: self.sweep(name, kept))
        except Broken:
            changed = False
        except ImageInUse:
            changed = False
            assert any(digest in held for held in self.held.values())
        except ImageStreamsError:
            changed = False
            assert what != "push"
        assert (streams.revision() > revision) == changed

    def link(self, name: Repository, digest: Digest, tag: str | None) -> None:
        self.links[name][1].add(digest)
        if tag:
            self.links[name][0][tag] = digest

    def link_and_break(self, name: Repository, digest: Digest, tag: str | None) -> None:
        self.link(name, digest, tag)
        raise Broken

    def sweep(self, name: Repository, kept: Kept) -> bool:
        tags, manifests = self.links[name]
        self.links[name] = ({tag: kept.tags[tag] for tag in tags if tag in kept.tags}, manifests & kept.manifests)
        return True

    def pushed(self, name: Repository, digest: Digest, tag: str | None) -> None:
        self.images.add(digest)
        self.held.setdefault(name, set()).add(digest)
        tags = self.tags.setdefault(name, {})
        if tag and tags.get(tag, [])[:1] != [digest]:
            tags[tag] = [digest, *tags.get(tag, [])][:HISTORY]

    def forget(self, name: Repository, digest: Digest) -> None:
        self.held[name].remove(digest)
        left = {tag: [d for d in past if d != digest] for tag, past in self.tags[name].items() if past[0] != digest}
        self.tags[name] = left

    def check(self) -> None:
        streams = self.registry.streams
        page = streams.streams()
        assert [stream.repository for stream in page.items] == sorted(self.held)
        assert {image.digest for image in streams.images().items} == self.images
        for stream in page.items:
            name = stream.repository
            shown = {history.tag: [event.image for event in history.events] for history in stream.tags}
            assert shown == self.tags[name]
            assert list(streams.tags(name).items) == sorted(shown)
            for tag, past in shown.items():
                assert streams.tag(name, tag).digest == past[0]
                assert set(past) <= self.held[name], "history offers what is not held"
                if name not in streams.pending_cleanups():
                    assert self.links[name][0][tag] == past[0], "storage and tables disagree about a living tag"
            for digest in self.held[name]:
                assert streams.manifest(name, digest).digest == digest
            assert self.held[name] <= self.images
            assert self.held[name] <= self.links[name][1], "a held manifest has lost its link"
            assert 0 < stream.meta.resource_version <= page.revision

    def check_clean(self) -> None:
        """When nothing is pending, storage says exactly what the tables say."""
        for name in self.registry.streams.pending_cleanups():
            self.registry.streams.clean(name, lambda kept, name=name: self.sweep(name, kept))
        for name, (tags, manifests) in self.links.items():
            assert tags == {tag: past[0] for tag, past in self.tags.get(name, {}).items()}
            assert manifests == self.held.get(name, set())


@given(sequence=st.lists(steps, max_size=25))
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_sequence_of_pushes_and_deletes_keeps_every_promise(registry: Any, sequence: list[Any]) -> None:
    with registry.database.write() as connection:
        for table in ("cleanups", "image_streams", "images"):
            connection.exec_driver_sql(f"DELETE FROM {table}")  # noqa: S608
    model = Model(registry)
    for step in sequence:
        model.do(*step)
        model.check()
    model.check_clean()
    model.check()
