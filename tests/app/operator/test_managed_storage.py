"""A Removed registry lets go of exactly what the operator made for it, and of nothing that was there before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from image_registry.kube.release_record import Release
from image_registry.operator import config_values
from image_registry.operator.conditions import Observed, conditions
from image_registry.operator.config_values import own_claims
from image_registry.operator.operand import Operand
from image_registry.operator.release_plan import plan

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
CLAIM, DATABASE = config_values.CLAIM, config_values.DATABASE_CLAIM
MANAGED: dict[str, Any] = {"managementState": "Managed", "storage": {"managementState": "Managed", "pvc": {}}}
REMOVED = {**MANAGED, "managementState": "Removed"}


@pytest.mark.parametrize(
    ("storage", "database", "expected"),
    [
        ({"managementState": "Managed", "pvc": {}}, {}, (CLAIM, DATABASE)),
        ({"managementState": "Managed", "pvc": {}}, {"secretName": "db"}, (CLAIM,)),
        ({"managementState": "Managed", "emptyDir": {}}, {}, (DATABASE,)),
        ({"managementState": "Managed", "pvc": {"claim": "mine"}}, {}, ()),
        ({"managementState": "Managed", "s3": {"bucket": "b"}}, {}, ()),
        ({"managementState": "Unmanaged", "pvc": {}}, {}, ()),
        ({"pvc": {}}, {}, ()),
    ],
)
def test_only_what_the_operator_makes_and_manages_can_go(
    storage: dict[str, Any], database: dict[str, Any], expected: tuple[str, ...]
) -> None:
    assert own_claims({"storage": storage, "metadata": {"postgresql": database}}) == expected


class Claims:
    """The claims of a namespace."""

    def __init__(self, **made: str) -> None:
        self._made = {name.replace("_", "-"): when for name, when in made.items()}

    def find(self, path: str, **_: Any) -> dict[str, Any] | None:
        name = path.rpartition("/")[2]
        if name not in self._made:
            return None
        labels = {"app.kubernetes.io/instance": "image-registry"}
        return {"metadata": {"name": name, "uid": name, "labels": labels, "creationTimestamp": self._made[name]}}


def owned(**made: str) -> list[str]:
    config = {"metadata": {"creationTimestamp": "2026-11-21T10:00:00Z"}, "spec": MANAGED}
    operand = Operand(Claims(**made), "image-registry-system")  # type: ignore[arg-type]
    return [claim["metadata"]["name"] for claim in operand.owned_claims(config, {})]


def test_claims_that_are_younger_than_config_are_the_operators() -> None:
    found = owned(image_registry_storage="2026-11-21T10:00:01Z", data_image_registry_db_0="2026-11-21T10:00:02Z")
    assert found == [CLAIM, DATABASE]


@pytest.mark.parametrize("old", ["image_registry_storage", "data_image_registry_db_0"])
def test_a_claim_from_before_keeps_everything(old: str) -> None:
    made = {"image_registry_storage": "2026-11-21T10:00:01Z", "data_image_registry_db_0": "2026-11-21T10:00:02Z"}
    assert owned(**{**made, old: "2026-01-01T00:00:00Z"}) == []


def release(values: Any) -> Release:
    return Release("r", 1, "deployed", values, "", "2.0", NOW - timedelta(hours=1))


def test_only_a_removed_registry_with_claims_of_its_own_lets_go_and_it_stays_so() -> None:
    running = release(config_values.values(MANAGED, {}))
    assert "deleteStorage" not in plan(MANAGED, running, {}, ("Service x",), NOW, owned=True).values
    assert "deleteStorage" not in plan(REMOVED, running, {}, (), NOW, owned=False).values
    going = plan(REMOVED, running, {}, (), NOW, owned=True).values
    assert going["deleteStorage"] is True
    gone = release(going)
    assert plan(REMOVED, gone, {}, (), NOW, owned=False).action == "rest", "the claims are not made again"
    assert plan(REMOVED, None, {}, (), NOW, going, owned=False).action == "wait", "nor while helm runs"
    back = plan(MANAGED, gone, {}, (), NOW, owned=False)
    assert back.action == "apply"
    assert "deleteStorage" not in back.values


def test_what_will_go_is_told_before_it_goes() -> None:
    bound = Observed(deployments={}, claim={"status": {"phase": "Bound"}}, goes=(CLAIM, DATABASE))
    told = {item["type"]: item for item in conditions(MANAGED, bound, (), 1, NOW)}
    assert told["StorageExists"]["reason"] == "ClaimBound"
    assert f"Removed would delete claim {CLAIM} and {DATABASE}" in told["StorageExists"]["message"]
    told = {item["type"]: item for item in conditions(REMOVED, Observed(deployments={}), (), 1, NOW)}
    assert told["StorageExists"]["reason"] == "ClaimDeleted"
    assert "what was there before it is kept" in told["Removed"]["message"]
