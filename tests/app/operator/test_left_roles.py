"""Whose a role is, by what the operator was told, the role itself and the release."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from image_registry.kube.release_marks import marks
from image_registry.operator.left_roles import left_roles
from image_registry.operator.release_record import Release

OURS, OTHERS = marks("image-registry", "ours"), marks("image-registry", "theirs")
ROLE = {"kind": "ClusterRole", "metadata": {"name": "system:image-puller"}}


def made(*objects: dict[str, Any]) -> Release:
    return Release("r1", 1, "deployed", {}, yaml.safe_dump_all(objects), "", None)


@pytest.mark.parametrize(
    ("annotations", "release", "left"),
    [
        (OTHERS, None, True),
        (OTHERS, made(), True),
        ({}, made(ROLE), True),  # Helm would not take it over either
        (OURS, made(), False),
        (OURS, None, False),
        (None, None, True),
        (None, made(), True),  # another release makes it any moment now
        (None, made(ROLE), False),  # somebody has deleted ours
    ],
)
def test_a_role_is_left_until_it_is_this_registrys_own(
    annotations: dict[str, str] | None, release: Release | None, left: bool
) -> None:
    name = "system:image-puller"
    roles = {} if annotations is None else {name: {"metadata": {"name": name, "annotations": annotations}}}
    assert left_roles([name], roles, release, "ours") == ([name] if left else [])
