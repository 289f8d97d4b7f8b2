"""What has to be done, as data: which blobs are sent, which mounted, which manifests follow, in which order.

Pure. The dry run shows this plan and the real run executes it. Each blob is sent to a store once, however many images
and repositories want it; the others take it over from the first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from image_registry.mirroring.looking import Looked, View, Wanted
from image_registry.mirroring.places import DOCKER, OCI, Place
from image_registry.oci.digest import Digest
from image_registry.oci.manifest import Descriptor


@dataclass(frozen=True, slots=True)
class BlobStep:
    """A blob that a repository needs; ``origin`` is where it can be taken over from, once ``first`` is done."""

    number: int
    source: Place
    target: Place
    blob: Descriptor
    origin: Place | None = None
    first: int | None = None

    @property
    def bytes(self) -> int:
        """What is expected to be sent."""
        return 0 if self.origin else self.blob.size


@dataclass(frozen=True, slots=True)
class ManifestStep:
    """A manifest, after everything it names."""

    number: int
    source: Place
    target: Place
    entry: Wanted
    after: frozenset[int]

    @property
    def key(self) -> tuple[Place, str, str]:
        return (self.target, str(self.entry.wanted), str(self.entry.manifest.digest))


@dataclass(slots=True)
class ImagePlan:
    """An image and the steps that it takes; without steps it is there."""

    looked: Looked
    steps: list[int] = field(default_factory=list)
    """All that have to succeed, those shared with other images, too."""


@dataclass(slots=True)
class Totals:
    """Of one target store."""

    blobs: int = 0
    bytes: int = 0
    mounts: int = 0
    mounted_bytes: int = 0
    present_bytes: int = 0
    manifests: int = 0


@dataclass(slots=True)
class Plan:
    """Steps by their number, in the order in which they are begun."""

    images: list[ImagePlan] = field(default_factory=list)
    blobs: dict[int, BlobStep] = field(default_factory=dict)
    manifests: dict[int, ManifestStep] = field(default_factory=dict)
    totals: dict[str, Totals] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """What is expected to be sent."""
        return sum(totals.bytes for totals in self.totals.values())


Holder = Callable[[str, Digest], Place | None]
"""A repository of a store that has a blob, if one is known from before."""


def _nobody(_store: str, _digest: Digest) -> None:
    """Nothing is known."""


def make_plan(view: View, *, mounts: bool = True, holder: Holder = _nobody) -> Plan:
    """The plan for everything that was looked at."""
    return _Planner(view, mounts=mounts, holder=holder).plan()


class _Planner:
    def __init__(self, view: View, *, mounts: bool, holder: Holder) -> None:
        self._view, self._mounts, self._holder = view, mounts, holder
        self._plan = Plan()
        self._number = 0
        self._known: dict[tuple[Place, Digest], int] = {}
        self._put: dict[tuple[Place, str, str], int] = {}
        self._where: dict[tuple[str, Digest], tuple[Place, int | None]] = {}
        """Where in a store a blob is, or will be after a step."""
        self._counted: set[tuple[Place, Digest]] = set()
        for (place, digest), size in view.sizes.items():
            if size is not None:
                self._where.setdefault((place.store, digest), (place, None))

    def plan(self) -> Plan:
        for looked in self._view.images:
            image = ImagePlan(looked)
            self._plan.images.append(image)
            if looked.error is None:
                self._add(image)
        return self._plan

    def _add(self, image: ImagePlan) -> None:
        looked = image.looked
        source, target = looked.mapping.source.repository, looked.mapping.target.repository
        by_digest: dict[Digest, int] = {}
        for entry in looked.manifests:
            manifest = entry.manifest
            blobs = {blob.digest: blob for blob in sorted(manifest.required_blobs, key=lambda blob: -blob.size)}
            needs = [step for blob in blobs.values() if (step := self._blob(source, target, blob)) is not None]
            children = [by_digest[child.digest] for child in manifest.manifests if child.digest in by_digest]
            about = manifest.subject.digest if manifest.subject else None
            if about is not None and about in by_digest and entry.attached:
                children.append(by_digest[about])
            step = self._manifest(source, target, entry, frozenset([*needs, *children]))
            by_digest.setdefault(manifest.digest, step)
            image.steps += [*needs, step]
        image.steps = list(dict.fromkeys(image.steps))

    def _blob(self, source: Place, target: Place, blob: Descriptor) -> int | None:
        key, totals = (target, blob.digest), self._totals(target)
        if key in self._known:
            return self._known[key]
        if self._view.sizes.get(key) is not None:
            if key not in self._counted:
                self._counted.add(key)
                totals.present_bytes += blob.size
            return None
        place, first = self._where.get((target.store, blob.digest), (None, None))
        if place is None:
            place = self._holder(target.store, blob.digest)
        if place is None and source.store == target.store and source.kind == DOCKER:
            place = source
        if place is None or not self._mounts or target.kind == OCI:
            place, first = None, None
        number = self._next()
        step = BlobStep(number, source, target, blob, place, first)
        self._plan.blobs[number] = step
        self._known[key] = number
        self._where.setdefault((target.store, blob.digest), (target, number))
        if place is None:
            totals.blobs, totals.bytes = totals.blobs + 1, totals.bytes + blob.size
        else:
            totals.mounts, totals.mounted_bytes = totals.mounts + 1, totals.mounted_bytes + blob.size
        return number

    def _manifest(self, source: Place, target: Place, entry: Wanted, after: frozenset[int]) -> int:
        key = (target, str(entry.wanted), str(entry.manifest.digest))
        if key in self._put:
            return self._put[key]
        number = self._next()
        self._plan.manifests[number] = ManifestStep(number, source, target, entry, after)
        self._put[key] = number
        self._totals(target).manifests += 1
        return number

    def _totals(self, target: Place) -> Totals:
        return self._plan.totals.setdefault(target.store, Totals())

    def _next(self) -> int:
        self._number += 1
        return self._number


def tags_to_be_written_twice(plan: Plan) -> list[str]:
    """Targets that two images of different content are to be: one of them would be lost."""
    named = {(step.target, str(step.entry.wanted), step.entry.manifest.digest) for step in plan.manifests.values()}
    count = Counter((target, wanted) for target, wanted, _ in named)
    return [str(target.at(wanted)) for (target, wanted), number in count.items() if number > 1]
