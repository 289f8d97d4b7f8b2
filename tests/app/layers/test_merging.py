"""What a stack of layers means, and what no layer can do."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_registry.layers.merging import Entry, Kind, Tree, UnsafeLayer
from image_registry.layers.reading import members


def entries(*lines: str) -> list[Entry]:
    """``name`` is a file, ``name/`` a folder, ``name -> to`` a symbolic link, ``name = to`` a hard link."""
    found = []
    for number, line in enumerate(lines):
        name, link, target = line.partition(" -> ")
        name, hard, other = name.partition(" = ")
        kind = Kind.LINK if link else Kind.HARD_LINK if hard else Kind.FOLDER if name.endswith("/") else Kind.FILE
        found.append(Entry(number, name, kind, target=target or other))
    return found


def merged(*layers: tuple[str, ...]) -> dict[str, tuple[int, int]]:
    """Files that are left, with layer and number of their bytes."""
    tree = Tree()
    for layer in layers:
        tree.add(entries(*layer))
    return {
        "/".join(path): (found.layer, found.entry.number)
        for path, found in tree.files()
        if found.entry.kind is not Kind.FOLDER
    }


def test_upper_layers_cover_lower_ones() -> None:
    assert merged(("a", "d/b"), ("a", "d/c")) == {"a": (1, 0), "d/b": (0, 1), "d/c": (1, 1)}


def test_whiteouts_take_away_what_lower_layers_had_alone() -> None:
    assert merged(("a", "d/b", "d/c"), (".wh.a", "d/.wh.b")) == {"d/c": (0, 2)}
    assert merged(("d/a", "d/b"), ("d/c", "d/.wh..wh..opq")) == {"d/c": (1, 0)}
    assert merged(("d/a",), ("d/.wh..wh..opq", "d/c")) == {"d/c": (1, 1)}
    assert merged(("a",), ("a", ".wh.a")) == {"a": (1, 0)}
    assert merged(("d/a",), (".wh.d", "d/", "d/b")) == {"d/b": (1, 2)}


def test_what_replaces_a_folder_replaces_what_was_in_it() -> None:
    assert merged(("d/a",), ("d",)) == {"d": (1, 0)}
    assert merged(("d",), ("d/", "d/a")) == {"d/a": (1, 1)}


def test_a_hard_link_has_the_bytes_of_its_moment() -> None:
    assert merged(("a", "b = a"), ("a",)) == {"a": (1, 0), "b": (0, 0)}
    assert merged(("a",), ("b = a", ".wh.a")) == {"b": (0, 0)}


def test_names_go_through_links_inside_of_the_image() -> None:
    assert merged(("usr/lib/", "lib -> usr/lib"), ("lib/x",)) == {"lib": (0, 1), "usr/lib/x": (1, 0)}
    assert merged(("usr/lib/", "lib -> /usr/lib"), ("lib/x",))["usr/lib/x"] == (1, 0)
    assert merged(("out -> ../../../../etc", "etc/"), ("out/passwd",))["etc/passwd"] == (1, 0)


@pytest.mark.parametrize(
    "layer",
    [
        ("../x",),
        ("d/../../x",),
        ("a\x00b",),
        ("b = ../../etc/passwd",),
        ("b = none",),
        ("d/", "b = d"),
        ("a -> b", "b -> a", "a/x"),
        ("f", "f/x"),
        ("a/" * 5000 + "x",),
        ("a -> " + "b/" * 5000,),
        ("a -> b\x00c",),
    ],
)
def test_a_layer_that_names_what_cannot_be_is_refused(layer: tuple[str, ...]) -> None:
    with pytest.raises(UnsafeLayer):
        merged(layer)


@pytest.mark.parametrize(
    ("layer", "link", "root", "written"),
    [
        (("a -> b",), "a", "", "b"),
        (("d/a -> ../b",), "d/a", "", "../b"),
        (("d/a -> /etc/x",), "d/a", "", "../etc/x"),
        (("a -> ../b",), "a", "", None),
        (("d/a -> ../../b",), "d/a", "", None),
        (("d/a -> ../b",), "d/a", "d", None),
        (("d/a -> /etc/x",), "d/a", "d", None),
        (("d/e/a -> /d/x",), "d/e/a", "d", "../x"),
        (("a -> a",), "a", "", None),
        # down through a link that leads up again
        (("x/y/z/up -> ../../..", "l -> x/y/z/up/../../h"), "l", "", None),
    ],
)
def test_a_link_that_leads_out_is_not_written(
    layer: tuple[str, ...], link: str, root: str, written: str | None
) -> None:
    tree = Tree()
    tree.add(entries(*layer))
    assert tree.link(tuple(link.split("/")), tuple(root.split("/")) if root else ()) == written


NAMES = st.sampled_from(["a", "b", "d", "d/a", "d/b", "d/e/a", ".wh.a", "d/.wh.a", ".wh.d", "d/.wh..wh..opq", "d/"])
LINES = st.one_of(NAMES, st.sampled_from(["a -> d", "d -> b", "b = a", "b -> ../..", "d/e -> /", "a -> /d/e/a"]))


@given(st.lists(st.lists(LINES, max_size=6).map(tuple), max_size=5))
def test_no_stack_of_layers_has_a_file_outside_or_in_a_file(layers: list[tuple[str, ...]]) -> None:
    tree = Tree()
    try:
        for layer in layers:
            tree.add(entries(*layer))
    except UnsafeLayer:
        return
    kinds = {path: found.entry.kind for path, found in tree.files()}
    for path, kind in kinds.items():
        assert not any(part in ("", ".", "..") or part.startswith(".wh.") for part in path)
        assert all(kinds[path[:length]] is Kind.FOLDER for length in range(1, len(path)))
        assert kind is not Kind.HARD_LINK


@pytest.mark.parametrize("when", ["nan", "inf", "1e300", "-5"])
def test_a_time_that_no_file_can_have_is_left_out(tmp_path: Path, when: str) -> None:
    member = tarfile.TarInfo("f")
    member.pax_headers = {"mtime": when}
    with tarfile.open(tmp_path / "layer.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(member)
    with members(tmp_path / "layer.tar", "layer", 1 << 20) as found:
        assert [entry.modified for entry, _ in found] == [0.0]
