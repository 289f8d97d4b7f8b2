"""What a person decides about a migration; everything else follows from what was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from image_registry.migration.spelling import Spelling, command_line

ACCESS_MODES = ("ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany")


class Way(StrEnum):
    """How the bytes get to this registry."""

    REUSE = "reuse"
    """They stay where they are, and this registry serves them there."""
    COPY = "copy"
    """They are copied from registry to registry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """``generation`` is needed where two registries run; ``way`` is chosen by what is possible unless it is given."""

    generation: str = ""
    way: Way | None = None
    host: str = ""
    """Under which workloads name images afterwards; empty: that of this registry's Service."""
    renames: Mapping[str, str] = field(default_factory=dict)
    accepted: tuple[str, ...] = ()
    source_url: str = ""
    """Where the registry before will be asked while the plan is executed, if that is known."""
    claim_size: int = 0
    """Bytes of the claim that copies go to; 0: that of the installed registry, if there is one."""
    claim_class: str = ""
    """StorageClass of that claim; empty: the cluster's default, or what the claim has."""
    claim_access_mode: str = ""
    """Of ``ACCESS_MODES``, for that claim; empty: that of the chart, which is for one node. More than one replica
    needs the last."""
    mib_per_second: float = 60.0
    """Of a copy; an estimate until the first one has been measured."""
    images_per_second: float = 100.0
    """Of a backfill and of the gates."""
    spelling: Spelling = command_line
    """How findings say what can be chosen."""
