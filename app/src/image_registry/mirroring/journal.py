"""What a run has done, written down as it does it, so that the next one need not ask for it or send it again.

One line of JSON for each thing, appended with one write; a line that a kill cut off is left out. A journal that ends
with the word that all was done is the journal of a past run: the next one begins anew, because tags move.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from image_registry.mirroring.places import Mapping, Place
from image_registry.oci.digest import Digest
from image_registry.remote.errors import Unreadable
from image_registry.remote.uploads import Upload

FORM = "image-mirror/1"

REMEMBERED = 200_000
"""Blobs of which it is known where they were put; what is forgotten is sent once more."""


class Journal:
    """Thread-safe. Without a path nothing is remembered."""

    def __init__(self, path: Path | None = None) -> None:
        self._path, self._lock = path, threading.Lock()
        self._file: int | None = None
        self._blobs: set[tuple[str, str]] = set()
        self._manifests: set[tuple[str, str, str]] = set()
        self._images: dict[str, dict[str, Any]] = {}
        self._uploads: dict[tuple[str, str], str] = {}
        self._seen = False
        self._holders: dict[tuple[str, Digest], Place] = {}

    def __enter__(self) -> Self:
        if self._path is not None:
            try:
                finished = self._read(self._path)
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | (os.O_TRUNC if finished else 0)
                self._file = os.open(self._path, flags, 0o600)
            except OSError as error:
                raise Unreadable(f"the journal {self._path} cannot be used: {error.strerror}") from None
            os.write(self._file, b"\n")  # what a kill cut off ends here
            self._write({"journal": FORM})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def has_blob(self, target: Place, digest: Digest) -> bool:
        return (_name(target), str(digest)) in self._blobs

    def has_manifest(self, target: Place, wanted: str, digest: str) -> bool:
        return (_name(target), wanted, digest) in self._manifests

    def image(self, mapping: Mapping) -> dict[str, Any] | None:
        """What was reported of an image that is done."""
        return self._images.get(_mapping(mapping))

    def upload(self, target: Place, digest: Digest) -> Upload | None:
        """An upload that had begun."""
        found = self._uploads.get((_name(target), str(digest)))
        return Upload(found) if found else None

    def holder(self, store: str, digest: Digest) -> Place | None:
        """Where this process has put a blob: the next portion of a long run takes it over from there."""
        return self._holders.get((store, digest))

    def note_blob(self, target: Place, digest: Digest) -> None:
        with self._lock:
            if len(self._holders) >= REMEMBERED:
                self._holders.clear()
            self._holders.setdefault((target.store, digest), target)
        self._write({"blob": [_name(target), str(digest)]})

    def note_upload(self, target: Place, digest: Digest, upload: Upload) -> None:
        self._write({"upload": [_name(target), str(digest)], "location": upload.location})

    def note_manifest(self, target: Place, wanted: str, digest: str) -> None:
        self._write({"manifest": [_name(target), wanted, digest]})

    def note_image(self, mapping: Mapping, result: dict[str, Any]) -> None:
        self._write({"image": _mapping(mapping), "result": result})

    def note_end(self) -> None:
        """All was done."""
        self._write({"finished": True})

    def _write(self, entry: dict[str, Any]) -> None:
        if self._file is not None:
            line = json.dumps(entry, separators=(",", ":")).encode() + b"\n"
            with self._lock:
                os.write(self._file, line)

    def _read(self, path: Path) -> bool:
        """Take in what is there; whether that run was finished."""
        finished = False
        if not path.exists():
            return False
        with path.open("rb") as file:
            for line in file:
                try:
                    entry = json.loads(line)
                except ValueError:
                    continue
                if isinstance(entry, dict):
                    finished = entry.get("finished") is True
                    self._take(entry)
        if not finished and not self._seen and path.stat().st_size:
            raise Unreadable(f"{path} is no journal of copying images; name another file")
        if finished:
            for known in (self._blobs, self._manifests, self._images, self._uploads):
                known.clear()
        return finished

    def _take(self, entry: dict[str, Any]) -> None:
        match entry:
            case {"journal": str(form)}:
                self._seen = form == FORM
            case {"blob": [str(target), str(digest)]}:
                self._blobs.add((target, digest))
            case {"upload": [str(target), str(digest)], "location": str(location)}:
                self._uploads[target, digest] = location
            case {"manifest": [str(target), str(wanted), str(digest)]}:
                self._manifests.add((target, wanted, digest))
            case {"image": str(mapping), "result": dict(result)}:
                self._images[mapping] = result
            case _:
                return


def _name(place: Place) -> str:
    return f"{place.store}/{place.path}"


def _mapping(mapping: Mapping) -> str:
    return f"{_name(mapping.source)}:{mapping.source.wanted}={_name(mapping.target)}:{mapping.target.wanted}"
