"""One stream at a time: which events of its tags stay, and why (parity reference 7.3).

The same function makes the plan and, when a stream has changed since, looks again before anything of it is written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from image_registry.pruning.judging import Said, judge
from image_registry.pruning.reasons import Reason
from image_registry.pruning.retention import KEEP, Policy, keeps
from image_registry.pruning.rules import Rules
from image_registry.pruning.usage import Usage

_SIGNATURE = re.compile(r"(sha256|sha512)-([0-9a-f]{64}|[0-9a-f]{128})(?:\.[a-z0-9]+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Event:
    """One item of a tag; ``created`` is in seconds since 1970."""

    created: int
    image: str
    reference: str


@dataclass(frozen=True, slots=True)
class Tag:
    """What a tag meant, the newest first; ``wanted`` if ``spec.tags`` says where it comes from."""

    name: str
    events: tuple[Event, ...]
    kept: bool = False
    wanted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """What of an ImageStream decides."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    created: int
    annotations: Mapping[str, str]
    tags: tuple[Tag, ...]
    named: tuple[tuple[str, str], ...] = ()
    """Streams and digests that ``spec.tags`` names as ImageStreamImages."""
    pointers: tuple[str, ...] = ()
    """Pull specifications that ``spec.tags`` names."""

    @property
    def repository(self) -> str:
        """``namespace/name``."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of an Image."""

    kept: bool = False
    managed: bool = True
    oversize: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """About one event; ``by`` is who keeps it, where that is somebody."""

    tag: str
    event: Event
    reason: Reason
    by: str = ""

    @property
    def key(self) -> tuple[str, str, int]:
        """What it is about, in this stream."""
        return self.tag, self.event.image, self.event.created


def read(document: Mapping[str, Any]) -> Stream:
    """An ``ImageStream`` of the Image API. Raises :class:`ValueError` for what is none."""
    try:
        metadata, spec = document["metadata"], document.get("spec", {})
        wanted = {tag["name"]: tag for tag in spec.get("tags", ())}
        return Stream(
            namespace=metadata["namespace"],
            name=metadata["name"],
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
            created=seconds(metadata["creationTimestamp"]),
            annotations=metadata.get("annotations", {}),
            tags=tuple(_tag(entry, wanted) for entry in document.get("status", {}).get("tags", ())),
            named=tuple(_named(tag, metadata["namespace"]) for tag in wanted.values() if _names_digest(tag)),
            pointers=tuple(tag["from"]["name"] for tag in wanted.values() if _kind(tag) == "DockerImage"),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"what the Image API calls an ImageStream is none: {error!r}") from None


def seconds(text: str) -> int:
    """Since 1970, of a time as Kubernetes writes it."""
    return int(datetime.fromisoformat(text).timestamp())


def signed_by(tag: str) -> str:
    """The digest that a signature under a tag of its own is about (``sha256-<hex>.sig``); empty for other tags."""
    match = _SIGNATURE.fullmatch(tag)
    return f"{match[1]}:{match[2]}" if match else ""


def decide(
    stream: Stream,
    *,
    usage: Usage,
    rules: Rules,
    facts: Callable[[str], Facts],
    policies: Sequence[Policy] | None = (),
    unpulled: Callable[[str], int | None] = lambda _digest: None,
) -> list[Verdict]:
    """A verdict for each event, in the order of the stream; ``policies`` is ``None`` where nobody understands them.

    ``unpulled`` says since when nobody has pulled an image, or one that it lists; what nobody knows stays.
    """
    whole, by = for_all(stream, usage, rules, policies)
    if whole is not Reason.GOES:
        return [Verdict(tag.name, event, whole, by) for tag in stream.tags for event in tag.events]
    spoken_of = [] if rules.over_limit else [tag for tag in stream.tags if tag.events and not signed_by(tag.name)]
    said = judge(spoken_of, policies or (), rules, unpulled)
    return [
        verdict
        for tag in stream.tags
        for verdict in _of_tag(stream, tag, usage=usage, rules=rules, facts=facts, said=said.get(tag.name))
    ]


