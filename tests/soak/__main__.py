"""Soaks a registry that is started for it: minutes by default, hours if you like. Fails if anything was lost."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1] / "lab"))  # as pytest is told in pyproject.toml

from tests.serve.conftest import serve
from tests.soak import run


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--duration", type=float, default=120, metavar="SECONDS")
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="soak-") as name, ExitStack() as opened:
        promise = f"{run.PROMISE:.0f}s"
        served = opened.enter_context(contextmanager(serve)(Path(name), "--auth", "none", "--blob-promise", promise))
        result = run.soak(
            served.host, served.root, options.duration, clients=options.clients, seed=options.seed, say=print
        )
    for line in run.lines(result):
        print(line)
    for failure in result.failures[:20]:
        print(failure, file=sys.stderr)
    return 1 if result.failures or result.lost or result.left_over else 0


if __name__ == "__main__":
    sys.exit(main())
