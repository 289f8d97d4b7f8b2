"""Media that are ill: files that cannot be read, stores that go away or lose what they took, and the speed of all."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from image_registry.oci.digest import Digest
from image_registry.relocating import uploads, wording
from image_registry.relocating.blobs import Blobs, Wanted
from image_registry.relocating.copying import Place, Wish, copy
from image_registry.relocating.crew import Pace
from image_registry.storage import layout
from image_registry.storage.blob_store import StorageFault
from image_registry.storage.choice import Filesystem, open_store
from image_registry.storage.folder_tree import FolderTree
from image_registry.storage.object_client import Incoming, ObjectMissing
from image_registry.storage.tree import Tree
from tests.app.relocating.registry_tree import APP, Filled, blob, run


@dataclass
class Ailing:
    """A named fake of a medium: files of ``lost`` cannot be read, or are not there although they were written."""

    tree: Tree
    lost: frozenset[str]
    missing: bool = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tree, name)

    def open(self, path: str, size: int) -> Incoming:
        if path in self.lost:
            raise ObjectMissing(path) if self.missing else StorageFault(f"cannot read {path}: Input/output error")
        return self.tree.open(path, size)


def ailing(storage: Filesystem, lost: Iterable[Digest], **how: bool) -> Place:
    place = Place.of(storage)
    return replace(place, tree=Ailing(place.tree, frozenset(map(layout.blob_data, lost)), **how))


def run_between(source: Place, target: Place, **wish: Any) -> dict[str, Any]:
    return copy(source, target, Wish(name="the source", **wish), lambda _stage, _count: None)


def many(filled: Filled) -> list[Digest]:
    """Sixty more blobs, which no image names."""
    more = [blob(number) for number in range(70, 130)]
    for data in more:
        filled.store.put(data, Digest.of(data))
    return [Digest.of(data) for data in more]


@pytest.mark.parametrize("accept", [False, True])
def test_a_disk_with_many_bad_places_gives_what_it_can(
    source: Filesystem, target: Filesystem, filled: Filled, accept: bool
) -> None:
    bad = many(filled)
    sick = ailing(source, bad)
    accepted = frozenset(map(str, bad if accept else ()))
    report = run_between(sick, Place.of(target), complete=True, parallel=1, accepted=accepted)
    assert report["blobs"]["copied"] == 9
    assert open_store(target).tags(APP) == ["v1", "v2"], "links come too"
    assert report["state"] == ("complete" if accept else "copied")
    assert (report["failed"], len(report["accepted"])) == ((0, 60) if accept else (60, 0))


@pytest.mark.parametrize("side", ["source", "target"])
def test_a_medium_that_goes_away_ends_the_copy_with_its_report(
    source: Filesystem, target: Filesystem, filled: Filled, monkeypatch: pytest.MonkeyPatch, side: str
) -> None:
    many(filled)

    def gone(_tree: FolderTree, path: Any, *_: Any) -> None:
        raise StorageFault(f"cannot reach {path}: Input/output error")

    def away(blobs: Blobs, wanted: list[Wanted]) -> None:
        for name in ("read", "open") if side == "source" else ("write", "receive"):
            monkeypatch.setattr(FolderTree, name, gone)
        bring(blobs, wanted)

    bring = Blobs.bring
    monkeypatch.setattr(Blobs, "bring", away)
    report = run(source, target, parallel=1)
    assert (report["state"], report["clean"], report["blobs"]["found"]) == ("failed", False, 69)
    assert 25 <= report["failed"] < 30, "what had begun may still fail"
    assert "25 blobs failed one after the other, and now nothing goes: cannot reach" in report["why"]
    *_, last = wording.lines(report)
    assert last.startswith("broken off: 25 blobs failed")
    assert json.loads(json.dumps(wording.short(report)))["why"] == report["why"]


def test_what_was_accepted_hides_no_other_difference(
    source: Filesystem, target: Filesystem, filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = Digest.of(blob(4))
    (source.rootdirectory / layout.blob_data(wrong)).write_bytes(bytes(1000))
    bring = uploads.bring

    def meanwhile(*places: Any, **options: Any) -> None:
        bring(*places, **options)
        monkeypatch.setattr(uploads, "bring", bring)
        (source.rootdirectory / layout.blob_data(wrong)).unlink()
        filled.store.put(blob(31), Digest.of(blob(31)))

    monkeypatch.setattr(uploads, "bring", meanwhile)
    report = run(source, target, complete=True, accepted=frozenset([str(wrong)]))
    assert (report["state"], report["changedMeanwhile"]) == ("copied", 1)


def test_a_target_that_loses_what_it_took_is_no_blob_that_the_source_threw_away(
    source: Filesystem, target: Filesystem, filled: Filled
) -> None:
    lost = Digest.of(blob(3))
    forgetful = ailing(target, [lost], missing=True)
    report = run_between(Place.of(source), forgetful, complete=True)
    assert filled.store.stat(lost) == 1000
    assert report["state"] == "copied"
    assert report["blobs"]["gone"] == 0
    assert [failure["what"] for failure in report["failures"]] == [str(lost)]
    assert "reads otherwise at the target" in report["failures"][0]["why"]


@pytest.mark.usefixtures("filled")
def test_the_speed_is_held(source: Filesystem, target: Filesystem, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("image_registry.relocating.crew.time", clock)
    report = run(source, target, rate=1 << 20, check="none", parallel=1)
    assert report["blobs"]["bytesCopied"] == 6296109
    assert clock.monotonic() == pytest.approx(6296109 / (1 << 20)), "every byte has waited, and none twice"


def test_who_was_slow_may_not_hurry_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("image_registry.relocating.crew.time", clock)
    pace = Pace(100)
    pace.moved(50)
    assert clock.now == 0.5
    clock.now += 60
    pace.moved(100)
    assert clock.now == 61.5
    Pace(0).moved(1 << 40)
    assert clock.now == 61.5


class Clock:
    """Time that passes only where somebody waits for it."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
