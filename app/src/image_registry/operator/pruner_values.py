"""From ``ImagePruner.spec`` to the operand chart's ``imagePruner``. Pure: nothing is asked and nothing is written.

The names are the same (design, D3). What a definition cannot check, or an older one did not, is checked here: a value
that the cluster refuses would keep the whole release from being applied, and one regular expression that cannot be read
would end each run. Until it is corrected, what was in force stays in force.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from image_registry.operator import cron
from image_registry.operator.known_fields import Language
from image_registry.pruning.rules import InvalidRule, parse_duration, parse_patterns

VALUE = "imagePruner"
Object = dict[str, Any]


def problem_of(spec: Mapping[str, Any]) -> str:
    """Why this can not be done, with the cure; empty if it can."""
    if wrong := cron.problem_of(str(spec.get("schedule") or "")):
        return f"{wrong}: correct spec.schedule"
    try:
        parse_patterns(str(text) for text in spec.get("exclude") or [])
    except InvalidRule as error:
        return f"{error}: correct spec.exclude"
    try:
        parse_duration(str(spec.get("keepYoungerThanDuration") or "0"))
    except InvalidRule as error:
        return f"{error}: correct spec.keepYoungerThanDuration"
    return ""


def known(spec: Mapping[str, Any], language: Language | None) -> tuple[Object, tuple[str, ...]]:
    """A specification as this version can follow it, and the fields that it does not know.

    One of them may be there to keep images, and what is pruned does not come back: then nothing is pruned (ADR 73).
    """
    if language is None:
        return dict(spec), ()
    found, unknown = language.understood(spec, VALUE)
    return ({**found, "suspend": True} if unknown else found), unknown


def values(spec: Mapping[str, Any] | None, applied: Mapping[str, Any] | None) -> Object:
    """The chart's values; ``applied`` are those of the release, which stay without an object, and with a wrong one."""
    if spec is not None and not problem_of(spec):
        return {VALUE: copy.deepcopy(dict(spec))}
    before = (applied or {}).get(VALUE)
    if before is not None:
        return {VALUE: copy.deepcopy(dict(before))}
    return {VALUE: {"suspend": True}} if spec is not None else {}


def first_spec(base: Mapping[str, Any], applied: Mapping[str, Any] | None) -> Object:
    """What is in force already, for the object that is made where there is none."""
    found: Object = {**(base.get(VALUE) or {}), **((applied or {}).get(VALUE) or {})}
    found = {name: copy.deepcopy(part) for name, part in found.items() if part is not None}
    if found.get("keepYoungerThanDuration"):
        found.pop("keepYoungerThan", None)
    return found
