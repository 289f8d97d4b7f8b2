"""Limits on both databases: what grows beyond one is refused, at once or one after the other, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from image_registry.imagestreams import accounting, limits
from image_registry.imagestreams.limits import Limit, LimitExceeded, Limits, Scope
from image_registry.imagestreams.service import ImageStreams
from image_registry.metadata import usage
from image_registry.metadata.database import Database
from image_registry.oci import media_types
from image_registry.oci.digest import Digest
from image_registry.oci.manifest import Manifest, parse_manifest
from image_registry.oci.reference import Repository
from tests.at_once import at_once

from .conftest import HOST, Registry

APP = Repository("team", "app")
CONFIG = Digest.of(b"{}")


def quota(resource: str, maximum: int) -> Limit:
    return Limit("ResourceQuota objects", Scope.NAMESPACE, resource, maximum)


def per_stream(resource: str, maximum: int) -> Limit:
    return Limit("LimitRange streams", Scope.STREAM, resource, maximum)


class Limited(Registry):
    """A registry whose namespace ``team`` has limits that a test sets."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.given: Limits = ()
        self.streams = ImageStreams(
            database,
            internal_hostname=HOST,
            clock=self.clock,
            limits=lambda namespace: self.given if namespace == "team" else (),
        )


@pytest.fixture
def limited(database: Database) -> Limited:
    return Limited(database)


def sized(name: str, size: int, *, config: int = 10) -> Manifest:
    """An image of one layer of its own and the configuration that all share."""
    document = {
        "schemaVersion": 2,
        "mediaType": media_types.OCI_MANIFEST,
        "config": {"mediaType": media_types.OCI_CONFIG, "digest": str(CONFIG), "size": config},
        "layers": [{"mediaType": "application/x", "digest": str(Digest.of(name.encode())), "size": size}],
    }
    return parse_manifest(json.dumps(document).encode(), "")


def refused(call: Callable[..., Any], *arguments: object) -> Any:
    """What the call returns, or the limit it meets."""
    try:
        return call(*arguments)
    except LimitExceeded as error:
        return error


@pytest.mark.parametrize(
    ("limit", "fits", "too_much"),
    [
        (quota(limits.STREAMS, 1), ("team/app", "two", "b"), ("team/other", "one", "a")),
        (quota(limits.IMAGES, 1), ("team/other", "one", "b"), ("team/app", "two", "a")),
        (quota(limits.TAGS, 1), ("team/app", "two", "a"), ("team/app", "one", "b")),
        (per_stream(limits.IMAGES, 1), ("team/other", "two", "a"), ("team/app", "two", "a")),
        (per_stream(limits.TAGS, 1), ("team/app", "two", "a"), ("team/app", "one", "b")),
    ],
    ids=lambda value: f"{value.scope}-{value.resource}" if isinstance(value, Limit) else "",
)
def test_what_grows_beyond_a_limit_is_refused_and_what_fits_is_not(
    limited: Limited, limit: Limit, fits: tuple[str, str, str], too_much: tuple[str, str, str]
) -> None:
    limited.given = (limit,)
    limited.push("team/app", "one", "a")
    with pytest.raises(LimitExceeded) as refused:
        limited.push(*too_much)
    assert (refused.value.current, refused.value.asked) == (1, 1)
    limited.push("team/app", "one", "a")
    if limit.resource == limits.TAGS:
        assert limited.push(*fits).changed_tag
    elif limit.resource != limits.STREAMS:
        assert limited.push(*fits).created_stream
    assert APP in limited.streams.repositories(namespaces=None).items


def test_a_refused_push_leaves_nothing(limited: Limited) -> None:
    limited.given = (quota(limits.STREAMS, 0), quota(limits.STORAGE, 1000))
    with pytest.raises(LimitExceeded):
        limited.push("team/app", "one", "a")
    assert limited.streams.repositories(namespaces=None).items == ()
    assert limited.streams.images().items == ()
    assert limited.streams.allowance.usage("team")[limits.STREAMS] == 0


