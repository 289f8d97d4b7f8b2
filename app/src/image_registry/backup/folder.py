"""Backups as they lie in a folder: one folder for each beside the images that they share.

``<folder>/<name>/backup.json`` names every file of a backup by its SHA-256 and has one itself; ``images/`` is the
layout of ``oc image mirror`` and ``ac image mirror --from-dir``. A backup has its name once it is whole, so an
interrupted one is none. Files can be read by their owner alone: they may hold Secrets.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from image_registry import __version__
from image_registry.backup.checking import checked
from image_registry.backup.content import FILES, Content, as_json
from image_registry.backup.errors import BackupError, Damaged
from image_registry.backup.kinds import Document

COUNTED = ("streams", "tags", "images")
"""By which backups are compared."""

FORMAT = 1
"""Of the files; a greater one is refused."""

IMAGES, MANIFEST = "images", "backup.json"
_UNFINISHED = ".new-"
_NAME = "%Y%m%dT%H%M%SZ"
_MINE = 0o077
ROOT = 0
"""May write everywhere anyway."""


@dataclass(frozen=True, slots=True)
class Backup:
    """One that is whole."""

    name: str
    content: Content
    manifest: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Earlier:
    """What another backup of the folder says about itself."""

    name: str
    made: str
    counts: Mapping[str, int]

    def document(self) -> Document:
        """For reports."""
        return {"name": self.name, "made": self.made, "counts": dict(self.counts)}

    def fewer(self, counts: Mapping[str, int]) -> list[str]:
        """Of what ``counts`` has less than a half of what this backup has, in words."""
        return [
            f"{counts[key]} {key} instead of {self.counts[key]}"
            for key in COUNTED
            if counts[key] * 2 < self.counts[key]
        ]


class Folder:
    """Where backups of one registry lie."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def images(self) -> Path:
        """The images of all backups."""
        return self.path / IMAGES

    def names(self) -> list[str]:
        """Of whole backups, the oldest first."""
        try:
            found = [entry.name for entry in os.scandir(self.path) if entry.is_dir()]
        except FileNotFoundError:
            return []
        return sorted(name for name in found if (self.path / name / MANIFEST).is_file() and name[:1] != ".")

    def newest(self) -> str:
        """Raises :class:`BackupError` if there is none."""
        names = self.names()
        if not names:
            raise BackupError(f"there is no backup in {self.path}: a whole one is a folder with {MANIFEST} in it")
        return names[-1]

    def same(self, content: Content) -> str | None:
        """The newest backup, if it says this."""
        names = self.names()
        if not names:
            return None
        try:
            backup = self.read(names[-1])  # with its files: a damaged one is worth another backup
        except Damaged:
            return None
        said = backup.manifest
        same = said["files"] == _sums(content.files()) and content.told().items() <= said.items()
        return backup.name if same else None

    def earlier(self, namespaces: Sequence[str], than: str = "") -> Earlier | None:
        """The newest whole backup of these namespaces, or the one before ``than``; damaged ones are passed over."""
        for name in reversed(self.names()):
            if than and name >= than:
                continue
            try:
                said = self._manifest(name)
                if list(said["namespaces"]) == list(namespaces):
                    return Earlier(name, str(said["made"]), {key: int(said["counts"][key]) for key in COUNTED})
            except (BackupError, KeyError, TypeError, ValueError):
                continue
        return None

    def write(self, content: Content, registry: Mapping[str, str], now: datetime) -> str:
        """A new backup, which is there as a whole or not at all; its name. Raises :class:`BackupError`."""
        name = now.astimezone(UTC).strftime(_NAME)
        while (self.path / name).exists():  # two within a second
            name += "x"
        new = self.path / f"{_UNFINISHED}{secrets.token_hex(8)}"
        try:
            self.prepare()
            new.mkdir(mode=0o700)
            files = content.files()
            manifest: Document = {
                "format": FORMAT,
                "made": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "program": __version__,
                "registry": dict(registry),
                "counts": content.counts,
                "files": _sums(files),
                **content.told(),
            }
            manifest["digest"] = _sum(as_json(manifest))
            for file, data in {**files, MANIFEST: as_json(manifest)}.items():
                _write(new / file, data)
            _sync(new)
            new.rename(self.path / name)
            _sync(self.path)
        except OSError as error:
            raise BackupError(f"the backup cannot be written to {self.path}: {error.strerror}") from None
        finally:
            shutil.rmtree(new, ignore_errors=True)
        return name

    def prepare(self) -> None:
        """Make the folder; what exists and others may read is refused. Raises :class:`BackupError`."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise BackupError(f"the folder {self.path} cannot be made: {error.strerror}") from None
        self._ours()

    def _ours(self) -> None:
        """Who can write here decides what comes back, with the rights of who restores; who can read has Secrets."""
        try:
            entry = self.path.stat()
        except OSError as error:
            raise BackupError(f"the folder {self.path} cannot be looked at: {error.strerror}") from None
        if entry.st_uid not in (os.geteuid(), ROOT):
            raise BackupError(
                f"{self.path} belongs to another user, who could write what is restored from it: chown it"
            )
        if entry.st_mode & _MINE:
            raise BackupError(
                f"others can look into {self.path} or write there, and a backup may hold Secrets and decides what a "
                f"registry becomes: look whether it is what you saved, then chmod 700 {self.path}"
            )

    def read(self, name: str = "") -> Backup:
        """A backup whose files are what was saved. Raises :class:`BackupError`."""
        name = name or self.newest()
        if name not in self.names():
            raise BackupError(
                f"there is no backup {name!r} in {self.path}; there are: {', '.join(self.names()) or '-'}"
            )
        self._ours()
        manifest = self._manifest(name)
        files: dict[str, Any] = {}
        for file, wanted in manifest["files"].items():
            path = self.path / name / file
            data = _read(path)
            if _sum(data) != wanted:
                raise Damaged(f"{path} is not what was saved: its SHA-256 is another one. Take another backup")
            try:
                files[file] = json.loads(data)
            except (ValueError, RecursionError):
                raise Damaged(f"{path} is no JSON, whatever its checksum. Take another backup") from None
        try:
            content = checked(files, manifest)
        except ValueError as error:
            raise Damaged(f"{self.path / name} says what no backup says, and nothing was changed: {error}") from None
        return Backup(name, content, manifest)

    def _manifest(self, name: str) -> Document:
        path = self.path / name / MANIFEST
        try:
            manifest = json.loads(_read(path))
            digest, number, files = manifest.pop("digest"), int(manifest["format"]), dict(manifest["files"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise Damaged(f"{path} is no description of a backup. Take another backup") from None
        if _sum(as_json(manifest)) != digest:
            raise Damaged(f"{path} is not what was saved: its SHA-256 is another one. Take another backup")
        if number > FORMAT:
            raise BackupError(f"{path} has format {number}, this program knows {FORMAT}: use a newer one")
        if files.keys() != FILES:
            raise Damaged(
                f"{path} names other files than a backup has: {', '.join(sorted(files.keys() ^ FILES))[:300]}"
            )
        found: Document = manifest
        return found


def _sum(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _sums(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: _sum(data) for name, data in files.items()}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Damaged(f"{path} cannot be read: {error.strerror}") from None


def _write(path: Path, data: bytes) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
