"""What is missing or wrong is found, named with who needs it, and nothing is changed."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from image_registry.imagestreams.rebuild_ledger import RebuildLedger
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository
from image_registry.storage import layout
from image_registry.upkeep.asking import Refused
from image_registry.upkeep.verifying import FAULTS, Finding, Verified
from tests.app.upkeep.conftest import House, build

APP = Repository("demo", "app")
LAYER = Digest.of(b"layer")


def faults(found: Verified) -> set[tuple[str, str, str]]:
    return {(each.kind, each.repository, each.subject) for each in found.findings if each.kind in FAULTS}


def test_a_registry_that_is_whole_has_no_findings(house: House) -> None:
    found = house.verify(deep=True)
    assert (found.findings, found.clean) == ([], True)
    assert (found.repositories, found.manifests, found.blobs) == (2, 3, len(house.blobs()))


def test_a_layer_that_is_gone_is_named_with_the_repository_and_the_manifest(house: House) -> None:
    house.path(LAYER).unlink()
    manifest = house.registry.streams.tag(APP, "v1").digest
    assert house.verify().findings == [Finding("missing", "demo/app", str(LAYER), f"of {manifest}")]
    assert house.verify("other").clean
    assert not house.verify("demo", "app").clean


def test_a_manifest_that_is_gone_or_spoilt_is_named(house: House) -> None:
    first, second = (house.registry.streams.tag(APP, tag).digest for tag in ("v1", "v2"))
    house.path(first).unlink()
    house.spoil(second)
    assert faults(house.verify()) == {("missing", "demo/app", str(first)), ("corrupt", "demo/app", str(second))}


def test_spoilt_bytes_of_a_layer_are_found_by_who_reads_them(house: House) -> None:
    house.spoil(LAYER)
    assert house.verify().clean
    assert faults(house.verify(deep=True)) == {("corrupt", "demo/app", str(LAYER))}


def test_a_blob_that_is_too_short_is_found_without_reading_all(house: House) -> None:
    house.path(LAYER).write_bytes(b"la")
    assert faults(house.verify()) == {("corrupt", "demo/app", str(LAYER))}


@pytest.mark.parametrize("deep", [True, False])
def test_a_manifest_that_lies_about_a_size_is_a_note_and_no_damage(house: House, deep: bool) -> None:
    """No push of ours takes one; a tree that was adopted may hold it, and nothing in the storage is broken."""
    raw = house.path(house.registry.streams.tag(APP, "v1").digest).read_bytes()
    lying = raw.replace(b'"size": 5', b'"size": 6')
    digest = Digest.of(lying)
    house.registry.store.put_manifest(APP, lying, digest)
    found = house.verify(deep=deep)
    assert found.clean
    assert Finding("wrong-size", "demo/app", str(LAYER), f"5 bytes, 6 of {digest}") in found.findings


def test_a_link_that_is_gone_is_named(house: House) -> None:
    house.registry.store.unlink_blob(APP, LAYER)
    assert faults(house.verify()) == {("unlinked", "demo/app", str(LAYER))}


def test_a_tag_whose_link_says_something_else_is_named(house: House) -> None:
    house.registry.store.write_tag(APP, "v1", house.registry.streams.tag(APP, "v2").digest)
    assert faults(house.verify()) == {("tag-differs", "demo/app", "v1")}


def test_what_nothing_refers_to_is_a_note_and_no_fault(house: House) -> None:
    linked = house.registry.upload("demo/app", b"on its way")
    alone = Digest.of(b"alone")
    house.registry.store.put(b"alone", alone)
    found = house.verify()
    assert found.clean
    assert {(each.kind, each.repository, each.subject) for each in found.findings} == {
        ("orphaned", "demo/app", linked),
        ("orphaned", "", str(alone)),
    }


def test_what_is_mended_between_two_looks_is_not_told(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    data = house.path(LAYER).read_bytes()
    house.path(LAYER).unlink()
    monkeypatch.setattr("image_registry.upkeep.verifying.sleep", lambda _seconds: house.registry.store.put(data, LAYER))
    assert house.verify().clean


def test_nothing_is_verified_while_the_metadata_is_being_made(house: House) -> None:
    RebuildLedger(house.registry.database).begin_again()
    with pytest.raises(Refused, match="rebuild"):
        house.verify()


DAMAGES = st.sampled_from(["spoilt", "gone", "cut"])


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(damages=st.dictionaries(st.integers(0, 11), DAMAGES, max_size=4), byte=st.integers(0, 1000))
def test_whatever_is_broken_exactly_that_is_found(damages: dict[int, str], byte: int, broken_house: House) -> None:
    """Of blobs that images need; an image whose manifest is unreadable has no layers that anybody knows of."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "blobs"
        shutil.copytree(broken_house.root, root)
        house = House(broken_house.registry, broken_house.root)
        layers = sorted(Digest.of(b"%d" % number) for number in range(12))
        try:
            for number, damage in damages.items():
                if damage == "spoilt":
                    house.spoil(layers[number], byte)
                elif damage == "gone":
                    house.path(layers[number]).unlink()
                else:
                    house.path(layers[number]).write_bytes(b"")
            found = {each.subject for each in house.verify(deep=True).findings if each.kind in FAULTS}
            assert found == {str(layers[number]) for number in damages}
        finally:
            shutil.rmtree(broken_house.root)
            shutil.copytree(root, broken_house.root)


@pytest.fixture(scope="module")
def broken_house(tmp_path_factory: pytest.TempPathFactory) -> House:
    """Twelve images, each with a layer of its own."""
    house = build(tmp_path_factory.mktemp("house"))
    for number in range(12):
        house.registry.push(f"demo/app{number % 3}", f"v{number}", layer=b"%d" % number)
    return house


def test_a_damaged_link_is_named(house: House) -> None:
    tag = house.root / layout.tag_current(APP, "v1")
    tag.write_text("nonsense", encoding="ascii")
    assert "damaged" in {kind for kind, _, _ in faults(house.verify())}
