"""Taking the right to write in the legacy registry out of a role's rules, and nothing else.

One rule may be about many groups, resources and verbs, and about single objects of them. So it is split: what is about
other things stays as it stands there, and of the rest the verbs that read stay, for the same single images.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from image_registry.migration.generations import RIGHTS_GROUP, RIGHTS_RESOURCE

READING = ("get", "list", "watch")
"""Verbs that change nothing."""

ALL = "*"
Rule = dict[str, Any]


def writes(verbs: Iterable[str]) -> bool:
    """Whether one of them may change something; ``*`` may."""
    return bool(set(verbs) - set(READING))


def without_writing(rules: Iterable[Mapping[str, Any]]) -> list[Rule]:
    """The rules of a role of which nobody can push or delete in the legacy registry any more.

    A rule for every group is one for administrators, and stays.
    """
    return [part for rule in rules for part in _parts(rule)]


def _parts(rule: Mapping[str, Any]) -> Iterator[Rule]:
    groups, resources, verbs = (list(rule.get(key) or ()) for key in ("apiGroups", "resources", "verbs"))
    images = [resource for resource in resources if resource in (RIGHTS_RESOURCE, ALL)]
    if RIGHTS_GROUP not in groups or not images or not writes(verbs):
        yield dict(rule)
        return
    if others := [group for group in groups if group != RIGHTS_GROUP]:
        yield {**rule, "apiGroups": others}
    if others := [resource for resource in resources if resource not in images]:
        yield {**rule, "apiGroups": [RIGHTS_GROUP], "resources": others}
    if kept := [verb for verb in READING if verb in verbs or ALL in verbs]:
        yield {**rule, "apiGroups": [RIGHTS_GROUP], "resources": images, "verbs": kept}
