"""Making a backup: streams are read, their images copied by digest, then everything is written down at once.

A stream is kept as it was at one moment, with every image that it named then. What a stream holds is never collected,
so a copy can fail for lack of an image only if its stream let go of it since: then that stream is read again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

from image_registry.backup.content import Content, Image
from image_registry.backup.door import Door
from image_registry.backup.errors import Incomplete, Refused, listed
from image_registry.backup.folder import Folder
from image_registry.backup.images import Copied, Copying, Store, Tell, quiet, together
from image_registry.backup.kinds import SECRETS, Document, identity, without
from image_registry.backup.reading import Reading, Stream
from image_registry.backup.restore_plan import RESTORING, is_marked, is_too_large
from image_registry.kube.errors import KubeError

ROUNDS = 5
"""How often streams are read again that change while they are copied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a backup is to have."""

    namespace: str = "image-registry-system"
    namespaces: tuple[str, ...] = ()
    images: bool = True
    secrets: bool = False
    accept: tuple[str, ...] = ()
    """Patterns of ``<repository>@<digest>`` that may be missing."""
    allow_fewer: bool = False
    """Save also when less than a half is left of what the newest backup has."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What was done, or what would be."""

    name: str
    """Of the backup that says this; empty for one that would be made."""
    changed: bool
    content: Content
    copied: Copied = field(default_factory=Copied)

    def document(self) -> dict[str, Any]:
        """For reports; no value of a Secret is in it."""
        return {
            "name": self.name,
            "counts": self.content.counts,
            "copied": {"images": self.copied.images, "blobs": self.copied.blobs, "bytes": self.copied.bytes},
            "left_out": list(self.content.left_out),
            "missing": list(self.content.missing),
        }


