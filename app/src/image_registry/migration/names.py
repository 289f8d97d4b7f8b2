"""New names for repositories that this registry cannot have: ``team/tools/report`` becomes ``team/tools-report``.

The first part stays, because it is the namespace and with it every right. The result does not depend on the order in
which names come. A name that two would get is given to neither: both carry a piece of the digest of their old name.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from image_registry.oci.reference import InvalidName, Repository, is_ours

_NOT_A_PART = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Rename:
    """``new`` is empty for a name that somebody has to choose."""

    old: str
    new: str
    why: str = ""
    chosen: bool = False
    """By a person, not by the rule."""


def rename_plan(names: Iterable[str], wanted: Mapping[str, str]) -> tuple[Rename, ...]:
    """For every name that needs another one; ``wanted`` are those that a person has chosen, for any repository."""
    every = frozenset(names)
    strange = sorted(name for name in every if not is_ours(name) or name in wanted)
    taken = every - frozenset(strange)
    simple = {name: _simple(name) for name in strange if name not in wanted}
    times = Counter(simple.values())
    reserved = taken | frozenset(wanted.values())
    found = []
    for name in strange:
        if name in wanted:
            found.append(_chosen(name, wanted[name], taken, wanted))
            continue
        candidate = simple[name]
        if candidate and (times[candidate] > 1 or candidate in reserved):
            candidate = f"{candidate}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
        why = "" if candidate and is_ours(candidate) and candidate not in reserved else "no name follows from it"
        found.append(Rename(name, "" if why else candidate, why))
    return tuple(found)


def _chosen(name: str, new: str, taken: frozenset[str], wanted: Mapping[str, str]) -> Rename:
    try:
        Repository.parse(new)
    except InvalidName as error:
        return Rename(name, "", str(error), chosen=True)
    others = sum(value == new for value in wanted.values())
    if new in taken or others > 1:
        return Rename(name, "", f"{new} is the name of another repository", chosen=True)
    return Rename(name, new, chosen=True)


def _simple(name: str) -> str:
    """The first part as it is, all others joined; empty if there is no first part or nothing behind it."""
    namespace, _, rest = name.partition("/")
    joined = "-".join(part for part in (_NOT_A_PART.sub("-", part).strip("-") for part in rest.split("/")) if part)
    candidate = f"{namespace}/{rest.replace('/', '-')}"
    if rest and is_ours(candidate):
        return candidate
    return f"{namespace}/{joined}" if joined and is_ours(f"{namespace}/{joined}") else ""
