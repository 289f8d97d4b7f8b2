"""Images between a registry and the folder of backups, and whether those in the folder are what they should be.

Everything a repository holds is asked for by its digest, so what moves while a backup is made does not matter.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from image_registry.backup.content import Image
from image_registry.backup.door import Door
from image_registry.mirroring.in_files import FileRepository
from image_registry.mirroring.limits import Limits
from image_registry.mirroring.mirror import Mirror, Prepared
from image_registry.mirroring.places import DOCKER, FILE, Place
from image_registry.mirroring.places import Mapping as ImageMapping
from image_registry.mirroring.planner import Plan
from image_registry.mirroring.repositories import Repository
from image_registry.mirroring.results import FAILED, NOT_TRIED
from image_registry.mirroring.wishes import Wishes
from image_registry.oci.digest import Digest
from image_registry.remote.errors import (
    Forbidden,
    Mismatch,
    NoSpace,
    NotARegistry,
    NotFound,
    RemoteError,
    TooLarge,
    TooManyRequests,
    Unauthorized,
    Unreachable,
    Unreadable,
    Unusable,
)

Tell = Callable[[str], None]
CHUNK = 1 << 20
PER_REGISTRY = 6

ELSEWHERE = frozenset(
    error.reason for error in (Forbidden, NoSpace, NotARegistry, TooManyRequests, Unauthorized, Unreachable, Unreadable)
)
"""Reasons for which an image is not copied and that say nothing about it."""


def quiet(_line: str) -> None:
    """Nobody listens."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What became of copies; ``failed`` says why by image, ``gone`` are those of them that the source has not got."""

    images: int = 0
    blobs: int = 0
    bytes: int = 0
    failed: Mapping[Image, str] = field(default_factory=dict)
    gone: frozenset[Image] = frozenset()
    elsewhere: frozenset[Image] = frozenset()
    """Those of them that failed for a reason beside the image: the folder, the token, a registry out of order."""


def together(parts: Iterable[Copied], failed: Mapping[Image, str]) -> Copied:
    """Of several copies; ``failed`` is what counts in the end."""
    done = list(parts)
    return Copied(
        sum(one.images for one in done),
        sum(one.blobs for one in done),
        sum(one.bytes for one in done),
        failed,
        frozenset(image for one in done for image in one.gone),
        frozenset(image for one in done for image in one.elsewhere if image in failed),
    )


@dataclass(frozen=True, slots=True)
class Lacking:
    """Why images cannot be pulled from a registry, by image."""

    absent: dict[Image, str] = field(default_factory=dict)
    """Those that it knows nothing of."""
    lost: dict[Image, str] = field(default_factory=dict)
    """Those that it says it has, and has not got the bytes."""
    unknown: dict[Image, str] = field(default_factory=dict)
    """Those for which it gave no answer."""

    @property
    def all(self) -> dict[Image, str]:
        return {**self.absent, **self.lost, **self.unknown}


@dataclass(frozen=True, slots=True)
class Sent:
    """An image of the folder and the repository it goes into: under a tag or, without one, by its digest."""

    image: Image
    target: str
    tag: str = ""

    @property
    def becomes(self) -> Image:
        """What the registry has afterwards."""
        return Image(self.target, self.image.digest)


