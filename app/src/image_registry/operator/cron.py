"""Whether Kubernetes takes a schedule: five fields of cron, or one of its names. Pure.

The definition of ImagePruner says the same in CEL, and the kube-apiserver refuses what is wrong. This is for an object
that was taken by an older definition: a bad schedule would make every upgrade of the release fail.
"""

from __future__ import annotations

import re

MACRO = re.compile(r"@(yearly|annually|monthly|weekly|daily|midnight|hourly|every ([0-9]+[hms])+)")
PART = re.compile(r"(?:[*?]|(\w+)(?:-(\w+))?)(?:/([0-9]+))?", re.ASCII)
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
FIELDS: tuple[tuple[str, int, int, list[str]], ...] = (
    ("minute", 0, 59, []),
    ("hour", 0, 23, []),
    ("day", 1, 31, []),
    ("month", 1, 12, MONTHS),
    ("weekday", 0, 6, DAYS),
)


def problem_of(schedule: str) -> str:
    """What is wrong, in a sentence; empty for a good schedule and for none, which is midnight."""
    if not schedule or MACRO.fullmatch(schedule):
        return ""
    parts = schedule.split(" ")
    if len(parts) != len(FIELDS):
        return f"schedule {schedule!r} has not five fields, as 30 2 * * * has, and is not @daily or its like"
    for text, (name, low, high, names) in zip(parts, FIELDS, strict=True):
        if not all(_is_part(one, low, high, names) for one in text.split(",")):
            return f"the {name} {text!r} of schedule {schedule!r} is not {low} to {high}, a range, a list or *"
    return ""


def _is_part(text: str, low: int, high: int, names: list[str]) -> bool:
    found = PART.fullmatch(text)
    if found is None or (found[3] is not None and int(found[3]) == 0):
        return False
    ends = [_number(end, low, names) for end in (found[1], found[2]) if end is not None]
    return all(low <= end <= high for end in ends) and ends == sorted(ends)


def _number(text: str, low: int, names: list[str]) -> int:
    if text.isdigit():
        return int(text) if len(text) <= 2 else -1
    return names.index(text.lower()) + low if text.lower() in names else -1
