from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_registry.oci import media_types
from image_registry.oci.digest import Digest, InvalidDigest
from image_registry.oci.manifest import InvalidManifest, parse_manifest
from image_registry.oci.reference import InvalidName, InvalidTag, Repository, parse_tag

CONFIG = {"mediaType": media_types.OCI_CONFIG, "digest": str(Digest.of(b"config")), "size": 6}
LAYER = {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": str(Digest.of(b"layer")), "size": 5}


def manifest(**members: Any) -> bytes:
    return json.dumps({"schemaVersion": 2, "config": CONFIG, "layers": [LAYER], **members}).encode()


@pytest.mark.parametrize("name", ["centos", "jetty", "console-web", "a__b", "a.b-c", "9"])
def test_documented_repository_names_are_accepted(name: str) -> None:
    assert str(Repository.parse(f"team/{name}")) == f"team/{name}"


@pytest.mark.parametrize(
    "name",
    ["app", "a/b/c", "Team/app", "team/App", "team/", "/app", "team/a..b", "team/-a", "te_am/app", "a/" + "b" * 300],
)
def test_other_repository_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidName):
        Repository.parse(name)


@pytest.mark.parametrize("tag", ["latest", "v1.0", "_x", "A" * 128])
def test_tags_of_the_specification_are_accepted(tag: str) -> None:
    assert parse_tag(tag) == tag


@pytest.mark.parametrize("tag", ["", ".x", "-x", "a" * 129, "a/b", "a b", "ä"])
def test_other_tags_are_refused(tag: str) -> None:
    with pytest.raises(InvalidTag):
        parse_tag(tag)


@pytest.mark.parametrize(
    "text",
    ["", "sha256", "sha256:", "md5:" + "0" * 32, "sha256:" + "0" * 63, "SHA256:" + "0" * 64, "sha256:" + "F" * 64],
)
def test_a_digest_nobody_can_verify_is_refused(text: str) -> None:
    with pytest.raises(InvalidDigest):
        Digest.parse(text)


@given(st.binary(max_size=200), st.sampled_from(["sha256", "sha512"]))
def test_a_digest_survives_its_text(data: bytes, algorithm: str) -> None:
    digest = Digest.of(data, algorithm)
    assert Digest.parse(str(digest)) == digest


def test_a_manifest_tells_what_it_needs() -> None:
    parsed = parse_manifest(manifest(), media_types.OCI_MANIFEST)
    assert [str(blob.digest) for blob in parsed.required_blobs] == [CONFIG["digest"], LAYER["digest"]]
    assert parsed.content_size == 11
    assert not parsed.is_index


def test_the_same_layer_twice_counts_once() -> None:
    assert parse_manifest(manifest(layers=[LAYER, LAYER]), media_types.OCI_MANIFEST).content_size == 11


def test_a_foreign_layer_need_not_be_present() -> None:
    foreign = {**LAYER, "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "urls": ["https://x"]}
    assert len(parse_manifest(manifest(layers=[foreign]), media_types.OCI_MANIFEST).required_blobs) == 1


@pytest.mark.parametrize(
    ("raw", "content_type", "said"),
    [
        (b"{", "", "not JSON"),
        (b"[" * 100_000, "", "not JSON"),
        (b"[]", "", "not a JSON object"),
        (manifest(manifests=[]), media_types.OCI_MANIFEST, "must not have the member 'manifests'"),
        (manifest(mediaType=media_types.OCI_INDEX), media_types.OCI_MANIFEST, "mediaType is"),
        (manifest(schemaVersion=1), media_types.OCI_MANIFEST, "schemaVersion"),
        (manifest(config=None), media_types.OCI_MANIFEST, "config descriptor"),
        (manifest(layers=[{**LAYER, "size": -1}]), media_types.OCI_MANIFEST, r"layers\[0\].size"),
        (manifest(layers=[{**LAYER, "digest": "x"}]), media_types.OCI_MANIFEST, r"layers\[0\].digest"),
        (manifest(layers={}), media_types.OCI_MANIFEST, "must be a list"),
        (manifest(), "text/plain", "not supported"),
        (manifest(annotations={"a": 1}), media_types.OCI_MANIFEST, "annotations"),
    ],
)
def test_a_document_that_is_no_manifest_is_refused_with_the_reason(raw: bytes, content_type: str, said: str) -> None:
    with pytest.raises(InvalidManifest, match=said):
        parse_manifest(raw, content_type)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda x: (
            st.lists(x)
            | st.dictionaries(
                st.sampled_from(
                    ["config", "layers", "manifests", "schemaVersion", "mediaType", "digest", "size", "subject"]
                ),
                x,
            )
        ),
    )
)
def test_no_document_breaks_the_parser(document: Any) -> None:
    try:
        parse_manifest(json.dumps(document).encode(), "")
    except InvalidManifest:
        return
    assert document["schemaVersion"] == 2