class Store:
    """The images of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def place(self, image: Image) -> Place:
        """Where an image is."""
        return Place(FILE, str(self._folder.resolve()), image.repository, digest=Digest.parse(image.digest))

    def holds(self, image: Image) -> bool:
        """Whether there is a file of that name."""
        return FileRepository(self.place(image).repository).digest(Digest.parse(image.digest)) is not None

    def faults(self, images: Sequence[Image], *, deep: bool, tell: Tell = quiet) -> dict[Image, str]:
        """Why an image cannot be had from here, by image; ``deep`` reads every byte, else sizes are compared.

        A blob that several images share is one file and read once.
        """
        known: dict[tuple[int, int], str] = {}
        found: dict[Image, str] = {}
        for number, image in enumerate(images):
            if number % 500 == 0 and number:
                tell(f"{number} images of the folder looked at")
            if why := self._fault(image, known, deep=deep):
                found[image] = why
        return {**found, **self._holders(images, found)}

    def _holders(self, images: Sequence[Image], faults: Collection[Image]) -> dict[Image, str]:
        """Indexes of what has a fault: none of them can be sent as a whole."""
        found: dict[Image, str] = {}
        now: Collection[Image] = faults
        while now:
            more = {}
            for image in images:
                if image in faults or image in found:
                    continue
                manifest = FileRepository(self.place(image).repository).manifest(Digest.parse(image.digest))
                held = [Image(image.repository, str(entry.digest)) for entry in manifest.manifests]
                if part := next((entry for entry in held if entry in now), None):
                    more[image] = f"{part.digest}, which it holds, is not what was saved"
            found |= more
            now = more
        return found

    def _fault(self, image: Image, known: dict[tuple[int, int], str], *, deep: bool) -> str:
        repository = FileRepository(self.place(image).repository)
        try:
            manifest = repository.manifest(Digest.parse(image.digest))
        except NotFound:
            return "the folder does not have it"
        except RemoteError as error:
            return str(error)
        for blob in manifest.required_blobs:
            path = self._folder / "v2" / image.repository / "blobs" / str(blob.digest)
            try:
                entry = path.stat()
            except OSError:
                return f"its blob {blob.digest} is not in the folder"
            if entry.st_size != blob.size:
                return f"{path} has {entry.st_size} bytes and should have {blob.size}"
            if deep:
                key = (entry.st_dev, entry.st_ino)
                if key not in known:
                    known[key] = _digest(path, blob.digest.algorithm)
                if known[key] != str(blob.digest):
                    return f"{path} has other bytes than its name says"
        return ""


class Copying:
    """Copies between one registry and one folder; the plan of a copy is looked at, or done."""

    def __init__(self, door: Door, store: Store) -> None:
        self._door, self._store = door, store

    def save(self, images: Sequence[Image], *, anew: bool = False) -> Copies:
        """Into the folder; ``anew`` what is there as well, because it is damaged."""
        pairs = {ImageMapping(self._there(image), self._store.place(image)): image for image in images}
        return Copies(self._door, pairs, anew=anew)

    def bring_back(self, sent: Iterable[Sent], *, anew: bool = False) -> Copies:
        """Into the registry; ``anew`` what it says it has, because its bytes are gone."""
        pairs = {}
        for one in sent:
            there = self._there(one.becomes)
            pairs[ImageMapping(self._store.place(one.image), there.at(one.tag) if one.tag else there)] = one.image
        return Copies(self._door, pairs, anew=anew)

    def lacking(self, images: Iterable[Image]) -> Lacking:
        """What of these images cannot be pulled: each manifest is fetched, each blob asked for by its size.

        A registry says from its tables that it has a manifest, also when the bytes are gone.
        """
        found = Lacking()
        limits = Limits(PER_REGISTRY, 1)
        mirror = Mirror(self._door.client, limits=limits)
        sizes: dict[tuple[str, Digest], int | None] = {}
        bare: list[Image] = []

        def look(image: Image) -> None:
            try:
                repository = mirror.open(self._there(image).repository)
                if repository.digest(Digest.parse(image.digest)) is None:
                    found.absent[image] = "the registry does not have it"
                elif why := _fault(repository, image, sizes):
                    found.lost[image] = why
                elif repository.manifest(Digest.parse(image.digest)).manifests:
                    bare.append(image)
            except (Mismatch, TooLarge, Unusable) as error:  # bytes, and other ones
                found.lost[image] = str(error)
            except RemoteError as error:
                found.unknown[image] = str(error)

        limits.each(sorted(set(images)), lambda _image: (self._door.host,), look)
        if found.lost:  # an index has no blobs, and a registry remembers manifests: it could be lost, too
            found.lost.update(dict.fromkeys(bare, "other images have lost their bytes, and this one may have"))
        return found

    def _there(self, image: Image) -> Place:
        return Place(DOCKER, self._door.host, image.repository, digest=Digest.parse(image.digest))


def _fault(repository: Repository, image: Image, sizes: dict[tuple[str, Digest], int | None]) -> str:
    """Why an image that a registry names cannot be pulled; ``sizes`` remembers answers about blobs."""
    try:
        manifest = repository.manifest(Digest.parse(image.digest))
    except NotFound:
        return "its manifest is not in the storage"
    for blob in manifest.required_blobs:
        key = (image.repository, blob.digest)
        if key not in sizes:
            sizes[key] = repository.blob_size(blob.digest)
        if sizes[key] != blob.size:
            return f"its blob {blob.digest} has {sizes[key] or 0} bytes and should have {blob.size}"
    return ""


class Copies:
    """Copies that were looked at: what is missing at the target, with its size."""

    def __init__(self, door: Door, pairs: Mapping[ImageMapping, Image], *, anew: bool = False) -> None:
        self._pairs = pairs
        self._mirror = Mirror(door.client, Wishes(referrers=False, force=anew), Limits(PER_REGISTRY, 2))
        self._prepared = self._mirror.prepare(list(pairs)) if pairs else Prepared(Plan())

    def foreseen(self) -> Copied:
        """What :meth:`apply` would do."""
        plan = self._prepared.plan
        failed, gone, elsewhere, missing = {}, set(), set(), 0
        for each in plan.images:
            image = self._pairs[each.looked.mapping]
            if each.looked.error is not None:
                failed[image] = str(each.looked.error)
                if isinstance(each.looked.error, NotFound):
                    gone.add(image)
                if each.looked.error.reason in ELSEWHERE:
                    elsewhere.add(image)
            elif each.steps:
                missing += 1
        blobs = sum(one.blobs for one in plan.totals.values())
        return Copied(missing, blobs, plan.bytes, failed, frozenset(gone), frozenset(elsewhere))

    def apply(self) -> Copied:
        """Send what is missing; an image that fails keeps no other from being sent."""
        before = self.foreseen()
        if not self._pairs:
            return before
        report = self._mirror.apply(self._prepared, continue_on_error=True)
        failed = {
            self._pairs[result.mapping]: result.error
            for result in report.results
            if result.status in (FAILED, NOT_TRIED)
        }
        gone = before.gone | {
            self._pairs[result.mapping] for result in report.results if result.reason == NotFound.reason
        }
        copied = sum(result.status == "copied" for result in report.results)
        elsewhere = {self._pairs[result.mapping] for result in report.results if result.reason in ELSEWHERE}
        return Copied(copied, report.sent_blobs, report.sent_bytes, failed, frozenset(gone), frozenset(elsewhere))


def _digest(path: Path, algorithm: str) -> str:
    found = hashlib.new(algorithm)
    with open(os.open(path, os.O_RDONLY), "rb", buffering=0) as file:
        while part := file.read(CHUNK):
            found.update(part)
    return f"{algorithm}:{found.hexdigest()}"
