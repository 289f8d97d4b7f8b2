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
        "expect_upload": lambda: limited.expect_upload(APP, "u", 1),
        "admit_blob": lambda: limited.admit_blob(APP, digest, 1),
        "release_upload": lambda: limited.release_upload(APP, "u"),
        "usage": lambda: streams.usage("team"),
        "forget_expired_reservations": streams.forget_expired_reservations,
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
        "upload": lambda: streams.upload(APP, "u"),
        "note_upload": lambda: streams.note_upload(APP, "u", algorithm="sha256", offset=1, hash_state=b""),
        "cancel_upload": lambda: streams.cancel_upload(APP, "u"),
        "cancelled_uploads": streams.cancelled_uploads,
        "end_upload": lambda: streams.end_upload(APP, "u"),
        "abandoned_uploads": lambda: streams.abandoned_uploads(registry.clock()),
        "signatures": lambda: streams.signatures(APP, digest),
        "add_signature": lambda: streams.add_signature(APP, digest, SIGNATURE, created_by="x"),
        "find_image": lambda: streams.find_image(digest),
        "brief_stream": lambda: streams.brief_stream(APP),
        "covers": lambda: streams.covers(APP),
        "adopt_images": lambda: streams.adopt_images([]),
        "adopt_manifests": lambda: streams.adopt_manifests(APP, []),
        "adopt_tags": lambda: streams.adopt_tags(APP, [], {}, frozenset(), [], NoLinks()),
    }
    assert set(doors) | {"read_storage_with", "limited", "editor", "imports", "changes"} == {
        name for name in dir(streams) if not name.startswith("_")
    }
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
