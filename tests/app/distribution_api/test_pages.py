"""Pages while others write: what was there all the time is listed exactly once, in order, and nothing is made up."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from image_registry.imagestreams.service import ImageStreams
from image_registry.metadata.database import Database
from image_registry.oci import media_types
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository
from tests.app.schema import upgraded

from .conftest import Registry, assemble, manifest_of

NAMES = st.text("ab.-_1Z", min_size=1, max_size=4).filter(lambda name: name[0] not in ".-")
"""Short ones of few characters: many are the beginning of others, or neighbours in one order and not in another."""

WRITES = st.lists(st.tuples(st.booleans(), NAMES), max_size=4)
"""What happens between two pages: tags made (true) or deleted."""

RAW = manifest_of(b"{}")


def page_through(
    registry: Registry, path: str, key: str, between: list[list[tuple[bool, str]]], write: Callable[[bool, str], None]
) -> list[str]:
    seen: list[str] = []
    while path:
        answer = registry.client.get(path)
        assert answer.status_code == 200, answer.text
        seen += json.loads(answer.data)[key]
        path = answer.headers.get("Link", "").partition("<")[2].partition(">")[0]
        for made, name in between.pop(0) if between else ():
            write(made, name)
    return seen


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    folder: Path = tmp_path_factory.mktemp("pages")
    database = Database(upgraded(f"sqlite:///{folder / 'metadata.db'}"))
    made = assemble(database, folder / "blobs")
    made.upload("demo/app", b"{}")
    return made


@settings(max_examples=25, deadline=None)
@given(steady=st.sets(NAMES, max_size=8), between=st.lists(WRITES, max_size=5), size=st.integers(1, 4))
def test_tags_are_neither_lost_nor_doubled(
    registry: Registry, steady: set[str], between: list[list[tuple[bool, str]]], size: int
) -> None:
    streams: ImageStreams = registry.streams
    repository = Repository("demo", "app")
    url = "/v2/demo/app/manifests/"
    digest = Digest.of(RAW)
    query = "&".join(f"tag={name}" for name in steady)
    headers = {"Content-Type": media_types.OCI_MANIFEST}
    assert registry.client.put(f"{url}{digest}?{query}", data=RAW, headers=headers).status_code == 201
    passing = {name for some in between for _, name in some} - steady

    def write(made: bool, name: str) -> None:
        if name in steady:
            return
        if made:
            registry.client.put(url + name, data=RAW, headers=headers)
        else:
            registry.client.delete(url + name)

    seen = page_through(registry, f"/v2/demo/app/tags/list?n={size}", "tags", list(between), write)
    assert seen == sorted(set(seen))
    assert steady <= set(seen) <= steady | passing
    for name in streams.tags(repository).items:
        streams.delete_tag(repository, name)
