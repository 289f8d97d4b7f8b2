"""Whose a role is, by what the operator was told, the role itself and the release."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from image_registry.kube.release_marks import own
from image_registry.kube.release_record import Release
from image_registry.operator.left_roles import left_roles

NAME = "system:image-puller"
ROLE = {"kind": "ClusterRole", "metadata": {"name": NAME}}
OURS, OTHERS = own(ROLE, "image-registry", "ours"), own(ROLE, "image-registry", "theirs")
HALF = {"kind": "ClusterRole", "metadata": {"name": NAME, "annotations": OURS["metadata"]["annotations"]}}


def made(*objects: dict[str, Any], status: str = "deployed") -> Release:
    return Release("r1", 1, status, {}, yaml.safe_dump_all(objects), "", None)


@pytest.mark.parametrize(
    ("role", "history", "left"),
    [
        (OTHERS, [], True),
        (OTHERS, [made()], True),
        (OTHERS, [made(ROLE, status="failed")], True),  # maybe just because of this role
        (HALF, [made()], True),  # Helm would refuse it
        (OURS, [made()], False),
        (OURS, [], False),
        (None, [], True),
        (None, [made()], True),  # another release makes it any moment now
        (None, [made(ROLE)], False),  # somebody has deleted ours
        (ROLE, [made(ROLE)], False),  # somebody has replaced ours: left, Helm would delete it
        (OTHERS, [made(ROLE)], False),
        (None, [made(status="failed"), made(ROLE, status="superseded")], False),
    ],
)
def test_a_role_is_left_until_it_is_this_registrys_own_and_never_again(
    role: dict[str, Any] | None, history: list[Release], left: bool
) -> None:
    roles = {} if role is None else {NAME: role}
    assert left_roles([NAME], roles, history, "ours") == ([NAME] if left else [])
