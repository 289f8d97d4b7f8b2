"""Steps that keep the platform from applying the release before again, and see that it does not. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from image_registry.migration.case import Case
from image_registry.migration.gate_facts import gate_facts
from image_registry.migration.phases import Action, Phase
from image_registry.migration.plan import Step

NOT_APPLIED = "Gate: the platform does not apply the release before again"
STILL_CLOSED = "Gate: the registry before is still closed, and nothing of it came back"


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


def not_applied(case: Case) -> Iterator[Step]:
    """Right before the freeze, which a release that is applied again would take back."""
    if case.inventory.releases:
        yield _applied(case, "freeze/applied", Phase.FREEZE, NOT_APPLIED)


def still_closed(case: Case, name: str, phase: Phase) -> Step:
    """Behind the cutover, whoever may have made the release: somebody else can give rights back, too."""
    return _applied(case, name, phase, STILL_CLOSED)


def _applied(case: Case, name: str, phase: Phase, title: str) -> Step:
    return Step(
        name,
        phase,
        Action.GATE,
        title,
        parameters={"gate": "applied", **gate_facts(case, "applied")},
        seconds=5,
    )
