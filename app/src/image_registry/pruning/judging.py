"""What retention policies say of the tags of one stream, by count, by age since push and by age since last pull."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from image_registry.pruning.reasons import Reason
from image_registry.pruning.retention import Policy
from image_registry.pruning.rules import Rules

if TYPE_CHECKING:
    from image_registry.pruning.streams import Tag

SLACK = 2 * 3600
"""Seconds by which an image was perhaps pulled later than the registry says: it notes them late, and to the hour."""

UNKNOWN = "the registry does not say when it was pulled"


@dataclass(frozen=True, slots=True)
class Said:
    """About one tag that a policy speaks of."""

    kept: bool
    """By count or age since push."""
    pulls: tuple[str, ...]
    """For each event why a pull keeps it, in words; empty where none does."""

    @property
    def goes(self) -> bool:
        """Whether the whole tag is given up."""
        return not self.kept and not any(self.pulls)

    def reason(self, index: int, *, recent: bool) -> Reason:
        """About one event; ``recent`` if it is one of the newest revisions."""
        if self.goes:
            return Reason.GOES
        if not index or recent:
            return Reason.POLICY if self.kept else Reason.PULLED
        return Reason.PULLED if self.pulls[index] else Reason.GOES

    def pull(self, index: int) -> str:
        """The words of the pull that keeps an event: its own, else that which keeps the tag."""
        return self.pulls[index] or next(words for words in self.pulls if words)


def judge(
    tags: Iterable[Tag], policies: Sequence[Policy], rules: Rules, unpulled: Callable[[str], int | None]
) -> dict[str, Said]:
    """By the names of tags; the first policy that fits counts, and ranks its tags by their newest events."""
    found: dict[str, Said] = {}
    counts: dict[int, int] = {}
    for tag in sorted(tags, key=lambda tag: (-tag.events[0].created, tag.name)):
        number = next((number for number, policy in enumerate(policies) if policy.fits(tag.name)), None)
        if number is not None:
            policy, place = policies[number], counts.get(number, 0)
            counts[number] = place + 1
            pulls = tuple(_pull(event.image, policy, rules, unpulled) for event in tag.events)
            found[tag.name] = Said(_keeps(tag, policy, place, rules), pulls)
    return found


def ask_for_pulls(policies: Sequence[Policy] | None) -> bool:
    """Whether one of these policies depends on pulls."""
    return any(policy.keep_pulled_within is not None for policy in policies or ())


def _keeps(tag: Tag, policy: Policy, place: int, rules: Rules) -> bool:
    newest = tag.events[0].created
    if policy.keep is not None and place < policy.keep:
        return True
    return policy.keep_younger_than is not None and (
        rules.now - newest < policy.keep_younger_than or newest > rules.now
    )


def _pull(image: str, policy: Policy, rules: Rules, unpulled: Callable[[str], int | None]) -> str:
    """Why a pull keeps an image; a plan has few such sentences, whatever the number of images: hours are enough."""
    if policy.keep_pulled_within is None:
        return ""
    moment = unpulled(image)
    if moment is None:
        return f"keepPulledWithin of {policy.tags[0]}, {UNKNOWN}"
    if rules.now - moment >= policy.keep_pulled_within + SLACK:
        return ""
    hour = time.strftime("%Y-%m-%dT%HZ", time.gmtime(moment))
    return f"keepPulledWithin of {policy.tags[0]}, not pulled since {hour}"
