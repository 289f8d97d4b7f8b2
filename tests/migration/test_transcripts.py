"""A migration by ``ac adm migrate``, line by line as the guide has it, there, back, and to the end.

The page is what they printed, with what is of one run alone made general. To write it anew:
``MIGRATION_TRANSCRIPTS=write pytest -m long tests/migration/test_transcripts.py``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.migration.hasty import QUICK
from tests.migration.moving import Moving, moving
from tests.operator.conftest import CHART, program
from tests.operator.test_legacy_registry import token_of

pytestmark = pytest.mark.long

PAGE = Path(__file__).resolve().parents[2] / "docs/reference/migration-transcripts.md"
HEAD = """# Transcripts of a migration

What [the guide](../how-to/migrate.md) has one type, and what is printed then: a legacy registry of 4.2 with its
volume, three repositories of two teams, its storage kept; taken back behind the cutover, moved again and given up.
`tests/migration/test_transcripts.py` types it and compares it with this page (`make test-migration`). Times, digests
and addresses are general ones: what a migration takes is in
[the guide](../how-to/migrate.md#how-long-each-phase-takes). Behind `#` stands the exit code if it is not 0.
Three dots are findings and steps that stand on this page already. Progress and waiting are left out.

**What is accepted here is of this test alone**: no name server leads to its host, and nobody makes pull Secrets. Accept
what is true of your cluster; `host:*` or `pull-secret:*` accepted unread are Pods that cannot pull.
"""
DOORS = "--content content.jsonl --source-url http://10.4.0.16 --source-token-file token --target-token-file token"
FILES = "--plan plan.json --journal journal.jsonl --chart charts/image-registry"
RUN, BACK = f"ac adm migrate run {FILES}", f"ac adm migrate rollback {FILES}"
MADE = "--inventory inventory.json --content content.jsonl"
GLOBAL = "--global-kubeconfig global.kubeconfig"
STATUS = "ac adm migrate status --plan plan.json --journal journal.jsonl"

SESSION: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("1. Find it", (
        f"ac adm migrate discover {GLOBAL} --cluster business --html found.html",
        f"ac adm migrate discover {GLOBAL} --cluster business -o json > inventory.json",
    )),
    ("2. Survey what lies in it", (
        "ac adm migrate discover --content content.jsonl --registry-url http://10.4.0.16 --token-file token",
    )),
    ("3. See what stands in the way", (
        f"ac adm migrate assess {MADE}",
        f"ac adm migrate assess {MADE} --accept 'nested-path:*'",
    )),
    ("4. Plan", (
        f"ac adm migrate plan {MADE} --accept 'nested-path:*' --out plan.json --html plan.html",
    )),
    ("5. Prepare", (
        f"{RUN} --until prepare --dry-run",
        f"{RUN} --until prepare --html progress.html",
        STATUS,
    )),
    ("6. Cut over", (
        f"{RUN} {DOORS} --until gates",
        f"{RUN} {DOORS} {{accepted}}",
    )),
    ("9. Back", (
        f"{BACK} {DOORS}",
        f"{BACK} {DOORS} --confirm",
        STATUS,
    )),
    ("7. Observe", (
        f"{RUN} {DOORS} {{accepted}}",
        f"{RUN} {DOORS} {{accepted}} --until observe",
        f"{RUN} {DOORS} {{accepted}} --until observe --accept observe/pulls",
    )),
    ("8. Finalize", (
        f"{RUN} {DOORS} {GLOBAL} {{accepted}} --accept observe/pulls --until finalize",
        f"{RUN} {DOORS} {GLOBAL} {{accepted}} --accept observe/pulls --until finalize --confirm",
        f"{RUN} {DOORS} {GLOBAL} {{accepted}} --accept observe/pulls --until finalize --confirm",
        STATUS,
    )),
)  # fmt: skip
ACCEPTED = "--accept 'host:*' --accept 'pull-secret:*' --accept 'limits:*'"
"""What the gates name: no name server leads to the host here, and pull Secrets are an operator's."""
VARIES = re.compile(r"looked at \d+ of|gate \w+: |\w+: waiting for|  waiting: ")
"""Beginnings of lines that say how far something is, as often as it takes long."""
AGAIN = re.compile(r"(blocking|warning|note) |step \d|  ")
"""Beginnings of findings and of steps with what came of them."""


@dataclass(frozen=True)
class Terminal:
    """Somebody who types what the guide says, in a folder with a token and the chart."""

    site: Moving
    folder: Path

    def types(self, line: str) -> tuple[str, int]:
        """What is printed, errors among it, and the exit code."""
        typed = line.replace("http://10.4.0.16", self.site.whole.nodes.legacy_url)
        if " run " in typed or " rollback " in typed:
            typed += f" --target-url {self.site.whole.nodes.url}"  # nothing routes to Services here
        programs = (Path(sys.executable).parent, Path(program("helm")).parent, os.environ["PATH"])
        environment = {
            "PATH": os.pathsep.join(map(str, programs)),
            "KUBECONFIG": str(self.site.whole.server.kubeconfig),
            "HOME": str(self.folder),
            "PYTHONPATH": str(QUICK),
        }
        done = subprocess.run(
            ["sh", "-c", typed], cwd=self.folder, env=environment, text=True, timeout=600, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return self.general(done.stdout), done.returncode

    def general(self, text: str) -> str:
        """Without what is of this run alone."""
        nodes = self.site.whole.nodes
        text = text.replace(nodes.legacy_url, "http://10.4.0.16").replace(nodes.url, "http://10.4.0.20:5000")
        text = text.replace(str(self.folder), "~").replace(str(self.site.whole.folder), "")
        text = re.sub(r"sha256:[0-9a-f]{64}", "sha256:" + "0123456789abcdef" * 4, text)
        text = re.sub(r"sha256:[0-9a-f]{12}\b", "sha256:0123456789ab", text)
        text = re.sub(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?", "2030-01-31T12:00:00Z", text)
        text = re.sub(r"\b10\.0\.\d+\.\d+\b", "10.4.0.16", text)
        text = re.sub(r"\b\d+\.\d+ s\b|(?<=after )\d+ s\b", "1.2 s", text)
        text = re.sub(r"(\d+/\d+ +)\d+$", r"\g<1>1", text, flags=re.MULTILINE)
        return "".join(f"{line}\n" for line in text.splitlines() if not VARIES.match(line))


def shorter(said: str, known: set[str]) -> Iterator[str]:
    """Without findings and steps that the page has already: three dots."""
    dots = False
    for line in said.splitlines():
        again = AGAIN.match(line) is not None and " ".join(line.split()) in known
        known.add(" ".join(line.split()))
        if not (again and dots):
            yield "…\n" if again else f"{line}\n"
        dots = again


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    with moving(tmp_path) as site:
        home = tmp_path / "somebody"
        home.mkdir()
        (home / "charts").mkdir()
        (home / "charts/image-registry").symlink_to(CHART)
        (home / "global.kubeconfig").write_bytes(site.whole.server.kubeconfig.read_bytes())
        (home / "global.kubeconfig").chmod(0o600)
        token = home / "token"
        token.touch(0o600)
        token.write_text(token_of(site.whole.server, "default", "cpaas-system"))
        yield Terminal(site, home)


def test_the_guide_prints_what_its_page_of_transcripts_shows(terminal: Terminal) -> None:
    pages, known = [HEAD], set[str]()
    for title, lines in SESSION:
        pages.append(f"\n## {title}\n\n```console\n")
        for line in lines:
            typed = line.format(accepted=ACCEPTED)
            said, code = terminal.types(typed)
            pages.append(f"$ {typed}{f'   # exit code {code}' if code else ''}\n")
            pages.extend(shorter(said, known))
        pages.append("```\n")
    page = "".join(pages)
    if os.environ.get("MIGRATION_TRANSCRIPTS") == "write":
        PAGE.write_text(page)
    assert page == PAGE.read_text(), "see the head of this file"
