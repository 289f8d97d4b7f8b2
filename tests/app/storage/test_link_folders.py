"""A tree that somebody else wrote, with everything that was ever found wrong in one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository
from image_registry.storage import layout
from image_registry.storage.filesystem import FilesystemStore

APP = Repository("demo", "app")
DIGEST = Digest.of(b"a manifest")


def write(root: Path, relative: str, text: str) -> None:
    path = root / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_empty_and_foolish_links_are_named_and_keep_nobody_from_reading_the_others(tmp_path: Path) -> None:
    store = FilesystemStore(tmp_path)
    store.link_manifest(APP, DIGEST)
    store.write_tag(APP, "good", DIGEST)
    empty = Digest.of(b"empty")
    write(tmp_path, f"{layout.revision(APP, empty)}/link", "")
    write(tmp_path, f"{layout.layer(APP, empty)}/link", "sha256:not a digest")
    write(tmp_path, f"{layout.tags(APP)}/empty/current/link", "")
    write(tmp_path, f"{layout.tags(APP)}/-no tag/current/link", str(DIGEST))
    write(tmp_path, f"{layout.repository(APP)}/_manifests/revisions/md5/aa/link", "md5:aa")
    (tmp_path / layout.revision(APP, Digest.of(b"no link"))).mkdir(parents=True)
    links = store.links(APP)
    assert set(links.manifests) == {DIGEST}
    assert not links.blobs
    assert {tag: found.current for tag, found in links.tags.items()} == {"good": DIGEST, "empty": None}
    assert len(links.damaged) == 5, links.damaged


def test_a_link_that_ends_with_a_new_line_is_a_link(tmp_path: Path) -> None:
    write(tmp_path, f"{layout.revision(APP, DIGEST)}/link", f"{DIGEST}\n")
    assert set(FilesystemStore(tmp_path).links(APP).manifests) == {DIGEST}


def test_a_link_that_leads_in_a_circle_ends(tmp_path: Path) -> None:
    FilesystemStore(tmp_path).link_manifest(Repository("a", "b/c"), DIGEST)
    (tmp_path / layout.NAMESPACES / "a/loop").symlink_to("..")
    assert "a/b/c" in set(FilesystemStore(tmp_path).strays())


@pytest.mark.parametrize("where", ["", "a", "a/b/_layers", "a/b/_manifests/revisions", "a/b/_layers/sha256"])
@pytest.mark.parametrize("target", ["nowhere", "itself"])
def test_what_leads_nowhere_is_named_wherever_it_is(tmp_path: Path, where: str, target: str) -> None:
    store = FilesystemStore(tmp_path)
    for data in (b"one", b"two"):
        store.put_blob(Repository("a", "b"), data, Digest.of(data))
        store.put_manifest(Repository("a", "b"), data, Digest.of(data))
        store.put_blob(Repository("c", "d"), data, Digest.of(data))
    place = tmp_path / layout.NAMESPACES / where
    shutil.rmtree(place)
    place.symlink_to(place if target == "itself" else tmp_path / "nowhere")
    found = list(store.all_linked())
    assert [linked.name for linked in found if linked.lost] == [f"{layout.NAMESPACES}/{where}".rstrip("/")]
    if where:
        assert {value for linked in found if linked.name == "c/d" for value in linked.values}
