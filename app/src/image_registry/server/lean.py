"""Keeps out of a serving process what serving never uses, and lets its workers share the rest.

Most of the memory of a process is the program itself. Workers are forks of the process that has imported it, and have
it in common as long as nobody writes to it.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import mmap
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress

SELDOM = 20_000
"""New objects until the garbage collector looks at them: a page of a list has as many, and not one is garbage."""

_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) r\S+ ")


def import_without(unwanted: str, wanted: str) -> None:
    """Import ``wanted``, which does without ``unwanted`` where that is not installed, as if it were not."""
    if wanted in sys.modules or unwanted in sys.modules:
        return
    sys.modules[unwanted] = None  # type: ignore[assignment]  # what the import system takes for "not there"
    try:
        importlib.import_module(wanted)
    finally:
        del sys.modules[unwanted]


def apart(work: Callable[[], object]) -> bool:
    """Do something in a process of its own, so that all that it imports goes with that; false if it fails.

    To be called before there are threads and connections.
    """
    child = os.fork()
    if not child:
        status = 1
        with suppress(BaseException):
            work()
            status = 0
        os._exit(status)
    return os.waitpid(child, 0)[1] == 0


def share() -> None:
    """To be called before a fork. What is there already is left alone by the garbage collector, which would write into
    every object that it looks at: none of it ever becomes garbage. Room that was only needed to import goes back."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(SELDOM, 20, 20)
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def let_go_of_files() -> None:
    """Unmap the pages of programs and libraries that were read to start; what is needed again comes back by itself.

    For a process that will only wait. Nothing that was written to is touched: such a mapping has pages of its own.
    """
    advise = getattr(ctypes.CDLL(None), "madvise", None)
    if advise is None or not hasattr(mmap, "MADV_DONTNEED"):
        return
    advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for start, end in _only_read():
        advise(start, end - start, mmap.MADV_DONTNEED)


def _only_read() -> Iterator[tuple[int, int]]:
    """Mappings of files of which this process has no pages of its own, and may read."""
    try:
        with open("/proc/self/smaps", encoding="utf-8", errors="replace") as lines:
            text = lines.read()
    except OSError:
        return
    for block in re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", text):
        match = _MAPPING.match(block)
        if match and " /" in block.partition("\n")[0] and re.search(r"\nAnonymous: +0 kB", block):
            yield int(match[1], 16), int(match[2], 16)
