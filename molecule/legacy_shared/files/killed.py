"""A migration that is killed in the middle of a step: JOURNAL STEP COMMAND….

The command begins, and dies without a word once the journal says that the step has begun: itself, its workers and the
module that runs. It ends well if it was killed there, and not if the command came to an end before.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

PATIENCE = 900.0


def begun(journal: Path, step: str) -> bool:
    """Whether the step is the one that is at work."""
    try:
        last = journal.read_text(encoding="utf-8").splitlines()[-1]
        entry = json.loads(last)
        return bool(entry["step"] == step and entry["state"] == "begun")
    except (OSError, IndexError, ValueError, KeyError):  # not there yet, or a line of something else, or half of one
        return False


def family(process: int) -> list[int]:
    """A process and all that came from it."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    found = [process]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found


def kill(process: int) -> None:
    """All of them; stopped first, so that nobody starts another one or tidies up meanwhile."""
    stopped: set[int] = set()
    while not set(found := family(process)) <= stopped:
        for each in found:
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGSTOP)
        stopped |= set(found)
    for each in stopped:
        with suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)


def main(journal: str, step: str, *command: str) -> int:
    """0 if it was killed in that step."""
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as said,
        subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT) as process,  # noqa: S603 - a list, never a shell
    ):
        deadline = time.monotonic() + PATIENCE
        killed = late = False
        while process.poll() is None and not killed and not late:
            killed, late = begun(Path(journal), step), time.monotonic() > deadline
            if killed or late:
                kill(process.pid)
            time.sleep(0.01)
        process.wait()
        if killed:
            sys.stdout.write(f"killed in the step {step}\n")
            return 0
        said.seek(0)
        sys.stdout.write(f"{said.read()}\n{step} was not seen to begin\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
