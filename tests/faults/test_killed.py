"""A registry killed at any step of any request of a push serves nothing wrong, loses nothing, and leaves nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def test_a_process_killed_at_any_write_step_leaves_a_whole_registry(tmp_path: Path) -> None:
    program = Path(__file__).with_name("killing.py")
    done = subprocess.run(
        [sys.executable, str(program), str(tmp_path)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    *wrong, counts = [json.loads(line) for line in done.stdout.splitlines()]
    assert wrong == []
    assert counts["killed"] > 80
