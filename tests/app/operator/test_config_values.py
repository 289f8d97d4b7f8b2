"""Config.spec becomes values of the chart: the same names, and what is not wanted is said."""

from __future__ import annotations

from typing import Any

import pytest

from image_registry.operator.config_values import merged, place_of, state_of, storage_of, values

PVC: dict[str, Any] = {"pvc": {"size": "1Gi", "accessMode": "ReadWriteOnce"}}
S3: dict[str, Any] = {"s3": {"bucket": "images"}}


@pytest.mark.parametrize(
    ("spec", "state"),
    [({}, "Removed"), ({"managementState": ""}, "Removed"), ({"managementState": "Managed"}, "Managed")],
)
def test_unset_behaves_as_removed(spec: dict[str, Any], state: str) -> None:
    assert state_of(spec) == state
    assert values(spec, {})["config"]["managementState"] == state


def test_the_storages_that_are_not_wanted_are_null_so_that_the_charts_default_does_not_come_back() -> None:
    storage = values({"managementState": "Managed", "storage": S3}, {})["config"]["storage"]
    assert storage["s3"] == {"bucket": "images"}
    others = ("pvc", "emptyDir", "gcs", "azure", "swift", "ibmcos", "oss")
    assert {name: part for name, part in storage.items() if name != "s3"} == dict.fromkeys(others)


def test_an_external_database_puts_the_bundled_one_out() -> None:
    spec = {"managementState": "Managed", "storage": PVC, "metadata": {"postgresql": {"secretName": "db"}}}
    assert values(spec, {})["config"]["metadata"]["postgresql"] == {"secretName": "db", "managed": None}


def test_what_the_operator_was_installed_with_is_below_the_specification() -> None:
    found = values(
        {"managementState": "Managed", "replicas": 2, "storage": PVC},
        {"image": {"tag": "9"}, "config": {"replicas": 5}},
    )
    assert found["image"] == {"tag": "9"}
    assert found["config"]["replicas"] == 2


def test_a_removed_registry_keeps_the_storage_and_the_database_of_the_release() -> None:
    applied = {"storage": {"s3": {"bucket": "a"}, "pvc": None}, "metadata": {"postgresql": {"secretName": "db"}}}
    found = values({}, {}, applied)["config"]
    assert storage_of(found) == ("s3", {"bucket": "a"})
    assert found["storage"]["pvc"] is None
    assert found["metadata"] == {"postgresql": {"secretName": "db"}}


def test_neither_the_specification_nor_the_release_is_written() -> None:
    spec: dict[str, Any] = {"managementState": "Managed", "storage": {"s3": {"bucket": "b"}}}
    values(spec, {}, {"storage": PVC})["config"]["storage"]["s3"]["bucket"] = "changed"
    assert spec == {"managementState": "Managed", "storage": {"s3": {"bucket": "b"}}}


def test_null_stays_and_lists_are_replaced() -> None:
    assert merged({"a": {"b": 1, "c": [1]}}, {"a": {"b": None, "c": [2]}}) == {"a": {"b": None, "c": [2]}}


@pytest.mark.parametrize(
    ("storage", "place"),
    [
        ({}, "no storage"),
        ({"pvc": {}}, "claim image-registry-storage"),
        ({"pvc": {"claim": "mine", "size": "2Gi"}}, "claim mine"),
        ({"emptyDir": {}}, "emptyDir of the Pod"),
        ({"s3": {"bucket": "b", "region": "r"}}, "s3 b of r"),
        ({"s3": {"bucket": "b", "regionEndpoint": "https://e", "rootDirectory": "f"}}, "s3 b of https://e, folder f"),
        ({"swift": {"authURL": "https://k", "container": "c"}}, "swift c of https://k"),
    ],
    ids=str,
)
def test_a_place_is_told_in_words(storage: dict[str, Any], place: str) -> None:
    assert place_of({"storage": storage}) == place


def test_what_is_said_to_the_operator_alone_changes_no_release() -> None:
    spec = {"managementState": "Managed", "storage": {"emptyDir": {}}}
    assert values({**spec, "operatorLogLevel": "Debug"}, {}) == values(spec, {})
