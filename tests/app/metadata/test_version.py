"""The schema's version without the migration tool is the same as with it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from image_registry.metadata import schema, version
from image_registry.metadata.database import Database


def test_the_newest_version_is_the_one_that_migrations_lead_to() -> None:
    assert version.newest() == ScriptDirectory.from_config(schema._config()).get_current_head()


def test_a_database_is_current_after_its_upgrade_and_not_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(f"sqlite:///{tmp_path / 'metadata.db'}")
    assert not database.is_current()
    assert database.upgrade() == (None, version.newest())
    assert database.is_current()
    monkeypatch.setitem(sys.modules, "image_registry.metadata.schema", None)
    assert database.upgrade() == (version.newest(), version.newest())
    database.dispose()
