"""A claim that somebody made since the plan, under the name of ours, is told before anybody is kept from pushing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from image_registry.kube.client import object_path
from image_registry.migration import before_freeze
from image_registry.migration.actions import StepFailed
from image_registry.migration.binding import VOLUME, Bind
from image_registry.migration.facts import ObjectName
from image_registry.migration.phases import Action, Phase
from image_registry.migration.plan import Step

CLAIM = ObjectName("PersistentVolumeClaim", "image-registry-storage", "here")
STEPS = [
    Step("freeze/roles", Phase.FREEZE, Action.PATCH, "Freeze"),
    Step("attach/bind", Phase.ATTACH, Action.BIND, "Bind", CLAIM),
]


class Claims:
    """A named fake of an API server with one claim at most."""

    def __init__(self, volume: str | None) -> None:
        self._volume = volume

    def find(self, path: str) -> dict[str, Any] | None:
        if path == "/api/v1":
            return {"resources": [{"name": "persistentvolumeclaims", "kind": CLAIM.kind, "namespaced": True}]}
        here = object_path("v1", "persistentvolumeclaims", CLAIM.name, namespace=CLAIM.namespace)
        return {"spec": {"volumeName": self._volume}} if path == here and self._volume is not None else None


@pytest.mark.parametrize(("volume", "told"), [(None, False), (VOLUME, False), ("pvc-1", True), ("", True)])
def test_a_claim_with_the_name_of_ours_is_told_before_the_freeze(
    monkeypatch: pytest.MonkeyPatch, volume: str | None, told: bool
) -> None:
    for look in ("_by_hand", "_installation", "_survey", "_source", "_target", "_objects", "_hosts", "_rights"):
        monkeypatch.setattr(before_freeze, look, lambda *_: iter(()))  # each has tests of its own
    context = cast(
        "Any",
        SimpleNamespace(client=Claims(volume), tell=lambda _line: None, accepts=lambda _name: False),
    )
    journal = cast("Any", SimpleNamespace(left=lambda: STEPS))
    found = before_freeze.hindrances(context, journal)
    expected = ["claim:PersistentVolumeClaim here/image-registry-storage"] if told else []
    assert [entry.id for entry in found] == expected
    if told:
        with pytest.raises(StepFailed, match="is there already, for another volume"):
            Bind().before(STEPS[1], context)
