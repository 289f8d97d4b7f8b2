"""What a restore leaves as it is in a living registry. Pure."""

from __future__ import annotations

from typing import Any

from image_registry.backup.restore_plan import LARGEST, as_there, is_too_large
from image_registry.image_api.answers import MAX_BODY


def config(**spec: Any) -> dict[str, Any]:
    return {"kind": "Config", "metadata": {"name": "cluster"}, "spec": spec}


def test_where_a_living_registry_keeps_its_bytes_and_tables_is_not_changed() -> None:
    saved = config(logLevel="Debug", storage={"pvc": {"claim": "old"}}, metadata={"postgresql": {"secretName": "old"}})
    there = config(logLevel="Normal", storage={"s3": {"bucket": "now"}})
    assert as_there(saved, there) == config(logLevel="Debug", storage={"s3": {"bucket": "now"}})
    assert as_there(saved, saved) == saved


def test_other_objects_come_back_as_they_were() -> None:
    saved = {"kind": "ConfigMap", "metadata": {"name": "one"}, "spec": {"storage": 1}}
    assert as_there(saved, {"spec": {"storage": 2}}) == saved


def test_wishes_that_the_image_api_would_not_take_at_once_are_known_before() -> None:
    tag = {"name": "x" * 71, "from": {"kind": "DockerImage", "name": "y" * 250}}
    history = {"status": {"tags": [{"tag": "v1", "items": [{"image": "z" * 71}] * 100_000}]}}
    assert not is_too_large({"spec": {"tags": [tag] * 100}, **history})
    assert is_too_large({"spec": {"tags": [tag] * 9000}})
    assert LARGEST < MAX_BODY
