"""What another side calls its images never leads out of the folder, nor to another repository."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from image_registry.mirroring.in_files import FileRepository
from image_registry.mirroring.places import FILE, Place
from image_registry.oci import media_types
from image_registry.oci.manifest import parse_manifest
from image_registry.remote.errors import InvalidReference, Unusable
from image_registry.remote.reference import RemoteReference
from image_registry.remote.registry import _tags

HOSTILE = ["../../../../../.bashrc", "..", "a/b", "", "a\x00b", "/etc/passwd", "a?b=c"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_folder_takes_nothing_under_a_name_that_is_no_tag(tmp_path: Path, name: str) -> None:
    mine = tmp_path / ".bashrc"
    mine.write_text("mine")
    store = FileRepository(Place(FILE, str(tmp_path / "store"), "team/app"))
    document = {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": []}
    image = parse_manifest(json.dumps(document).encode(), media_types.OCI_INDEX)
    with pytest.raises(Unusable, match="is not a tag"):
        store.put_manifest(name, image)
    assert mine.read_text() == "mine"
    assert store.tags() in (None, [])


@pytest.mark.parametrize("name", HOSTILE)
def test_a_registry_is_not_asked_for_a_name_that_is_no_tag(name: str) -> None:
    with pytest.raises(InvalidReference, match="is not a tag"):
        RemoteReference("registry.example.com", "team/app").at(name)


def test_a_list_of_tags_holds_tags_alone() -> None:
    answer = json.dumps({"name": "team/app", "tags": [*HOSTILE, "1.0", 7, None]}).encode()
    assert _tags(answer, RemoteReference("registry.example.com", "team/app")) == ["1.0"]
