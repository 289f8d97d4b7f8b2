"""Pulls are noted to the hour, for what is held, without a trace in any object."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select

from image_registry.imagestreams.pulls import Pulls, noted_since
from image_registry.imagestreams.service import ImageStreams
from image_registry.metadata import rebuilds
from image_registry.metadata.database import Database
from image_registry.metadata.tables import pulls as table
from image_registry.metadata.tables import revisions
from image_registry.oci.reference import Repository
from tests.app import content

APP = Repository("team", "app")
NOW = datetime(2030, 1, 1, tzinfo=UTC)


class Told:
    """One image in a stream, and what is known of it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.streams = ImageStreams(database, internal_hostname="registry.test", clock=lambda: NOW)
        manifest = content.image("one")
        self.streams.push(
            APP,
            manifest,
            tag="v1",
            config=None,
            pushed_by="builder",
            authorize_create=lambda: None,
            before_commit=lambda: None,
        )
        self.digest = manifest.digest
        self.pulls = Pulls(database)

    def pull(self, later: timedelta) -> int:
        return self.pulls.note([("team", "app", str(self.digest))], NOW + later)

    def unpulled(self) -> datetime | None:
        return (
            self.streams.editor.held_images(namespace=None, limit=None, after=None, brief=True).items[0].unpulled_since
        )

    def revision(self) -> int:
        with self.database.read() as connection:
            return int(connection.execute(select(func.max(revisions.c.revision))).scalar() or 0)


def test_a_pull_is_written_once_an_hour_and_moves_no_revision(database: Database) -> None:
    told = Told(database)
    told.pulls.say(NOW)
    before = told.revision()
    assert [told.pull(timedelta(minutes=minutes)) for minutes in (5, 10, 64, 66)] == [1, 0, 0, 1]
    assert told.unpulled() == NOW + timedelta(minutes=66)
    _, _, _, alone = told.streams.editor.stream_image(APP, str(told.digest))
    assert alone == NOW + timedelta(minutes=66)
    assert told.revision() == before


def test_what_is_not_held_is_not_noted_and_a_row_goes_with_its_image(database: Database) -> None:
    told = Told(database)
    other = "sha256:" + "0" * 64
    assert told.pulls.note([("team", "app", other), ("team", "web", str(told.digest))], NOW) == 0
    assert told.pull(timedelta()) == 1
    told.streams.delete_manifest(APP, told.digest)
    with database.read() as connection:
        assert connection.execute(select(func.count()).select_from(table)).scalar() == 0


def test_nobody_can_say_before_noting_began_and_a_gap_begins_it_anew(database: Database) -> None:
    told = Told(database)
    assert told.unpulled() is None
    told.pulls.say(NOW + timedelta(minutes=5))
    assert told.unpulled() == NOW + timedelta(minutes=5)
    for minutes in (20, 40, 60):
        told.pulls.say(NOW + timedelta(minutes=minutes))
    assert told.unpulled() == NOW + timedelta(minutes=5)
    told.pulls.say(NOW + timedelta(minutes=100))
    assert told.unpulled() == NOW + timedelta(minutes=100)
    told.pulls.say(NOW + timedelta(minutes=101), anew=True)
    assert told.unpulled() == NOW + timedelta(minutes=101)


def test_tables_made_from_storage_know_no_pull_from_before(database: Database) -> None:
    told = Told(database)
    told.pulls.say(NOW)
    with database.write() as connection:
        rebuilds.begin_again(connection)
        assert noted_since(connection) is None


def test_many_workers_note_the_same_pulls_at_once(database: Database) -> None:
    told, failures = Told(database), list[BaseException]()

    def note() -> None:
        try:
            told.pull(timedelta())
            told.pulls.say(NOW)
        except BaseException as error:  # noqa: BLE001 - shown by the test
            failures.append(error)

    threads = [threading.Thread(target=note) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert told.unpulled() == NOW
