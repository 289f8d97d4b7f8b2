"""What only the tables know comes back when they are lost, object by object."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from benchmarks.postgresql import PostgreSQL
from image_registry.imagestreams import records
from image_registry.imagestreams.changes import TooOld
from image_registry.imagestreams.errors import StreamUnknown
from image_registry.imagestreams.records import Records
from image_registry.metadata.revisions import KEPT
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository
from image_registry.rebuilding.rebuild import Outcome
from image_registry.rebuilding.recording import Followed, Recorder
from image_registry.storage import layout
from image_registry.storage.blob_store import BlobStore
from image_registry.storage.filesystem import FilesystemStore
from tests.app.conftest import UNREAD
from tests.app.rebuilding.registry import STRATEGIC, Whole, fill

NEVER = threading.Event()
Open = Callable[[], Whole]


BOTH = pytest.mark.parametrize("new", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture(params=["sqlite"])
def new(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Registries on one storage, each with an empty database of its own."""
    store, opened = FilesystemStore(tmp_path / "blobs"), list[Whole]()

    def make() -> Whole:
        url = f"sqlite:///{tmp_path / f'{len(opened)}.db'}"
        if request.param == "postgresql":
            server: PostgreSQL = request.getfixturevalue("postgresql")
            url = server.url(server.new_database(UNREAD))
        opened.append(Whole(store, url))
        return opened[-1]

    yield make
    for whole in opened:
        whole.close()


def test_a_signature_that_a_client_adds_is_recorded(new: Open) -> None:
    whole = new()
    rebuilt(whole)
    made = whole.push("team/app", "one", "v1")
    whole.recorder.catch_up()
    signed = {"schemaVersion": 2, "name": f"{made.digest}@first", "type": "atomic", "content": "c2lnbmVk"}
    whole.registry.put(f"/extensions/v2/team/app/signatures/{made.digest}", json=signed)
    whole.recorder.catch_up()
    known = records.read_stream(whole.store.read_record(records.stream_name(Repository("team", "app"))) or b"")
    assert [row["name"] for row in known.of("signatures")] == ["first"]


class Listening:
    """A store that remembers which records were written."""

    def __init__(self, store: BlobStore, written: list[str]) -> None:
        self._store, self._written = store, written

    def write_records(self, found: Mapping[str, bytes]) -> None:
        self._written += found
        self._store.write_records(found)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def rebuilt(whole: Whole) -> Outcome:
    outcome = whole.rebuild.run(NEVER)
    assert outcome is not None
    assert outcome.complete
    return outcome


@pytest.fixture
def lost(new: Open) -> tuple[Whole, Whole]:
    """A registry that was filled and recorded, and one that has its storage and nothing else."""
    before = new()
    rebuilt(before)
    fill(before)
    assert before.recorder.catch_up() is Followed.NOTHING
    return before, new()


@BOTH
def test_everything_comes_back(lost: tuple[Whole, Whole]) -> None:
    before, after = lost
    outcome = rebuilt(after)
    assert after.objects() == before.objects()
    assert outcome.counts.findings == 0
    assert outcome.counts.remembered == 4


@BOTH
def test_what_no_door_shows_comes_back_too(lost: tuple[Whole, Whole]) -> None:
    before, after = lost
    rebuilt(after)
    assert after.rows() == before.rows()


@BOTH
def test_an_index_that_was_made_again_changes_nothing_when_it_is_made_once_more(lost: tuple[Whole, Whole]) -> None:
    _, after = lost
    rebuilt(after)
    after.recorder.catch_up()
    expected = after.rows()
    after.ledger.begin_again()
    outcome = rebuilt(after)
    assert (outcome.counts.images, outcome.counts.tags_changed, outcome.counts.removed) == (0, 0, 0)
    assert after.rows() == expected


@BOTH
def test_whoever_watched_before_is_told_to_begin_anew(lost: tuple[Whole, Whole]) -> None:
    before, after = lost
    known = before.streams.revision()
    rebuilt(after)
    assert after.streams.revision() > known + KEPT
    with pytest.raises(TooOld):
        after.streams.changes.since(known)


