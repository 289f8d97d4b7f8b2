"""Options of a request that writes: ``dryRun``, ``fieldManager``, ``fieldValidation``, ``force``.

An option that is not understood is refused: whoever asks for a dry run must not get a real one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from image_registry.image_api.forms import MODES, WARN
from image_registry.image_api.parameters import Query, flag, invalid_options

LONGEST_MANAGER = 128
"""Bytes of the name of a field manager."""

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
PATCHES = (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY)


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """``manager`` is never empty: without one it is what the client calls itself."""

    dry_run: bool = False
    manager: str = "unknown"
    validation: str = WARN
    force: bool = False
    applying: bool = False
    """The managers of the object are known already."""

    def as_apply(self) -> WriteOptions:
        """The same for somebody who applies."""
        return replace(self, applying=True)


def read_options(query: Query, dry_runs: Sequence[str], agent: str, *, kind: str, patch: str = "") -> WriteOptions:
    """``kind`` is ``CreateOptions``, ``UpdateOptions`` or ``PatchOptions``; ``patch`` the media type of a patch.

    Raises ``Invalid``.
    """
    dry_runs = [value for value in dry_runs if value]
    if any(value != "All" for value in dry_runs):
        wrong = next(value for value in dry_runs if value != "All")
        raise invalid_options(kind, "dryRun", "Unsupported value", f'["{wrong[:100]}"]: supported values: "All"')
    validation = query.get("fieldValidation", "")
    if validation and validation not in MODES:
        supported = ", ".join(f'"{mode}"' for mode in MODES)
        raise invalid_options(
            kind, "fieldValidation", "Unsupported value", f'"{validation[:100]}": supported values: {supported}'
        )
    manager = query.get("fieldManager", "")
    if len(manager.encode()) > LONGEST_MANAGER:
        raise invalid_options(
            kind,
            "fieldManager",
            "Too long",
            f"may not be more than {LONGEST_MANAGER} bytes",
            reason="FieldValueTooLong",
        )
    if not manager.isprintable():
        raise invalid_options(
            kind, "fieldManager", "Invalid value", f"{manager!r}: should only contain printable characters"
        )
    force = flag(query, "force")
    if patch == APPLY and not manager:
        raise invalid_options(
            kind, "fieldManager", "Required value", "is required for apply patch", reason="FieldValueRequired"
        )
    if patch != APPLY and "force" in query and kind == "PatchOptions":
        raise invalid_options(kind, "force", "Forbidden", "may not be specified for non-apply patch")
    return WriteOptions(bool(dry_runs), manager or _called(agent), validation or WARN, force)


def _called(agent: str) -> str:
    """The first word of ``User-Agent``, up to a slash."""
    name = "".join(letter for letter in agent.partition("/")[0].strip() if letter.isprintable())
    return name.encode()[:LONGEST_MANAGER].decode(errors="ignore") or "unknown"
