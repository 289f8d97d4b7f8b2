"""The machine that runs Ansible, where a minute that is only waited for takes a moment."""

from __future__ import annotations

import os
from pathlib import Path

from tests.collection.controller import Controller

QUICK = Path(__file__).with_name("nobody_sleeps")


class HastyController(Controller):
    """Plays as its parent does."""

    def _environment(self) -> dict[str, str]:
        known = super()._environment()
        paths = [str(QUICK), *filter(None, [known.get("PYTHONPATH", "")])]
        return {**known, "PYTHONPATH": os.pathsep.join(paths)}
