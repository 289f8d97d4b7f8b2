"""``migrate.yml`` and ``rollback.yml`` with ``--check``: nothing is written, and what is told is what the run does.

From nothing, without a plan and a survey; then back; then the phases whose turn has come, to the end. What a check says
of a task and of each step is compared with what the run did.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.collection.controller import Played
from tests.migration.moving import MIGRATE, ROLLBACK, THIS, Moving, moving
from tests.operator.storages import TARGET

pytestmark = pytest.mark.long
PHASES = ("prepare", "freeze", "attach", "backfill", "gates", "cutover")
CHECK, TALKATIVE = ("--check", "--diff"), ("-v",)
RESULT = re.compile(r"^(?:ok|changed): \[one\] => *\n(?P<said>(?: {4}.*\n|\n)+)", re.MULTILINE)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moving]:
    with moving(tmp_path_factory.mktemp("site"), registry_migrate_way="reuse") as found:
        yield found


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where whoever only looks keeps what it finds meanwhile."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def state(site: Moving, scratch: Path) -> dict[str, Any]:
    """Everything that a play may write: objects, the registry's own ones, the Lease, files of the controller."""
    folder = site.history.folder
    files = {str(path): path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")}
    return {
        "objects": site.objects(),
        "ours": sorted(site.left_of_this_registry()),
        "namespace": site.whole.client.find(f"/api/v1/namespaces/{TARGET}") is not None,
        "lease": site.lease(),
        "folder": folder.exists(),
        "files": files,
        "left": [path.name for path in scratch.iterdir() if not path.name.startswith("ansible")],
    }


def results(played: Played) -> list[dict[str, Any]]:
    """What the tasks that do or undo steps returned."""
    texts = (match["said"] for match in RESULT.finditer(played.said))
    found = (yaml.safe_load(text) for text in texts if "    progress:" in text)
    return [result for result in found if "changes" in result]


def steps(played: Played, name: str = "changes") -> list[str]:
    return [step for result in results(played) for step in result[name]]


def looked_at(played: Played) -> list[str]:
    """Identities of the steps that were shown or done, task by task."""
    lines = (line for result in results(played) for line in result["steps"])
    return [line.partition(": ")[0] for line in lines]


def checked_first(site: Moving, scratch: Path, playbook: str, *tags: str, **more: Any) -> tuple[Played, Played]:
    """The check, and the run that did what it said."""
    only = ("--tags", ",".join(tags)) if tags else ()
    before = state(site, scratch)
    assert before["left"] == []
    checked = site.controller.play(playbook, options=(*CHECK, *TALKATIVE, *only), **more)
    assert state(site, scratch) == before, "a check has written"
    done = site.controller.play(playbook, options=(*TALKATIVE, *only), **more)
    assert looked_at(checked) == looked_at(done)
    assert steps(checked) == steps(done), f"{checked.said}\n{done.said}"
    assert checked.changes == done.changes
    return checked, done


def test_from_nothing_a_check_makes_the_plan_in_mind_and_tells_every_step_of_the_run(
    site: Moving, scratch: Path, tell: Callable[[str], None]
) -> None:
    assert not site.history.folder.exists()
    checked, done = checked_first(site, scratch, MIGRATE)
    assert done.changes[:4] == [f"alauda.registry.migrate : {name}" for name in (
        "Make the folder of plan, journal and reports", "Discover", "Survey what lies in it", "Assess and plan",
    )]  # fmt: skip
    phases = {name.partition(" ")[0] for name in looked_at(checked)}
    assert phases == set(PHASES)
    unknown = {line.partition(": ")[0] for line in steps(checked, "unknown")}
    assert unknown, "most gates are asked in their turn"
    assert unknown <= {*site.history.steps("gates"), "prepare/routes", "cutover/frozen"}
    assert "gate/objects" not in unknown, "it is known before"
    assert site.front.leads_to == TARGET
    again = site.move()
    assert again.changes == [], again.said
    tell(f"{len(looked_at(done))} steps, {len(steps(done))} of them changed something; {len(unknown)} not known before")


def test_the_way_back_is_shown_checked_and_gone(site: Moving, scratch: Path) -> None:
    before = state(site, scratch)
    shown = site.controller.play(ROLLBACK, options=TALKATIVE)
    assert shown.changed == 0
    assert state(site, scratch) == before, "a rollback that nobody confirmed has written"
    _, done = checked_first(site, scratch, ROLLBACK, registry_migrate_confirm_rollback=THIS)
    assert done.changed == 1
    assert site.back().changes == []
    assert site.left_of_this_registry() == set()
    assert site.lease() is None


def test_in_its_turn_a_phase_is_told_to_the_last_gate_up_to_the_end(site: Moving, scratch: Path) -> None:
    site.move("plan", "prepare", "freeze", "attach", "backfill")
    for phase in ("gates", "cutover"):
        checked, _ = checked_first(site, scratch, MIGRATE, phase)
        assert results(checked)[0]["unknown"] == [] or phase == "cutover"
    early, _ = checked_first(site, scratch, MIGRATE, "observe")
    assert "h are left" in results(early)[0]["waits"]
    last = site.last()
    shown = {**last, "registry_migrate_confirm_finalize": ""}
    checked_first(site, scratch, MIGRATE, "observe", "finalize", **shown)
    _, done = checked_first(site, scratch, MIGRATE, "finalize", **last)
    assert steps(done), "it has an end"
    assert site.controller.play(MIGRATE, options=("--tags", "observe,finalize"), **last).changes == []
    assert site.whole.here() == site.whole.digests
