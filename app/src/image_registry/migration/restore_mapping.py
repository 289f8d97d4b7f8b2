"""What restores of backups do with hosts of images, when one that they know moves to this registry.

The platform's map has one pair. A pair that somebody made for backups of another cluster is not given up for ours: it
is led to where its images are now.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from image_registry.migration.facts import RestoreMap


@dataclass(frozen=True, slots=True)
class Pair:
    """Restores take ``new`` where a backup says ``old``."""

    old: str
    new: str


def restore_pair(known: RestoreMap | None, hosts: Collection[str], service: str, host: str) -> Pair | None:
    """The pair after the cutover, or ``None`` for one that is none of ours.

    ``hosts`` are all spellings of the old registry, ``service`` the one in workloads, ``host`` that of this registry.
    """
    if known is None or not known.old:
        return Pair(service, host)
    place, slash, rest = known.new.partition("/")
    if place in hosts:
        return Pair(known.old, f"{host}{slash}{rest}")
    return Pair(known.old, host) if known.old in hosts else None
