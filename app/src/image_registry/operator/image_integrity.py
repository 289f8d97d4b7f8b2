"""The condition ``ImagesIntact`` of Config: what the registry itself says of its images. Pure.

It degrades nothing: a registry with one corrupt blob serves every other image. It is what was told last, and stays so
while the registry cannot be asked: its message names the time of each run that it is about.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from image_registry.operator.conditions import Condition
from image_registry.upkeep import integrity

TYPE = "ImagesIntact"


def condition(config_map: Mapping[str, Any] | None) -> Condition:
    """From the ConfigMap that the registry writes, if it is there."""
    found = integrity.read(config_map)
    return Condition(TYPE, found.status, found.reason, found.message)
