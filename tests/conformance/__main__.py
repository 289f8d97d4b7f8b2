"""Holds a registry against the rules of the distribution protocol and prints how many hold.

Without options the rules are ours (every ``test_*.py`` of this folder), and the registry is one that is started for it.
``--lab`` takes the registry in the lab, the variables ``CONFORMANCE_*`` take any (see ``target.py``). ``--suite`` runs
a given build of the official suite instead. The last line is ``N passed, M failed, K skipped``, alone.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1] / "lab"))  # as pytest is told in pyproject.toml

from tests.conformance import official, target
from tests.conformance.target import PREFIX, Target


class Counter:
    """A pytest plugin that counts rules, not phases of tests."""

    def __init__(self) -> None:
        self.ends: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.ends[report.nodeid] = "failed"
        elif report.skipped:
            self.ends.setdefault(report.nodeid, "skipped")
        elif report.when == "call":
            self.ends.setdefault(report.nodeid, "passed")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.ends[report.nodeid] = "failed"

    def __str__(self) -> str:
        ends = list(self.ends.values())
        return ", ".join(f"{ends.count(end)} {end}" for end in ("passed", "failed", "skipped"))


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status is 0 only if every rule holds and none was left out."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__.partition("\n")[0])
    parser.add_argument("--lab", action="store_true", help="against the registry in the lab")
    parser.add_argument("--suite", type=Path, metavar="EXECUTABLE", help="a build of the official suite")
    parser.add_argument("--kind", choices=official.KINDS, help="its form; found out by itself")
    parser.add_argument("rest", nargs="*", metavar="PYTEST_ARGUMENT", help="for pytest, behind --")
    options = parser.parse_args(arguments)
    if options.suite is not None and not os.access(options.suite, os.X_OK):
        parser.error(f"{options.suite} is not an executable file")
    with tempfile.TemporaryDirectory(prefix="conformance-") as name, ExitStack() as opened:
        folder = Path(name)
        if options.suite is not None:
            found = opened.enter_context(_registry(folder, lab=options.lab))
            return _official(options.suite, options.kind or official.kind_of(options.suite), found, folder)
        if options.lab:
            _announce(opened.enter_context(_registry(folder, lab=True)))
        counter = Counter()
        status = pytest.main(["-q", "-p", "no:cacheprovider", str(FOLDER), *options.rest], plugins=[counter])
        print(counter, flush=True)
        return int(status) or int(set(counter.ends.values()) != {"passed"})


@contextmanager
def _registry(folder: Path, *, lab: bool) -> Iterator[Target]:
    """The registry that is asked for."""
    named = target.named()
    if lab:
        from tests.conformance import lab as cluster

        with cluster.registry(folder) as found:
            yield found
    elif named is not None:
        yield named
    else:
        # open: the suite asks for tokens for one repository at a time, and a mount from it knows not where needs more
        with target.open_to_all(folder, "--sparse-images") as found:
            yield found
            found.client.close()


def _announce(found: Target) -> None:
    """To the tests, by the variables that anybody may set."""
    assert found.client.credentials is not None
    os.environ.update(
        {
            f"{PREFIX}REGISTRY": found.client.url,
            f"{PREFIX}USER": found.client.credentials.user,
            f"{PREFIX}PASSWORD": found.client.credentials.password,
            f"{PREFIX}CA": str(found.client.ca or ""),
            f"{PREFIX}NAMESPACES": ",".join(found.namespaces),
        }
    )


def _official(suite: Path, kind: str, found: Target, folder: Path) -> int:
    reports = folder / "reports"
    reports.mkdir()
    try:
        counts = official.run(suite, kind, found, reports)
    except official.SuiteFailed as error:
        print(error, file=sys.stderr)
        return 1
    for other in counts.others:
        print(f"NOT PASSED {other}")
    print(f"official suite {suite.name} ({kind}), everything on, against {found.client.url}:")
    print(counts, flush=True)
    return int(bool(counts.failed or counts.skipped or counts.disabled or not counts.passed))


if __name__ == "__main__":
    sys.exit(main())