def test_the_refusal_names_limit_current_and_asked(limited: Limited) -> None:
    limited.given = (quota(limits.STREAMS, 1),)
    limited.push("team/app", "one")
    with pytest.raises(LimitExceeded) as refused:
        limited.push("team/other", "one")
    assert str(refused.value) == (
        "exceeded quota: objects, requested: alauda.io/imagestreams=1, used: alauda.io/imagestreams=1, limited: "
        "alauda.io/imagestreams=1; delete what is not needed in namespace team, or have the ResourceQuota of namespace "
        "team raised"
    )
    assert refused.value.detail == {
        "limit": {"source": "ResourceQuota objects", "resource": "alauda.io/imagestreams", "maximum": 1},
        "current": 1,
        "asked": 1,
    }


def test_the_size_of_one_image_is_bounded(limited: Limited) -> None:
    limited.given = (Limit("LimitRange sizes", Scope.IMAGE, limits.SIZE, 2 << 20),)
    limited.push("team/app", sized("fits", (2 << 20) - 10))
    with pytest.raises(
        LimitExceeded, match=r"maximum storage usage per alauda\.io/Image is 2Mi, but request is 2097162"
    ):
        limited.push("team/app", sized("large", 2 << 20), "b")
    with pytest.raises(
        LimitExceeded, match=r"is 2Mi, but request is 2097153 \(LimitRange sizes\); make the image smaller"
    ):
        limited.streams.allowance.expect(APP, "u1", (2 << 20) + 1)


def test_what_is_there_may_stay_and_change_when_a_limit_is_lowered(limited: Limited) -> None:
    for name in ("one", "two", "three"):
        limited.push("team/app", name, name)
    lowered = (limits.IMAGES, limits.TAGS, limits.STORAGE)
    limited.given = (*(quota(resource, 1) for resource in lowered), per_stream(limits.TAGS, 1))
    limited.push("team/app", "two", "one")
    limited.push("team/app", "three", "two")
    limited.streams.delete_tag(APP, "three")
    with pytest.raises(LimitExceeded):
        limited.push("team/app", "two", "four")


def test_another_namespace_is_not_counted(limited: Limited) -> None:
    limited.given = (quota(limits.STREAMS, 1), quota(limits.STORAGE, 100_000))
    for number in range(3):
        limited.push(f"other/app{number}", number)
    limited.push("team/app", "one")
    assert limited.streams.allowance.usage("team")[limits.STREAMS] == 1


@pytest.mark.parity(8)
@pytest.mark.parametrize("resource", [limits.STREAMS, limits.IMAGES, limits.TAGS])
def test_parallel_pushes_cannot_pass_a_quota_together(limited: Limited, resource: str) -> None:
    allowed = 3
    limited.given = (quota(resource, allowed),)
    results = at_once(
        [partial(refused, limited.push, f"team/app{number}", number, f"v{number}") for number in range(8)]
    )
    assert sum(isinstance(result, LimitExceeded) for result in results) == 8 - allowed
    assert limited.streams.allowance.usage("team")[resource] == allowed


def test_parallel_pushes_of_one_stream_cannot_pass_its_limit_together(limited: Limited) -> None:
    limited.given = (per_stream(limits.TAGS, 3),)
    results = at_once([partial(refused, limited.push, "team/app", number, f"v{number}") for number in range(8)])
    assert sum(isinstance(result, LimitExceeded) for result in results) == 5
    assert len(limited.streams.tags(APP).items) == 3


def test_parallel_uploads_cannot_pass_a_quota_of_bytes_together(limited: Limited) -> None:
    limited.given = (quota(limits.STORAGE, 300),)
    results = at_once(
        [partial(refused, limited.streams.allowance.expect, APP, f"upload-{number}", 100) for number in range(8)]
    )
    assert sum(isinstance(result, LimitExceeded) for result in results) == 5
    assert limited.streams.allowance.usage("team")[limits.STORAGE] == 300


