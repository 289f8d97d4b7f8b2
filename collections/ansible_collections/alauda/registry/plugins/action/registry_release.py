# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the module of the same name and shows what it is doing while it waits, which a module alone can not.

The module appends lines to a file; this side reads them. It is only done where both see the same files (the local
connection); elsewhere the lines are in the result all the same.
"""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.alauda.registry.plugins.module_utils._progress import LISTENER

PAUSE = 0.5
"""Seconds between two looks into the file."""


class ActionModule(ActionBase):  # type: ignore[misc] # Ansible has no types
    """What Ansible calls instead of the module."""

    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The module's result."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        if self._connection.transport not in ("local", "ansible.builtin.local"):
            return {**result, **self._execute_module(task_vars=task_vars)}
        with tempfile.TemporaryDirectory(prefix="alauda-registry-") as folder:
            path = Path(folder) / "progress"
            path.touch(mode=0o600)
            self._task.environment = [*(self._task.environment or []), {LISTENER: str(path)}]
            over = threading.Event()
            teller = threading.Thread(target=_tell, args=(path, over, self._host_name(task_vars)), daemon=True)
            teller.start()
            try:
                return {**result, **self._execute_module(task_vars=task_vars)}
            finally:
                over.set()
                teller.join(5)

    @staticmethod
    def _host_name(task_vars: dict[str, Any] | None) -> str:
        return str((task_vars or {}).get("inventory_hostname", ""))


def _tell(path: Path, over: threading.Event, host: str) -> None:
    """Show each new line until the module has ended and everything is told."""
    display = Display()
    with path.open(encoding="utf-8") as stream:
        ending = False
        while not ending:
            ending = over.wait(PAUSE)
            for line in stream:
                display.display(f"  [{host}] {line.rstrip()}")
