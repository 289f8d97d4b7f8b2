"""The image that nothing used is gone, for clients and as an object, and the report names it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

Kubectl = Callable[..., str]
Crane = Callable[..., tuple[int, str]]
WORK = Path(os.environ.get("MOLECULE_EPHEMERAL_DIRECTORY", "/nonexistent"))


def test_nobody_pulls_what_nothing_used(kubectl: Kubectl, crane: Crane) -> None:
    unused = (WORK / "unused").read_text().strip()
    assert unused.startswith("sha256:")
    status, said = crane("manifest", f"unused@{unused}")
    assert status != 0, said
    assert unused not in kubectl("get images.image.alauda.io -o name")


def test_the_report_of_the_second_run_has_nothing_left_to_delete() -> None:
    report = json.loads((WORK / "reports/lab-prune.json").read_text())
    assert report["pruned"]["totals"]["deleted_images"] == 0
    assert report["pruned"]["totals"]["images"] >= 1
