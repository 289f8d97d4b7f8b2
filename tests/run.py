"""Runs the gates in the order that fails early, streams what they say, and ends with a table of steps and times.

``make test`` and its smaller siblings are thin calls of this file, and so is continuous integration: there is one list
of gates. It needs the standard library alone and starts every tool from the environment that runs it.

A step that hangs is ended, with everything it started, when its time is up. A few tests that fail are run once more,
alone: the run goes on if they pass then, and the last lines name them, because each is a fault to be found — of the
product or of the test — that a busy machine brought to light.

usage: python tests/run.py GROUP [--keep-going] [--list]
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTEST = ("python", "-m", "pytest")
FAILED = re.compile(r"(?:FAILED|ERROR) (tests/\S+?\.py(?:::.+?)?)(?: - .*)?$")
SECOND_TRY = 3
"""How many failed tests are run again; more than these fail together for a reason."""
SUMMARY = re.compile(r"=*\s*((?:\d+ \w+,? )+in [\d.]+s.*?|no tests ran in [\d.]+s)\s*=*$")
SCRIPTS = ("requirements/make-venv", "requirements/make-locks")
AMBIENT = ("KUBECONFIG", "K8S_AUTH_", "HELM_KUBE", "HELM_NAMESPACE", "REGISTRY_")
"""Variables of the caller that could lead a test to somebody's cluster or registry."""


@dataclass(frozen=True, slots=True)
class Step:
    """One gate: commands run in order, the first that fails ends it."""

    name: str
    commands: tuple[tuple[str, ...], ...]
    needs_root: bool = False
    folder: Path = ROOT
    minutes: float = 20
    """When it counts as hanging; several times of what it takes on two cores from warm caches."""


@dataclass(slots=True)
class Said:
    """What a command said that the table repeats."""

    summaries: list[str] = field(default_factory=list)
    failed: dict[str, None] = field(default_factory=dict)
    """Tests that failed, by their identity, in order."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a step ended: exit status, seconds, the runner's own summary lines, tests that passed only when run again."""

    step: Step
    status: int
    seconds: float
    summaries: tuple[str, ...]
    unsteady: tuple[str, ...] = ()


def helm_lints() -> Iterator[tuple[str, ...]]:
    """A strict lint for every set of values the chart ships."""
    yield (_cached("helm"), "lint", "--strict", "--quiet", "charts/cluster-image-registry-operator")
    for values in sorted((ROOT / "charts/image-registry/ci").glob("*-values.yaml")):
        yield (_cached("helm"), "lint", "--strict", "--quiet", "charts/image-registry", "--values", str(values))


