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
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from image_registry import __version__
from image_registry.backup.errors import BackupError, Damaged
from image_registry.backup.kinds import Document

FORMAT = 1
"""Of the files; a greater one is refused."""

IMAGES, MANIFEST = "images", "backup.json"
OBJECTS, SECRETS, STREAMS = "objects.json", "secrets.json", "streams.json"
IMAGE_LIST, SIGNATURES = "images.json", "signatures.json"
_UNFINISHED = ".new-"
_NAME = "%Y%m%dT%H%M%SZ"
_MINE = 0o077


@dataclass(frozen=True, slots=True, order=True)
class Image:
    """One manifest that a repository holds."""

    repository: str
    digest: str

    def __str__(self) -> str:
        return f"{self.repository}@{self.digest}"


@dataclass(frozen=True, slots=True)
class Content:
    """Everything that one backup says."""

    objects: tuple[Document, ...] = ()
    secrets: tuple[Document, ...] = field(default=(), repr=False)
    streams: tuple[Document, ...] = ()
    images: tuple[Image, ...] = ()
    signatures: tuple[Document, ...] = ()
    with_images: bool = True
    """Whether their bytes lie in the folder."""
    left_out: tuple[str, ...] = ()
    """Secrets that are not in it, by name: somebody has to bring them back in another way."""
    missing: tuple[str, ...] = ()
    """Images that could not be read, which was accepted."""
    namespaces: tuple[str, ...] = ()
    """What it is limited to; empty for a backup of everything."""

    @property
    def counts(self) -> dict[str, int]:
        """For reports."""
        return {
            "objects": len(self.objects),
            "secrets": len(self.secrets),
            "streams": len(self.streams),
            "tags": sum(len(stream["status"]["tags"]) for stream in self.streams),
            "images": len(self.images),
            "signatures": len(self.signatures),
        }

    def files(self) -> dict[str, bytes]:
        """The same content gives the same bytes."""
        return {
            OBJECTS: _json(self.objects),
            SECRETS: _json(self.secrets),
            STREAMS: _json(self.streams),
            IMAGE_LIST: _json([[image.repository, image.digest] for image in self.images]),
            SIGNATURES: _json(self.signatures),
        }

    def told(self) -> dict[str, Any]:
        """What the manifest says beside the files."""
        return {
            "withImages": self.with_images,
            "leftOut": list(self.left_out),
            "missing": list(self.missing),
            "namespaces": list(self.namespaces),
        }


@dataclass(frozen=True, slots=True)
class Backup:
    """One that is whole."""

    name: str
    content: Content
    manifest: Mapping[str, Any]


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
            manifest = self._manifest(names[-1])
        except Damaged:
            return None
        same = manifest["files"] == _sums(content.files()) and content.told().items() <= manifest.items()
        return names[-1] if same else None

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
            manifest["digest"] = _sum(_json(manifest))
            for file, data in {**files, MANIFEST: _json(manifest)}.items():
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
            mode = self.path.stat().st_mode
        except OSError as error:
            raise BackupError(f"the folder {self.path} cannot be made: {error.strerror}") from None
        if mode & _MINE:
            raise BackupError(f"others can look into {self.path}, and a backup may hold Secrets: chmod 700 {self.path}")

    def read(self, name: str = "") -> Backup:
        """A backup whose files are what was saved. Raises :class:`BackupError`."""
        name = name or self.newest()
        if name not in self.names():
            raise BackupError(
                f"there is no backup {name!r} in {self.path}; there are: {', '.join(self.names()) or '-'}"
            )
        manifest = self._manifest(name)
        files: dict[str, Any] = {}
        for file, wanted in manifest["files"].items():
            path = self.path / name / str(file)
            data = _read(path)
            if _sum(data) != wanted:
                raise Damaged(f"{path} is not what was saved: its SHA-256 is another one. Take another backup")
            files[file] = json.loads(data)
        try:
            content = Content(
                tuple(files[OBJECTS]),
                tuple(files[SECRETS]),
                tuple(files[STREAMS]),
                tuple(Image(repository, digest) for repository, digest in files[IMAGE_LIST]),
                tuple(files[SIGNATURES]),
                manifest["withImages"],
                tuple(manifest["leftOut"]),
                tuple(manifest["missing"]),
                tuple(manifest["namespaces"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise Damaged(f"{self.path / name} lacks a part of a backup: {error!r}") from None
        return Backup(name, content, manifest)

    def _manifest(self, name: str) -> Document:
        path = self.path / name / MANIFEST
        try:
            manifest = json.loads(_read(path))
            digest, number = manifest.pop("digest"), manifest["format"]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Damaged(f"{path} is no description of a backup. Take another backup") from None
        if _sum(_json(manifest)) != digest:
            raise Damaged(f"{path} is not what was saved: its SHA-256 is another one. Take another backup")
        if number > FORMAT:
            raise BackupError(f"{path} has format {number}, this program knows {FORMAT}: use a newer one")
        found: Document = manifest
        return found


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()


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


def sorted_documents(found: Iterable[Document]) -> tuple[Document, ...]:
    """In an order that does not depend on who listed them."""
    return tuple(
        sorted(
            found, key=lambda item: (item["kind"], str(item["metadata"].get("namespace", "")), item["metadata"]["name"])
        )
    )
