"""Runs a given build of the official conformance suite with everything switched on, and counts.

It has two forms. The older one (1.1.1) is a test binary of Ginkgo that asks some things in two opposite ways, so no
single run can pass all of its steps: it is run in each way, against fresh repositories, and a step counts by all the
runs in which it was asked. The newer one is a runner of its own that does everything in one run.
"""

from __future__ import annotations

import os
import re
import subprocess
import uuid
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.conformance.protocol import Repository
from tests.conformance.target import Target

TIMEOUT = 600.0
GINKGO, RUNNER = "ginkgo", "runner"
KINDS = (GINKGO, RUNNER)
_COUNT = re.compile(r"^ {2}(Disabled|Skip|Pass|FAIL|Error)\.+: +(\d+)$", re.MULTILINE)


class SuiteFailed(Exception):
    """The suite did not run to its end; the text is what it said."""


@dataclass
class Counts:
    """Steps by how they ended; ``others`` are those that did not pass, and why."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    disabled: int = 0
    others: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped, {self.disabled} disabled"


def kind_of(suite: Path) -> str:
    """Which form this is, by what was compiled into it: running the wrong one with no settings would run all of it."""
    marker, tail = b"onsi/ginkgo", b""
    with suite.open("rb") as file:
        while part := file.read(1 << 20):
            if marker in tail + part:
                return GINKGO
            tail = part[-len(marker) :]
    return RUNNER


def run(suite: Path, kind: str, target: Target, folder: Path) -> Counts:
    """Every step of the suite against the registry. Raises :class:`SuiteFailed`."""
    return (_ginkgo if kind == GINKGO else _runner)(suite.resolve(), target, folder)


def _runner(suite: Path, target: Target, folder: Path) -> Counts:
    first = f"{target.namespaces[0]}/official-{uuid.uuid4().hex[:8]}"
    said = _execute(
        [str(suite)],
        folder,
        {
            "OCI_VERSION": "dev",
            "OCI_DATA_SPARSE": "true",
            "OCI_CACHE_AUTH": "false",  # so that every request is challenged, and a mount for both of its repositories
            "OCI_REGISTRY": target.client.host,
            "OCI_TLS": "enabled" if target.client.tls else "disabled",
            "OCI_REPO1": first,
            "OCI_REPO2": f"{first}-2",
            "OCI_RESULTS_DIR": str(folder),
            **_credentials(target),
        },
        target.client.ca,
    )
    found = {name: int(count) for name, count in _COUNT.findall(said)}
    if len(found) < 5:
        raise SuiteFailed(said[-3000:])
    ends = (": FAIL", ": Error", ": Skip", ": Disabled")
    others = [line.strip() for line in said.splitlines() if line.endswith(ends) and "/" in line]
    return Counts(found["Pass"], found["FAIL"] + found["Error"], found["Skip"], found["Disabled"], others)


def _ginkgo(suite: Path, target: Target, folder: Path) -> Counts:
    steps: dict[str, dict[str, str]] = {}
    for number, (arguments, settings) in enumerate(_ways(target)):
        report = folder / str(number)
        report.mkdir()
        scheme = "https" if target.client.tls else "http"
        said = _execute(
            [str(suite), *arguments],
            report,
            {
                "OCI_ROOT_URL": f"{scheme}://{target.client.host}",
                **{f"OCI_TEST_{part}": "1" for part in ("PULL", "PUSH", "CONTENT_DISCOVERY", "CONTENT_MANAGEMENT")},
                "OCI_HIDE_SKIPPED_WORKFLOWS": "0",
                "OCI_REPORT_DIR": str(report),
                **_credentials(target),
                **settings,
            },
            target.client.ca,
        )
        if not (report / "junit.xml").is_file():
            raise SuiteFailed(said[-3000:])
        for name, status, why in _steps(report / "junit.xml"):
            steps.setdefault(name, {})[status] = why
    counts = Counts()
    for name, ends in steps.items():
        if "failed" in ends:
            counts.failed += 1
            counts.others.append(f"{name}: {ends['failed']}")
        elif "passed" in ends:
            counts.passed += 1
        elif "skipped" in ends:
            counts.skipped += 1
            counts.others.append(f"{name}: {ends['skipped']}")
        else:
            counts.disabled += 1
            counts.others.append(f"{name}: {', '.join(ends)}")
    return counts


def _ways(target: Target) -> Iterator[tuple[list[str], dict[str, str]]]:
    """Arguments and settings of each run."""
    own, other = target.namespaces

    def repositories(mounted: str) -> dict[str, str]:
        name = f"{own}/official-{uuid.uuid4().hex[:8]}"
        mounting = f"{mounted}/official-{uuid.uuid4().hex[:8]}"
        scope = f"repository:{name}:pull,push,delete repository:{mounting}:pull,push,delete"
        return {"OCI_NAMESPACE": name, "OCI_CROSSMOUNT_NAMESPACE": mounting, "OCI_AUTH_SCOPE": scope}

    # a blob is found without being told where inside of a namespace, and never in another one
    yield [], {**repositories(own), "OCI_AUTOMATIC_CROSSMOUNT": "1"}
    yield [], {**repositories(other), "OCI_AUTOMATIC_CROSSMOUNT": "0"}
    # nothing was pushed before: the blob to mount does not exist
    yield ["-ginkgo.focus", "Cross-Repository Blob Mount"], {**repositories(own), "OCI_AUTOMATIC_CROSSMOUNT": "1"}
    # content that was there before the suite came
    settings = repositories(own)
    repository = Repository(target.client, settings["OCI_NAMESPACE"])
    tags = [f"test{number}" for number in range(4)] + ["tagtest0"]
    pushed = [repository.image(tag) for tag in tags]
    yield (
        ["-ginkgo.focus", "Pull|Content Discovery (Setup|Test content discovery endpoints \\(listing tags\\))"],
        {
            **settings,
            "OCI_TAG_NAME": tags[-1],
            "OCI_MANIFEST_DIGEST": pushed[-1].digest,
            "OCI_BLOB_DIGEST": pushed[-1].layer,
            "OCI_TAG_LIST": ",".join(tags),
        },
    )


def _steps(report: Path) -> Iterator[tuple[str, str, str]]:
    """Name, end and reason of every step in a report; those that the run left out on purpose are not among them."""
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314 - written by the suite that was just run
        name, status, why = case.get("name", ""), case.get("status", ""), ""
        for child in case:
            if child.tag in {"failure", "error", "skipped"}:
                status, why = ("skipped" if child.tag == "skipped" else "failed"), child.get("message", "")
        if name.startswith("["):
            continue
        yield name, status or "passed", " ".join(why.split())[:300]


def _credentials(target: Target) -> dict[str, str]:
    known = target.client.credentials
    return {"OCI_USERNAME": known.user, "OCI_PASSWORD": known.password} if known else {}


def _execute(command: list[str], folder: Path, settings: Mapping[str, str], trusted: Path | None) -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), **settings}
    if trusted is not None:
        environment["SSL_CERT_FILE"] = str(trusted)
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=TIMEOUT,
        check=False,
    )
    return done.stdout + done.stderr