def steps() -> dict[str, list[Step]]:
    """Every group by the name that make uses; ``all`` is what ``make test`` runs."""
    ruff = Step("ruff", (("ruff", "check", "."),))
    form = Step("ruff format", (("ruff", "format", "--check", "."),))
    mypy = Step("mypy strict", (("mypy",),))
    imports = Step("import contract", (("lint-imports",),))
    lint = [
        ruff,
        form,
        mypy,
        imports,
        Step("yamllint", (("yamllint", "--strict", "."),)),
        Step("shellcheck", (("shellcheck", ".ci/run", "lab/demo", "playbooks/files/push-image", *SCRIPTS),)),
        Step("changelog fragments", (("antsibull-changelog", "lint"),)),
        Step("ansible-lint (production)", (("ansible-lint", "--offline", "--strict"),)),
    ]
    fast = Step("unit tests (fast)", ((*PYTEST, "-q", "-m", "not slow and not lab", "tests/app", "tests/docs"),))
    folders = ("tests/app", "tests/security", "tests/docs", "tests/lab", "tests/benchmarks")
    unit = [
        Step("the benchmark's peer", (("lab/lab", "build", "distribution"),), minutes=40),
        Step("unit and contract tests", ((*PYTEST, "-q", "-m", "not lab", *folders),)),
    ]
    faults = [Step("faults and restarts", ((*PYTEST, "-q", "-m", "not lab", "tests/faults", "tests/soak"),))]
    collection = [
        Step("collection tests", ((*PYTEST, "-q", "-m", "not lab", "tests/collection"),)),
        Step("ansible-test sanity", (("python", "tests/sanity.py"),)),
    ]
    programs = ("helm", "crane", "regctl", "oras-go", "distribution")
    tools = Step("client programs", (("lab/lab", "build", *programs),), minutes=40)
    charts = [
        Step("chart lint", tuple(helm_lints())),
        Step("chart tests", ((*PYTEST, "-q", "-m", "not lab", "tests/charts"),)),
    ]
    control_plane = Step("a kube-apiserver", (("lab/lab", "build", "helm", "kube"),), minutes=40)
    operator = [control_plane, Step("operator", ((*PYTEST, "-q", "-m", "not lab", "tests/operator"),), minutes=10)]
    store_tools = Step(
        "object stores",
        (("lab/lab", "build", "versitygw", "fake-gcs-server", "azurite", "swift", "distribution"),),
        minutes=60,
    )
    stores = [store_tools, Step("real object stores", ((*PYTEST, "-q", "-m", "not lab and not long", "tests/stores"),))]
    all_of_stores = Step("real object stores, all of it", ((*PYTEST, "-q", "-m", "not lab", "tests/stores"),))
    clients = [Step("real clients", ((*PYTEST, "-q", "-m", "not lab", "tests/serve", "tests/clients"),))]
    conformance = [Step("conformance", (("python", "-m", "tests.conformance"),))]
    lab_tests = ((*PYTEST, "-q", "-m", "lab_cycle", "tests/lab"),)
    running = ((*PYTEST, "-q", "-m", "lab and not lab_cycle", "tests/lab"),)
    packages = Step("packages of the lab", (("lab/lab", "needs", "--install"),), needs_root=True)
    lab = [
        # what an earlier demo left would hide what a first installation does
        Step("an empty lab", (("lab/lab", "down", "--purge"),), needs_root=True),
        Step("the lab's life", lab_tests, needs_root=True),
        Step("lab and images", (("lab/lab", "up"), ("lab/lab", "image")), needs_root=True, minutes=45),
        Step("the running lab", running, needs_root=True),
    ]
    first = Step("first installation", ((*PYTEST, "-q", "-m", "lab", "tests/first_install"),), needs_root=True)
    operated = Step(
        "the operator in a cluster",
        (
            # a lab of its own: it installs in another way than all the others
            ("lab/lab", "down", "--purge"),
            ("lab/lab", "up"),
            ("lab/lab", "image", "--operator"),
            (*PYTEST, "-q", "-m", "lab", "tests/operator"),
            ("lab/lab", "down", "--purge"),
        ),
        needs_root=True,
        minutes=30,
    )
    molecule = Step("molecule on the lab", (("molecule", "test", "--scenario-name", "default"),), needs_root=True)
    demo = Step("make demo", (("lab/demo", "up"),), needs_root=True)
    remote = ("lab/lab", "build", "distribution")  # from which images are imported
    in_cluster = (remote, (*PYTEST, "-q", "-m", "lab", "tests/cluster"))
    cluster = Step("the demo's cluster", in_cluster, needs_root=True, minutes=40)
    demo_down = Step("make demo-down", (("lab/demo", "down"),), needs_root=True)
    return {
        "fast": [ruff, form, mypy, imports, fast],
        "lint": lint,
        "unit": unit,
        "faults": faults,
        "charts": [tools, *charts],
        "collection": collection,
        "clients": [tools, *clients],
        "stores": stores,
        "stores-long": [store_tools, all_of_stores],
        "conformance": conformance,
        "operator": operator,
        "cluster": [packages, *lab, first, molecule, demo, cluster],
        # a walk in a lab of its own; ``all`` has ninety minutes on a machine that has nothing yet
        "operator-cluster": [packages, operated],
        "molecule": [molecule],
        "all": [
            *lint,
            packages,
            *unit,
            *faults,
            *collection,
            tools,
            *charts,
            *operator,
            *conformance,
            *clients,
            *stores,
            *lab,
            first,
            molecule,
            demo,
            cluster,
            demo_down,
        ],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one group; the exit status is 0 only if every step passed."""
    groups = steps()
    parser = argparse.ArgumentParser(description="Run the gates of the repository.")
    parser.add_argument("group", choices=sorted(groups))
    parser.add_argument("--keep-going", action="store_true", help="run the steps after a failed one too")
    parser.add_argument("--list", action="store_true", help="print the steps and end")
    options = parser.parse_args(arguments)
    chosen = groups[options.group]
    if options.list:
        for step in chosen:
            print(step.name, *(f"    {shlex.join(command)}" for command in step.commands), sep="\n")
        return 0
    if os.geteuid() and any(step.needs_root for step in chosen):
        print(
            f"{options.group}: these steps start a real Kubernetes on this machine (namespaces, mounts, containers) "
            f"and need root: {', '.join(step.name for step in chosen if step.needs_root)}.\n"
            "Run it as root, or run what does not need it: make lint test-unit test-collection test-clients",
            file=sys.stderr,
        )
        return 1
    outcomes: list[Outcome] = []
    for step in chosen:
        outcomes.append(_run(step))
        if outcomes[-1].status and not options.keep_going:
            break
    _report(chosen, outcomes)
    return int(any(outcome.status for outcome in outcomes))


def _run(step: Step) -> Outcome:
    print(f"\n──── {step.name} ────", flush=True)
    started = time.monotonic()
    summaries: list[str] = []
    unsteady: list[str] = []
    status = 0
    environment = _environment()
    for command in step.commands:
        said = Said()
        status = _command(step, command, environment, started, said)
        summaries += said.summaries
        if status == 1 and _again(command, said):
            print(f"{step.name}: once more, alone: {', '.join(said.failed)}", flush=True)
            second = Said()
            status = _command(step, (*PYTEST, "-q", *said.failed), environment, started, second)
            summaries += [f"once more: {summary}" for summary in second.summaries]
            unsteady += [] if status else said.failed
        if status:
            print(f"{step.name}: {command[0]} ended with status {status}", flush=True)
            break
    return Outcome(step, status, time.monotonic() - started, tuple(summaries), tuple(unsteady))


def _again(command: Sequence[str], said: Said) -> bool:
    """Whether a failed command was a run of tests of which few failed, each known by its name."""
    named = all("::" in test for test in said.failed)
    return tuple(command[: len(PYTEST)]) == PYTEST and named and 0 < len(said.failed) <= SECOND_TRY


def _command(step: Step, command: Sequence[str], environment: dict[str, str], started: float, said: Said) -> int:
    print(f"$ {shlex.join(command)}", flush=True)
    try:
        process = subprocess.Popen(
            command,
            cwd=step.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # so that all of it can be ended
        )
    except OSError as error:
        print(f"cannot start {command[0]}: {error.strerror}")
        return 127
    assert process.stdout is not None
    left = max(1.0, step.minutes * 60 - (time.monotonic() - started))
    clock = threading.Timer(left, _end, (process.pid, f"{step.name}: not done after {step.minutes:g} minutes: ended"))
    clock.daemon = True
    clock.start()
    try:
        with process.stdout as lines:
            for line in lines:
                sys.stdout.write(line)
                sys.stdout.flush()
                if found := SUMMARY.fullmatch(line.strip()):
                    said.summaries.append(found[1])
                elif found := FAILED.fullmatch(line.strip()):
                    said.failed[found[1]] = None
        return process.wait()
    except BaseException:
        _end(process.pid, f"{step.name}: interrupted")
        raise
    finally:
        clock.cancel()


def _end(group: int, why: str) -> None:
    """End a command and what it started, as a person would: ask, wait, then insist."""
    print(why, flush=True)
    for number, patience in ((signal.SIGINT, 20), (signal.SIGTERM, 10), (signal.SIGKILL, 0)):
        try:
            os.killpg(group, number)
        except ProcessLookupError:
            return
        end = time.monotonic() + patience
        while time.monotonic() < end:
            time.sleep(0.1)
            try:
                os.killpg(group, 0)
            except ProcessLookupError:
                return


def _report(chosen: Sequence[Step], outcomes: Sequence[Outcome]) -> None:
    width = max(len(step.name) for step in chosen)
    print(f"\n{'step':<{width}}  {'result':<7}  {'seconds':>7}")
    print(f"{'─' * width}  {'─' * 7}  {'─' * 7}")
    for outcome in outcomes:
        result = "FAILED" if outcome.status else "ok"
        print(f"{outcome.step.name:<{width}}  {result:<7}  {outcome.seconds:7.1f}  {'; '.join(outcome.summaries)}")
    for step in chosen[len(outcomes) :]:
        print(f"{step.name:<{width}}  not run")
    for outcome in outcomes:
        for test in outcome.unsteady:
            print(f"passed only when run again: {test}")
    total = sum(outcome.seconds for outcome in outcomes)
    verdict = "FAILED" if any(outcome.status for outcome in outcomes) else "all steps passed"
    print(f"{'total':<{width}}  {'':<7}  {total:7.1f}  {verdict}", flush=True)


def _environment() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(AMBIENT)}
    kept["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", os.defpath)])
    kept["ANSIBLE_HOME"] = str(ROOT / ".cache/ansible")
    kept["ANSIBLE_NOCOWS"] = "1"
    kept["PYTHONUNBUFFERED"] = "1"
    return kept


def _cached(program: str) -> str:
    """A program that the lab has built, or the one on PATH."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "image-registry-lab"
    built = Path(os.environ.get("IMAGE_REGISTRY_LAB") or cache) / "bin" / program
    return str(built) if built.exists() else program


if __name__ == "__main__":
    sys.exit(main())
