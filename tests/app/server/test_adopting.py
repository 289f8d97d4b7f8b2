"""A storage of CNCF distribution taken over by runs of the registry: names, tables, and the way back."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from benchmarks.distribution_tree import Tree
from image_registry.imagestreams.service import ImageStreams
from image_registry.metadata.database import Database
from image_registry.oci.reference import Repository
from image_registry.server.settings import AuthMode, Settings
from image_registry.server.upkeep_making import make
from image_registry.storage.choice import Filesystem
from image_registry.storage.filesystem import FilesystemStore
from image_registry.upkeep.ledger import Kind, Ledger, Outcome
from tests.app.schema import upgraded

NAMES = {"team/tools/report": "team/tools-report", "single": "single/app"}


class House:
    """A storage that somebody else wrote, with two names that cannot stay, and new tables."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "registry"
        tree, self.digests = Tree(self.root), dict[str, str]()
        for repository in ("team/app", *NAMES):
            for tag in ("v1", "v2"):
                self.digests[f"{repository}:{tag}"] = tree.image(repository, tag, f"{repository}{tag}", 2)
        storage = Filesystem(rootdirectory=self.root)
        url = upgraded(f"sqlite:///{folder / 'metadata.db'}")
        self.settings = Settings(storage=storage, database_url=url, auth=AuthMode.NONE)
        self.database = Database(url)
        self.streams = ImageStreams(self.database, internal_hostname="host:5000")

    def run(self, kind: Kind, **options: object) -> Any:
        """Made as by a registry that is read-only; its report."""
        ledger = Ledger(self.database)
        asked = ledger.ask(kind, options, "ann", datetime.now(UTC))
        taken = ledger.take("me", datetime.now(UTC), changing=False)
        assert taken is not None
        assert make(self.settings, ledger, taken, "me") is Outcome.SUCCEEDED
        found = ledger.find(asked.id)
        assert found is not None
        return found.report

    def names(self) -> list[str]:
        return sorted(map(str, self.streams.repositories(namespaces=None, limit=None).items))

    def files(self) -> dict[str, tuple[int, int]]:
        """Every file of the layout with size and time; records are no part of it."""
        found = (path for path in (self.root / "docker").rglob("*") if path.is_file() and ".records" not in path.parts)
        return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in found}


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_names_and_tables_are_made_while_it_is_read_only_and_taken_back_in_full(house: House) -> None:
    before = house.files()
    assert house.run(Kind.RENAME, names=NAMES) == {"repositories": 2, "renamed": 0}
    assert house.files() == before
    renamed = house.run(Kind.RENAME, names=NAMES, confirm=True)
    assert (renamed["repositories"], renamed["refused"]) == (2, {})
    rehearsed = house.run(Kind.REBUILD)
    assert (rehearsed["repositories"], rehearsed["tags"], house.names()) == (3, 6, [])
    report = house.run(Kind.REBUILD, confirm=True)
    assert (report["complete"], report["repositories"], report["tags"], report["images"]) == (True, 3, 6, 6)
    assert report["totals"] == {"strange name": 2}
    assert house.names() == ["single/app", "team/app", "team/tools-report"]
    store = FilesystemStore(house.root)
    for name, digest in house.digests.items():
        repository, _, tag = name.partition(":")
        assert str(store.read_tag(Repository.parse(NAMES.get(repository, repository)), tag)) == digest
    image = house.streams.image(next(iter(store.links(Repository("team", "app")).manifests)))
    assert (image.config is not None, len(image.layers)) == (True, 2)
    assert house.run(Kind.FORGET, streams=house.names(), confirm=True) == {"streams": 3, "kept": {}}
    assert house.names() == []
    assert house.run(Kind.RENAME, names=NAMES, undo=True, confirm=True)["repositories"] == 2
    assert house.files() == before


def test_a_rebuild_that_was_broken_off_is_gone_on_with_and_not_begun_again(house: House) -> None:
    ledger, now = Ledger(house.database), datetime.now(UTC)
    ledger.ask(Kind.REBUILD, {"confirm": True}, "ann", now)
    taken = ledger.take("first", now, changing=False)
    assert taken is not None
    assert make(house.settings, ledger, taken, "first") is Outcome.SUCCEEDED
    done = ledger.find(taken.id)
    assert done is not None
    assert done.notes == {"generation": 2}
