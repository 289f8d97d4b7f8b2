"""What may be asked of a run, by its kind: the same for whoever asks and for whoever makes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from image_registry.garbage import rules as garbage_rules
from image_registry.garbage.rules import InvalidRules, Rules
from image_registry.upkeep.asking import InvalidOption
from image_registry.upkeep.ledger import Kind


def check(kind: Kind, options: Mapping[str, Any], promise: float) -> None:
    """Raise :class:`InvalidOption` for what makes no sense; ``promise`` is that of this registry, in seconds."""
    if kind is not Kind.COLLECT:
        raise InvalidOption(f"runs of {kind} cannot be made yet")
    collection_rules(options, promise)


def collection_rules(options: Mapping[str, Any], promise: float) -> Rules:
    """Raises :class:`InvalidOption`."""
    try:
        return garbage_rules.read({key: options[key] for key in options if key != "confirm"}, promise)
    except InvalidRules as error:
        raise InvalidOption(f"{error.option[:40]}: {error}") from None
