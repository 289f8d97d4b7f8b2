"""Why a backup cannot be made or brought back; each text says what to do next."""

from __future__ import annotations

from collections.abc import Sequence

SHOWN = 8


def listed(names: Sequence[str]) -> str:
    """Some names, and how many there are besides."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


class BackupError(Exception):
    """Base of the tree."""


class Damaged(BackupError):
    """What lies in the folder is not what was saved; nothing was changed."""


class Incomplete(BackupError):
    """Images could not be read, so the backup was not made."""


class Refused(BackupError):
    """The registry holds something else; nothing was changed."""


class NotRestored(BackupError):
    """Something is missing after everything was done."""
