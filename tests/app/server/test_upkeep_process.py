"""What a process for a run is told about the registry it works for."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from image_registry.server import upkeep_process
from image_registry.server.proxy_settings import HTTPS, read_proxies
from image_registry.server.settings import AuthMode, Settings
from image_registry.storage.choice import GCS, S3, Azure, Filesystem, Storage, Swift
from image_registry.upkeep.runs import Kind, Run

KINDS: list[Storage] = [
    Filesystem(rootdirectory=Path("/somewhere")),
    S3(bucket="b", trustedca=Path("/ca"), rootdirectory="below", secretkey="hidden"),
    GCS(bucket="b"),
    Azure(accountname="a", container="c"),
    Swift(authurl="https://keystone.test", container="c"),
]


def run(kind: Kind, *, confirm: bool = True) -> Run:
    return Run(
        "run", kind, {"confirm": confirm}, datetime.now(UTC), "ann", None, None, None, "me", 1, stop=False,
        stage="", done=0, cursor="", notes={}, error="", report=None,
    )  # fmt: skip


@pytest.mark.parametrize("storage", KINDS, ids=lambda storage: type(storage).__name__)
def test_the_process_opens_the_storage_and_the_database_of_the_registry(storage: Storage) -> None:
    settings = Settings(storage=storage, database_url="sqlite:///x.db", auth=AuthMode.NONE, blob_promise=7.0)
    told = json.loads(json.dumps(upkeep_process._orders(settings, run(Kind.COLLECT), "me")))
    assert upkeep_process._settings(told) == settings


def test_the_process_asks_the_store_through_the_same_proxies_and_is_not_told_their_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It has the same environment."""
    monkeypatch.setenv(HTTPS, "http://user:hidden-word@proxy.test:3128")
    proxies = read_proxies(os.environ)
    settings = Settings(storage=S3(bucket="b", proxies=proxies), proxy=proxies, database_url="sqlite:///x.db")
    told = json.dumps(upkeep_process._orders(settings, run(Kind.COLLECT), "me"))
    assert "hidden-word" not in told
    made = upkeep_process._settings(json.loads(told))
    assert (made.storage, made.proxy) == (settings.storage, proxies)


def test_runs_step_back_behind_requests_unless_pushes_are_refused_until_they_end() -> None:
    settings = Settings(storage=KINDS[0], database_url="sqlite:///x.db", auth=AuthMode.NONE)
    back = {kind: upkeep_process._orders(settings, run(kind), "me")["nice"] for kind in Kind}
    awaited = {Kind.RENAME, Kind.REBUILD, Kind.FORGET}
    assert back == {kind: 0 if kind in awaited else upkeep_process.NICE for kind in Kind}
    assert upkeep_process._orders(settings, run(Kind.REBUILD, confirm=False), "me")["nice"] == upkeep_process.NICE
