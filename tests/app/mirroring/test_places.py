"""What people write as sources and targets is read as they mean it, or refused with what to change."""

from __future__ import annotations

from pathlib import Path

import pytest

from image_registry.mirroring.places import InvalidMapping, parse_mapping, parse_mappings, parse_place
from image_registry.oci.digest import Digest
from image_registry.remote.errors import InvalidReference

HERE = Path("/here")
DIGEST = Digest.of(b"x")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("quay.io/a/b:1", "quay.io/a/b:1"),
        ("docker://quay.io/a/b:1", "quay.io/a/b:1"),
        ("busybox", "docker.io/library/busybox"),
        ("localhost:5000/a", "localhost:5000/a"),
        (f"h.io/a/b@{DIGEST}", f"h.io/a/b@{DIGEST}"),
        (f"h.io/a/b:1@{DIGEST}", f"h.io/a/b:1@{DIGEST}"),
        ("file://a/b:1", "file://a/b:1"),
        ("oci:/some/folder:my/name:1", "oci:/some/folder:my/name:1"),
        ("h.io/a/b:*", "h.io/a/b:*"),
        ("h.io/a/b:1.0,1.1", "h.io/a/b:1.0,1.1"),
    ],
)
def test_a_place_is_read(text: str, shown: str) -> None:
    assert str(parse_place(text, HERE)) == shown


@pytest.mark.parametrize(
    "text", ["", "s3://eu/bucket/a", "ftp://a/b", "oci:", "oci:folder:", "h.io/A/b", "h.io/a:-x", f"h.io/a:*@{DIGEST}"]
)
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(InvalidReference):
        parse_place(text, HERE)


@pytest.mark.parametrize(
    ("text", "source", "target"),
    [
        ("h.io/a/b:1=g.io/c", "h.io/a/b:1", "g.io/c:1"),
        ("h.io/a/b=g.io/c", "h.io/a/b:latest", "g.io/c:latest"),
        ("h.io/a/b:1=g.io/c:2", "h.io/a/b:1", "g.io/c:2"),
        (f"h.io/a/b@{DIGEST}=g.io/c", f"h.io/a/b@{DIGEST}", f"g.io/c@{DIGEST}"),
        (f"h.io/a/b@{DIGEST}=g.io/c:2", f"h.io/a/b@{DIGEST}", "g.io/c:2"),
        ("h.io/a/b:1.*=file://c", "h.io/a/b:1.*", "file://c"),
        ("h.io/a/b:1=oci:/f", "h.io/a/b:1", "oci:/f:1"),
        ("oci:/f=h.io/a/b:1", "oci:/f", "h.io/a/b:1"),
    ],
)
def test_a_target_takes_what_it_does_not_say_from_its_source(text: str, source: str, target: str) -> None:
    found = parse_mapping(text, HERE, HERE)
    assert (str(found.source), str(found.target)) == (source, target)


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "=b",
        "a=",
        "a=b=c",
        "h.io/a:*=g.io/b:1",
        "h.io/a:1=g.io/b:*",
        f"h.io/a:1=g.io/b@{DIGEST}",
        f"h.io/a@{DIGEST}=oci:f",
    ],
)
def test_mappings_that_cannot_be_meant_are_refused(text: str) -> None:
    with pytest.raises(InvalidMapping):
        parse_mapping(text, HERE, HERE)


def test_a_file_of_mappings_has_comments_and_its_errors_have_lines() -> None:
    assert len(parse_mappings(["# all", "", "h.io/a=g.io/a  # one", "h.io/b=g.io/b\n"], HERE, HERE)) == 2
    with pytest.raises(InvalidMapping, match="line 2: "):
        parse_mappings(["h.io/a=g.io/a", "nothing"], HERE, HERE)


def test_sources_and_targets_in_files_may_lie_in_different_folders(tmp_path: Path) -> None:
    found = parse_mapping("file://a=file://b", tmp_path / "from", tmp_path / "to")
    assert (found.source.root, found.target.root) == (str(tmp_path / "from"), str(tmp_path / "to"))
