"""A store that is installed into a folder is there whole or not at all, whatever happens to its installer."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from image_registry_lab import stores
from image_registry_lab.report import LabError

WHOLE = "mkdir -p node_modules && cp lock node_modules/main"


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "sources"
    (folder / "little").mkdir(parents=True)
    (folder / "little/lock").write_text("one", encoding="ascii")
    monkeypatch.setattr(stores, "SOURCES", folder)
    return folder


def little(script: str) -> stores.Store:
    return stores.Store("little", "lock", "node_modules/main", (("sh", "-c", script),), "sh")


def build(folder: Path, script: str) -> bool:
    return stores.build(little(script), folder, lambda _said: None, "1 of 1")


def test_what_is_whole_is_installed_once_and_anew_when_its_lock_changes(sources: Path, tmp_path: Path) -> None:
    assert build(tmp_path, WHOLE)
    assert not build(tmp_path, WHOLE)
    (sources / "little/lock").write_text("two", encoding="ascii")
    assert build(tmp_path, WHOLE)
    assert (tmp_path / "little/node_modules/main").read_text(encoding="ascii") == "two"


@pytest.mark.usefixtures("sources")
def test_an_installer_that_ends_well_without_the_program_is_not_believed(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="there is no node_modules/main of little:\nno network"):
        build(tmp_path, "mkdir node_modules; echo no network >&2")
    assert not (tmp_path / "little").exists()


@pytest.mark.usefixtures("sources")
def test_a_folder_whose_program_is_gone_is_made_anew(tmp_path: Path) -> None:
    build(tmp_path, WHOLE)
    (tmp_path / "little/node_modules/main").unlink()
    assert build(tmp_path, WHOLE)
    assert (tmp_path / "little/node_modules/main").exists()


def test_a_failure_leaves_the_older_one_as_it_was(sources: Path, tmp_path: Path) -> None:
    build(tmp_path, WHOLE)
    (sources / "little/lock").write_text("two", encoding="ascii")
    with pytest.raises(LabError, match="cannot install little"):
        build(tmp_path, "mkdir node_modules; exit 3")
    assert (tmp_path / "little/node_modules/main").read_text(encoding="ascii") == "one"


def test_a_build_that_is_cut_off_leaves_nothing_that_the_next_takes_for_whole(sources: Path, tmp_path: Path) -> None:
    script = f"{WHOLE}; touch {shlex.quote(str(tmp_path / 'begun'))}; exec sleep 60"
    code = f"""
import pathlib
from image_registry_lab import stores
stores.SOURCES = pathlib.Path({str(sources)!r})
store = stores.Store("little", "lock", "node_modules/main", (("sh", "-c", {script!r}),), "sh")
stores.build(store, pathlib.Path({str(tmp_path)!r}), print, "1 of 1")
"""
    lab = Path(stores.__file__).resolve().parents[1]
    process = subprocess.Popen([sys.executable, "-c", code], cwd=lab, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        deadline = time.monotonic() + 30
        while not (tmp_path / "begun").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)
    assert not (tmp_path / "little").exists()
    assert build(tmp_path, WHOLE)
    assert (tmp_path / "little/node_modules/main").read_text(encoding="ascii") == "one"


@pytest.mark.parametrize("store", stores.STORES, ids=lambda store: store.name)
def test_every_store_names_its_sources(store: stores.Store) -> None:
    assert (stores.SOURCES / store.name / store.lock).is_file()
