"""The tutorial is typed by a test, so that a reader can."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.serve.conftest import program, serve

pytestmark = pytest.mark.slow

PAGE = Path(__file__).resolve().parents[2] / "docs/tutorial/first-push.md"


def test_the_commands_of_the_first_push_work_and_end_with_its_digest(tmp_path: Path) -> None:
    program("skopeo", "apt-get install skopeo")
    _, _, push, pull, *_ = PAGE.read_text(encoding="utf-8").split("\n## ")
    typed = "\n".join(re.findall(r"^```sh\n(.*?)^```$", f"{push}\n{pull}", re.DOTALL | re.MULTILINE))
    assert "127.0.0.1:5000" in typed
    for served in serve(tmp_path, "--auth", "none"):
        script = typed.replace("127.0.0.1:5000", served.host).replace("/tmp/first", str(tmp_path / "first"))
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        inspected = re.search(r'"Digest": "sha256:([0-9a-f]{64})"', done.stdout)
        assert inspected
        assert done.stdout.splitlines()[-1].split()[0] == inspected[1]
        assert '"tags":["v1"]' in done.stdout
