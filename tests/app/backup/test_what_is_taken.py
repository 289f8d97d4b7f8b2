"""Which objects are people's, and which an installation makes again. Pure."""

from __future__ import annotations

from typing import Any

import pytest

from image_registry.backup.kinds import ACCESS

BINDINGS = ACCESS[1]


def binding(**labels: str) -> dict[str, Any]:
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:image-pusher"}
    names = {f"app.kubernetes.io/{key.replace('_', '-')}": value for key, value in labels.items()}
    return {"metadata": {"name": "one", "namespace": "team", "labels": names}, "roleRef": role}


@pytest.mark.parametrize("labels", [{}, {"managed_by": "Helm"}, {"managed_by": "Helm", "part_of": "shop"}])
def test_what_people_made_is_taken_also_by_a_chart_of_theirs(labels: dict[str, str]) -> None:
    assert BINDINGS.takes(binding(**labels))


@pytest.mark.parametrize(
    "labels",
    [
        {"managed_by": "Helm", "part_of": "image-registry"},
        {"managed_by": "image-registry-bootstrap"},
        {"managed_by": "cluster-image-registry-operator"},
    ],
)
def test_what_an_installation_makes_again_is_not(labels: dict[str, str]) -> None:
    assert not BINDINGS.takes(binding(**labels))