@BOTH
def test_records_follow_the_tables_that_were_made_of_them(lost: tuple[Whole, Whole], new: Open) -> None:
    _, after = lost
    rebuilt(after)
    after.push("team/app", "four", "v4")
    after.echo()
    assert after.recorder.catch_up() is Followed.NOTHING
    third = new()
    rebuilt(third)
    assert third.rows() == after.rows()


def test_a_record_that_lags_behind_hides_no_push(lost: tuple[Whole, Whole]) -> None:
    before, after = lost
    newest = before.push("team/app", "newest", "v1")
    before.echo()
    rebuilt(after)
    history = after.streams.stream(Repository("team", "app")).history("v1")
    known = before.streams.stream(Repository("team", "app")).history("v1")
    assert history is not None
    assert known is not None
    assert history.newest.image == newest.digest
    assert [event.image for event in history.events] == [event.image for event in known.events]


def test_a_push_before_its_turn_is_kept_and_the_stream_is_the_one_of_before(lost: tuple[Whole, Whole]) -> None:
    before, after = lost
    pushed = after.push("team/app", "early", "v1")
    after.echo()
    rebuilt(after)
    was, is_now = (whole.streams.stream(Repository("team", "app")) for whole in (before, after))
    assert (is_now.meta.uid, is_now.meta.created, is_now.specs) == (was.meta.uid, was.meta.created, was.specs)
    history = is_now.history("v1")
    assert history is not None
    assert history.newest.image == pushed.digest
    assert len(history.events) > 1


def test_what_was_deleted_has_no_record(lost: tuple[Whole, Whole]) -> None:
    _, after = lost
    rebuilt(after)
    after.streams.delete_stream(Repository("other", "app"))
    after.recorder.catch_up()
    assert after.store.read_record(records.stream_name(Repository("other", "app"))) is None


def test_tables_of_yesterday_learn_from_records_and_do_not_overwrite_them(new: Open) -> None:
    whole = new()
    rebuilt(whole)
    whole.push("team/app", "one", "v1")
    whole.echo()
    whole.recorder.catch_up()
    yesterday = whole.rows()
    position = whole.recorder.position()
    assert position is not None
    later = records.Position(position.revision + 5, "ADDED ImageStream of/tomorrow")
    whole.store.write_records({records.POSITION: records.write_position(later)})
    assert whole.recorder.once() is Followed.BEHIND
    newer = records.read(whole.store.read_record(records.stream_name(Repository("team", "app"))) or b"")
    newer["rows"]["image_streams"][0]["labels"] = {"told": "later"}
    newer["rows"]["image_streams"][0]["resource_version"] += 1
    del newer["version"]
    whole.store.write_records({records.stream_name(Repository("team", "app")): records.written(newer)})
    whole.ledger.begin_again()
    rebuilt(whole)
    assert whole.streams.stream(Repository("team", "app")).meta.labels == {"told": "later"}
    assert whole.recorder.catch_up() is Followed.NOTHING
    assert whole.rows() != yesterday


def test_records_of_streams_that_the_tables_never_had_stay_when_nobody_knows_how_far_they_are(new: Open) -> None:
    before = new()
    rebuilt(before)
    before.push("team/app", "one", "v1")
    before.recorder.catch_up()
    before.store.remove_records([records.POSITION])
    made = records.stream_name(Repository("team", "app"))
    said = before.store.read_record(made)
    before.streams.delete_stream(Repository("team", "app"))
    assert before.recorder.once() is Followed.BEHIND
    assert said is not None
    assert before.store.read_record(made) == said
    before.recorder.everything()
    assert before.store.read_record(made) is None


@pytest.mark.parametrize("damage", [b"", b"no record", records.written({"rows": {}}), records.written({})])
def test_a_damaged_record_is_a_finding_and_storage_speaks(new: Open, damage: bytes) -> None:
    whole = new()
    made = whole.push("team/app", "one", "v1")
    whole.echo()
    whole.store.write_records({records.stream_name(Repository("team", "app")): damage})
    after = new()
    outcome = rebuilt(after)
    assert [finding.kind for _, finding in after.ledger.findings()] == ["damaged record"]
    assert outcome.counts.findings == 1
    assert after.streams.tag(Repository("team", "app"), "v1").digest == made.digest


