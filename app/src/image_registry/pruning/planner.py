"""Makes the plan out of what is listed, in one pass over each list.

The order is: usage, Images, streams, held images. Only numbers stay of each document.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from image_registry.pruning import streams
from image_registry.pruning.holdings import Signature, Why, settle
from image_registry.pruning.image_rules import ImageRules
from image_registry.pruning.judging import ask_for_pulls
from image_registry.pruning.plan import NOBODY, Plan
from image_registry.pruning.reasons import Reason
from image_registry.pruning.references import Named
from image_registry.pruning.rules import Rules
from image_registry.pruning.stream_policies import Policies
from image_registry.pruning.streams import Stream, seconds
from image_registry.pruning.usage import MOST_FINDINGS, Usage


class Planner:
    """One for each plan."""

    def __init__(
        self,
        rules: Rules,
        usage: Usage,
        *,
        limit: Callable[[str], int | None] = lambda _namespace: None,
        pulls: Callable[[str, str], Mapping[str, int]] = lambda _namespace, _name: {},
    ) -> None:
        """``limit`` tells how many bytes an image of a namespace may have; ``pulls`` of a namespace and a stream, asked
        in their order, since when nobody has pulled what it holds."""
        self.plan = Plan(rules, usage)
        self.policies = Policies(self._find)
        self.images = ImageRules(rules, self.plan.images, limit)
        self._rules, self._usage, self._pulls = rules, usage, pulls
        self._owner_numbers: dict[str, int] = {}
        self._lent: dict[tuple[str, int], int] = {}
        self._whole: dict[int, Why] = {}
        """Streams that stay as they are."""
        self._touched = bytearray()
        self._cursor = 0
        self._group: list[tuple[int, int]] = []
        self._group_of = -1

    def add_image(self, document: Mapping[str, Any]) -> None:
        """An ``Image``, in order of the digests."""
        number, config = self.plan.images.add(document)
        self.plan.reasons.append(Reason.GOES)
        self.plan.about.append(0)
        runs = self._usage.running.get(config) if config else None
        if runs:
            self._keep(number, (Reason.USED, self._owner(runs)))

    def close_images(self) -> None:
        """No Image comes any more."""
        self.plan.images.close()
        self._touched = bytearray(self.plan.images.listed)

    def add_stream(self, document: Mapping[str, Any]) -> None:
        """An ``ImageStream``, in order of namespaces and names."""
        stream, plan = streams.read(document), self.plan
        number = plan.names.append(stream.repository)
        plan.uids.append(stream.uid)
        plan.events.open(len(plan.event_images))
        found = self.policies.of(stream)
        reason, owner = streams.for_all(stream, self._usage, self._rules, found)
        if reason is not Reason.GOES:
            self._whole[number] = (reason, self._owner(owner) if owner else 0)
        asked = not self._rules.over_limit and reason is Reason.GOES and ask_for_pulls(found)
        times = self._pulls(stream.namespace, stream.name) if asked else {}
        verdicts = streams.decide(
            stream,
            usage=self._usage,
            rules=self._rules,
            facts=self.images.facts(stream.namespace),
            policies=found,
            unpulled=self.images.unpulled(times.get),
        )
        for verdict in verdicts:
            image = plan.images.digests.find_or_add(verdict.event.image)
            tag = plan.tags.append(verdict.tag)
            if verdict.reason is Reason.GOES:
                plan.drops.add(number, tag, image, verdict.event.created)
                self._touch(image)
                continue
            plan.event_images.append(image)
            plan.event_tags.append(tag)
            plan.event_created.append(max(verdict.event.created, 0))
            plan.event_reasons.append(verdict.reason)
            plan.event_owners.append(self._owner(verdict.by) if verdict.by else 0)
            source = self._usage.hosts.read(verdict.event.reference)
            repository = getattr(source, "repository", stream.repository)
            if repository != stream.repository:  # this stream does not hold it: the other one must
                self._lent.setdefault((repository, image), len(plan.event_images) - 1)
        for repository, digest in (*stream.named, *self._pointed(stream)):
            self._lent.setdefault((repository, plan.images.digests.find_or_add(digest)), NOBODY)
        plan.totals.streams += 1
        plan.totals.events += len(verdicts)

    def add_held(self, document: Mapping[str, Any]) -> None:
        """The metadata of an ``ImageStreamImage``, in the order of the streams."""
        metadata = document["metadata"]
        name, _, digest = metadata["name"].partition("@")
        stream = self._find_stream((metadata["namespace"], name))
        self.plan.totals.held += 1
        if stream < 0:
            image = self.plan.images.digests.find(digest)
            if 0 <= image < self.plan.images.listed:
                self._keep(image, (Reason.NEW, 0))
            return
        if stream != self._group_of:
            self._settle()
            self._group_of = stream
        self._group.append(
            (self.plan.images.digests.find_or_add(digest), max(seconds(metadata["creationTimestamp"]), 0))
        )

    def finish(self) -> Plan:
        """Everything has come."""
        self._settle()
        plan = self.plan
        for number, image in enumerate(plan.event_images):
            if plan.event_reasons[number]:
                self._keep(image, (Reason.BY_TAG, number))
        for digest, owner in self._usage.running.items():
            self._keep(plan.images.digests.find(digest), (Reason.USED, self._owner(owner)))
        for (_, digest), owner in self._usage.digests.items():
            self._keep(plan.images.digests.find(digest), (Reason.USED, self._owner(owner)))
        for number in range(plan.images.listed):
            if not plan.reasons[number]:
                self._keep(number, (self.images.of_registry(number, touched=bool(self._touched[number])), 0))
        self._keep_listed()
        self._sum()
        return plan

    def _pointed(self, stream: Stream) -> Iterator[tuple[str, str]]:
        """Images of this registry that tags only point at."""
        for text in stream.pointers:
            named = self._usage.hosts.read(text)
            if isinstance(named, Named) and named.digest:
                yield named.repository, named.digest

    def _settle(self) -> None:
        """Decide about what the stream holds that has just been read."""
        group, stream, plan = self._group, self._group_of, self.plan
        self._group = []
        if not group:
            return
        limit = self.images.limit(plan.names[stream].partition("/")[0])
        events = plan.events.range(stream, len(plan.event_images))
        by_tag, signatures = self._events(events)
        repository = plan.names[stream]
        kept = {
            image: why
            for image, pushed in group
            if (why := self._outside(stream, repository, image, pushed, limit, by_tag))[0] is not Reason.GOES
        }
        here = {image for image, _ in group}
        for image, (reason, _) in list(kept.items()):  # no signature keeps what is too large
            if reason is Reason.WITHIN_LIMIT and any(subject in here for subject in plan.images.subjects.of(image)):
                del kept[image]
        outcome = settle(
            [image for image, _ in group], kept, signatures, plan.images.children.of, plan.images.subjects.of
        )
        for image, why in outcome.stays.items():
            self._keep(image, why)
        pushed_at = dict(group)
        for image in outcome.goes:
            plan.released_streams.append(stream)
            plan.released_images.append(image)
            plan.released_pushed.append(pushed_at[image])
            self._touch(image)
        for number in outcome.dropped:
            plan.event_reasons[number] = Reason.GOES
            image, made = plan.event_images[number], plan.event_created[number]
            plan.late_drops.add(stream, plan.event_tags[number], image, made)
            self._touch(image)

    def _events(self, events: range) -> tuple[dict[int, int], list[Signature]]:
        """Kept events by their images, without signatures that only follow; and the signatures."""
        plan = self.plan
        by_tag: dict[int, int] = {}
        signatures = []
        for number in events:
            image, follows = plan.event_images[number], plan.event_reasons[number] == Reason.FOLLOWS
            subject = streams.signed_by(plan.tags[plan.event_tags[number]])
            if subject:
                found = plan.images.digests.find(subject)
                signatures.append(Signature(number, image, found, follows))
            if not follows:
                by_tag.setdefault(image, number)
        return by_tag, signatures

    def _outside(
        self, stream: int, repository: str, image: int, pushed: int, limit: int | None, by_tag: Mapping[int, int]
    ) -> Why:
        """What keeps an image in a stream that is not another image of it."""
        if stream in self._whole:
            return self._whole[stream]
        table = self.plan.images
        if image >= table.listed:
            return Reason.NEW, 0
        if image in by_tag:
            return Reason.BY_TAG, by_tag[image]
        digest = table.digests[image]
        owner = self._usage.image(repository, digest)
        if owner:
            return Reason.USED, self._owner(owner)
        if Reason(self.plan.reasons[image]) is Reason.USED:  # its configuration is what runs
            return Reason.USED, self.plan.about[image]
        if (repository, image) in self._lent:
            return Reason.LENT, self._lent[repository, image]
        return self.images.of_stream(repository, image, pushed, limit), 0

    def _keep_listed(self) -> None:
        """An Image that stays keeps those that it lists, and they theirs."""
        reasons, children = self.plan.reasons, self.plan.images.children
        waiting = [number for number in dict.fromkeys(children.owners()) if reasons[number]]
        while waiting:
            number = waiting.pop()
            for child in children.of(number):
                if child < len(reasons) and not reasons[child]:
                    self._keep(child, (Reason.LISTED, number))
                    waiting.append(child)

    def _sum(self) -> None:
        plan, totals = self.plan, self.plan.totals
        totals.images = plan.images.listed
        totals.dropped_events = len(plan.drops) + len(plan.late_drops)
        totals.changed_streams = len({*plan.drops.streams, *plan.late_drops.streams})
        totals.released = len(plan.released_streams)
        totals.deleted_images = plan.reasons.count(Reason.GOES)
        goes = bytearray(not reason for reason in plan.reasons)
        totals.freed_blobs, totals.freed_bytes, totals.all_bytes = plan.images.ledger.freed(goes)
        totals.kept = {
            reason.name.lower(): count for reason in Reason if reason and (count := plan.reasons.count(reason))
        }

    def _find_stream(self, place: tuple[str, str]) -> int:
        """The number of a stream, looked for from where the last one was; -1 for one that has come since."""
        names = self.plan.names
        while self._cursor < len(names):
            namespace, _, name = names[self._cursor].partition("/")
            if (namespace, name) == place:
                return self._cursor
            if (namespace, name) > place:
                return -1
            self._cursor += 1
        return -1

    def _keep(self, image: int, why: Why) -> None:
        """The first reason stands."""
        if 0 <= image < len(self.plan.reasons) and not self.plan.reasons[image]:
            self.plan.reasons[image], self.plan.about[image] = why

    def _touch(self, image: int) -> None:
        if image < len(self._touched):
            self._touched[image] = 1

    def _owner(self, text: str) -> int:
        number = self._owner_numbers.setdefault(text, len(self.plan.owners))
        if number == len(self.plan.owners):
            self.plan.owners.append(text)
        return number

    def _find(self, sentence: str) -> None:
        if len(self.plan.findings) < MOST_FINDINGS:
            self.plan.findings.append(sentence)
