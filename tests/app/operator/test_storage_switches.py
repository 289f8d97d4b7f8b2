"""From every kind of storage to every other: what is done, what is told, and what is never done."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Any

import pytest

from image_registry.kube.release_record import Release
from image_registry.operator import config_values
from image_registry.operator.conditions import Observed, conditions
from image_registry.operator.config_status import instead
from image_registry.operator.config_values import CLAIM, STORAGE_KINDS
from image_registry.operator.release_plan import Plan, left_place, plan

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
Object = dict[str, Any]

STORAGES: dict[str, Object] = {
    "own claim": {"pvc": {}},
    "somebody's claim": {"pvc": {"claim": "legacy"}},
    "emptyDir": {"emptyDir": {}},
    "s3": {"s3": {"bucket": "images", "region": "eu-central-1"}},
    "s3 elsewhere": {"s3": {"bucket": "images", "region": "eu-central-1", "regionEndpoint": "https://s3.example.com"}},
    "s3 folder": {"s3": {"bucket": "images", "region": "eu-central-1", "rootDirectory": "new"}},
    "gcs": {"gcs": {"bucket": "images"}},
    "azure": {"azure": {"accountName": "images", "container": "registry"}},
    "swift": {"swift": {"authURL": "https://keys.example.com/v3", "container": "images"}},
    "ibmcos": {"ibmcos": {"bucket": "images", "location": "eu-de"}},
    "oss": {"oss": {"bucket": "images", "region": "cn-beijing"}},
}
PAIRS = list(itertools.permutations(STORAGES, 2))
EVERY_PAIR = pytest.mark.parametrize(("before", "after"), PAIRS, ids=[" to ".join(pair) for pair in PAIRS])


def spec(name: str, state: str = "Managed", storage: str = "") -> Object:
    more = {"managementState": storage} if storage else {}
    return {"managementState": state, "storage": {**STORAGES[name], **more}}


def release(of: Object, revision: int = 1) -> Release:
    return Release(f"r{revision}", revision, "deployed", config_values.values(of, {}), "", "2.0", NOW)


def changed(before: Object, after: Object) -> Plan:
    return plan(after, release(before), {}, (), NOW)


def told(of: Object, history: list[Release]) -> Object:
    bound = {"metadata": {"name": CLAIM}, "status": {"phase": "Bound"}}
    found = conditions(of, Observed(deployments={}, claim=bound, moved_from=left_place(history)), (), 1, NOW)
    return next(item for item in found if item["type"] == "StorageExists")


def test_every_kind_is_in_the_table() -> None:
    assert {kind for storage in STORAGES.values() for kind in storage} == set(STORAGE_KINDS)


@EVERY_PAIR
def test_the_chart_gets_one_storage_and_is_told_to_let_go_of_the_other(before: str, after: str) -> None:
    found = changed(spec(before), spec(after))
    assert found.action == "apply"
    storage = found.values["config"]["storage"]
    assert {name: storage[name] for name in storage if storage[name] is not None} == STORAGES[after]
    assert set(STORAGE_KINDS) <= set(storage), "Helm merges maps: what is not wanted is said"


@pytest.mark.parametrize("management", ["", "Managed", "Unmanaged"])
@EVERY_PAIR
def test_nothing_is_deleted_with_the_change(before: str, after: str, management: str) -> None:
    found = changed(spec(before, storage=management), spec(after, storage=management))
    assert config_values.DELETE_STORAGE not in found.values
    own = before == "own claim"
    assert found.keep_claim == (CLAIM if own else ""), "Helm would delete what is no part of the release"


@EVERY_PAIR
def test_where_the_images_were_left_is_told_until_the_storage_is_changed_back(before: str, after: str) -> None:
    place = config_values.place_of(spec(before))
    assert changed(spec(before), spec(after)).moved_from == place
    first, second = release(spec(before)), release(spec(after), 2)
    condition = told(spec(after), [second, first])
    assert condition["reason"] == "StorageConfigurationChanged"
    assert condition["status"] == ("True" if set(STORAGES[after]) & {"pvc", "emptyDir"} else "Unknown")
    said = {"emptyDir": "went with it: push them again"}
    moved = "were not moved: copy them, or change spec.storage back"
    assert f"; images in {place} {said.get(before, moved)}" in condition["message"]
    later = release({**spec(after), "logLevel": "Debug"}, 3)
    assert told(spec(after), [later, second, first])["reason"] == "StorageConfigurationChanged", "not forgotten"
    back = told(spec(before), [release(spec(before), 3), second, first])
    assert f"; images in {config_values.place_of(spec(after))} {said.get(after, moved)}" in back["message"]


@EVERY_PAIR
def test_removed_after_a_change_deletes_only_what_was_made_for_the_storage_of_now(before: str, after: str) -> None:
    """What was left behind is nobody's to delete, and neither is what somebody else made."""
    removed = spec(after, "Removed", "Managed")
    owned = config_values.own_claims(removed)
    assert (CLAIM in owned) == (after == "own claim")
    assert "legacy" not in owned
    found = plan(removed, release(spec(after, storage="Managed"), 2), {}, (), NOW, owned=bool(owned))
    assert found.values.get(config_values.DELETE_STORAGE, False) is bool(owned)
    assert found.keep_claim == (CLAIM if CLAIM in owned else ""), "it goes when Helm is done, and not by Helm"
    assert found.moved_from == ""
    del before


@EVERY_PAIR
def test_a_change_while_an_upgrade_runs_ends_it_first(before: str, after: str) -> None:
    running = config_values.values(spec(before), {})
    found = plan(spec(after), release(spec(before)), {}, (), NOW, running)
    assert (found.action, found.why) == ("stop", "the specification changed while helm ran")


@pytest.mark.parametrize("name", STORAGES)
def test_the_same_storage_said_again_is_no_change(name: str) -> None:
    assert changed(spec(name), spec(name)).action == "rest"
    other = {**spec(name), "storage": {**STORAGES[name], "managementState": "Unmanaged"}}
    assert changed(spec(name), other).moved_from == ""


@EVERY_PAIR
def test_the_status_shows_the_storage_of_now_alone(before: str, after: str) -> None:
    """By the rules of a JSON merge patch, which keeps what it does not name."""

    def merged(target: Any, patch: Any) -> Any:
        if not isinstance(patch, dict):
            return patch
        found = dict(target) if isinstance(target, dict) else {}
        for name, part in patch.items():
            if part is None:
                found.pop(name, None)
            else:
                found[name] = merged(found.get(name), part)
        return found

    first, second = {"storage": STORAGES[before], "version": "2.0"}, {"storage": STORAGES[after]}
    assert merged(first, instead(first, second)) == second
