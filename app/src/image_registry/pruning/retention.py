"""How long tags are kept, as the owners of a stream or a namespace say it in an annotation.

A tag that is made anew for each build has one revision and would stay for ever; a policy speaks of whole tags::

    image.alauda.io/retention: |
      - tags: ["ci-*", "pr-*"]  # patterns as a shell has them, for whole tags
        keep: 10                # the newest ten of these stay,
        keepYoungerThan: 30d    # and what was pushed in the last thirty days,
        keepPulledWithin: 14d   # and what was pulled in the last fourteen

Not regular expressions: anybody who edits a namespace writes these, and one that never ends would stop the run for all.
The first policy that fits a tag counts. The stream's annotation replaces that of its namespace.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import yaml

from image_registry.pruning.rules import InvalidRule, parse_duration

ANNOTATION = "image.alauda.io/retention"
KEEP = "image.alauda.io/keep"
"""Annotation of a stream, a tag or an Image that is never pruned: ``true``."""

LONGEST = 64 * 1024
MOST = 100
LONGEST_PATTERN = 128
MOST_STARS = 8
"""In one pattern: each one more multiplies the time that a tag may take that does not fit."""


_RULES = ("keep", "keepYoungerThan", "keepPulledWithin")


class InvalidPolicy(ValueError):
    """An annotation that cannot be understood; what it is about is kept."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What stays of the tags that fit; at least one of these is given. Ages are seconds."""

    tags: tuple[str, ...]
    keep: int | None = None
    keep_younger_than: int | None = None
    keep_pulled_within: int | None = None

    def fits(self, tag: str) -> bool:
        """Whether it speaks of this tag."""
        return any(fnmatchcase(tag, pattern) for pattern in self.tags)


def policies(annotations: Mapping[str, str]) -> tuple[Policy, ...] | None:
    """What an object's annotations say; ``None`` if they say nothing. Raises :class:`InvalidPolicy`."""
    text = annotations.get(ANNOTATION)
    if text is None:
        return None
    if len(text) > LONGEST:
        raise InvalidPolicy(f"the annotation {ANNOTATION} has more than {LONGEST} characters")
    try:
        return _read(text)
    except InvalidPolicy:
        raise
    except Exception as error:  # noqa: BLE001 - what stands behind a YAML tag may raise anything: !!bool x, !!int ""
        why = " ".join((str(error) if isinstance(error, yaml.YAMLError) else repr(error)).split())[:200]
        raise InvalidPolicy(f"the annotation {ANNOTATION} cannot be read as YAML: {why}") from None


def keeps(annotations: Mapping[str, str]) -> bool:
    """Whether an object opts out of pruning."""
    return annotations.get(KEEP, "").strip().lower() == "true"


def _read(text: str) -> tuple[Policy, ...]:
    document = yaml.load(text, _Loader)  # noqa: S506 - a safe one
    if not isinstance(document, list) or len(document) > MOST:
        raise InvalidPolicy(f"the annotation {ANNOTATION} must be a list of at most {MOST} policies")
    return tuple(_policy(entry, number) for number, entry in enumerate(document))


def _policy(entry: Any, number: int) -> Policy:
    place = f"{ANNOTATION}[{number}]"
    if not isinstance(entry, dict):
        raise InvalidPolicy(f"{place} must be an object with tags and one of {', '.join(_RULES)}")
    unknown = sorted(str(key) for key in entry if key not in ("tags", *_RULES))
    if unknown:
        raise InvalidPolicy(f"{place} has the unknown member {unknown[0][:60]!r}; there are tags, {', '.join(_RULES)}")
    tags, keep = entry.get("tags"), entry.get("keep")
    patterns = [tags] if isinstance(tags, str) else tags
    if not isinstance(patterns, list) or not patterns or not all(_is_pattern(pattern) for pattern in patterns):
        raise InvalidPolicy(f'{place}.tags must be a pattern for whole tags, as "ci-*", or a list of at most {MOST}')
    if len(patterns) > MOST:
        raise InvalidPolicy(f"{place}.tags has more than {MOST} patterns")
    if all(entry.get(rule) is None for rule in _RULES):
        raise InvalidPolicy(f"{place} needs at least one of {', '.join(_RULES)}")
    if keep is not None and (not isinstance(keep, int) or isinstance(keep, bool) or keep < 0):
        raise InvalidPolicy(f"{place}.keep must be a whole number, 0 or more")
    younger, pulled = (_age(entry, member, place) for member in ("keepYoungerThan", "keepPulledWithin"))
    return Policy(tuple(patterns), keep, younger, pulled)


def _age(entry: Mapping[str, Any], member: str, place: str) -> int | None:
    """Seconds."""
    text = entry.get(member)
    try:
        return parse_duration(str(text)) if text is not None else None
    except InvalidRule as error:
        raise InvalidPolicy(f"{place}.{member}: {error}") from None


def _is_pattern(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= LONGEST_PATTERN and value.count("*") <= MOST_STARS


class _Loader(yaml.SafeLoader):
    """Without references: a few of them, each to a few more, become more than fits into memory."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("references (*name) are not supported")
        return super().compose_node(parent, index)
