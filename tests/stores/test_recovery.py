"""A lost database is made again from each kind of storage, object by object."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path

from image_registry.storage.blob_store import BlobStore
from tests.app.rebuilding.registry import Whole, fill


def test_everything_comes_back_from_this_storage(store: BlobStore, tmp_path: Path) -> None:
    with closing(Whole(store, f"sqlite:///{tmp_path / 'before.db'}")) as before:
        assert before.rebuild.run(threading.Event())
        fill(before)
        before.recorder.catch_up()
        objects, rows = before.objects(), before.rows()
    with closing(Whole(store, f"sqlite:///{tmp_path / 'after.db'}")) as after:
        assert after.rebuild.run(threading.Event())
        assert list(after.ledger.findings()) == []
        assert after.objects() == objects
        assert after.rows() == rows
