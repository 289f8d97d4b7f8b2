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

    def data(self) -> dict[str, str]:
        """As it is written."""
        return {"status": self.status, "reason": self.reason, "message": self.message[:LONGEST]}


NOBODY_LOOKED = Integrity(
    "Unknown",
    "NotLookedAt",
    "no verification and no scrub has ended yet: `ac adm registry verify` says whether everything is there, "
    "`ac adm registry scrub` whether its bytes are right",
)
NOT_TOLD = Integrity(
    "Unknown",
    "NotTold",
    "the registry has not told how its images are: it does so within minutes of its start, unless it is of an older "
    f"version or may not patch ConfigMap {CONFIG_MAP}, which its log says; `ac adm registry runs` lists what was found",
)
NOT_OURS = Integrity(
    "Unknown", "Unreadable", f"ConfigMap {CONFIG_MAP} was written by somebody else; the registry writes it anew soon"
)


def read(config_map: Mapping[str, Any] | None) -> Integrity:
    """What the registry told last; messages name the times of what they are about."""
    found = (config_map or {}).get("data") or {}
    if not found:
        return NOT_TOLD
    status, reason, message = (str(found.get(name) or "") for name in ("status", "reason", "message"))
    if status not in get_args(Status) or not _REASON.fullmatch(reason) or not message:
        return NOT_OURS
    return Integrity(status, reason, message[:LONGEST])  # type: ignore[arg-type]