def for_all(stream: Stream, usage: Usage, rules: Rules, policies: Sequence[Policy] | None) -> tuple[Reason, str]:
    """Why the whole stream stays as it is, and because of whom."""
    if rules.namespaces and stream.namespace not in rules.namespaces:
        return Reason.OTHER_NAMESPACE, ""
    if keeps(stream.annotations):
        return Reason.KEPT_STREAM, ""
    if rules.allows(stream.repository):
        return Reason.ALLOWED, ""
    if policies is None:
        return Reason.INVALID_POLICY, ""
    owner = usage.beginning(stream.repository)
    if owner:
        return Reason.UNREADABLE, owner
    if not rules.over_limit and rules.is_young(stream.created):
        return Reason.YOUNG_STREAM, ""
    return Reason.GOES, ""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What all events of one tag have in common."""

    stream: Stream
    tag: Tag
    usage: Usage
    rules: Rules
    said: Said | None
    """What a retention policy says of the tag, if one speaks of it."""


def _of_tag(
    stream: Stream,
    tag: Tag,
    *,
    usage: Usage,
    rules: Rules,
    facts: Callable[[str], Facts],
    said: Said | None,
) -> list[Verdict]:
    asked = _Asked(stream, tag, usage, rules, said)
    verdicts = []
    for index, event in enumerate(tag.events):
        known = facts(event.image)
        owner = _user(asked, index, event)
        reason = (
            Reason.USED if owner else _protected(asked, index, event, known) or _by_rules(asked, index, event, known)
        )
        by = said.pull(index) if said is not None and reason is Reason.PULLED else owner
        verdicts.append(Verdict(tag.name, event, reason, by))
    return _consistent(verdicts, whole_goes=said is not None and said.goes)


def _user(asked: _Asked, index: int, event: Event) -> str:
    """Who uses what the tag means now, or this image by its digest."""
    by_tag = asked.usage.tag(asked.stream.repository, asked.tag.name) if index == 0 else ""
    return by_tag or asked.usage.image(asked.stream.repository, event.image)


def _protected(asked: _Asked, index: int, event: Event, known: Facts) -> Reason:
    """What keeps an event whatever its age and revision."""
    if asked.tag.kept:
        return Reason.KEPT_TAG
    if known.kept:
        return Reason.KEPT_IMAGE
    if not known.managed and not asked.rules.all_images:
        return Reason.NOT_MANAGED
    repository = asked.stream.repository
    if asked.rules.allows(f"{repository}:{asked.tag.name}", f"{repository}@{event.image}"):
        return Reason.ALLOWED
    if index == 0 and asked.tag.wanted:
        return Reason.WANTED
    return Reason.GOES


def _by_rules(asked: _Asked, index: int, event: Event, known: Facts) -> Reason:
    """What keeps an event for now."""
    rules, signature = asked.rules, bool(signed_by(asked.tag.name))
    if rules.over_limit:
        if known.oversize:
            return Reason.GOES
        return Reason.FOLLOWS if signature else Reason.WITHIN_LIMIT
    if rules.is_young(event.created):
        return Reason.YOUNG
    recent = index < rules.keep_tag_revisions
    if asked.said is not None:
        return asked.said.reason(index, recent=recent)
    if recent:
        return Reason.FOLLOWS if signature else Reason.REVISION
    return Reason.GOES


def _consistent(verdicts: list[Verdict], *, whole_goes: bool) -> list[Verdict]:
    """A tag never comes to mean an older image: its newest event goes last, or with all others.

    A tag that a policy gives up goes whole; an older image of it that is in use stays in the stream without the tag.
    """
    if not verdicts or verdicts[0].reason is not Reason.GOES:
        return verdicts
    if whole_goes and all(verdict.reason in (Reason.GOES, Reason.USED, Reason.KEPT_IMAGE) for verdict in verdicts):
        return [Verdict(verdict.tag, verdict.event, Reason.GOES) for verdict in verdicts]
    if any(verdict.reason is not Reason.GOES for verdict in verdicts):
        first = verdicts[0]
        return [Verdict(first.tag, first.event, Reason.WOULD_MOVE), *verdicts[1:]]
    return verdicts


def _tag(entry: Mapping[str, Any], wanted: Mapping[str, Mapping[str, Any]]) -> Tag:
    spec = wanted.get(entry["tag"], {})
    events = tuple(
        Event(seconds(item["created"]), item["image"], item.get("dockerImageReference", ""))
        for item in entry.get("items") or ()
    )
    annotations = spec.get("annotations", {})
    return Tag(entry["tag"], events, keeps(annotations) if KEEP in annotations else False, bool(spec.get("from")))


def _kind(tag: Mapping[str, Any]) -> str:
    return str((tag.get("from") or {}).get("kind", ""))


def _names_digest(tag: Mapping[str, Any]) -> bool:
    return _kind(tag) == "ImageStreamImage" and "@" in tag["from"].get("name", "")


def _named(tag: Mapping[str, Any], namespace: str) -> tuple[str, str]:
    source = tag["from"]
    stream, _, digest = source["name"].partition("@")
    return f"{source.get('namespace') or namespace}/{stream}", digest
