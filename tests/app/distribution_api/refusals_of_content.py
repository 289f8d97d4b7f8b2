"""Refusals of what is sent or asked for: names, manifests, blobs, uploads and signatures."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

from werkzeug.test import Client, TestResponse

from image_registry.distribution_api import open_uploads
from image_registry.distribution_api.received import STRAIGHT
from image_registry.imagestreams.errors import MetadataUnavailable
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository
from image_registry.storage.blob_store import BlobMissing, UploadBusy, UploadMissing

from .conftest import manifest_of
from .refusal_stage import APP, DIGEST, OCI, Breaking, Refusals, Stage, begun, push, pushed, raiser

ANNOUNCED = {"CONTENT_LENGTH": "100", "wsgi.input_terminated": True}


def adopted(stage: Stage, raw: bytes) -> Client:
    """A manifest that the storage has, while the database is away."""
    registry = stage.build()
    registry.store.put(raw, Digest.of(raw))
    registry.store.link_manifest(Repository("team", "app"), Digest.of(raw))
    return stage.broken("streams", "manifest", MetadataUnavailable("gone"))


def crowded(stage: Stage) -> TestResponse:
    stage.patch.setattr(open_uploads, "MOST", 1)
    client = stage.open
    begun(client, b"one")
    return client.patch(begun(client), data=b"two")


def false_size(stage: Stage) -> TestResponse:
    """Where bytes are counted."""
    registry = stage.build()
    stage.patch.setattr(type(registry.streams.allowance), "counts_bytes", lambda *_: True)
    registry.upload("team/app", b"{}")
    document = json.loads(manifest_of(b"{}"))
    document["config"]["size"] = 99
    return registry.client.put(f"{APP}/manifests/v1", data=json.dumps(document), headers=OCI)


def lost_bytes(stage: Stage) -> TestResponse:
    registry = pushed(stage)
    digest = registry.upload("team/app", b"data")
    stage.patch.setattr(type(registry.store), "open", raiser(BlobMissing()))
    return registry.client.get(f"{APP}/blobs/{digest}")


def lost_manifest(stage: Stage) -> TestResponse:
    registry = pushed(stage)
    stage.patch.setattr(type(registry.store), "read", raiser(BlobMissing()))
    return registry.client.get(f"{APP}/manifests/v1")


def signed(stage: Stage, document: object, times: int = 1) -> TestResponse:
    registry = pushed(stage)
    digest = registry.client.head(f"{APP}/manifests/v1").headers["Docker-Content-Digest"]
    answer = None
    for number in range(times):
        body = document(digest, number) if callable(document) else document
        answer = registry.client.put(f"/extensions{APP}/signatures/{digest}", data=json.dumps(body))
    assert answer is not None
    return answer


def signature(name: str) -> Callable[[str, int], dict[str, Any]]:
    return lambda digest, number: {
        "schemaVersion": 2,
        "name": f"{digest}@{name.format(number)}",
        "content": "eA==",
    }


def vanished(stage: Stage, *, silent: bool) -> TestResponse:
    client = stage.open
    return client.patch(begun(client), input_stream=Breaking(silent=silent), environ_overrides=ANNOUNCED)


def straight(stage: Stage, receive: Callable[..., Any]) -> TestResponse:
    """A body that the server lets the application take from the socket."""
    client = stage.open
    return client.patch(
        begun(client), environ_overrides={**ANNOUNCED, "CONTENT_LENGTH": str(64 << 20), STRAIGHT: receive}
    )


CONTENT: Refusals = {
    # names, paths and pages
    "no name": (lambda s: s.open.get("/v2/team/App/tags/list"), 400, "NAME_INVALID", "lower-case letters and digits"),
    "one part": (lambda s: s.open.get("/v2/app/tags/list"), 400, "NAME_INVALID", "exactly <namespace>/<repository>"),
    "no digest": (lambda s: s.open.get(f"{APP}/blobs/sha1:abc"), 400, "DIGEST_INVALID", "use one of sha256, sha512"),
    "no tag": (lambda s: s.open.put(f"{APP}/manifests/.x"), 400, "TAG_INVALID", "at most 128 letters"),
    "no tag to read": (lambda s: s.open.get(f"{APP}/manifests/.x"), 404, "MANIFEST_UNKNOWN", "at most 128 letters"),
    "no number": (lambda s: s.open.get("/v2/_catalog?n=x"), 400, "SIZE_INVALID", "must be a whole number"),
    "no path": (lambda s: s.open.get("/v2/x"), 404, "UNSUPPORTED", "this registry has /v2/"),
    "no method": (lambda s: s.open.post(f"{APP}/tags/list"), 405, "UNSUPPORTED", "this path takes GET"),
    # manifests
    "a size that is not true": (false_size, 400, "MANIFEST_INVALID", "not 99 as the manifest says"),
    "no repository": (lambda s: s.open.get(f"{APP}/manifests/v1"), 404, "NAME_UNKNOWN", "by the first push"),
    "no manifest": (
        lambda s: pushed(s).client.get(f"{APP}/manifests/v2"),
        404,
        "MANIFEST_UNKNOWN",
        "tags/list shows what there is",
    ),
    "a lost manifest": (lost_manifest, 404, "MANIFEST_UNKNOWN", "push the manifest again"),
    "not in the storage": (
        lambda s: s.broken("streams", "manifest", MetadataUnavailable("gone")).get(f"{APP}/manifests/{DIGEST}"),
        404,
        "MANIFEST_UNKNOWN",
        "check the name, or push it",
    ),
    "a tag that only the database knows": (
        lambda s: s.broken("streams", "tag", MetadataUnavailable("gone")).get(f"{APP}/manifests/v1"),
        503,
        "UNAVAILABLE",
        "pull by digest, or come back later",
    ),
    "no manifest in the storage": (
        lambda s: adopted(s, b"data").get(f"{APP}/manifests/{DIGEST}"),
        404,
        "MANIFEST_UNKNOWN",
        "push it anew",
    ),
    "not a manifest": (
        lambda s: s.open.put(f"{APP}/manifests/v1", data=b"x", headers=OCI),
        400,
        "MANIFEST_INVALID",
        "not JSON",
    ),
    "another digest": (
        lambda s: s.open.put(f"{APP}/manifests/{DIGEST}", data=b"{}", headers=OCI),
        400,
        "DIGEST_INVALID",
        f"not {DIGEST}",
    ),
    "blobs that are missing": (
        lambda s: push(s.open, {}, upload=False),
        404,
        "MANIFEST_BLOB_UNKNOWN",
        "push them first",
    ),
    "a long manifest": (
        lambda s: s.open.put(f"{APP}/manifests/v1", data=b"x" * ((4 << 20) + 1)),
        413,
        "MANIFEST_INVALID",
        "the limit is",
    ),
    "a long manifest of unknown length": (
        lambda s: s.open.put(
            f"{APP}/manifests/v1",
            input_stream=io.BytesIO(b"x" * ((4 << 20) + 1)),
            environ_overrides={"CONTENT_LENGTH": "", "wsgi.input_terminated": True},
        ),
        413,
        "MANIFEST_INVALID",
        "the limit of",
    ),
    "many tags": (
        lambda s: s.open.put(f"{APP}/manifests/{DIGEST}?" + "&".join(f"tag={n}" for n in range(60))),
        414,
        "TAG_INVALID",
        "push at most 50, then the rest",
    ),
    "a condition": (
        lambda s: pushed(s).client.delete(f"{APP}/manifests/v1", headers={"If-Match": '"x"'}),
        412,
        "DENIED",
        "look at it, then decide again",
    ),
    # blobs and uploads
    "no blob": (lambda s: s.open.get(f"{APP}/blobs/{DIGEST}"), 404, "BLOB_UNKNOWN", "push it here, or mount it"),
    "a lost blob": (lost_bytes, 404, "BLOB_UNKNOWN", "push it again"),
    "a part beyond the end": (
        lambda s: pushed(s).client.get(f"{APP}/blobs/{Digest.of(b'layer')}", headers={"Range": "bytes=99-"}),
        416,
        "BLOB_UPLOAD_INVALID",
        "a blob of 5 bytes",
    ),
    "no algorithm": (
        lambda s: s.open.post(f"{APP}/blobs/uploads/?digest-algorithm=md5"),
        400,
        "DIGEST_INVALID",
        "use sha256, sha512",
    ),
    "an end without a digest": (lambda s: (c := s.open).put(begun(c)), 400, "DIGEST_INVALID", "needs ?digest="),
    "other bytes": (
        lambda s: (c := s.open).put(f"{begun(c)}?digest={DIGEST}", data=b"other"),
        400,
        "DIGEST_INVALID",
        f"not {DIGEST}",
    ),
    "no upload": (lambda s: s.open.get(f"{APP}/blobs/uploads/x"), 404, "BLOB_UPLOAD_UNKNOWN", "begin it again"),
    "no span": (
        lambda s: (c := s.open).patch(begun(c), data=b"x", headers={"Content-Range": "x"}),
        400,
        "BLOB_UPLOAD_INVALID",
        "write it as <first>-<last>",
    ),
    "a span of another length": (
        lambda s: (c := s.open).patch(begun(c), data=b"x", headers={"Content-Range": "0-9"}),
        400,
        "SIZE_INVALID",
        "names 10 bytes but",
    ),
    "a chunk out of order": (
        lambda s: (c := s.open).patch(begun(c), data=b"x", headers={"Content-Range": "5-5"}),
        416,
        "BLOB_UPLOAD_INVALID",
        "send from there",
    ),
    "two at once": (
        lambda s: (c := s.broken("store", "append", UploadBusy())).patch(begun(c), data=b"x"),
        409,
        "BLOB_UPLOAD_INVALID",
        "ask for the status, and go on from there",
    ),
    "too many at once": (crowded, 429, "TOOMANYREQUESTS", "finish or cancel some"),
    "a body that breaks off": (lambda s: vanished(s, silent=True), 400, "SIZE_INVALID", "broke off after 0 of 100"),
    "a socket that ends": (
        lambda s: straight(s, lambda _view: 0),
        400,
        "SIZE_INVALID",
        "broke off after 0 of 67108864",
    ),
    "a socket that breaks": (lambda s: straight(s, raiser(OSError())), 400, "SIZE_INVALID", "broke off after 0 bytes"),
    "a connection that breaks": (lambda s: vanished(s, silent=False), 400, "SIZE_INVALID", "broke off after 0 bytes"),
    "an upload that went away": (
        lambda s: (c := s.broken("store", "append", UploadMissing())).patch(begun(c), data=b"x"),
        404,
        "BLOB_UPLOAD_UNKNOWN",
        "begin it again",
    ),
    # signatures
    "no signature": (lambda s: signed(s, "x"), 400, "SIGNATURE_INVALID", "must be an object"),
    "the same signature": (lambda s: signed(s, signature("a"), 2), 409, "SIGNATURE_EXISTS", "name"),
    "many signatures": (lambda s: signed(s, signature("a{}"), 101), 400, "SIGNATURE_INVALID", "100"),
}
