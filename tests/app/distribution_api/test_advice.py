"""What is accepted with a word of warning: sparse indexes, sparse images where allowed, what is deprecated."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from image_registry.distribution_api import answers
from image_registry.oci import media_types
from image_registry.oci.digest import Digest
from image_registry.oci.reference import referrers_tag

from .conftest import Registry, code, manifest_of

MISSING = str(Digest.of(b"missing"))
WARNING = re.compile(r'299 - "[ -~]*"')


def put(registry: Registry, body: bytes, reference: str = "v1", kind: str = media_types.OCI_MANIFEST) -> list[str]:
    """The warnings of a push that is accepted."""
    headers = {"Content-Type": kind}
    pushed = registry.client.put(f"/v2/demo/app/manifests/{reference}", data=body, headers=headers)
    assert pushed.status_code == 201, pushed.text
    assert registry.client.get(f"/v2/demo/app/manifests/{reference}").data == body
    found = pushed.headers.getlist("Warning")
    assert all(WARNING.fullmatch(text) for text in found)
    return found


def index_of(*digests: str, **members: Any) -> bytes:
    entries = [{"mediaType": media_types.OCI_MANIFEST, "digest": digest, "size": 7} for digest in digests]
    document = {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": entries, **members}
    return json.dumps(document).encode()


def test_an_ordinary_image_and_a_whole_index_bring_no_warning(registry: Registry) -> None:
    pushed = registry.push("demo/app", "v1")
    assert "Warning" not in pushed.headers
    assert put(registry, index_of(pushed.headers["Docker-Content-Digest"]), kind=media_types.OCI_INDEX) == []
    assert put(registry, index_of(), kind=media_types.OCI_INDEX) == []


def test_an_index_may_lack_platforms_and_says_how_many(everywhere: Registry) -> None:
    here = everywhere.push("demo/app", "v1").headers["Docker-Content-Digest"]
    [warning] = put(everywhere, index_of(here, MISSING), "all", media_types.OCI_INDEX)
    assert "1 manifest(s) of this index are not in the repository" in warning
    assert code(everywhere.client.get(f"/v2/demo/app/manifests/{MISSING}")) == "MANIFEST_UNKNOWN"


def test_an_image_may_lack_layers_only_where_that_is_allowed(
    registry: Registry, build: Callable[..., Registry]
) -> None:
    body = manifest_of(b"{}", b"layer")
    registry.upload("demo/app", b"{}")
    headers = {"Content-Type": media_types.OCI_MANIFEST}
    refused = registry.client.put("/v2/demo/app/manifests/v1", data=body, headers=headers)
    assert (refused.status_code, code(refused)) == (404, "MANIFEST_BLOB_UNKNOWN")
    [warning] = put(build(sparse_images=True), body)
    assert "1 blob(s) of this manifest are not in the repository" in warning
    registry.upload("demo/app", b"layer")
    assert put(registry, body) == []


def test_deprecated_layers_and_needless_lists_are_named(registry: Registry) -> None:
    registry.upload("demo/app", b"{}")
    layer = {"mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar", "digest": MISSING, "size": 7}
    [warning] = put(registry, manifest_of(b"{}", layers=[layer]))
    assert "deprecated" in warning
    tag = referrers_tag(Digest.of(b"subject"))
    [warning] = put(registry, index_of(), tag, media_types.OCI_INDEX)
    assert "lists referrers by itself" in warning


@pytest.mark.parametrize("text", ['a "quoted" \\ word', "\r\nSet-Cookie: x", "é\0\x7f", "x" * 5000])
def test_nothing_breaks_out_of_a_warning(text: str) -> None:
    [(name, warning)] = answers.warnings([text])
    assert name == "Warning"
    assert WARNING.fullmatch(warning)
    assert len(warning) < 1100
