"""What one stream holds, and which of it stays: a pure function over numbers of images.

Whatever stays keeps what it needs: an index its images, a signature what it signs. Signatures and other referrers stay
as long as their subject, and go with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from image_registry.pruning.reasons import Reason

Why = tuple[Reason, int]
"""A reason, and the number of what it is about."""


@dataclass(frozen=True, slots=True)
class Signature:
    """A tag that names what it signs: its event, its image, and its subject."""

    event: int
    image: int
    subject: int
    follows: bool
    """Only kept because its subject is; else it stays anyway, and keeps that."""


@dataclass(slots=True)
class Outcome:
    """``goes`` in an order in which nothing goes before what points at it."""

    stays: dict[int, Why] = field(default_factory=dict)
    goes: list[int] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)
    """Events of signatures that go with their subjects."""


def settle(
    held: Sequence[int],
    kept: Mapping[int, Why],
    signatures: Sequence[Signature],
    children: Callable[[int], Iterable[int]],
    subjects: Callable[[int], Iterable[int]],
) -> Outcome:
    """Divide what a stream holds; ``kept`` are those that something outside keeps."""
    here = set(held)
    referrers: dict[int, list[int]] = {}
    for image in here:
        for subject in subjects(image):
            if subject in here:
                referrers.setdefault(subject, []).append(image)
    followers: dict[int, list[Signature]] = {}
    outcome = Outcome()
    queue: list[tuple[int, Why]] = [(image, why) for image, why in kept.items() if image in here]
    for signature in signatures:
        if not signature.follows and signature.subject in here:
            queue.append((signature.subject, (Reason.SUBJECT, signature.image)))
        elif signature.follows and signature.subject in here:
            followers.setdefault(signature.subject, []).append(signature)
        elif signature.image in here:  # what it signs lies elsewhere, who knows where
            queue.append((signature.image, (Reason.BY_TAG, signature.event)))
    while queue:
        image, why = queue.pop()
        if image in outcome.stays:
            continue
        outcome.stays[image] = why
        queue += [(child, (Reason.LISTED, image)) for child in children(image) if child in here]
        queue += [(subject, (Reason.SUBJECT, image)) for subject in subjects(image) if subject in here]
        queue += [(referrer, (Reason.REFERRER, image)) for referrer in referrers.get(image, ())]
        queue += [
            (signature.image, (Reason.BY_TAG, signature.event))
            for signature in followers.get(image, ())
            if signature.image in here
        ]
    outcome.dropped = sorted(
        signature.event
        for subject, following in followers.items()
        if subject not in outcome.stays
        for signature in following
    )
    outcome.goes = _ordered([image for image in held if image not in outcome.stays], children, subjects)
    return outcome


def _ordered(
    images: Sequence[int], children: Callable[[int], Iterable[int]], subjects: Callable[[int], Iterable[int]]
) -> list[int]:
    """What points at others first."""
    waiting = dict.fromkeys(images, 0)
    for image in images:
        for target in (*children(image), *subjects(image)):
            if target in waiting and target != image:
                waiting[target] += 1
    ready = [image for image in images if not waiting[image]]
    ordered = []
    while ready:
        image = ready.pop()
        ordered.append(image)
        for target in (*children(image), *subjects(image)):
            if target in waiting and target != image:
                waiting[target] -= 1
                if not waiting[target]:
                    ready.append(target)
    return ordered
