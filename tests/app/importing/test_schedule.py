"""What is wanted is imported without being asked for, in its time, and once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from image_registry.imagestreams.importer import Candidate
from image_registry.imagestreams.model import TagSource, TagSpec
from image_registry.imagestreams.spec_rules import StreamDraft
from image_registry.importing.schedule import Pace, Schedule, is_due
from image_registry.remote.asking import Access
from image_registry.remote.reference import RemoteReference
from image_registry.remote.registry import Fetched
from tests.app.importing.conftest import STREAM, Importing
from tests.app.remote.conftest import REPOSITORY, Remote
from tests.app.remote.faulting_proxy import Fault

NOW = datetime(2030, 1, 1, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
SOURCE = TagSource("DockerImage", "quay.io/team/app:v1")
SPEC = TagSpec("v1", SOURCE, generation=2)
DAILY = TagSpec("v1", SOURCE, generation=2, scheduled=True)
PINNED = TagSpec("v1", TagSource("DockerImage", "quay.io/team/app@sha256:" + "0" * 64), generation=2, scheduled=True)


def tried(spec: TagSpec, minutes: float, failures: int = 0, *, again: bool = False, generation: int = 2) -> Candidate:
    return Candidate(STREAM, spec, NOW - timedelta(minutes=minutes), generation, failures, again)


@pytest.mark.parametrize(
    ("found", "due"),
    [
        (Candidate(STREAM, SPEC, None), True),
        (tried(SPEC, 0, generation=1), True),
        (tried(SPEC, 10_000), False),
        (tried(SPEC, 10_000, failures=1), False),
        (tried(SPEC, 1.9, failures=1, again=True), False),
        (tried(SPEC, 2.1, failures=1, again=True), True),
        (tried(SPEC, 30, failures=9, again=True), False),
        (tried(DAILY, 13), False),
        (tried(DAILY, 17), True),
        (tried(DAILY, 27, failures=1), False),
        (tried(DAILY, 34, failures=1), True),
        (tried(DAILY, 15 * 36, failures=99), True),
        (tried(PINNED, 10_000), False),
        (tried(PINNED, 10_000, failures=3), True),
    ],
)
def test_each_tag_has_its_time(found: Candidate, *, due: bool) -> None:
    assert is_due(found, NOW, QUARTER) is due


def test_without_an_interval_nothing_is_imported_again() -> None:
    assert not is_due(tried(DAILY, 10_000), NOW, None)
    assert is_due(Candidate(STREAM, DAILY, None), NOW, None)


@pytest.fixture
def schedule(importing: Importing) -> Schedule:
    return Schedule(importing.importer, importing.streams.imports, Pace(QUARTER, 60))


def want(importing: Importing, *names: str, scheduled: bool = False) -> None:
    """Somebody writes an ImageStream; names are tags of the other registry."""
    source = f"{importing.proxy.host}/{REPOSITORY}"
    tags = tuple(TagSpec(name, TagSource("DockerImage", f"{source}:{name}"), scheduled=scheduled) for name in names)
    importing.streams.editor.create_stream(
        StreamDraft(STREAM, tags=tags),
        may_pull=lambda _source: True,
        confirm_create=lambda: None,
        dry_run=False,
    )


def test_what_is_wanted_is_imported_once(importing: Importing, schedule: Schedule, open_distribution: Remote) -> None:
    want(importing, "v1", "none")
    assert schedule.once(10) == 2
    stream = importing.streams.stream(STREAM)
    assert stream.history("v1").newest.image == open_distribution.content.image  # type: ignore[union-attr]
    assert stream.history("v1").newest.generation == stream.spec("v1").generation == 1  # type: ignore[union-attr]
    assert stream.conditions["none"][0].reason == "NotFound"
    assert stream.meta.generation == 1
    asked = len(importing.proxy.seen)
    assert schedule.once(10) == 0
    assert len(importing.proxy.seen) == asked


@pytest.mark.parity(12)
def test_a_scheduled_tag_follows_the_other_registry(
    importing: Importing, schedule: Schedule, open_distribution: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = open_distribution.content
    want(importing, "latest", scheduled=True)
    assert schedule.once(10) == 1
    assert schedule.once(10) == 0
    fetch = importing.registries.manifest

    def moved(reference: RemoteReference, access: Access) -> Fetched:
        """The registry of the tests cannot move a tag."""
        return fetch(reference.at(content.arm) if reference.tag == "latest" else reference, access)

    monkeypatch.setattr(importing.registries, "manifest", moved)
    importing.streams.imports._clock.now += timedelta(minutes=17)  # type: ignore[attr-defined]
    assert schedule.once(10) == 1
    history = importing.streams.stream(STREAM).history("latest")
    assert [event.image for event in history.events] == [content.arm, content.image]  # type: ignore[union-attr]


def test_a_passing_failure_is_tried_again_later(importing: Importing, schedule: Schedule) -> None:
    want(importing, "v1")
    importing.proxy.faults.append(Fault("manifests", 429, {"Retry-After": "30000"}))
    assert schedule.once(10) == 1
    assert importing.streams.stream(STREAM).conditions["v1"][0].reason == "TooManyRequests"
    assert schedule.once(10) == 0
    importing.streams.imports._clock.now += timedelta(minutes=3)  # type: ignore[attr-defined]
    asked = len(importing.proxy.seen)
    assert schedule.once(10) == 1
    assert len(importing.proxy.seen) == asked, "the host asked to be left alone"
    [candidate] = importing.streams.imports.candidates(NOW, 10)
    assert (candidate.failures, candidate.again) == (2, True)


def test_a_stream_that_somebody_else_imports_is_left_alone(importing: Importing, schedule: Schedule) -> None:
    want(importing, "v1")
    assert importing.streams.imports.claim_import(STREAM, "another process")
    assert schedule.once(10) == 0
    importing.streams.imports.end_import(STREAM, "another process")
    assert schedule.once(10) == 1


def test_no_more_than_so_many_at_once(importing: Importing, schedule: Schedule) -> None:
    want(importing, "v1", "latest", "1.0.0", "1.1.0")
    assert [schedule.once(3), schedule.once(3), schedule.once(3)] == [3, 1, 0]
