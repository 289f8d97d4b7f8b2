"""What may be asked of a run, by its kind: the same for whoever asks and for whoever makes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from image_registry.garbage import rules as garbage_rules
from image_registry.garbage.rules import InvalidRules, Rules
from image_registry.oci.reference import InvalidName, Repository, is_path
from image_registry.upkeep.asking import InvalidOption
from image_registry.upkeep.ledger import Kind

SCRUBBED = 50
"""MiB per second that a scrub reads unless it is told otherwise."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Of a verification; empty names mean everything. ``rate`` is in bytes per second."""

    namespace: str
    repository: str
    deep: bool
    rate: float

    def __str__(self) -> str:
        return f"{self.namespace}/{self.repository}" if self.repository else self.namespace


def check(kind: Kind, options: Mapping[str, Any], promise: float) -> None:
    """Raise :class:`InvalidOption` for what makes no sense; ``promise`` is that of this registry, in seconds."""
    match kind:
        case Kind.COLLECT:
            collection_rules(options, promise)
        case Kind.VERIFY:
            scope(options)
        case Kind.SCRUB:
            rate(options, {"confirm", "rate"}, SCRUBBED)
        case Kind.RENAME:
            renames(options)
        case Kind.REBUILD:
            _known(options, {"confirm"})
        case Kind.FORGET:
            forgotten(options)


def scope(options: Mapping[str, Any]) -> Scope:
    """What a verification looks at, and how. Raises :class:`InvalidOption`."""
    pace = rate(options, {"namespace", "repository", "deep", "rate"}, 0)
    namespace, repository = (options.get(name, "") for name in ("namespace", "repository"))
    if not isinstance(namespace, str) or not isinstance(repository, str):
        raise InvalidOption("namespace and repository are names")
    if repository and not namespace:
        raise InvalidOption(f"repository: {repository[:40]!r} needs its namespace")
    try:
        Repository.of(namespace or "any", repository or "any")
    except InvalidName as error:
        raise InvalidOption(str(error)) from None
    if not isinstance(options.get("deep", False), bool):
        raise InvalidOption("deep is true or false")
    return Scope(namespace, repository, options.get("deep", False), pace)


def rate(options: Mapping[str, Any], known: set[str], usual: float) -> float:
    """Bytes per second at most, of ``rate`` in MiB; 0: as fast as it goes. Raises :class:`InvalidOption`."""
    _known(options, known)
    value = options.get("rate", usual)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e6:
        raise InvalidOption(f"rate: {str(value)[:40]} is no number of MiB per second")
    return value * (1 << 20)


def collection_rules(options: Mapping[str, Any], promise: float) -> Rules:
    """Raises :class:`InvalidOption`."""
    try:
        return garbage_rules.read({key: options[key] for key in options if key != "confirm"}, promise)
    except InvalidRules as error:
        raise InvalidOption(f"{error.option[:40]}: {error}") from None


def renames(options: Mapping[str, Any]) -> Mapping[str, str]:
    """New names by old ones, which may have any depth. Raises :class:`InvalidOption`."""
    _known(options, {"confirm", "names", "undo"})
    if not isinstance(options.get("undo", False), bool):
        raise InvalidOption("undo is true or false")
    names = options.get("names")
    if not isinstance(names, dict) or not names:
        raise InvalidOption('names is an object of new names by old ones, such as {"team/a/b": "team/a-b"}')
    for old, new in names.items():
        if not is_path(old):  # it becomes a path below the storage
            raise InvalidOption(f"names: {old[:40]!r} can be the name of no repository")
        _repository(new)
    if len(set(names.values())) < len(names) or set(names) & set(names.values()):
        raise InvalidOption("names: a new name is given twice, or is the old name of another one")
    return names


def forgotten(options: Mapping[str, Any]) -> tuple[Repository, ...]:
    """Streams by their names. Raises :class:`InvalidOption`."""
    _known(options, {"confirm", "streams"})
    names = options.get("streams")
    if not isinstance(names, list) or not names:
        raise InvalidOption('streams is a list of names, such as ["team/app"]')
    return tuple(_repository(name) for name in names)


def _repository(name: Any) -> Repository:
    try:
        return Repository.parse(name if isinstance(name, str) else "")
    except InvalidName as error:
        raise InvalidOption(f"{str(name)[:40]!r}: {error}") from None


def _known(options: Mapping[str, Any], known: set[str]) -> None:
    if unknown := sorted(set(options) - known):
        raise InvalidOption(f"{unknown[0][:40]}: there is no such option; there are {', '.join(sorted(known))}")
