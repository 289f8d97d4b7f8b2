"""A journal remembers what was done, survives a cut at any byte, and is forgotten when all was done."""

from __future__ import annotations

from pathlib import Path

import pytest

from image_registry.mirroring.journal import Journal
from image_registry.mirroring.places import parse_mapping, parse_place
from image_registry.oci.digest import Digest
from image_registry.remote.errors import Unreadable
from image_registry.remote.uploads import Upload

HERE = Path("/here")
TARGET = parse_place("t.io/a/b", HERE)
MAPPING = parse_mapping("s.io/a=t.io/a/b", HERE, HERE)
BLOB, OTHER = Digest.of(b"blob"), Digest.of(b"other")


def write(path: Path) -> None:
    with Journal(path) as journal:
        journal.note_blob(TARGET, BLOB)
        journal.note_upload(TARGET, OTHER, Upload("https://t.io/upload"))
        journal.note_manifest(TARGET, "v1", str(OTHER))
        journal.note_image(MAPPING, {"status": "copied"})


def test_what_was_noted_is_known(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    write(path)
    assert path.stat().st_mode & 0o777 == 0o600
    with Journal(path) as journal:
        assert journal.has_blob(TARGET, BLOB)
        assert not journal.has_blob(TARGET, OTHER)
        assert journal.upload(TARGET, OTHER) == Upload("https://t.io/upload")
        assert journal.has_manifest(TARGET, "v1", str(OTHER))
        assert journal.image(MAPPING) == {"status": "copied"}


def test_a_line_that_was_cut_off_is_left_out_and_harms_no_other(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    write(path)
    whole = path.read_bytes()
    for length in range(len(whole) // 2, len(whole), 7):
        path.write_bytes(whole[:length])
        with Journal(path) as journal:
            journal.note_blob(TARGET, OTHER)
        with Journal(path) as journal:
            assert journal.has_blob(TARGET, OTHER)
            assert journal.has_blob(TARGET, BLOB)


def test_a_finished_run_is_no_reason_to_leave_anything_out(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    write(path)
    with Journal(path) as journal:
        journal.note_end()
    with Journal(path) as journal:
        assert not journal.has_blob(TARGET, BLOB)
        assert journal.image(MAPPING) is None
    with Journal(path) as journal:
        assert not journal.has_blob(TARGET, BLOB)


def test_another_file_is_not_written_to(tmp_path: Path) -> None:
    path = tmp_path / "map"
    path.write_text("s.io/a=t.io/a\n", encoding="ascii")
    with pytest.raises(Unreadable, match="no journal"), Journal(path):
        pass
    assert path.read_text(encoding="ascii") == "s.io/a=t.io/a\n"
