"""A legacy registry in the lab: what its variants become there, and what nodes are told of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from image_registry_lab.legacy import running
from image_registry_lab.legacy.objects import objects
from image_registry_lab.node import Node
from image_registry_lab.places import Places
from image_registry_lab.report import LabError


@pytest.mark.parametrize("name", running.supported())
def test_a_variant_of_the_lab_names_nothing_that_the_lab_has_not(name: str) -> None:
    said = json.dumps(objects(running.in_lab(name, "lab.local/registry:1")))
    assert "example.com/" not in said.replace("builds.example.com/", "").replace("node-role.example.com/", "")
    assert '"path": "/cpaas' not in said, "a folder of the machine"


def test_variants_that_cannot_run_there_are_refused_with_those_that_can() -> None:
    for name in ("4.2-s3", "4.2-partial"):
        with pytest.raises(LabError, match=r"the lab has 4\.2-pvc, "):
            running.in_lab(name, "x")
    with pytest.raises(LabError, match=r"there is no variant 5\.0: 4\.2-pvc"):
        running.in_lab("5.0", "x")


def test_lines_of_others_in_a_hosts_file_stay(tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_text("127.0.0.1 localhost\n10.0.0.9 image-registry.image-registry-system.svc # of somebody else\n")
    before = file.read_text()
    running._write_hosts(file, ["10.0.0.1 a.svc"])
    running._write_hosts(file, ["10.0.0.2 a.svc"])
    assert file.read_text() == f"{before}10.0.0.2 a.svc {running.MARK}\n"
    running._write_hosts(file, [])
    assert file.read_text() == before


def test_where_there_is_none_nothing_is_told_and_nothing_is_removed(tmp_path: Path) -> None:
    def nobody() -> list[Node]:
        raise AssertionError("no node is looked at")

    legacy = running.Legacy(Places(tmp_path), nobody, print)
    assert (legacy.name(), legacy.pushed(), legacy.settings()) == ("", {}, {})
    legacy.remove()
