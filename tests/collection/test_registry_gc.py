"""The registry's upkeep as a task, on a real registry: shown, then done, then nothing left to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.alauda.registry.plugins.module_utils import _upkeep
from ansible_collections.alauda.registry.plugins.module_utils._wire import Answer, WireError
from ansible_collections.alauda.registry.plugins.modules import registry_gc

from image_registry.storage import layout
from tests.collection.conftest import NAMESPACE, FakeCluster, Result, Run
from tests.serve.conftest import Served, served  # noqa: F401 - a fixture
from tests.serve.test_upkeep import fill, left, push


@pytest.fixture
def keep(run: Run, served: Served) -> Run:  # noqa: F811
    """The module, at a registry that asks nobody who they are."""

    def run_module(**arguments: Any) -> Result:
        return run(registry_gc, registry_url=f"http://{served.host}", token="anybody", **arguments)

    return run_module


def test_what_is_checked_is_done_when_it_is_confirmed_and_what_is_wrong_is_a_failure(
    keep: Run, served: Served  # noqa: F811
) -> None:  # fmt: skip
    fill(served, 3)
    rules = {"trash": "0s", "at_most": 100}
    checked = keep(check=True, confirm=True, **rules)
    assert not checked.failed, checked.message
    assert (checked["changed"], checked["report"]["dryRun"], left(served)) == (True, True, 3)
    done = keep(confirm=True, **rules)
    assert (done["changed"], left(served)) == (True, 0)
    assert checked["diff"]["before"]["gc"]["thrownAway"] == done["diff"]["before"]["gc"]["thrownAway"]
    again = keep(**rules)
    assert (again.failed, again["changed"], again["report"]["dryRun"]) == (False, False, True)
    assert "7200" in keep(grace="1m").message
    layer = push(served.host, "demo/app", "v1")
    path = served.root / layout.blob_data(layer)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    failed = keep(task="verify", scope="demo/app", deep=True)
    assert failed.failed
    assert '"corrupt": 1' in failed.message


@pytest.mark.parametrize(
    ("kind", "totals", "confirm", "changed"),
    [
        ("gc", {"links": 1}, True, True),
        ("gc", {"links": 1}, False, False),
        ("gc", {"removed": {"blobs": 2, "bytes": 9}}, True, True),
        ("gc", {}, True, False),
        ("scrub", {"corrupt": 1}, True, True),
        ("scrub", {"corrupt": 0}, True, False),
        ("verify", {"missing": 1}, True, False),
    ],
)
def test_a_task_is_changed_by_what_a_confirmed_run_took_away(
    kind: str, totals: dict[str, Any], confirm: bool, changed: bool
) -> None:
    nothing = {"blobs": 0, "bytes": 0}
    whole = {"links": 0, "takenBack": 0, "skipped": 0, "failed": 0, "thrownAway": nothing, "removed": nothing}
    report = {"clean": not totals, "totals": {**whole, **totals} if kind == "gc" else totals}
    found = _upkeep.told({"kind": kind, "id": "one", "report": report}, confirm=confirm)
    assert found.result["changed"] is changed
    assert bool(found.result["diff"]) is changed
    assert bool(found.faults) == (kind != "gc" and bool(totals))


def test_a_registry_of_nobody_is_told(run: Run, cluster: FakeCluster) -> None:
    assert "has no certificate" in run(registry_gc).message
    path = f"/api/v1/namespaces/{NAMESPACE}/configmaps/image-registry-ca"
    cluster.put(path, {"data": {"ca-bundle.crt": "-----BEGIN CERTIFICATE-----"}})
    assert "is ready: registry_info says why" in run(registry_gc).message


def test_a_client_certificate_needs_somebody_with_a_token(
    run: Run, cluster: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_upkeep.ClusterClient, "token", lambda _self: "")
    assert "service_account: image-registry-system/pruner" in run(registry_gc).message
    del cluster, tmp_path


class Line:
    """A wire to a registry that answers as told."""

    host = "image-registry.image-registry-system.svc"

    def __init__(self, *answers: Answer | WireError) -> None:
        self.answers, self.asked = list(answers), list[tuple[str, str, dict[str, str]]]()

    def ask(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
        self.asked.append((method, path, dict(headers or {})))
        found = self.answers.pop(0)
        if isinstance(found, WireError):
            raise found
        del body
        return found


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(503, {}, b'{"errors": [{"message": "away"}]}'), "cannot do it now: away"),
        (Answer(403, {}, b'{"errors": [{"message": "create registry/upkeep"}]}'), "create registry/upkeep"),
        (Answer(409, {}, b'{"errors": [{"message": "read-only"}]}'), "refused: read-only"),
        (WireError("no way to Pod"), "no way to Pod"),
    ],
)
def test_through_the_api_server_answers_mean_the_same(answer: Answer | WireError, said: str) -> None:
    line: Any = Line(answer)
    with pytest.raises(_upkeep.click.ClickException, match=said):
        _upkeep.Forwarded(line, "secret").ask("POST", "/extensions/v2/upkeep", {"kind": "gc"})
    assert line.asked[0][2]["Authorization"] == "Bearer secret"
