"""When the database goes away every door hears the same thing, and everything works again when it is back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from image_registry.imagestreams.errors import MetadataUnavailable
from image_registry.imagestreams.limits import STORAGE, Limit, Scope
from image_registry.imagestreams.local_names import ShortName
from image_registry.imagestreams.service import ImageStreams
from image_registry.imagestreams.signatures import Signature
from image_registry.metadata.database import Database
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository


class NoLinks:
    """A storage that is empty."""

    def read_tag(self, _repository: Repository, _tag: str) -> None:
        return None

    def manifest_linked(self, _repository: Repository, _digest: Digest) -> bool:
        return False


APP = Repository("team", "app")
SIGNATURE = Signature("first", "atomic", b"bytes")


@pytest.fixture
def database(postgresql: Any) -> Iterator[Database]:
    opened = Database(postgresql.url(postgresql.new_database("with_schema")))
    yield opened
    opened.dispose()


def test_every_door_hears_that_the_metadata_is_unavailable(postgresql: Any, registry: Any) -> None:
    registry.push("team/app", "a")
    digest = registry.image("a").digest
    streams = registry.streams
    limit = Limit("ResourceQuota bytes", Scope.NAMESPACE, STORAGE, 100)
    limited = ImageStreams(registry.database, internal_hostname="registry", limits=lambda _: (limit,))
    doors = {
        "allowance.expect": lambda: limited.allowance.expect(APP, "u", 1),
        "allowance.admit": lambda: limited.allowance.admit(APP, digest, 1),
        "allowance.release": lambda: limited.allowance.release(APP, "u"),
        "allowance.usage": lambda: streams.allowance.usage("team"),
        "allowance.forget_expired": streams.allowance.forget_expired,
        "push": lambda: registry.push("team/app", "b"),
        "manifest": lambda: streams.manifest(APP, digest),
        "tag": lambda: streams.tag(APP, "latest"),
        "tags": lambda: streams.tags(APP),
        "referrers": lambda: streams.referrers(APP, digest),
        "repositories": lambda: streams.repositories(namespaces=None),
        "namespaces": streams.namespaces,
        "delete_tag": lambda: streams.delete_tag(APP, "latest"),
        "delete_tags": lambda: streams.delete_tags(APP, ["latest"]),
        "held": lambda: streams.held(APP, [digest]),
        "delete_manifest": lambda: streams.delete_manifest(APP, digest),
        "stream": lambda: streams.stream(APP),
        "streams": streams.streams,
        "summaries": streams.summaries,
        "delete_stream": lambda: streams.delete_stream(APP),
        "await_creations": lambda: streams.await_creations("team"),
        "delete_streams": lambda: streams.delete_streams("team"),
        "stream_tag": lambda: streams.stream_tag(APP, "latest"),
        "stream_tags": streams.stream_tags,
        "resolve": lambda: streams.resolve(ShortName(APP, "latest")),
        "image": lambda: streams.image(digest),
        "images": streams.images,
        "delete_image": lambda: streams.delete_image(digest),
        "revision": streams.revision,
        "pending_cleanups": streams.pending_cleanups,
        "clean": lambda: streams.clean(APP, lambda _: True),
        "unechoed": streams.unechoed,
        "settle": lambda: streams.settle(APP, lambda _repository, _tags: None),
        "sessions.find": lambda: streams.sessions.find(APP, "u"),
        "sessions.note": lambda: streams.sessions.note(APP, "u", algorithm="sha256", offset=1, hash_state=b""),
        "sessions.cancel": lambda: streams.sessions.cancel(APP, "u"),
        "sessions.cancelled": streams.sessions.cancelled,
        "sessions.end": lambda: streams.sessions.end(APP, "u"),
        "sessions.abandoned": lambda: streams.sessions.abandoned(registry.clock()),
        "signatures": lambda: streams.signatures(APP, digest),
        "add_signature": lambda: streams.add_signature(APP, digest, SIGNATURE, created_by="x"),
        "find_image": lambda: streams.find_image(digest),
        "brief_stream": lambda: streams.brief_stream(APP),
        "covers": lambda: streams.covers(APP),
        "adopter.images": lambda: streams.adopter.images([]),
        "adopter.manifests": lambda: streams.adopter.manifests(APP, []),
        "adopter.tags": lambda: streams.adopter.tags(APP, [], {}, frozenset(), [], NoLinks()),
    }
    parts = {name: getattr(streams, name) for name in ("allowance", "sessions", "adopter")}
    offered = {name for name in dir(streams) if not name.startswith("_")} - set(parts)
    offered |= {f"{part}.{name}" for part, value in parts.items() for name in dir(value) if not name.startswith("_")}
    assert set(doors) | {"read_storage_with", "allowance.counts_bytes", "editor", "imports", "changes"} == offered
    postgresql.stop()
    try:
        for name, call in doors.items():
            with pytest.raises(MetadataUnavailable, match="metadata database at"):
                pytest.fail(f"{name} answered {call()!r}")
    finally:
        postgresql.start()
    assert streams.tag(APP, "latest").digest == digest
    assert registry.push("team/app", "b").changed_tag


def test_a_push_that_the_database_leaves_half_way_is_undone(postgresql: Any, registry: Any) -> None:
    registry.push("team/app", "a")
    before = registry.streams.revision()

    def outage() -> None:
        postgresql.stop()
        postgresql.start()

    with pytest.raises(MetadataUnavailable):
        registry.push("team/app", "b", before_commit=outage)
    assert registry.streams.revision() == before
    assert registry.streams.tag(APP, "latest").digest == registry.image("a").digest
    assert registry.push("team/app", "b").changed_tag
