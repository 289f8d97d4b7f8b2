"""A thread that must not wait: it serves every connection of its process and gets what is remembered, or nothing.

Whatever would ask the cluster, or compute for long, says so by :class:`NotRemembered` in such a thread; another thread
then does it with all the time it takes, and remembers.
"""

from __future__ import annotations

import threading

_thread = threading.local()


class NotRemembered(Exception):
    """The answer would have to be asked for."""


def never_wait() -> None:
    """From now on this thread does not wait."""
    _thread.never_waits = True


def require_waiting() -> None:
    """To be called before something that takes its time; raises :class:`NotRemembered` where nobody may wait."""
    if getattr(_thread, "never_waits", False):
        raise NotRemembered
