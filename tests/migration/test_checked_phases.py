"""The module in check mode before each phase of a migration and before the way back: what it says is what is done.

Twice: while nothing was done, with the phases that come first assumed, and in the turn of each. Between them it must
leave everything as it is. No playbook plays here: it is the module that foresees.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from image_registry.kube.client import object_path
from image_registry.migration.choices import Way
from image_registry.migration.opening import Asked, Migration, open_migration
from image_registry_lab.legacy.variants import NAMESPACE, VARIANTS
from tests.collection.conftest import CHART  # which shows Python where the collection is
from tests.migration.moving import LEASE
from tests.operator.conftest import program
from tests.operator.storages import TARGET
from tests.operator.test_legacy_registry import token_of
from tests.operator.test_migration_run import everything
from tests.operator.whole import ACCEPTED, Whole, whole_migration

pytestmark = pytest.mark.long
PHASES = ("prepare", "freeze", "attach", "backfill", "gates", "cutover")
CORE = ("secrets", "configmaps", "services", "persistentvolumeclaims")
OURS = (*(("v1", kind) for kind in CORE), ("apps/v1", "deployments"))


@dataclass
class Module:
    """``legacy_migration`` as Ansible runs it, with the same files every time."""

    whole: Whole
    capture: pytest.CaptureFixture[str]
    scratch: Path
    accepted: list[str] = field(default_factory=lambda: list(ACCEPTED))

    def __call__(self, *, check: bool = False, **asked: Any) -> dict[str, Any]:
        from ansible_collections.alauda.registry.plugins.modules import legacy_migration

        whole = self.whole
        given = {
            "kubeconfig": str(whole.server.kubeconfig),
            "global_kubeconfig": str(whole.server.kubeconfig),
            "plan": str(whole.folder / "plan.json"),
            "journal": str(whole.folder / "journals" / "journal.jsonl"),
            "html": str(whole.folder / "journals" / "progress.html"),
            "content": str(whole.folder / "content"),
            "chart_ref": str(CHART),
            "helm_binary": program("helm"),
            "source_url": whole.nodes.legacy_url,
            "source_token": token_of(whole.server, "default", NAMESPACE),
            "target_url": whole.nodes.url,
            "accept": self.accepted,
        }
        with patch_module_args({**given, **asked, "_ansible_check_mode": check}), pytest.raises(SystemExit):
            legacy_migration.main()
        found: dict[str, Any] = json.loads(self.capture.readouterr().out.strip().splitlines()[-1])
        assert not found.get("failed"), found["msg"]
        return found

    def state(self) -> dict[str, Any]:
        """Everything that it may write: objects, ours too, whose the migration is, files here and beside."""
        client = self.whole.client
        found = [client.get(object_path(version, kind, namespace=TARGET))["items"] for version, kind in OURS]
        ours = [[item["metadata"]["name"], item.get("spec"), item.get("data")] for items in found for item in items]
        folder = self.whole.folder / "journals"
        files = {str(path): path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")}
        lease = (client.find(LEASE) or {}).get("spec", {}).get("holderIdentity")
        left = [path.name for path in self.scratch.iterdir() if path.name.startswith("image-registry")]
        return {
            "objects": everything(client),
            "ours": ours,
            "folder": folder.exists(),
            "files": files,
            "lease": lease,
            "left": left,
        }

    def checked_first(self, **asked: Any) -> dict[str, Any]:
        """The run, which did what the check said; the check wrote nothing."""
        before = self.state()
        assert before["left"] == []
        checked = self(check=True, **asked)
        assert self.state() == before, "a check has written"
        done = self(**asked)
        assert names(checked["steps"]) == names(done["steps"])
        assert checked["changes"] == done["changes"], (checked["steps"], done["lines"])
        assert checked["changed"] == done["changed"] == bool(done["changes"])
        assert bool(checked["waits"]) == bool(done["waits"])
        return done


def names(steps: list[str]) -> list[str]:
    """Phase and identity."""
    return [line.partition(": ")[0] for line in steps]


@pytest.fixture
def module(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Module]:  # fmt: skip
    from ansible_collections.alauda.registry.plugins.module_utils import _migration_run

    def opened(asked: Asked) -> Migration:
        """Nobody sleeps for the minutes that a cluster takes."""
        found = open_migration(asked)
        return replace(found, context=replace(found.context, sleep=lambda seconds: time.sleep(min(seconds, 0.1))))

    monkeypatch.setattr(_migration_run, "open_migration", opened)
    scratch = tmp_path_factory.mktemp("scratch")
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    with whole_migration(tmp_path, VARIANTS["4.2-pvc"]) as whole:
        whole.plan(Way.REUSE)
        yield Module(whole, capsys, scratch)


def test_every_phase_and_the_way_back_are_told_before_they_are_done(module: Module) -> None:
    whole, images = module.whole, module.whole.before()
    before = module.state()
    ahead = {
        phase: module(check=True, phases=[phase], assume=list(PHASES[:number])) for number, phase in enumerate(PHASES)
    }
    assert module.state() == before, "from nothing, a check has written"
    assert before["folder"] is False
    assert any(line.startswith("gate/tags: it is not known before") for line in ahead["gates"]["unknown"])
    for phase in PHASES:
        done = module.checked_first(phases=[phase])
        assert names(ahead[phase]["steps"]) == names(done["steps"])
        assert ahead[phase]["changes"] == done["changes"], f"{phase} was told otherwise while nothing was done"
        assert module(phases=[phase])["changed"] is False, "a second run changes nothing"
    assert whole.here() == images

    stands = module.state()
    for shown in (module(state="rolled_back"), module(state="rolled_back", check=True)):
        assert (shown["changed"], bool(shown["steps"])) == (False, True)
    assert module.state() == stands, "without a confirmation it is shown"
    module.checked_first(state="rolled_back", confirm=True)
    assert module.state()["objects"] == before["objects"]
    assert module(state="rolled_back", confirm=True)["changed"] is False

    module(until="cutover")
    early = module.checked_first(phases=["observe"])
    assert "h are left" in early["waits"]
    module.accepted.append("observe/pulls")
    module.checked_first(phases=["observe"])
    stands = module.state()
    assert module(phases=["finalize"])["changed"] is False
    assert module.state() == stands, "without a confirmation it is shown"
    module.checked_first(phases=["finalize"], confirm=True)
    assert module(phases=["observe", "finalize"], confirm=True)["changed"] is False
    assert whole.here() == images
