"""What a run takes, and what it leaves."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
import time
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from image_registry.garbage.collection import CollectionRefused, Collector, Report, Rules
from image_registry.garbage.links import clean_pending
from image_registry.garbage.rules import read
from image_registry.imagestreams.inventory import Inventory
from image_registry.imagestreams.rebuild_ledger import RebuildLedger
from image_registry.metadata.database import Database
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository
from image_registry.rebuilding.rebuild import Rebuild
from image_registry.storage import layout
from image_registry.storage.blob_store import StorageFault
from tests.app.distribution_api.conftest import assemble, manifest_of
from tests.app.garbage.conftest import Yard
from tests.app.schema import upgraded

APP, OTHER = Repository("demo", "app"), Repository("demo", "other")
NOW = timedelta(0)


def forget(yard: Yard, reference: str = "v1", repository: Repository = APP) -> Digest:
    """Delete an image from the repository and from the cluster."""
    digest = yard.registry.streams.tag(repository, reference).digest
    yard.registry.client.delete(f"/v2/{repository}/manifests/{digest}")
    yard.registry.streams.delete_image(digest)
    return digest


@pytest.mark.parity(20)
def test_what_an_image_needs_stays(yard: Yard) -> None:
    yard.registry.push("demo/app", "v1")
    before = yard.blobs()
    yard.pass_time()
    report = yard.collect(trash=NOW)
    assert (report.links, report.thrown_away, report.removed) == ([], [], [])
    assert yard.blobs() == before


def test_the_bytes_of_a_deleted_image_come_back_after_a_day_in_the_trash(yard: Yard) -> None:
    yard.registry.push("demo/app", "v1")
    yard.registry.push("demo/app", "v2", layer=b"another layer")
    digest = forget(yard)
    yard.pass_time()
    first = yard.collect()
    assert Digest.of(b"layer") in {blob.digest for blob in first.thrown_away}
    assert digest in {blob.digest for blob in first.thrown_away}
    assert first.removed == []
    assert len(yard.blobs()) == 3  # the other image: manifest, configuration, layer
    yard.pass_time()
    second = yard.collect()
    assert {blob.digest for blob in second.removed} == {blob.digest for blob in first.thrown_away}
    assert second.freed == sum(blob.size for blob in first.thrown_away)
    assert list(yard.registry.store.trash()) == []


def test_a_dry_run_says_what_the_real_run_does_and_changes_nothing(yard: Yard) -> None:
    for number in range(4):
        yard.registry.push("demo/app", f"v{number}", layer=b"%d" % number)
    forget(yard, "v1")
    forget(yard, "v2")
    yard.pass_time()
    before = yard.blobs()
    plan = yard.collect(dry_run=True, trash=NOW)
    assert yard.blobs() == before
    done = yard.collect(trash=NOW)
    assert set(plan.links) == set(done.links) != set()
    assert {b.digest for b in plan.thrown_away} == {b.digest for b in done.thrown_away} == before_minus(yard, before)
    assert {b.digest for b in plan.removed} == {b.digest for b in done.removed}


def before_minus(yard: Yard, before: set[str]) -> set[Digest]:
    return {Digest.parse(digest) for digest in before - yard.blobs()}


def test_a_second_run_finds_nothing_more(yard: Yard) -> None:
    yard.registry.push("demo/app", "v1")
    forget(yard)
    yard.pass_time()
    yard.collect(trash=NOW)
    again = yard.collect(trash=NOW)
    assert (again.links, again.thrown_away, again.removed, again.waiting) == ([], [], [], [])


@pytest.mark.parity(20)
def test_a_blob_whose_manifest_is_still_to_come_stays(yard: Yard) -> None:
    yard.registry.upload("demo/app", b"on its way")
    assert yard.collect(trash=NOW).thrown_away == []
    yard.pass_time(timedelta(hours=23))
    assert yard.collect(trash=NOW).thrown_away == []
    yard.pass_time(timedelta(hours=2))
    assert [blob.digest for blob in yard.collect(trash=NOW).removed] == [Digest.of(b"on its way")]


@pytest.mark.parity(20)
def test_who_heard_that_an_old_blob_is_there_can_rely_on_it(yard: Yard) -> None:
    digest = yard.registry.upload("demo/app", b"layer")
    config = yard.registry.upload("demo/app", b"{}")
    yard.pass_time()
    for blob in (digest, config):
        assert yard.registry.client.head(f"/v2/demo/app/blobs/{blob}").status_code == 200
    assert yard.collect(trash=NOW).links == []
    body = manifest_of(b"{}", b"layer")
    put = yard.registry.client.put(
        "/v2/demo/app/manifests/v1", data=body, content_type="application/vnd.oci.image.manifest.v1+json"
    )
    assert put.status_code == 201


@pytest.mark.parametrize("way", ["upload", "session", "mount"])
def test_an_old_blob_that_is_pushed_or_mounted_once_more_is_young(yard: Yard, way: str) -> None:
    digest = yard.registry.upload("demo/app", b"layer")
    yard.pass_time()
    if way == "upload":
        yard.registry.upload("demo/app", b"layer")
    elif way == "mount":
        yard.registry.upload("demo/other", b"layer")
        yard.pass_time()
        assert (
            yard.registry.client.post(f"/v2/demo/app/blobs/uploads/?mount={digest}&from=demo/other").status_code == 201
        )
    else:
        place = yard.registry.client.post("/v2/demo/app/blobs/uploads/").headers["Location"]
        place = yard.registry.client.patch(place, data=b"layer").headers["Location"]
        assert yard.registry.client.put(f"{place}?digest={digest}").status_code == 201
    yard.collect(trash=NOW)
    assert yard.registry.client.get(f"/v2/demo/app/blobs/{digest}").data == b"layer"


def test_a_link_that_nothing_needs_goes_and_the_image_elsewhere_keeps_the_bytes(yard: Yard) -> None:
    yard.registry.push("demo/other", "v1")
    layer = yard.registry.upload("demo/app", b"layer")
    yard.pass_time()
    report = yard.collect(trash=NOW)
    assert report.links == [("demo/app", Digest.parse(layer))]
    assert report.thrown_away == []
    assert yard.registry.client.get(f"/v2/demo/app/blobs/{layer}").status_code == 404
    assert yard.registry.client.get(f"/v2/demo/other/blobs/{layer}").data == b"layer"


@pytest.mark.parity(20)
def test_an_image_that_no_stream_holds_keeps_its_bytes(yard: Yard) -> None:
    yard.registry.push("demo/app", "v1")
    yard.registry.streams.delete_stream(APP)
    yard.pass_time()
    assert yard.collect(trash=NOW).thrown_away == []


def test_what_was_thrown_away_comes_back_to_whoever_needs_it(yard: Yard) -> None:
    digest = Digest.parse(yard.registry.upload("demo/app", b"layer"))
    yard.pass_time()
    yard.collect()
    assert yard.blobs() == set()
    store = yard.registry.store
    store.link_blob(APP, digest)  # by a process that saw the bytes a moment before
    assert yard.registry.client.get(f"/v2/demo/app/blobs/{digest}").data == b"layer"
    assert yard.blobs() == {str(digest)}
    assert yard.registry.client.head(f"/v2/demo/app/blobs/{digest}").status_code == 200


def test_what_is_linked_while_it_waits_in_the_trash_is_taken_back_by_the_next_run(yard: Yard) -> None:
    digest = Digest.parse(yard.registry.upload("demo/app", b"layer"))
    yard.pass_time()
    yard.collect()
    yard.registry.store.link_blob(APP, digest)
    report = yard.collect(trash=NOW)
    assert report.taken_back == [digest]
    assert report.removed == []


def test_a_link_made_during_the_run_brings_the_blob_back_at_its_end(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = Digest.parse(yard.registry.upload("demo/app", b"layer"))
    yard.pass_time()
    store, throw = yard.registry.store, yard.registry.store.throw_away

    def thrown(*arguments: object) -> bool:
        store.link_blob(OTHER, digest)
        return throw(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "throw_away", thrown)
    report = yard.collect(trash=NOW)
    assert report.taken_back == [digest]
    assert yard.blobs() == {str(digest)}


def test_bytes_that_are_pushed_again_while_they_lie_in_the_trash_are_there(yard: Yard) -> None:
    digest = yard.registry.upload("demo/app", b"layer")
    yard.pass_time()
    yard.collect()
    yard.registry.upload("demo/other", b"layer")
    assert yard.registry.client.get(f"/v2/demo/other/blobs/{digest}").data == b"layer"
    assert yard.collect(trash=NOW).thrown_away == []
    assert yard.registry.client.get(f"/v2/demo/other/blobs/{digest}").data == b"layer"


def test_names_that_are_not_ours_protect_what_they_link(yard: Yard) -> None:
    digest = Digest.parse(yard.registry.upload("demo/app", b"layer"))
    link = yard.root / layout.NAMESPACES / "a/b/c/_layers" / digest.algorithm / digest.hex / "link"
    link.parent.mkdir(parents=True)
    link.write_text(str(digest))
    yard.pass_time()
    report = yard.collect(trash=NOW)
    assert report.thrown_away == []
    assert link.exists()


def test_what_leads_nowhere_protects_everything_until_it_leads_somewhere(yard: Yard) -> None:
    yard.registry.upload("demo/app", b"layer")
    beyond = yard.root.parent / "another volume"
    shutil.move(yard.root / layout.NAMESPACES / "demo", beyond)
    (yard.root / layout.NAMESPACES / "demo").symlink_to(beyond)
    yard.pass_time()
    shutil.move(beyond, yard.root.parent / "not mounted")
    for dry_run in (True, False):
        with pytest.raises(CollectionRefused, match="repositories/demo is a symbolic link that leads nowhere"):
            yard.collect(dry_run=dry_run, trash=NOW)
    assert len(yard.blobs()) == 1
    shutil.move(yard.root.parent / "not mounted", beyond)
    os.utime(beyond / "app/_layers/sha256" / Digest.of(b"layer").hex / "link")
    assert yard.collect(trash=NOW).thrown_away == []


def test_a_repository_that_was_not_understood_is_left_alone_and_named(yard: Yard) -> None:
    digest = Digest.parse(yard.registry.upload("demo/app", b"layer"))
    broken = yard.registry.upload("demo/app", b"{}")
    store = yard.registry.store
    store.link_manifest(APP, Digest.parse(broken))
    ledger = RebuildLedger(yard.registry.database)
    ledger.begin_again()
    Rebuild(store, yard.registry.streams, ledger).run(threading.Event())
    yard.pass_time()
    report = yard.collect(trash=NOW)
    assert report.skipped == ["demo/app"]
    assert store.blob_linked(APP, digest)
    assert str(digest) in yard.blobs()


def test_nothing_is_collected_while_the_metadata_is_being_made(yard: Yard) -> None:
    RebuildLedger(yard.registry.database).begin_again()
    with pytest.raises(CollectionRefused, match="rebuild"):
        yard.collect(dry_run=True)


def test_a_run_that_would_take_most_of_a_registry_is_refused(yard: Yard) -> None:
    for number in range(101):
        yard.registry.store.put(b"%d" % number, Digest.of(b"%d" % number))
    yard.pass_time()
    collector = yard.collector(share=0.5)
    assert collector.run(dry_run=True).too_much
    with pytest.raises(CollectionRefused, match="101 of 101 blobs"):
        collector.run(dry_run=False)
    assert len(yard.blobs()) == 101


def rules_of_a_schedule() -> Rules:
    """What is in force where nobody names a share."""
    found = read({"grace": "24h", "trash": "0s"}, promise=3600)
    assert found.unless_known
    return found


def scheduled(yard: Yard, database: Database | None = None) -> Report:
    inventory = Inventory(database or yard.registry.database)
    return Collector(yard.registry.store, inventory, rules_of_a_schedule()).run(dry_run=False)


def test_no_tenant_can_end_the_collection_for_all_by_pushing_garbage(yard: Yard) -> None:
    yard.registry.push("demo/app", "v1")
    for number in range(60):
        yard.registry.upload("other/noise", b"%d" % number)
    yard.pass_time()
    report = scheduled(yard)
    assert len(report.removed) == 60
    assert len(yard.blobs()) == 3


def test_no_tenant_can_end_the_collection_for_all_by_deleting_images(yard: Yard) -> None:
    yard.registry.push("demo/app", "v1")
    for number in range(30):
        yard.registry.push("other/noise", f"v{number}", layer=b"%d" % number)
    for number in range(30):
        forget(yard, f"v{number}", Repository("other", "noise"))
    yard.pass_time()  # nobody has cleaned the links of the repository yet
    assert scheduled(yard).too_much is False
    clean_pending(yard.registry.store, yard.registry.streams)
    scheduled(yard)
    assert len(yard.blobs()) == 3


@pytest.mark.parametrize("images", [0, 12])
def test_tables_and_storage_of_two_registries_are_told_apart(yard: Yard, images: int) -> None:
    """Another database, or another storage: what each of them holds the other does not know."""
    yard.registry.push("demo/app", "v1")
    for number in range(60):
        yard.registry.upload("demo/noise", b"%d" % number)
    yard.pass_time()
    foreign = Database(upgraded(f"sqlite:///{yard.root.parent / 'foreign.db'}"))
    other = assemble(foreign, yard.root.parent / "elsewhere")
    for number in range(images):
        other.push("demo/app", f"v{number}", layer=b"foreign %d" % number)
    before = files(yard)
    with pytest.raises(CollectionRefused, match="not what the metadata says"):
        scheduled(yard, foreign)
    assert files(yard) == before
    foreign.dispose()


def test_a_storage_without_its_repositories_is_not_believed(yard: Yard) -> None:
    for number in range(30):
        yard.registry.push("demo/app", f"v{number}", layer=b"%d" % number)
        yard.registry.upload("demo/noise", b"noise %d" % number)
        yard.registry.upload("demo/noise", b"more noise %d" % number)
        yard.registry.upload("demo/noise", b"much noise %d" % number)
    yard.pass_time()
    shutil.move(yard.root / layout.NAMESPACES, yard.root.parent / "gone")
    with pytest.raises(CollectionRefused, match="another storage mounted"):
        scheduled(yard)


def test_who_names_a_share_is_not_gone_beyond(yard: Yard) -> None:
    yard.registry.push("demo/app", "v1")
    for number in range(60):
        yard.registry.upload("demo/noise", b"%d" % number)
    yard.pass_time()
    rules = read({"atMost": 50}, promise=3600)
    with pytest.raises(CollectionRefused, match="60 of 63 blobs"):
        Collector(yard.registry.store, Inventory(yard.registry.database), rules).run(dry_run=False)


def test_a_database_of_before_makes_nothing_garbage_that_a_manifest_in_storage_needs(yard: Yard) -> None:
    yard.registry.push("demo/app", "v1")
    backup = yard.root.parent / "backup.db"
    with closing(sqlite3.connect(yard.root.parent / "metadata.db")) as live, closing(sqlite3.connect(backup)) as copy:
        live.backup(copy)
    for number in range(30):
        yard.registry.push("demo/late", f"v{number}", layer=b"%d" % number)
    yard.pass_time()
    older = Database(f"sqlite:///{backup}")
    before = files(yard)
    report = Collector(yard.registry.store, Inventory(older), Rules(timedelta(hours=24), NOW)).run(dry_run=False)
    assert (report.links, report.thrown_away, report.removed) == ([], [], [])
    with pytest.raises(CollectionRefused, match="older than what is recorded"):
        Collector(yard.registry.store, Inventory(older), Rules(timedelta(hours=24), NOW), behind=lambda: True).run(
            dry_run=True
        )
    assert files(yard) == before
    older.dispose()


def files(yard: Yard) -> list[Path]:
    return sorted(path for path in yard.root.rglob("*") if path.is_file())


def test_a_refused_run_has_changed_nothing(yard: Yard) -> None:
    for number in range(30):
        yard.registry.upload("demo/app", b"%d" % number)
    yard.pass_time()
    before = files(yard)
    with pytest.raises(CollectionRefused, match="30 of 30 blobs"):
        yard.collector(share=0.5, trash=NOW).run(dry_run=False)
    assert files(yard) == before


def test_a_blob_that_cannot_be_moved_is_told_and_keeps_no_other_from_going(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = [Digest.parse(yard.registry.upload("demo/app", b"%d" % number)) for number in range(3)]
    yard.pass_time()
    throw = yard.registry.store.throw_away

    def broken(digest: Digest, before: datetime) -> bool:
        if digest == digests[0]:
            raise StorageFault("it is too large to be copied")
        return throw(digest, before)

    monkeypatch.setattr(yard.registry.store, "throw_away", broken)
    report = yard.collect(trash=NOW)
    assert report.failed == [f"{digests[0]}: it is too large to be copied"]
    assert {blob.digest for blob in report.removed} == set(digests[1:])


def test_tags_and_manifests_are_never_taken_away_unasked(yard: Yard) -> None:
    yard.registry.push("demo/app", "v1")
    digest = yard.registry.streams.tag(APP, "v1").digest
    yard.registry.streams.delete_stream(APP)  # its cleaning has not been yet
    yard.pass_time()
    yard.collect(trash=NOW)
    assert yard.registry.store.tags(APP) == ["v1"]
    assert yard.registry.store.manifest_linked(APP, digest)


def test_changes_keep_to_the_rate(yard: Yard) -> None:
    for number in range(5):
        yard.registry.store.put(b"%d" % number, Digest.of(b"%d" % number))
    yard.pass_time()
    rules = Rules(timedelta(hours=1), timedelta(hours=1), 1, rate=50)
    started = time.monotonic()
    Collector(yard.registry.store, Inventory(yard.registry.database), rules).run(dry_run=False)
    assert time.monotonic() - started >= 4 / 50
