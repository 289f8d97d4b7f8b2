"""Roles that the operator was told to leave, at the end of a migration: waited for where somebody makes them."""

from __future__ import annotations

from typing import Any, cast

import pytest

from image_registry.migration.actions import StepFailed
from image_registry.migration.cluster_objects import Document
from image_registry.migration.config_settings import ConfigSettings
from image_registry.migration.spelling import OPERATOR
from tests.app.migration.test_before_the_end import Roles


def test_a_role_that_nobody_makes_is_not_waited_for() -> None:
    class Release:
        def current(self) -> Document:
            return {"clusterRoles": {"leave": ["system:image-puller"]}}

    told = {"metadata": {"name": OPERATOR}, "data": {"operand.yaml": "clusterRoles: {leave: [system:image-puller]}"}}
    config = {"metadata": {"name": "cluster", "generation": 1}, "spec": {}}

    class Configured(Roles):
        def find(self, path: str) -> Document | None:
            if path == "/apis/imageregistry.operator.alauda.io/v1":
                return {"resources": [{"name": "configs", "kind": "Config", "namespaced": False}]}
            return super().find(path)

    place = "/apis/imageregistry.operator.alauda.io/v1/configs/cluster"
    settings = ConfigSettings(
        client=cast("Any", Configured({place: config, f"/api/v1/namespaces/n/configmaps/{OPERATOR}": told})),
        namespace="n",
        owner=cast("Any", Release()),
        sleep=lambda _seconds: pytest.fail("waited"),
    )
    with pytest.raises(StepFailed, match=r"system:image-puller does not exist, .*leave: \[\]\}` into operand.yaml"):
        settings.write({"config": {}, "clusterRoles": {"leave": []}}, print)
