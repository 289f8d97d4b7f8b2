"""What a client hears when its namespace is full."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from image_registry.imagestreams import limits
from image_registry.imagestreams.limits import Limit, Limits, LimitsUnknown, Scope
from image_registry.imagestreams.service import ImageStreams
from image_registry.metadata.database import Database
from image_registry.oci import media_types
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository

from .conftest import Registry, assemble, code, manifest_of

BYTES = Limit("ResourceQuota bytes", Scope.NAMESPACE, limits.STORAGE, 1000)
SIZE = Limit("LimitRange sizes", Scope.IMAGE, limits.SIZE, 100)
UPLOADS = "/v2/team/app/blobs/uploads/"

Build = Callable[..., Registry]


@pytest.fixture
def limited(database: Database, tmp_path: Path) -> Build:
    def build(*given: Limit, ask: Callable[[str], Limits] | None = None) -> Registry:
        streams = ImageStreams(
            database,
            internal_hostname="registry.test:5000",
            limits=ask or (lambda namespace: given if namespace == "team" else ()),
        )
        registry = assemble(database, tmp_path / "blobs", streams=streams)
        registry.streams = streams
        return registry

    return build


def start(registry: Registry) -> str:
    return str(registry.client.post(UPLOADS).headers["Location"])


def finish(registry: Registry, location: str, data: bytes, **kwargs: Any) -> TestResponse:
    return registry.client.put(f"{location}?digest={Digest.of(data)}", data=data, **kwargs)


def detail(answer: TestResponse) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer.data)["errors"][0]["detail"]
    return found


def test_a_blob_beyond_the_quota_is_refused_with_limit_current_and_asked(limited: Build) -> None:
    registry = limited(BYTES)
    registry.upload("team/app", b"x" * 800)
    answer = finish(registry, start(registry), b"y" * 300)
    assert (answer.status_code, code(answer)) == (403, "DENIED")
    said = detail(answer)
    assert said["limit"] == {"source": "ResourceQuota bytes", "resource": "alauda.io/image-storage", "maximum": 1000}
    assert (said["current"], said["asked"]) == (800, 300)
    registry.upload("team/app", b"z" * 200)


def test_a_blob_in_one_request_is_refused_as_well(limited: Build) -> None:
    registry = limited(SIZE)
    data = b"x" * 101
    answer = registry.client.post(f"{UPLOADS}?digest={Digest.of(data)}", data=data)
    assert (answer.status_code, code(answer)) == (403, "DENIED")
    assert not registry.store.blob_linked(Repository("team", "app"), Digest.of(data))


def test_a_large_chunk_is_refused_before_it_is_received(limited: Build) -> None:
    registry = limited(SIZE)
    location = start(registry)
    answer = registry.client.patch(location, data=b"x" * 101)
    assert (answer.status_code, code(answer)) == (403, "DENIED")
    assert registry.client.get(location).headers["Range"] == "0-0"
    assert registry.client.patch(location, data=b"x" * 60).status_code == 202
    assert code(registry.client.patch(location, data=b"x" * 60)) == "DENIED"


def test_chunks_of_unknown_length_are_measured_at_the_end_and_given_up(limited: Build) -> None:
    registry = limited(BYTES)
    location = start(registry)
    stream = {"wsgi.input": io.BytesIO(b"x" * 1500), "wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    answer = registry.client.patch(location, headers={"Transfer-Encoding": "chunked"}, environ_overrides=stream)
    assert answer.status_code == 202
    answer = registry.client.put(f"{location}?digest={Digest.of(b'x' * 1500)}")
    assert (answer.status_code, code(answer)) == (403, "DENIED")
    assert code(registry.client.get(location)) == "BLOB_UPLOAD_UNKNOWN"
    assert registry.streams.allowance.usage("team")[limits.STORAGE] == 0


def test_what_was_cancelled_or_wrong_gives_its_bytes_back(limited: Build) -> None:
    registry = limited(BYTES)
    location = start(registry)
    assert registry.client.patch(location, data=b"x" * 900).status_code == 202
    assert registry.client.delete(location).status_code == 204
    assert registry.streams.allowance.usage("team")[limits.STORAGE] == 0
    wrong = registry.client.put(f"{start(registry)}?digest={Digest.of(b'other')}", data=b"x" * 900)
    assert code(wrong) == "DIGEST_INVALID"
    assert registry.streams.allowance.usage("team")[limits.STORAGE] == 0


def test_a_mounted_blob_counts_in_its_new_namespace(limited: Build) -> None:
    registry = limited(BYTES)
    digest = registry.upload("other/app", b"x" * 1001)
    answer = registry.client.post(f"{UPLOADS}?mount={digest}&from=other/app")
    assert (answer.status_code, code(answer)) == (403, "DENIED")
    small = registry.upload("other/app", b"y" * 900)
    assert registry.client.post(f"{UPLOADS}?mount={small}&from=other/app").status_code == 201
    assert registry.streams.allowance.usage("team")[limits.STORAGE] == 900


def test_a_whole_image_is_counted_once_and_refused_by_its_number(limited: Build) -> None:
    registry = limited(Limit("ResourceQuota objects", Scope.NAMESPACE, limits.IMAGES, 1), replace(BYTES, maximum=9000))
    assert registry.push("team/app", "v1").status_code == 201
    assert registry.push("team/app", "v2").status_code == 201
    used = registry.streams.allowance.usage("team")
    assert registry.push("team/other", "v1").status_code == 201
    assert registry.streams.allowance.usage("team")[limits.STORAGE] == used[limits.STORAGE]
    answer = registry.push("team/app", "v3", layer=b"another")
    assert (answer.status_code, code(answer)) == (403, "DENIED")
    assert (detail(answer)["current"], detail(answer)["asked"]) == (1, 1)


def test_a_manifest_must_not_make_its_blobs_smaller_than_they_are(limited: Build) -> None:
    registry = limited(BYTES)
    registry.upload("team/app", b"{}")
    registry.upload("team/app", b"x" * 500)
    honest = json.loads(manifest_of(b"{}", b"x" * 500))
    honest["layers"][0]["size"] = 5
    answer = registry.client.put(
        "/v2/team/app/manifests/v1", data=json.dumps(honest), headers={"Content-Type": media_types.OCI_MANIFEST}
    )
    assert (answer.status_code, code(answer)) == (400, "MANIFEST_INVALID")
    assert "has 500 bytes, not 5" in answer.text


def test_while_nobody_knows_the_limits_pushes_are_told_to_come_back_and_pulls_go_on(limited: Build) -> None:
    limited().push("team/app", "v1")

    def unknown(_namespace: str) -> Limits:
        raise LimitsUnknown("the cluster does not tell the limits of namespace team right now")

    registry = limited(ask=unknown)
    answer = finish(registry, start(registry), b"x")
    assert (answer.status_code, code(answer)) == (503, "UNAVAILABLE")
    assert "Retry-After" in answer.headers
    assert registry.client.get("/v2/team/app/manifests/v1").status_code == 200


def test_the_largest_manifest_is_a_setting(build: Build) -> None:
    registry = build(manifest_limit=200)
    answer = registry.push("team/app", "v1")
    assert (answer.status_code, code(answer)) == (413, "MANIFEST_INVALID")
    assert "the limit is 200" in answer.text
    assert build(manifest_limit=2000).push("team/app", "v1").status_code == 201
