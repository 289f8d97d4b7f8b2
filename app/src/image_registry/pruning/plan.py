"""The plan: data that says what goes and what stays because of whom, of which one run shows and another executes.

It is kept in columns of numbers and read row by row, because a row of a large registry must not cost a Python object
for as long as the plan lives.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby

from image_registry.pruning.compact import Groups, Texts
from image_registry.pruning.image_table import ImageTable
from image_registry.pruning.reasons import COMMAND_LINE, Reason, sentence
from image_registry.pruning.rules import Rules
from image_registry.pruning.usage import Usage

NOBODY = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class Dropped:
    """An event that a tag is to forget."""

    tag: str
    image: str
    created: int

    @property
    def key(self) -> tuple[str, str, int]:
        """What it is about, in its stream."""
        return self.tag, self.image, self.created


@dataclass(frozen=True, slots=True)
class StreamChange:
    """Events that go from one stream, which is still the same one."""

    namespace: str
    name: str
    uid: str
    events: tuple[Dropped, ...]
    following: tuple[Dropped, ...] = ()
    """Signatures under tags of their own: they go when what they sign has gone."""


@dataclass(frozen=True, slots=True)
class Release:
    """An image that a stream is to hold no more."""

    namespace: str
    name: str
    uid: str
    digest: str
    pushed: int


@dataclass(frozen=True, slots=True)
class ImageVerdict:
    """About one Image."""

    digest: str
    size: int
    created: int
    reason: Reason
    why: str

    @property
    def goes(self) -> bool:
        """Whether the Image is deleted."""
        return self.reason is Reason.GOES


@dataclass(slots=True)
class Totals:
    """How many of everything; bytes are those of layers and configurations, each blob counted once."""

    streams: int = 0
    images: int = 0
    held: int = 0
    events: int = 0
    changed_streams: int = 0
    dropped_events: int = 0
    released: int = 0
    deleted_images: int = 0
    freed_blobs: int = 0
    freed_bytes: int = 0
    all_bytes: int = 0
    kept: dict[str, int] = field(default_factory=dict)
    """Images that stay, by the kind of their reason."""


class Drops:
    """Events that go, in the order of their streams."""

    def __init__(self) -> None:
        self.streams, self._tags, self._images, self._created = array("I"), array("I"), array("I"), array("I")

    def __len__(self) -> int:
        return len(self.streams)

    def add(self, stream: int, tag: int, image: int, created: int) -> None:
        """One more."""
        self.streams.append(stream)
        self._tags.append(tag)
        self._images.append(image)
        self._created.append(created)

    def of(self, stream: int) -> Iterator[tuple[int, int, int]]:
        """Tag, image and time of each event that goes from a stream."""
        for row in range(bisect_left(self.streams, stream), bisect_right(self.streams, stream)):
            yield self._tags[row], self._images[row], self._created[row]


class Plan:
    """Filled by the planner, read by whoever shows or executes it."""

    def __init__(self, rules: Rules, usage: Usage) -> None:
        self.rules, self.usage = rules, usage
        self.images = ImageTable()
        self.totals = Totals()
        self.findings: list[str] = []
        self.names, self.uids, self.tags = Texts(), Texts(), Texts()
        self.owners: list[str] = []
        self.event_images, self.event_tags, self.event_owners = array("I"), array("I"), array("I")
        self.event_created = array("I")
        self.event_reasons = bytearray()
        self.events = Groups()
        self.drops, self.late_drops = Drops(), Drops()
        self.released_streams, self.released_images, self.released_pushed = array("I"), array("I"), array("I")
        self.reasons = bytearray()
        """For each Image; what goes has :data:`Reason.GOES`."""
        self.about = array("I")

    def streams(self) -> Iterator[StreamChange]:
        """What goes from tags, stream by stream."""
        touched = sorted({*self.drops.streams, *self.late_drops.streams})
        for stream in touched:
            namespace, _, name = self.names[stream].partition("/")
            yield StreamChange(
                namespace,
                name,
                self.uids[stream],
                self._dropped(self.drops, stream),
                self._dropped(self.late_drops, stream),
            )

    def releases(self) -> Iterator[Release]:
        """What streams are to hold no more, in an order that the registry accepts."""
        for row, stream in enumerate(self.released_streams):
            namespace, _, name = self.names[stream].partition("/")
            digest = self.images.digests[self.released_images[row]]
            yield Release(namespace, name, self.uids[stream], digest, self.released_pushed[row])

    def by_stream(self) -> Iterator[tuple[StreamChange | None, list[Release]]]:
        """What goes from each stream: from its tags, then from what it holds."""
        changes = self.streams()
        change = next(changes, None)
        for place, releases in groupby(self.releases(), key=lambda release: (release.namespace, release.name)):
            while change is not None and (change.namespace, change.name) < place:
                yield change, []
                change = next(changes, None)
            if change is not None and (change.namespace, change.name) == place:
                yield change, list(releases)
                change = next(changes, None)
            else:
                yield None, list(releases)
        while change is not None:
            yield change, []
            change = next(changes, None)

    def deletions(self) -> Iterator[str]:
        """Images that go."""
        return (self.images.digests[number] for number, reason in enumerate(self.reasons) if not reason)

    def verdicts(self, words: Mapping[str, str] = COMMAND_LINE) -> Iterator[ImageVerdict]:
        """About every Image, in order of the digests, in the words of a door."""
        for number in range(len(self.reasons)):
            reason = Reason(self.reasons[number])
            why = sentence(reason, self._about(reason, self.about[number], words), words)
            yield ImageVerdict(
                self.images.digests[number], self.images.sizes[number], self.images.created[number], reason, why
            )

    def _dropped(self, drops: Drops, stream: int) -> tuple[Dropped, ...]:
        digests = self.images.digests
        return tuple(Dropped(self.tags[tag], digests[image], made) for tag, image, made in drops.of(stream))

    def _about(self, reason: Reason, number: int, words: Mapping[str, str]) -> str:
        match reason:
            case Reason.USED | Reason.UNREADABLE:
                return self.owners[number] if number < len(self.owners) else "somebody"
            case Reason.LISTED | Reason.SUBJECT | Reason.REFERRER:
                return self.images.digests[number]
            case Reason.BY_TAG | Reason.LENT:
                return self._event(number, words)
        return ""

    def _event(self, number: int, words: Mapping[str, str]) -> str:
        if number == NOBODY:
            return "spec.tags"
        tag = f"{self.names[self.events.of(number)]}:{self.tags[self.event_tags[number]]}"
        reason = Reason(self.event_reasons[number])
        return f"{tag}, {sentence(reason, self._event_about(reason, number), words)}"

    def _event_about(self, reason: Reason, number: int) -> str:
        if reason in (Reason.USED, Reason.UNREADABLE, Reason.PULLED):
            return self.owners[self.event_owners[number]]
        return "what it signs" if reason is Reason.FOLLOWS else ""