class Saving:
    """One backup. Raises :class:`~image_registry.backup.errors.BackupError`, KubeError and ClusterUnreachable."""

    def __init__(self, reading: Reading, door: Door, folder: Folder, wish: Wish, tell: Tell = quiet) -> None:
        self._reading, self._folder, self._wish, self._tell = reading, folder, wish, tell
        self._door, self._store = door, Store(folder.images)
        self._copying = Copying(door, self._store)

    def foresee(self) -> Saved:
        """What :meth:`save` would do; nothing is written."""
        streams = self._believed(self._reading.streams())
        copied = Copied()
        if self._wish.images:
            copied = self._copies(_images(streams), apply=False)
            streams, copied = self._settled(streams, copied)
        content = self._content(streams, copied)
        same = self._folder.same(content)
        return Saved(same or "", copied.images > 0 or same is None, content, copied)

    def save(self, now: datetime | None = None) -> Saved:
        """Copy, then write down."""
        self._folder.prepare()
        streams = self._believed(self._reading.streams())
        self._tell(f"{len(streams)} streams hold {len(_images(streams))} images")
        total = Copied()
        if self._wish.images:
            for _ in range(ROUNDS):
                copied = self._copies(_images(streams), apply=True)
                total = together([total, copied], copied.failed)
                self._tell(f"{copied.images} images copied, {copied.bytes} bytes; {len(copied.failed)} failed")
                again = self._changed(streams, copied)
                if not again:
                    break
                streams = _with(streams, again)
            else:
                raise Incomplete(f"streams change faster than they are copied: {listed([*again])}. Try again later")
        content = self._content(streams, total)
        same = self._folder.same(content)
        if same is not None:
            return Saved(same, total.images > 0, content, total)
        registry = {"host": self._door.host, "namespace": self._wish.namespace}
        name = self._folder.write(content, registry, now or datetime.now(UTC))
        return Saved(name, changed=True, content=content, copied=total)

    def _believed(self, streams: dict[str, Stream]) -> dict[str, Stream]:
        """A backup of what is being lost, or brought back, would become the newest one, which a restore takes."""
        begun = [name for name, stream in streams.items() if is_marked(stream.document)]
        if begun:
            raise Refused(
                f"{len(begun)} streams are being restored, or were not to the end, so no backup was made: "
                f"{listed(begun)}. Run the restore again; if it is given up, remove their annotation {RESTORING}"
            )
        if large := [name for name, stream in streams.items() if is_too_large(stream.document)]:
            self._tell(f"{len(large)} streams want more tags than the Image API takes back at once: {listed(large)}")
        newest = self._folder.earlier(sorted(self._wish.namespaces))
        tags = sum(len(stream.document["status"]["tags"]) for stream in streams.values())
        counts = {"streams": len(streams), "tags": tags, "images": len(_images(streams))}
        if newest and not self._wish.allow_fewer and (fewer := newest.fewer(counts)):
            raise Refused(
                f"much is gone since the backup {newest.name}, so no backup was made: {', '.join(fewer)}. If it was "
                "lost, restore that backup; if it was meant to go, allow it once (allow_fewer)"
            )
        return streams

    def _copies(self, images: Collection[Image], *, apply: bool) -> Copied:
        """Into the folder: what it lacks, and anew what it has damaged."""
        there = [image for image in images if self._store.holds(image)]
        damaged = self._store.faults(there, deep=False)
        parts = [self._copying.save(sorted(set(images) - set(damaged)))]
        if damaged:
            self._tell(f"{len(damaged)} images of the folder are damaged: {listed([*map(str, damaged)])}")
            parts.append(self._copying.save(sorted(damaged), anew=True))
        done = [part.apply() if apply else part.foreseen() for part in parts]
        return together(done, {image: why for one in done for image, why in one.failed.items()})

    def _changed(self, streams: Mapping[str, Stream], copied: Copied) -> dict[str, Stream | None]:
        """Streams that let go of an image while it was looked for, as they are now."""
        found: dict[str, Stream | None] = {}
        for name in sorted({image.repository for image in copied.gone & _held(streams)}):
            now = self._reading.stream(name)
            lost = {image.digest for image in copied.gone if image.repository == name}
            if now is None or not lost <= now.digests:
                found[name] = now
        return found

    def _settled(self, streams: dict[str, Stream], copied: Copied) -> tuple[dict[str, Stream], Copied]:
        again = self._changed(streams, copied)
        streams = _with(streams, again)
        wanted = _images(streams)
        failed = {image: why for image, why in copied.failed.items() if image in wanted}
        return streams, replace(copied, failed=failed, elsewhere=copied.elsewhere & failed.keys())

    def _content(self, streams: Mapping[str, Stream], copied: Copied) -> Content:
        held = _held(streams)
        if copied.elsewhere:
            why = "; ".join(f"{image}: {copied.failed[image]}" for image in sorted(copied.elsewhere)[:5])
            raise Incomplete(
                f"{len(copied.elsewhere)} images were not copied, for reasons beside them, so no backup was made: "
                f"{why}. Look at the space of the folder, at the token, and whether the registry answers; then run "
                "again: what was copied stays"
            )
        missing = {image: why for image, why in copied.failed.items() if image in held or self._is_held(image, streams)}
        refused = [image for image in sorted(missing) if not self._accepted(image)]
        if refused:
            why = "; ".join(f"{image}: {missing[image]}" for image in refused[:5])
            raise Incomplete(
                f"{len(refused)} images cannot be read, so no backup was made: {why}. Push them again, delete them, or "
                "accept by name that they are missing (accept: <repository>@<digest>; * stands for any text)"
            )
        lost = frozenset(copied.failed)
        secrets, left_out = self._secrets()
        images = tuple(sorted(_images(streams) - lost))
        return Content(
            objects=self._reading.objects(),
            secrets=secrets,
            streams=tuple(without(stream.document, _gone(stream, lost)) for stream in streams.values()),
            images=images,
            signatures=self._reading.signatures({image.digest for image in images}),
            with_images=self._wish.images,
            left_out=left_out,
            missing=tuple(map(str, sorted(missing))),
            namespaces=tuple(sorted(self._wish.namespaces)),
        )

    def _is_held(self, image: Image, streams: Mapping[str, Stream]) -> bool:
        """Whether a stream that is not in this backup holds what a tag in it follows."""
        if image.repository in streams:
            return False
        stream = self._reading.stream(image.repository)
        return stream is not None and image.digest in stream.digests

    def _secrets(self) -> tuple[tuple[Document, ...], tuple[str, ...]]:
        """Those that are kept, and the names of those that are not."""
        if self._wish.secrets:
            return self._reading.secrets(), ()
        try:
            return (), tuple(identity(item) for item in self._reading.secrets())
        except KubeError as error:
            if error.forbidden:  # who does not want them need not be able to read them
                return (), (f"{SECRETS.name}/{self._wish.namespace}/*",)
            raise

    def _accepted(self, image: Image) -> bool:
        return any(fnmatchcase(str(image), pattern) for pattern in self._wish.accept)


def _held(streams: Mapping[str, Stream]) -> set[Image]:
    return {image for stream in streams.values() for image in stream.held}


def _images(streams: Mapping[str, Stream]) -> set[Image]:
    borrowed = {image for stream in streams.values() for image in stream.borrowed.values() if image is not None}
    return _held(streams) | borrowed


def _with(streams: Mapping[str, Stream], again: Mapping[str, Stream | None]) -> dict[str, Stream]:
    found = {**streams, **again}
    return {name: stream for name, stream in sorted(found.items()) if stream is not None}


def _gone(stream: Stream, lost: Collection[Image]) -> set[str]:
    """Digests of a stream's history that nobody can pull."""
    own = {image.digest for image in stream.held if image in lost}
    return own | {digest for digest, image in stream.borrowed.items() if image is None or image in lost}
