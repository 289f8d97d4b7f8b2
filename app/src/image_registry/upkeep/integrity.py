"""Whether images are what they were, as the registry tells the cluster: three words in one ConfigMap. Pure.

The operator reads it into a condition of Config; without an operator it is there for ``kubectl get configmap``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

CONFIG_MAP = "image-registry-integrity"

Status = Literal["True", "False", "Unknown"]

LONGEST = 4096
"""Characters of a message: a sentence for people, no list of findings."""

_REASON = re.compile(r"[A-Z][A-Za-z0-9]{0,99}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Integrity:
    """Status, reason and message, as a condition has them."""

    status: Status
    reason: str
    message: str

    def data(self) -> dict[str, str | None]:
        """As it is written."""
        return {"status": self.status, "reason": self.reason, "message": self.message[:LONGEST]}


NOBODY_LOOKED = Integrity(
    "Unknown",
    "NotLookedAt",
    "no verification and no scrub has ended yet: `ac adm registry verify` says whether everything is there, "
    "`ac adm registry scrub` whether its bytes are right",
)
NOT_OURS = Integrity(
    "Unknown", "Unreadable", f"ConfigMap {CONFIG_MAP} was written by somebody else; the registry writes it anew soon"
)


def data(known: Integrity | None) -> dict[str, str | None]:
    """The members of a merge patch that leaves what is known alone of what was there."""
    return dict.fromkeys(("status", "reason", "message")) if known is None else known.data()


def read(config_map: Mapping[str, Any] | None) -> Integrity:
    """What the registry told last; messages name the times of what they are about."""
    found = (config_map or {}).get("data") or {}
    if not found:
        return NOBODY_LOOKED
    status, reason, message = (str(found.get(name) or "") for name in ("status", "reason", "message"))
    if status not in get_args(Status) or not _REASON.fullmatch(reason) or not message:
        return NOT_OURS
    return Integrity(status, reason, message[:LONGEST])  # type: ignore[arg-type]
