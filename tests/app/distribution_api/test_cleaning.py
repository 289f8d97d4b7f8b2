"""Links that the rules no longer know go away, whatever else fails (ADR 3)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from image_registry.garbage.links import clean_pending
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository
from image_registry.storage.blob_store import Held, StorageFault

from .conftest import Registry


def test_what_was_deleted_elsewhere_leaves_the_storage(registry: Registry) -> None:
    digest = Digest.parse(registry.push("demo/app", "v1").headers["Docker-Content-Digest"])
    repository = Repository("demo", "app")
    registry.streams.delete_stream(repository)
    assert clean_pending(registry.store, registry.streams) == 1
    assert registry.store.tags(repository) == []
    assert not registry.store.manifest_linked(repository, digest)
    assert registry.store.stat(digest) is not None  # bytes are the garbage collector's


def test_a_repository_that_cannot_be_cleaned_does_not_keep_the_others_waiting(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        registry.push(f"demo/{name}", "v1")
        registry.streams.delete_stream(Repository("demo", name))
    held = registry.store.held

    def broken(repository: Repository) -> Held:
        if repository.name == "a":
            raise StorageFault("cannot list: Input/output error")
        return held(repository)

    monkeypatch.setattr(registry.store, "held", broken)
    with pytest.raises(StorageFault):
        clean_pending(registry.store, registry.streams)
    assert registry.streams.pending_cleanups() == [Repository("demo", "a")]
    monkeypatch.undo()
    assert clean_pending(registry.store, registry.streams) == 1
    assert registry.streams.pending_cleanups() == []


def test_tables_that_are_older_than_the_storage_clean_nothing(
    build: Callable[..., Registry],
) -> None:
    known = build()
    known.push("demo/app", "v1")
    known.push("demo/app", "v2", layer=b"another")
    older = build(behind=lambda: True)
    assert older.client.delete("/v2/demo/app/manifests/v1").status_code == 202
    app = Repository("demo", "app")
    assert known.store.tags(app) == ["v1", "v2"]
    assert clean_pending(known.store, known.streams, lambda: True) == 0
    assert known.store.tags(app) == ["v1", "v2"]
    assert clean_pending(known.store, known.streams) == 1
    assert known.store.tags(app) == ["v2"]
