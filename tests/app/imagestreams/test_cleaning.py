"""Cleaning storage after deletes: late, in any order with pushes, and never over living content."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from image_registry.imagestreams.cleaning import Kept
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository

APP = Repository("team", "app")


def swept(registry: Any, repository: Repository = APP) -> Kept | None:
    """What a cleaning would keep; ``None`` when there was nothing to clean."""
    seen: list[Kept] = []

    def sweep(kept: Kept) -> bool:
        seen.append(kept)
        return True

    assert registry.streams.clean(repository, sweep)
    return seen[0] if seen else None


def content(manifest: Any) -> frozenset[Digest]:
    """Everything that a repository holding the manifest must keep as blobs."""
    return frozenset({manifest.digest, manifest.config.digest, *(layer.digest for layer in manifest.layers)})


def test_a_push_asks_for_no_cleaning(registry: Any) -> None:
    registry.push("team/app", "a")
    assert registry.streams.pending_cleanups() == []
    assert swept(registry) is None


def test_a_deleted_stream_keeps_nothing_and_lets_its_old_blobs_go(registry: Any) -> None:
    registry.push("team/app", "a")
    registry.streams.delete_stream(APP)
    deleted = registry.clock.now
    assert registry.streams.pending_cleanups() == [APP]
    assert swept(registry) == Kept({}, frozenset(), frozenset(), deleted)
    assert registry.streams.pending_cleanups() == []


def test_content_pushed_after_the_delete_survives_the_cleaning(registry: Any) -> None:
    old, new = registry.image("old"), registry.image("new")
    registry.push("team/app", old, "old")
    registry.streams.delete_stream(APP)
    deleted = registry.clock.now
    registry.push("team/app", new, "new")
    assert swept(registry) == Kept({"new": new.digest}, frozenset({new.digest}), content(new), deleted)


def test_blobs_linked_for_a_push_on_its_way_are_newer_than_the_delete(registry: Any) -> None:
    registry.push("team/app", "old")
    registry.streams.delete_stream(APP)
    kept = swept(registry)
    assert kept is not None
    assert kept.blobs_before is not None
    assert kept.blobs_before < registry.clock(), "links that are written from now on are kept"


def test_deleting_a_tag_or_manifest_leaves_blobs_alone(registry: Any) -> None:
    a, b = registry.image("a"), registry.image("b")
    registry.push("team/app", a, "a")
    registry.push("team/app", b, "b")
    registry.streams.delete_tag(APP, "a")
    assert swept(registry) == Kept({"b": b.digest}, frozenset({a.digest, b.digest}), content(a) | content(b), None)
    registry.streams.delete_manifest(APP, b.digest)
    assert swept(registry) == Kept({}, frozenset({a.digest}), content(a), None)


def test_deleting_a_tag_does_not_forget_that_the_stream_was_deleted_before(registry: Any) -> None:
    registry.push("team/app", "a")
    registry.streams.delete_stream(APP)
    deleted = registry.clock.now
    registry.push("team/app", "b", "b")
    registry.streams.delete_tag(APP, "b")
    kept = swept(registry)
    assert kept is not None
    assert kept.blobs_before == deleted


def test_a_cleaning_that_fails_or_stops_early_stays_to_be_done(registry: Any) -> None:
    registry.push("team/app", "a")
    registry.streams.delete_stream(APP)

    def broken(_: Kept) -> bool:
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011 - any will do
        registry.streams.clean(APP, broken)
    assert not registry.streams.clean(APP, lambda _: False)
    assert registry.streams.pending_cleanups() == [APP]


def test_links_of_a_push_that_failed_at_its_end_are_put_right(registry: Any) -> None:
    """The door has written the new link of the tag, then the transaction failed: the tag still means the old image."""
    a = registry.image("a")
    registry.push("team/app", a)

    def link_then_fail() -> None:
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011 - any will do
        registry.push("team/app", "b", before_commit=link_then_fail)
    assert swept(registry) == Kept({"latest": a.digest}, frozenset({a.digest}), content(a), None)


def test_a_push_that_failed_before_its_links_asks_for_no_cleaning(registry: Any) -> None:
    def refuse() -> None:
        raise PermissionError

    with pytest.raises(PermissionError):
        registry.push("team/app", "a", authorize_create=refuse)
    assert registry.streams.pending_cleanups() == []


def test_what_waits_longest_is_cleaned_first(registry: Any) -> None:
    for name in ("c", "a", "b"):
        registry.push(f"team/{name}", name)
    for name in ("c", "a", "b"):
        registry.streams.delete_stream(Repository("team", name))
    assert [str(name) for name in registry.streams.pending_cleanups()] == ["team/c", "team/a", "team/b"]
    assert [str(name) for name in registry.streams.pending_cleanups(2)] == ["team/c", "team/a"]


def test_a_cleaning_and_a_push_never_overlap(registry: Any) -> None:
    """Otherwise a sweep could remove links between the rows of a push and its commit."""
    registry.push("team/app", "old")
    registry.streams.delete_stream(APP)
    sweeping, pushed = threading.Event(), threading.Event()
    order: list[str] = []

    def sweep(_: Kept) -> bool:
        sweeping.set()
        assert not pushed.wait(0.2), "the push went through the lock"
        order.append("swept")
        return True

    with ThreadPoolExecutor(2) as pool:
        cleaning = pool.submit(registry.streams.clean, APP, sweep)
        sweeping.wait(5)

        def link() -> None:
            order.append("linked")
            pushed.set()

        pushing = pool.submit(registry.push, "team/app", "new", before_commit=link)
        cleaning.result(10)
        pushing.result(10)
    assert order == ["swept", "linked"]
