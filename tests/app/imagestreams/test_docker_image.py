"""The DockerImage document: what a configuration says, and nothing a hostile one can do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from image_registry.imagestreams import docker_image as module
from image_registry.imagestreams.docker_image import docker_image
from image_registry.oci import media_types
from image_registry.oci.digest import Digest
from image_registry.oci.manifest import Manifest, parse_manifest

CONFIG = {
    "created": "2030-01-01T00:00:00Z",
    "architecture": "arm64",
    "variant": "v8",
    "os": "linux",
    "author": "someone",
    "docker_version": "27.0",
    "config": {"Cmd": ["/app"], "Labels": {"a": "b"}},
    "container_config": {"Cmd": ["/bin/sh"]},
    "rootfs": {"type": "layers"},
    "history": [{}],
}


@pytest.fixture
def manifest() -> Manifest:
    blob = {"mediaType": media_types.OCI_CONFIG, "digest": str(Digest.of(b"config")), "size": 100}
    layer = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": str(Digest.of(b"layer")), "size": 1000}
    document = {"schemaVersion": 2, "mediaType": media_types.OCI_MANIFEST, "config": blob, "layers": [layer, layer]}
    return parse_manifest(json.dumps(document).encode(), "")


def test_the_document_carries_what_the_configuration_says(manifest: Manifest) -> None:
    document = docker_image(manifest, json.dumps(CONFIG).encode())
    assert document == {
        "kind": "DockerImage",
        "apiVersion": "1.0",
        "Id": str(manifest.config.digest) if manifest.config else "",
        "Created": "2030-01-01T00:00:00Z",
        "Architecture": "arm64",
        "Variant": "v8",
        "Os": "linux",
        "Author": "someone",
        "DockerVersion": "27.0",
        "Config": {"Cmd": ["/app"], "Labels": {"a": "b"}},
        "ContainerConfig": {"Cmd": ["/bin/sh"]},
        "Size": 1100,
    }


@pytest.mark.parametrize(
    "config",
    [None, b"", b"not json", b"[]", b"null", b'{"a": NaN}', b'{"a": Infinity}', b"\xff\xfe", b"[" * 100_000],
    ids=lambda value: repr(value)[:20],
)
def test_a_configuration_that_cannot_be_read_gives_no_metadata(manifest: Manifest, config: bytes | None) -> None:
    assert docker_image(manifest, config) == {}


def test_members_of_a_wrong_type_are_left_out(manifest: Manifest) -> None:
    wrong: dict[str, Any] = {"os": 7, "created": ["x"], "config": "text", "architecture": None}
    assert set(docker_image(manifest, json.dumps(wrong).encode())) == {"kind", "apiVersion", "Id", "Size"}


def test_a_huge_configuration_is_not_read(manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CONFIG", 10)
    assert docker_image(manifest, json.dumps(CONFIG).encode()) == {}


def test_a_large_configuration_keeps_only_what_identifies_the_image(manifest: Manifest) -> None:
    large = {**CONFIG, "config": {"Labels": {"a": "x" * 70_000}}, "author": "y" * 5_000}
    document = docker_image(manifest, json.dumps(large).encode())
    assert document["Architecture"] == "arm64"
    assert {"Config", "ContainerConfig", "Author"}.isdisjoint(document)
    usual = {**CONFIG, "config": {"Labels": {"a": "x" * 50_000}}}
    assert "Config" in docker_image(manifest, json.dumps(usual).encode())


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_a_configuration_nested_without_end_breaks_no_writer(manifest: Manifest, opening: str, closing: str) -> None:
    for depth in (60, 300, 900):
        deep = b'{"os": "linux", "config": {"a": %s1%s}}' % (opening.encode() * depth, closing.encode() * depth)
        document = docker_image(manifest, deep)
        assert "Config" not in document
    shallow = b'{"config": {"a": %s1%s}}' % (opening.encode() * 5, closing.encode() * 5)
    assert "Config" in docker_image(manifest, shallow)


def test_an_artifact_has_no_docker_metadata() -> None:
    empty = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": "sha256:" + "0" * 64, "size": 2}
    artifact = parse_manifest(json.dumps({"schemaVersion": 2, "config": empty, "layers": [empty]}).encode(), "")
    assert docker_image(artifact, b"{}") == {}
