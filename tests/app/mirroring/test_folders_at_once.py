"""What several images have in common is written by several threads at once, and each of them finds it there."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from image_registry.mirroring.files import commit


def test_a_file_that_another_thread_replaces_is_linked_all_the_same(tmp_path: Path) -> None:
    blob, manifest = tmp_path / "blobs/a", tmp_path / "manifests/a"

    def put(_: int) -> None:
        commit(blob, b"{}")
        commit(manifest, blob)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(put, range(2000)))
    assert (blob.read_bytes(), manifest.read_bytes()) == (b"{}", b"{}")
    assert sorted(path.name for path in tmp_path.glob("*/*")) == ["a", "a"], "nothing half done stays"
