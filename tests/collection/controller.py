"""The machine that runs Ansible: playbooks by the real ansible-playbook, with an inventory of one cluster.

Only a whole process shows that modules, roles and playbooks find each other. It costs a Python process a task, so tests
play few tasks and keep details to the tests of the modules.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
RECAP = re.compile(r"^\S+\s+: ok=\d+\s+changed=(\d+)\s+unreachable=0\s+failed=0\s", re.MULTILINE)
LONGEST = 600
"""Seconds of one run, which takes a tenth of it where nothing else runs."""
REFUSED = 2
"""The exit status of a run in which a task has failed."""
FOREIGN = ("KUBECONFIG", "ANSIBLE_", "K8S_")


TASK = re.compile(r"^(?:TASK|RUNNING HANDLER) \[(?P<task>.+?)\] \*+$|^(?P<changed>changed): \[one\]", re.MULTILINE)


@dataclass(frozen=True)
class Played:
    """``changed`` counts tasks of all playbooks of one run."""

    said: str
    changed: int

    @property
    def changes(self) -> list[str]:
        """The tasks that changed something, by name, in order; one of a loop as often as it did."""
        found: list[str] = []
        task = ""
        for match in TASK.finditer(self.said):
            task = match["task"] or task
            found += [task] if match["changed"] else []
        return found


@dataclass
class Controller:
    """Runs playbooks by path; a run that fails, or never ends, fails the test with what was said."""

    folder: Path
    variables: dict[str, Any] = field(default_factory=dict)
    longest: float = LONGEST

    def play(self, *playbooks: str, options: tuple[str, ...] = (), **more: Any) -> Played:
        ended, text = self._run(playbooks, options, more)
        recaps = RECAP.findall(text)  # one a playbook, and each counts those before it too
        if ended or not recaps:
            pytest.fail(f"ansible-playbook {' '.join(playbooks)}: ended with {ended}\n{text[-6000:]}", pytrace=False)
        return Played(text, int(recaps[-1]))

    def thrice(self, state: Callable[[], Any], *playbooks: str, **more: Any) -> Played:
        """What every playbook promises, by ``state``, which is everything that it may write; returns the run.

        A check with a diff writes nothing and names the tasks that the run then changes; the next run changes nothing.
        """
        before = state()
        checked = self.play(*playbooks, options=("--check", "--diff"), **more)
        assert state() == before, "a check has written"
        done = self.play(*playbooks, **more)
        assert checked.changes == done.changes, f"{checked.said}\n{done.said}"
        after = state()
        assert (after != before) == bool(done.changes), "what was changed was not told, or not done"
        again = self.play(*playbooks, **more)
        assert again.changes == [], again.said
        assert state() == after
        return done

    def refused(self, *playbooks: str, options: tuple[str, ...] = (), **more: Any) -> str:
        """What is said by a run that must fail, in one line."""
        ended, text = self._run(playbooks, options, more)
        if ended != REFUSED:
            pytest.fail(f"ansible-playbook {' '.join(playbooks)}: ended with {ended}\n{text[-6000:]}", pytrace=False)
        return " ".join(text.split())

    def _run(self, playbooks: tuple[str, ...], options: tuple[str, ...], more: dict[str, Any]) -> tuple[int, str]:
        said, command = self.folder / "said", self._command(playbooks, options, more)
        with said.open("wb") as output:  # a file is there however the run ends
            try:
                ended = subprocess.run(
                    command,
                    cwd=ROOT,
                    env=self._environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    check=False,
                    timeout=self.longest,
                ).returncode
            except subprocess.TimeoutExpired:
                text = said.read_text(encoding="utf-8")
                pytest.fail(f"ansible-playbook: not ended after {self.longest:.0f} s\n{text[-6000:]}", pytrace=False)
        return ended, said.read_text(encoding="utf-8")

    def _command(self, playbooks: tuple[str, ...], options: tuple[str, ...], more: dict[str, Any]) -> list[str]:
        """With an inventory of one cluster, which is written anew."""
        host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, **self.variables, **more}
        inventory = self.folder / "hosts.yml"
        inventory.write_text(yaml.safe_dump({"registry_clusters": {"hosts": {"one": host}}}), encoding="utf-8")
        return ["ansible-playbook", "-i", str(inventory), *(str(ROOT / path) for path in playbooks), *options]

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        return {
            **kept,
            "PATH": f"{Path(sys.executable).parent}:{kept['PATH']}",
            "ANSIBLE_HOME": str(self.folder / "ansible"),
            "ANSIBLE_PIPELINING": "true",
        }
