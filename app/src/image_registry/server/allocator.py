"""Memory for the buffers of uploads: kept by the process instead of going back and forth.

glibc returns freed buffers of a megabyte to the system at once, and the system hands out zeroed pages again, one fault
for each: for every byte received a byte and a half of pages. Most of an upload's time in the kernel was that.
"""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""Parameters of ``mallopt(3)``."""

KEPT = 8 << 20
"""Bytes of free memory at the top of an arena before any of it is returned."""

LARGE = 4 << 20
"""Bytes from which a buffer gets pages of its own, as large manifests do."""

ARENAS = 2
"""Places to allocate from. Python's lock lets threads allocate one after the other; more places only keep more."""


def keep_buffers() -> None:
    """Say so to glibc; other C libraries have their own ways and are left alone."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    for parameter, value in ((_TRIM_THRESHOLD, KEPT), (_MMAP_THRESHOLD, LARGE), (_ARENA_MAX, ARENAS)):
        mallopt(parameter, value)
