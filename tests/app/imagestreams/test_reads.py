"""Lists: every item once, in order, whatever the size of a page."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event

from image_registry.imagestreams import reads
from image_registry.imagestreams.errors import InvalidContinue, StreamUnknown, TagUnknown
from image_registry.metadata import images, stream_lists, streams
from image_registry.oci.reference import Repository

APP = Repository("team", "app")
TAGS = ["1", "2.0", "A", "Z", "_x", "a", "a-b", "a.b", "b"]
"""In ASCII order, which is not the order of any language."""


def pages(listing: Any, limit: int, **arguments: Any) -> list[Any]:
    """All items of a list, read page by page."""
    found: list[Any] = []
    after = None
    while True:
        page = listing(limit=limit, after=after, **arguments)
        assert len(page.items) <= limit
        found += page.items
        after = page.next
        if after is None:
            return found
        assert len(page.items) == limit, "only the last page may be short"


@pytest.fixture
def filled(registry: Any) -> Any:
    for tag in reversed(TAGS):
        registry.push("team/app", f"app {tag}", tag)
    for name in ("team/zoo", "team-a/app", "alpha/app", "beta/app"):
        registry.push(name, name, "v1")
        registry.push(name, "shared", "v2")
    return registry


@pytest.mark.parametrize("limit", [1, 2, 3, 8, 9, 10, 100])
def test_tags_page_without_loss_or_repetition(filled: Any, limit: int) -> None:
    assert pages(lambda **kw: filled.streams.tags(APP, **kw), limit) == TAGS


def test_tags_begin_behind_a_name_that_need_not_exist(filled: Any) -> None:
    assert filled.streams.tags(APP, after="a").items == ("a-b", "a.b", "b")
    assert filled.streams.tags(APP, after="a,", limit=1).items == ("a-b",)
    assert filled.streams.tags(APP, after="zzz").items == ()


def test_a_page_of_nothing_is_empty_and_last(filled: Any) -> None:
    page = filled.streams.tags(APP, limit=0)
    assert (page.items, page.next) == ((), None)


def test_tags_of_no_stream_are_unknown(registry: Any) -> None:
    with pytest.raises(StreamUnknown):
        registry.streams.tags(APP)


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_repositories_page_without_loss_or_repetition(filled: Any, limit: int) -> None:
    everything = ["alpha/app", "beta/app", "team/app", "team/zoo", "team-a/app"]
    assert [str(name) for name in pages(filled.streams.repositories, limit, namespaces=None)] == everything


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_repositories_of_other_namespaces_are_not_listed(filled: Any, limit: int) -> None:
    listed = pages(filled.streams.repositories, limit, namespaces=frozenset({"team", "beta", "none"}))
    assert [str(name) for name in listed] == ["beta/app", "team/app", "team/zoo"]
    assert filled.streams.repositories(namespaces=frozenset()).items == ()


def test_repositories_begin_behind_any_text(filled: Any) -> None:
    listed = filled.streams.repositories(namespaces=None, after="team")
    assert [str(name) for name in listed.items] == ["team/app", "team/zoo", "team-a/app"]


def test_namespaces_that_hold_streams(filled: Any) -> None:
    assert filled.streams.namespaces() == ["alpha", "beta", "team", "team-a"]


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_streams_page_with_their_whole_history(filled: Any, limit: int) -> None:
    filled.push("team/app", "moved", "a")
    listed = pages(filled.streams.streams, limit, namespace=None)
    assert [str(stream.repository) for stream in listed] == [
        "alpha/app",
        "beta/app",
        "team/app",
        "team/zoo",
        "team-a/app",
    ]
    assert listed == [filled.streams.stream(stream.repository) for stream in listed]
    app = listed[2]
    assert [tag.tag for tag in app.tags] == TAGS
    assert [len(tag.events) for tag in app.tags] == [2 if tag == "a" else 1 for tag in TAGS]
    assert pages(filled.streams.streams, limit, namespace="team") == listed[2:4]


@pytest.mark.parametrize("limit", [1, 2, 5, 100])
def test_stream_tags_page_over_tags_not_streams(filled: Any, limit: int) -> None:
    filled.push("team/app", "moved", "a")
    listed = pages(filled.streams.stream_tags, limit, namespace=None)
    names = [f"{stream.repository}:{tag.tag}" for stream, tag in listed]
    assert names == [
        *("alpha/app:v1", "alpha/app:v2", "beta/app:v1", "beta/app:v2"),
        *(f"team/app:{tag}" for tag in TAGS),
        *("team/zoo:v1", "team/zoo:v2", "team-a/app:v1", "team-a/app:v2"),
    ]
    for stream, tag in listed:
        whole = filled.streams.stream(stream.repository)
        assert stream.meta == whole.meta
        (history,) = [entry for entry in whole.tags if entry.tag == tag.tag]
        assert tag.events == history.events[:1]
    assert pages(filled.streams.stream_tags, limit, namespace="beta") == listed[2:4]


@pytest.mark.parametrize("token", ["", "team/app", "app:v1", "x"])
def test_a_continue_token_that_is_none_of_ours_is_refused(filled: Any, token: str) -> None:
    with pytest.raises(InvalidContinue, match="start the list again"):
        filled.streams.stream_tags(after=token)


@pytest.mark.parametrize("limit", [1, 4, 100])
def test_images_page_without_loss_or_repetition(filled: Any, limit: int) -> None:
    listed = pages(filled.streams.images, limit)
    digests = [str(image.digest) for image in listed]
    assert digests == sorted(set(digests))
    assert len(digests) == len(TAGS) + 4 + 1
    assert listed[0] == filled.streams.image(listed[0].digest)


def test_a_list_carries_the_revision_it_includes(filled: Any) -> None:
    for page in (
        filled.streams.tags(APP),
        filled.streams.repositories(namespaces=None),
        filled.streams.streams(),
        filled.streams.stream_tags(),
        filled.streams.images(),
    ):
        assert page.revision == filled.streams.revision()


def test_an_empty_registry_lists_nothing_at_a_revision_above_zero(registry: Any) -> None:
    """Zero means "any version" to Kubernetes clients."""
    page = registry.streams.streams()
    assert (page.items, page.next) == ((), None)
    assert page.revision >= 1


def test_one_tag_comes_with_history_and_image(filled: Any) -> None:
    filled.push("team/app", "moved", "a")
    stream, history, image = filled.streams.stream_tag(APP, "a")
    assert stream.repository == APP
    assert len(history.events) == 2
    assert image == filled.streams.image(history.newest.image)
    with pytest.raises(TagUnknown):
        filled.streams.stream_tag(APP, "missing")


def test_without_history_each_tag_shows_its_newest_event(filled: Any) -> None:
    filled.push("team/app", "moved", "a")
    whole = filled.streams.streams().items
    brief = filled.streams.streams(history=False).items
    assert [stream.repository for stream in brief] == [stream.repository for stream in whole]
    for long, short in zip(whole, brief, strict=True):
        assert [(history.tag, history.newest) for history in long.tags] == [
            (history.tag, history.newest) for history in short.tags
        ]
        assert all(len(history.events) == 1 for history in short.tags)
    assert any(len(history.events) > 1 for stream in whole for history in stream.tags)


@pytest.mark.parametrize("most", [1, 3, 700])
def test_a_page_of_large_objects_ends_early_and_the_list_goes_on(
    filled: Any, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever somebody pushed, somebody else's list must fit into memory."""
    monkeypatch.setattr(reads, "MOST_EVENTS", most)
    monkeypatch.setattr(reads, "MOST_BYTES", most)
    for list_of in (filled.streams.streams, filled.streams.images):
        found, after, pages = [], None, 0
        while True:
            page = list_of(limit=100, after=after)
            found += page.items
            after, pages = page.next, pages + 1
            if after is None:
                break
        assert tuple(found) == list_of().items
        assert pages > 1 or most > 3


