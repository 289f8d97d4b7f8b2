"""A version takes of a specification what it knows, and names the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from image_registry.operator.known_fields import Language

CHART = Path(__file__).resolve().parents[3] / "charts/image-registry"
WHOLE: dict[str, Any] = {
    "managementState": "Managed",
    "storage": {"s3": {"bucket": "b", "region": "r"}, "pvc": None},
    "nodeSelector": {"any": "label"},
    "tolerations": [{"key": "any", "operator": "Exists"}],
    "routes": [{"name": "a", "hostname": "a.example.com"}],
    "metadata": {"postgresql": {"managed": {"size": "1Gi"}}},
    "proxy": {"http": "http://proxy.example.com"},
}


@pytest.fixture
def language() -> Language:
    return Language.of_chart(CHART)


def test_what_is_known_is_taken_as_it_is(language: Language) -> None:
    assert language.understood(WHOLE) == (WHOLE, ())


def test_what_is_not_known_is_left_out_and_named(language: Language) -> None:
    spec = json.loads(json.dumps(WHOLE))
    spec["later"] = {"a": 1}
    spec["storage"]["s3"]["later"] = True
    spec["routes"][0]["later"] = 1
    assert language.understood(spec) == (WHOLE, ("spec.storage.s3.later", "spec.routes[].later", "spec.later"))
