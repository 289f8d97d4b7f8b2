"""A named fake of time for playbooks under test: whoever waits a minute for a cluster, waits a moment.

Python imports a module of this name when it starts, so modules of Ansible have it before they begin.
"""

from __future__ import annotations

import time
from typing import Any

MOMENT = 0.2
_sleep = time.sleep


def _shortly(seconds: Any, /) -> None:
    _sleep(min(float(seconds), MOMENT))


time.sleep = _shortly
