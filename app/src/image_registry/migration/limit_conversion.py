"""Push limits of a legacy registry as LimitRanges, one for each namespace that holds images.

The registry before had limits for all and rules by path, of which the first that matches counts. A LimitRange is for
one namespace: a rule is converted if its expression is the prefix of one. Everything else is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from image_registry.migration.facts import LimitFact, LimitRule

NAME = "image-limits"
_PREFIX = re.compile(
    r"\^?/?(?:v2/)?(?P<namespace>[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)/(?:\.\*|\.\+|\(\.\*\)|\.\*\$)?\$?", re.ASCII
)
_SIZE = re.compile(r"(?P<number>[0-9]+)\s*(?P<unit>GB|MB|KB|B|G|M|K)?", re.IGNORECASE | re.ASCII)
_UNITS = {"": "", "B": "", "K": "Ki", "KB": "Ki", "M": "Mi", "MB": "Mi", "G": "Gi", "GB": "Gi"}
"""Binary ones: whatever the registry before meant, nothing that it took is refused now."""


@dataclass(frozen=True, slots=True)
class LimitPlan:
    """LimitRanges by namespace, and what could not be said in them."""

    ranges: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    unconverted: tuple[str, ...] = ()


def convert_limits(limits: Iterable[LimitFact], namespaces: Iterable[str]) -> LimitPlan:
    """The first ConfigMap counts, as it does for the registry that reads it."""
    fact = next(iter(limits), None)
    if fact is None:
        return LimitPlan()
    problems = [f"{fact.object}: {fact.problem}"] if fact.problem else []
    rules: dict[str, LimitRule] = {}
    open_rules: list[str] = []
    for rule in fact.rules:
        match = _PREFIX.fullmatch(rule.path)
        if match is None:
            open_rules.append(rule.path)
            problems.append(f"rule {rule.path!r} is no prefix of one namespace: make a LimitRange where it matters")
        elif match["namespace"] not in rules:
            rules[match["namespace"]] = rule
            if open_rules:
                problems.append(
                    f"rule {rule.path!r} came after {open_rules[-1]!r}, which may have counted instead for some images"
                )
    ranges = {}
    for namespace in sorted(set(namespaces) | set(rules)):
        chosen = rules.get(namespace)
        size = chosen.max_image_size if chosen else fact.max_image_size
        count = chosen.tag_count_limit if chosen else fact.tag_count_limit
        limit = _limit_range(namespace, size, count, problems)
        if limit is not None:
            ranges[namespace] = limit
    return LimitPlan(ranges, tuple(dict.fromkeys(problems)))


def _limit_range(namespace: str, size: str, count: str, problems: list[str]) -> dict[str, Any] | None:
    entries: list[dict[str, Any]] = []
    quantity = _quantity(size)
    if size and not quantity:
        problems.append(f"max_image_size {size!r} is no size")
    if quantity:
        entries.append({"type": "alauda.io/Image", "max": {"storage": quantity}})
    if count and not count.isdecimal():
        problems.append(f"tag_count_limit {count!r} is no number")
    elif count:
        entries.append({"type": "alauda.io/ImageStream", "max": {"alauda.io/image-tags": count}})
    if not entries:
        return None
    return {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": NAME, "namespace": namespace},
        "spec": {"limits": entries},
    }


def _quantity(text: str) -> str:
    match = _SIZE.fullmatch(text.strip())
    return f"{match['number']}{_UNITS[(match['unit'] or '').upper()]}" if match else ""