def test_a_list_of_very_many_streams_has_no_limit_of_parameters(filled: Any) -> None:
    with filled.database.read() as connection:
        few, many = (stream_lists.histories(connection, [1, 2, *more]) for more in ((), range(10**6, 1_040_000)))
    assert few == many
    assert few


def test_a_page_is_ended_by_events_of_streams_far_into_it(filled: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = filled.streams.streams()
    monkeypatch.setattr(reads, "_LOOK_AHEAD", 1)
    assert filled.streams.streams(limit=100) == whole
    monkeypatch.setattr(reads, "MOST_EVENTS", sum(len(tag.events) for item in whole.items[:2] for tag in item.tags))
    page = filled.streams.streams(limit=100)
    assert page.items == whole.items[: len(page.items)]
    assert 2 <= len(page.items) < len(whole.items)
    assert page.next == str(page.items[-1].repository)


def test_a_summary_is_what_a_line_shows(filled: Any) -> None:
    lines, whole = filled.streams.summaries(), filled.streams.streams()
    assert (lines.revision, lines.next) == (whole.revision, whole.next)
    for line, stream in zip(lines.items, whole.items, strict=True):
        assert line.stream.repository == stream.repository
        assert line.stream.meta == stream.meta
        assert line.tags == tuple(history.tag for history in stream.tags)
        assert line.updated == max((history.newest.created for history in stream.tags), default=None)


def test_without_its_tags_a_summary_is_the_stream_alone(filled: Any) -> None:
    alone, lines = filled.streams.summaries(tags=False), filled.streams.summaries()
    assert (alone.revision, alone.next) == (lines.revision, lines.next)
    assert [value.stream.meta for value in alone.items] == [value.stream.meta for value in lines.items]
    assert not any(value.tags or value.updated or value.stream.specs for value in alone.items)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_page_is_found_by_an_index(filled: Any) -> None:
    """The cost of a page must not grow with what is not on it: no list may sort or scan whole tables.

    Asked of SQLite alone: PostgreSQL scans tables that are this small whatever the indexes are.
    """
    seen: list[str] = []

    @event.listens_for(filled.database.engine, "before_cursor_execute")
    def explain(_c: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith(("SELECT", "WITH")):
            cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            steps = cursor.fetchall()
            chosen = any(step[3] == "SCAN page" for step in steps)  # what was chosen by an index may be put in order
            seen.extend(step[3] for step in steps if not (chosen and step[1] == 0))

    with filled.database.read() as connection:
        streams.tag_names(connection, 1, after="a", limit=5)
        stream_lists.page(connection, within=None, after=("b", "c"), limit=5)
        stream_lists.names(connection, within={"team"}, after=("b", "c"), limit=5)
        stream_lists.current_events(connection, namespace=None, after=("b", "c", "d"), limit=5)
        stream_lists.current_events(connection, namespace="team", after=None, limit=5)
        stream_lists.namespaces(connection)
        stream_lists.keys(connection, within=None, after=("b", "c"), limit=5)
        stream_lists.event_counts(connection, [1, 2])
        stream_lists.tag_names(connection, [1, 2])
        streams.tag_target(connection, "team", "app", "a")
        images.sizes(connection, after="sha256:", limit=5)
        images.page(connection, after="sha256:", last="sha256:f")
        images.held(connection, "team", "app", "sha256:")
    assert seen
    sorts = [step for step in seen if "TEMP B-TREE" in step and "LAST TERM" not in step]
    # a list of everything from its start may walk its own index from there, never another table
    scans = [step for step in seen if step.startswith("SCAN") and "USING" not in step and step != "SCAN found"]
    scans = [step for step in scans if not step.startswith("SCAN json_each")]
    assert (sorts, scans) == ([], [])
