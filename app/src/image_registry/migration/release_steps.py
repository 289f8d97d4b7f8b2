"""Steps that keep the platform from applying the release before again, and see that it does not. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from image_registry.migration.case import Case
from image_registry.migration.gate_facts import gate_facts
from image_registry.migration.phases import Action, Phase
from image_registry.migration.plan import Step

NOT_APPLIED = "Gate: the platform does not apply the release before again"


def hold(case: Case) -> Iterator[Step]:
    """Before anything is written that such a release renders; the last thing but one that a rollback gives back."""
    for release in case.inventory.releases:
        annotations = [sync.annotation for sync in release.syncs if sync.on]
        if annotations:
            yield Step(
                f"prepare/hold/{release.object}",
                Phase.PREPARE,
                Action.HOLD,
                f"Keep the platform from applying {release.object} again ({', '.join(annotations)})",
                release.object,
                parameters={"annotations": annotations},
                undo="it is applied again as before",
                seconds=1,
            )


def not_applied(case: Case, phase: Phase) -> Iterator[Step]:
    """Right before something that a release which is applied again would take back."""
    if case.inventory.releases:
        yield Step(
            f"{phase}/applied",
            phase,
            Action.GATE,
            NOT_APPLIED,
            parameters={"gate": "applied", **gate_facts(case, "applied")},
            seconds=1,
        )