def test_bytes_are_reserved_settled_and_counted_once(limited: Limited) -> None:
    manifest = sized("layer", 500)
    total = 500 + 10 + len(manifest.raw)
    limited.given = (quota(limits.STORAGE, total),)
    streams = limited.streams
    streams.allowance.expect(APP, "u1", 500)
    streams.allowance.expect(APP, "u1", 500)
    assert streams.allowance.usage("team")[limits.STORAGE] == 500
    streams.allowance.admit(APP, Digest.of(b"layer"), 500, "u1")
    streams.allowance.admit(APP, CONFIG, 10, "u2")
    assert streams.allowance.usage("team")[limits.STORAGE] == 510
    limited.push("team/app", manifest)
    assert streams.allowance.usage("team")[limits.STORAGE] == total
    streams.allowance.expect(APP, "u3", 500, Digest.of(b"layer"))
    streams.allowance.admit(APP, Digest.of(b"layer"), 500, "u3")
    limited.push("team/other", manifest)
    assert streams.allowance.usage("team")[limits.STORAGE] == total
    with pytest.raises(LimitExceeded) as refused:
        streams.allowance.expect(APP, "u4", 1)
    assert (refused.value.current, refused.value.asked) == (total, 1)


def test_an_upload_that_ends_without_a_blob_gives_its_bytes_back(limited: Limited) -> None:
    limited.given = (quota(limits.STORAGE, 100),)
    limited.streams.allowance.expect(APP, "u1", 100)
    limited.streams.allowance.release(APP, "u1")
    limited.streams.allowance.expect(APP, "u2", 100)


def test_bytes_of_a_manifest_that_never_comes_are_given_back_in_time(limited: Limited) -> None:
    limited.given = (quota(limits.STORAGE, 100),)
    limited.streams.allowance.admit(APP, Digest.of(b"x"), 100, "u1")
    limited.clock.now += accounting.KEPT + timedelta(seconds=5)
    limited.streams.allowance.admit(APP, Digest.of(b"y"), 100, "u2")
    assert limited.streams.allowance.forget_expired() == 1
    assert limited.streams.allowance.usage("team")[limits.STORAGE] == 100


def test_an_upload_of_unknown_length_is_measured_at_its_end(limited: Limited) -> None:
    limited.given = (quota(limits.STORAGE, 100),)
    with pytest.raises(LimitExceeded):
        limited.streams.allowance.admit(APP, Digest.of(b"x"), 101, "u1")
    assert limited.streams.allowance.usage("team")[limits.STORAGE] == 0


def test_deleting_makes_room(limited: Limited) -> None:
    manifest = sized("layer", 500)
    limited.given = (quota(limits.STORAGE, 1200), quota(limits.IMAGES, 1))
    limited.push("team/app", manifest)
    with pytest.raises(LimitExceeded):
        limited.push("team/app", sized("other", 500), "b")
    limited.streams.delete_manifest(APP, manifest.digest)
    limited.push("team/app", sized("other", 500), "b")


def test_what_another_process_pushed_is_counted(limited: Limited, database: Database) -> None:
    limited.given = (quota(limits.STORAGE, 2000),)
    limited.push("team/app", sized("one", 500))
    before = limited.streams.allowance.usage("team")[limits.STORAGE]
    other = Limited(database)
    other.clock.now += timedelta(hours=1)
    other.push("team/app", sized("two", 300), "two")
    assert limited.streams.allowance.usage("team")[limits.STORAGE] == before + 300 + len(sized("two", 300).raw)


def test_the_bytes_of_thousands_of_images_are_remembered(limited: Limited, monkeypatch: pytest.MonkeyPatch) -> None:
    """A push into a large namespace must not read all of it each time."""
    counted = []
    real = usage.content

    def counting(*given: Any) -> Any:
        counted.append(1)
        return real(*given)

    monkeypatch.setattr(usage, "content", counting)
    limited.given = (quota(limits.STORAGE, 1_000_000),)
    for number in range(5):
        limited.streams.allowance.expect(APP, f"u{number}", 100)
        limited.push("team/app", sized(str(number), 100), str(number))
    assert len(counted) == 1


def test_without_limits_nothing_is_counted(limited: Limited, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError

    for name in ("lock", "stamp", "streams_in", "reserve", "release", "content"):
        monkeypatch.setattr(usage, name, never)
    limited.streams.allowance.expect(APP, "u1", 100)
    limited.streams.allowance.admit(APP, CONFIG, 100, "u1")
    limited.streams.allowance.release(APP, "u1")
    limited.push("team/app", "one")