def test_a_record_of_a_newer_program_is_not_guessed_at() -> None:
    newer = json.loads(json.dumps({"version": records.VERSION + 1, "rows": {}}))
    with pytest.raises(records.DamagedRecord, match="rebuild with a newer program"):
        records.read(records.written(newer))


def test_lost_content_does_not_come_back_by_a_record(new: Open) -> None:
    before = new()
    rebuilt(before)
    made = before.push("team/app", "one", "v1")
    before.echo()
    before.recorder.catch_up()
    blob = Path(before.store.root) / layout.blob_data(made.digest)  # type: ignore[attr-defined]
    blob.unlink()
    after = new()
    rebuilt(after)
    assert after.streams.stream(Repository("team", "app")).tags == ()
    assert {finding.kind for _, finding in after.ledger.findings()} == {"missing manifest", "dangling tag"}


@BOTH
def test_a_rehearsal_says_what_a_run_does_and_writes_nothing(lost: tuple[Whole, Whole]) -> None:
    _, after = lost
    counts, found = after.rebuild.rehearse()
    assert after.rows() == {}
    real = rebuilt(after).counts
    assert found == []
    of_tables = ("repositories", "manifests", "tags", "tags_changed", "removed", "remembered")
    assert {name: getattr(counts, name) for name in of_tables} == {name: getattr(real, name) for name in of_tables}


def test_nothing_is_recorded_while_the_tables_are_made(new: Open) -> None:
    whole = new()
    whole.push("team/app", "one", "v1")
    assert whole.recorder.once() is Followed.UNFINISHED
    assert list(whole.store.record_names(records.STREAMS)) == []


def test_a_change_is_recorded_by_what_it_touches_alone(new: Open) -> None:
    whole = new()
    rebuilt(whole)
    for name in ("a", "b"):
        whole.push(f"team/{name}", name, "v1")
    whole.recorder.catch_up()
    written: list[str] = []
    whole.recorder = Recorder(cast("BlobStore", Listening(whole.store, written)), whole.tables, whole.ledger)
    whole.write("PATCH", "namespaces/team/imagestreams/a", {"metadata": {"labels": {"x": "y"}}}, STRATEGIC)
    whole.recorder.catch_up()
    assert written == [records.stream_name(Repository("team", "a")), records.POSITION]


def test_an_object_that_changed_often_is_written_once(new: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = new()
    rebuilt(whole)
    for number in range(5):
        whole.push("team/app", str(number), "v1")
    read: list[Repository] = []
    monkeypatch.setattr(Records, "_stream", lambda _self, _connection, repository: read.append(repository))
    whole.recorder.catch_up()
    assert read == [Repository("team", "app")]


def test_the_first_records_are_of_everything(new: Open) -> None:
    whole = new()
    rebuilt(whole)
    fill(whole)
    whole.store.write_records({records.stream_name(Repository("team", "nobody")): b"of a stream that is gone"})
    whole.recorder.everything()
    kept = {records.repository_of(name) for name in whole.store.record_names(records.STREAMS)}
    assert kept == set(whole.streams.repositories(namespaces=None).items)
    digests = {records.digest_of(name) for name in whole.store.record_names(records.IMAGES)}
    assert digests == {image.digest for image in whole.streams.images().items}


def test_cncf_distribution_finds_no_repository_in_records(lost: tuple[Whole, Whole]) -> None:
    before, _ = lost
    assert {name.split("/")[0] for name in before.store.record_names("")} >= {"streams", "images"}
    assert not any(".records" in str(repository) for repository in before.store.repositories())
    assert list(before.store.strays()) == []


def test_a_stream_that_nobody_recorded_is_made_of_its_links(new: Open) -> None:
    before = new()
    made = before.push("team/app", "one", "v1")
    before.echo()
    after = new()
    with pytest.raises(StreamUnknown):
        after.streams.brief_stream(Repository("team", "nothing")) or after.streams.stream(Repository("team", "nothing"))
    rebuilt(after)
    assert after.streams.tag(Repository("team", "app"), "v1").digest == Digest.parse(str(made.digest))
