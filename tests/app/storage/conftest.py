"""A disk that fails on demand, and the values that the tests of this folder share."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from image_registry.storage import syncing
from image_registry.storage.blob_store import BlobStore
from image_registry.storage.filesystem import FilesystemStore

WRITING = ("mkdir", "open", "write", "pwrite", "fsync", "replace", "unlink", "rmdir")
"""System calls that change the disk, as the store makes them."""


SYNCING = ("sync_file_system", "start_writing", "wait_for_writing")
"""Those that Python has no names for."""


class PowerOff(BaseException):
    """The machine stops: nothing that would run afterwards runs, not even the removal of a temporary file."""


class Disk:
    """Counts the writing system calls of a store and makes them fail from a certain one on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        self._fail: Callable[[int, str], BaseException | None] | None = None
        for name in WRITING:
            monkeypatch.setattr(os, name, self._wrapped(name, getattr(os, name)))
        for name in SYNCING:
            monkeypatch.setattr(syncing, name, self._wrapped(name, getattr(syncing, name)))

    def _wrapped(self, name: str, real: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            if self._fail is None or (name == "open" and not arguments[1] & os.O_CREAT):
                return real(*arguments, **options)
            self.calls.append(name)
            failure = self._fail(len(self.calls), str(arguments[-1] if name == "replace" else arguments[0]))
            if failure is not None:
                raise failure
            return real(*arguments, **options)

        return call

    @contextmanager
    def fails(self, number: int, code: int) -> Iterator[None]:
        """The call with this number, counted from 1, fails with ``code``."""
        with self._failing(lambda count, _: OSError(code, os.strerror(code)) if count == number else None):
            yield

    @contextmanager
    def stops(self, number: int) -> Iterator[None]:
        """The call with this number and every later one never happens."""
        with self._failing(lambda count, _: PowerOff() if count >= number else None):
            yield

    @contextmanager
    def stops_at(self, path: str) -> Iterator[None]:
        """Nothing happens any more from the call on that would put a file to this place."""
        reached = False

        def fail(_count: int, place: str) -> BaseException | None:
            nonlocal reached
            reached = reached or place.endswith(path)
            return PowerOff() if reached else None

        with self._failing(fail):
            yield

    @contextmanager
    def _failing(self, fail: Callable[[int, str], BaseException | None]) -> Iterator[None]:
        self.calls, self._fail = [], fail
        try:
            yield
        finally:
            self._fail = None


FAILURES = {"full": errno.ENOSPC, "over quota": errno.EDQUOT, "broken": errno.EIO}


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """The disk below every store of this test."""
    return Disk(monkeypatch)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture(params=["filesystem"])
def store(root: Path) -> BlobStore:
    return FilesystemStore(root)
