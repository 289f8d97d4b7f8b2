"""The list of gates: what must pass, by the groups that make knows. :mod:`tests.run` runs them.

It needs the standard library alone, as what runs it does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTEST = ("python", "-m", "pytest")
SCENARIOS = tuple(sorted(path.parent.name for path in (ROOT / "molecule").glob("*/molecule.yml")))
DOCUMENTS = ("antsibull-docs", "lint-collection-docs", "--plugin-docs")
COLLECTION = "collections/ansible_collections/alauda/registry"
SCRIPTS = ("requirements/make-venv", "requirements/make-locks")


@dataclass(frozen=True, slots=True)
class Step:
    """One gate: commands run in order, the first that fails ends it."""

    name: str
    commands: tuple[tuple[str, ...], ...]
    needs_root: bool = False
    folder: Path = ROOT
    minutes: float = 20
    """When it counts as hanging; several times of what it takes on two cores from warm caches."""


@dataclass(frozen=True, slots=True)
class Lanes:
    """Steps that run beside others, by the name of their lane; those of one lane in order."""

    lanes: dict[str, tuple[Step, ...]]


Part = Step | Lanes


def helm_lints() -> Iterator[tuple[str, ...]]:
    """A strict lint for every set of values the chart ships."""
    yield (_cached("helm"), "lint", "--strict", "--quiet", "charts/cluster-image-registry-operator")
    for values in sorted((ROOT / "charts/image-registry/ci").glob("*-values.yaml")):
        yield (_cached("helm"), "lint", "--strict", "--quiet", "charts/image-registry", "--values", str(values))


def molecule_on(scenario: str) -> Step:
    """A scenario of molecule; it leaves the lab as it finds it."""
    title = "molecule on the lab" if scenario == "default" else f"molecule: {scenario}"
    minutes = 45 if scenario == "migrate_copy" else 20  # it is killed in each phase, and goes on
    # what an interrupted run has left in molecule's memory says that the lab is there, whether it is or not
    commands = tuple(("molecule", verb, "--scenario-name", scenario) for verb in ("reset", "test"))
    return Step(title, commands, needs_root=True, minutes=minutes)


def steps() -> Mapping[str, Sequence[Part]]:
    """Every group by the name that make uses; ``all`` is what ``make test`` runs."""
    ruff = Step("ruff", (("ruff", "check", "."),))
    form = Step("ruff format", (("ruff", "format", "--check", "."),))
    mypy = Step("mypy strict", (("mypy",),))
    imports = Step("import contract", (("lint-imports",),))
    # what only a lab runs is read here, too: a name that moved is said in seconds, not after the lab was made
    collected = Step("every test can be collected", ((*PYTEST, "-qq", "--collect-only", "tests"),))
    lint = [
        ruff,
        form,
        mypy,
        imports,
        collected,
        Step("yamllint", (("yamllint", "--strict", "."),)),
        Step("shellcheck", (("shellcheck", ".ci/run", "lab/demo", "playbooks/files/push-image", *SCRIPTS),)),
        Step("changelog fragments", (("antsibull-changelog", "lint"),)),
        Step("documents of the collection", ((*DOCUMENTS, COLLECTION),)),
        Step("ansible-lint (production)", (("ansible-lint", "--offline", "--strict"),)),
    ]
    fast = Step("unit tests (fast)", ((*PYTEST, "-q", "-m", "not slow and not lab", "tests/app", "tests/docs"),))
    folders = ("tests/app", "tests/security", "tests/docs", "tests/lab", "tests/benchmarks")
    peer = Step("the benchmark's peer", (("lab/lab", "build", "distribution"),), minutes=40)
    tests = Step("unit and contract tests", ((*PYTEST, "-q", "-m", "not lab", *folders),), minutes=45)
    faults = [Step("faults and restarts", ((*PYTEST, "-q", "-m", "not lab", "tests/faults", "tests/soak"),))]
    # some play a playbook several times, beside another lane
    played = (*PYTEST, "-q", "-o", "faulthandler_timeout=900", "tests/collection")
    sanity = Step("ansible-test sanity", (("python", "tests/sanity.py"),))
    collection = [
        Step("collection tests", ((*played, "-m", "not lab and not long"),), minutes=30),
        sanity,
    ]
    all_of_collection = [Step("collection tests, all of them", ((*played, "-m", "not lab"),), minutes=45)]
    programs = ("helm", "crane", "regctl", "oras-go", "distribution")
    tools = Step("client programs", (("lab/lab", "build", *programs),), minutes=40)
    charts = [
        Step("chart lint", tuple(helm_lints())),
        Step("chart tests", ((*PYTEST, "-q", "-m", "not lab", "tests/charts"),)),
    ]
    control_plane = Step("a kube-apiserver", (("lab/lab", "build", "helm", "kube", "crane"),), minutes=40)
    operated_by = [Step("operator", ((*PYTEST, "-q", "-m", "not lab", "tests/operator"),), minutes=30)]
    # a whole migration a test; each waits for many processes, so none hangs before its step does
    migrating = (
        *PYTEST,
        "-q",
        "--durations=0",
        "--durations-min=5",
        "-o",
        "faulthandler_timeout=3000",
        "tests/migration",
    )
    migration = Step("a migration by the playbooks", ((*migrating, "-m", "not lab and not long"),))
    migrations = [
        Step("programs of migrations", (("lab/lab", "build", "helm", "kube", "versitygw"),), minutes=40),
        Step("migrations by the playbooks", ((*migrating, "-m", "not lab"),), minutes=180),
    ]
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
            ("lab/lab", "build", "crane", "versitygw"),  # a client, and a store for one of the walks
            # a test of it may wait for Pods longer than others run
            (*PYTEST, "-q", "-m", "lab", "-o", "faulthandler_timeout=900", "tests/operator"),
            ("lab/lab", "down", "--purge"),
        ),
        needs_root=True,
        minutes=60,
    )
    scenarios = {name: molecule_on(name) for name in SCENARIOS}
    molecule = scenarios["default"]
    running_lab = Step("a lab for molecule", (("lab/lab", "up"), ("lab/lab", "image")), needs_root=True, minutes=45)
    demo = Step("make demo", (("lab/demo", "up"),), needs_root=True)
    beside = ("lab/lab", "build", "distribution", "sample-apiserver")  # one is imported from, one compared with
    in_cluster = (beside, (*PYTEST, "-q", "-m", "lab", "tests/cluster"))
    cluster = Step("the demo's cluster", in_cluster, needs_root=True, minutes=40)
    demo_down = Step("make demo-down", (("lab/demo", "down"),), needs_root=True)
    return {
        "fast": [ruff, form, mypy, imports, fast],
        "lint": lint,
        "unit": [peer, tests],
        "faults": faults,
        "charts": [tools, *charts],
        "collection": [control_plane, *all_of_collection, sanity],
        "clients": [tools, *clients],
        "stores": stores,
        "stores-long": [store_tools, all_of_stores],
        "conformance": conformance,
        "operator": [control_plane, *operated_by],
        "migration": migrations,  # minutes that ``all`` has not
        "cluster": [packages, *lab, first, molecule, demo, cluster],
        # a walk in a lab of its own; ``all`` has ninety minutes on a machine that has nothing yet
        "operator-cluster": [packages, operated],
        "molecule": [molecule],
        # the others take minutes each, which ``all`` has not
        **{f"molecule-{name}": [step] for name, step in scenarios.items()},
        "molecule-all": [running_lab, *scenarios.values()],
        "all": [
            *lint,
            packages,
            peer,
            tools,
            control_plane,
            # two processors: the lab waits for its Pods much of the time, the others seldom wait
            Lanes(
                {
                    "lab": (*lab, first, molecule, demo, cluster, demo_down, *collection),
                    "tests": (tests, *faults, *charts, *operated_by, migration, *conformance, *clients, *stores),
                }
            ),
        ],
    }


def _cached(program: str) -> str:
    """A program that the lab has built, or the one on PATH."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "image-registry-lab"
    built = Path(os.environ.get("IMAGE_REGISTRY_LAB") or cache) / "bin" / program
    return str(built) if built.exists() else program
