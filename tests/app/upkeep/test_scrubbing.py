"""Corrupt blobs are found, put aside and brought back by a push; a scrub that was broken off is gone on with."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from image_registry.oci.digest import Digest
from image_registry.storage.filesystem import FilesystemStore
from image_registry.upkeep.hashing import Hashing, Wrong
from image_registry.upkeep.scrubbing import Scrubbed, scrub
from tests.app.distribution_api.conftest import code
from tests.app.upkeep.conftest import House

LAYER = Digest.of(b"layer")
BLOB = f"/v2/demo/app/blobs/{LAYER}"


def scrubbed(house: House, *, confirm: bool = True, after: str = "") -> Scrubbed:
    store = house.registry.store
    return scrub(store, Hashing(store), confirm=confirm, after=after)


def test_a_registry_that_is_whole_is_read_from_end_to_end(house: House) -> None:
    found = scrubbed(house)
    assert (found.clean, found.blobs, found.put_aside) == (True, len(house.blobs()), 0)
    assert found.bytes == sum(house.path(digest).stat().st_size for digest in house.blobs())


def test_a_dry_run_names_what_is_corrupt_and_leaves_it(house: House) -> None:
    house.spoil(LAYER)
    found = scrubbed(house, confirm=False)
    assert [each["digest"] for each in found.corrupt] == [str(LAYER)]
    assert house.registry.client.get(BLOB).status_code == 200
    assert list(house.registry.store.quarantined()) == []


def test_what_is_corrupt_is_put_aside_refused_to_pulls_and_repaired_by_a_push(house: House) -> None:
    house.spoil(LAYER)
    spoilt = house.path(LAYER).read_bytes()
    assert scrubbed(house).put_aside == 1
    answer = house.registry.client.get(BLOB)
    assert (answer.status_code, code(answer)) == (404, "BLOB_UNKNOWN")
    [aside] = house.registry.store.quarantined()
    assert (aside.digest, aside.size) == (LAYER, len(spoilt))
    assert [path.read_bytes() for path in (house.root / "docker/registry/v2/.quarantine").rglob("*.*")] == [spoilt]
    house.registry.upload("demo/app", b"layer")
    assert house.registry.client.get(BLOB).data == b"layer"
    assert scrubbed(house).clean


def test_the_same_blob_can_be_put_aside_twice_and_nothing_is_lost(house: House) -> None:
    for _ in range(2):
        house.spoil(LAYER)
        scrubbed(house)
        house.registry.upload("demo/app", b"layer")
    assert [blob.digest for blob in house.registry.store.quarantined()] == [LAYER, LAYER]


def test_what_is_pushed_anew_while_it_is_read_is_never_put_aside(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.path(LAYER).write_bytes(b"lay")  # what is shorter than it should be is replaced by a push at once
    check = Hashing.check

    def slowly(hashing: Hashing, digest: Digest) -> int | None:
        try:
            return check(hashing, digest)
        finally:
            if digest == LAYER:
                house.registry.upload("demo/app", b"layer")

    monkeypatch.setattr(Hashing, "check", slowly)
    found = scrubbed(house)
    assert ([each["digest"] for each in found.corrupt], found.put_aside) == ([str(LAYER)], 0)
    assert house.registry.client.get(BLOB).data == b"layer"


def test_what_was_put_aside_is_no_garbage_and_comes_back_by_no_reader(house: House) -> None:
    house.spoil(LAYER)
    scrubbed(house)
    assert house.registry.store.stat(LAYER) is None
    assert not house.registry.store.take_back(LAYER)
    assert LAYER not in house.blobs()


def test_a_scrub_goes_on_behind_its_cursor_with_what_was_found_before(house: House) -> None:
    store, digests = house.registry.store, house.blobs()
    house.spoil(digests[1])
    notes: list[tuple[str, Mapping[str, Any]]] = []

    class Killed(Exception):
        pass

    def advance(cursor: str, found: Mapping[str, Any]) -> None:
        notes.append((cursor, found))
        raise Killed

    with pytest.raises(Killed):
        scrub(store, Hashing(store), confirm=False, advance=advance)
    [(cursor, found)] = notes
    assert cursor == str(digests[1])
    hashing = Hashing(store)
    whole = scrub(store, hashing, confirm=False, after=cursor, found=Scrubbed.of(found))
    assert (whole.blobs, [each["digest"] for each in whole.corrupt]) == (len(digests), [str(digests[1])])
    assert hashing.read == sum(house.path(digest).stat().st_size for digest in digests[2:])


def test_reading_keeps_to_the_rate_and_can_be_ended(tmp_path: Path) -> None:
    store, data = FilesystemStore(tmp_path), bytes(6 << 20)
    store.put(data, Digest.of(data))
    started = time.monotonic()
    assert Hashing(store, rate=30 << 20).check(Digest.of(data)) == len(data)
    assert time.monotonic() - started >= 0.15

    class Ended(Exception):
        pass

    def tick() -> None:
        raise Ended

    with pytest.raises(Ended):
        Hashing(store, tick=tick).check(Digest.of(data))


def test_what_cannot_be_read_is_told_and_not_moved(house: House) -> None:
    house.path(LAYER).unlink()
    house.path(LAYER).mkdir()
    with pytest.raises(Wrong) as wrong:
        Hashing(house.registry.store).check(LAYER)
    assert wrong.value.unreadable


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(chosen=st.sets(st.integers(0, 8)), byte=st.integers(0, 1000))
def test_exactly_what_was_spoilt_is_found_and_put_aside(house: House, chosen: set[int], byte: int) -> None:
    digests = house.blobs()
    wanted = {digests[number] for number in chosen if number < len(digests)}
    kept = {digest: house.path(digest).read_bytes() for digest in wanted}
    for digest in wanted:
        house.spoil(digest, byte)
    found = scrubbed(house)
    assert {each["digest"] for each in found.corrupt} == {str(digest) for digest in wanted}
    assert found.put_aside == len(wanted)
    assert set(house.blobs()) == set(digests) - wanted
    for digest, data in kept.items():
        house.registry.store.put(data, digest)
    assert scrubbed(house).clean
