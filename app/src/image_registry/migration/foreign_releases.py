"""Releases that render something of the registry before and stay when it goes: held with the others, and given back.

A chart of the platform may own a role about legacy images, or the controller of pull Secrets, and much else. That it is
applied again has to end while a migration lasts, and only so long: the rest of what it renders is nobody's here. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from image_registry.migration.case import Case
from image_registry.migration.facts import ObjectName, ReleaseFact
from image_registry.migration.phases import Action, Phase
from image_registry.migration.plan import Step
from image_registry.migration.release_steps import hold


def stays(case: Case, release: ReleaseFact) -> bool:
    """Whether ``finalize`` lets it be: it is neither of the registry before nor of a gateway that goes with it."""
    gateway, installation = case.inventory.retired_gateway, case.installation
    records = [*(gateway.records if gateway else ()), *(installation.records if installation else ())]
    return release.object not in {record.object for record in records if record.cluster != "global"}


def rendered(case: Case, release: ReleaseFact) -> tuple[ObjectName, ...]:
    """What of the registry before it owns: roles about legacy images, and the controller of pull Secrets."""
    owned, controller = _owners(case, release), case.inventory.controller
    found = [role.object for role in case.inventory.roles if role.owner in owned]
    return (*found, *([controller.object] if controller is not None and controller.owner in owned else []))


def starts_controller(case: Case, release: ReleaseFact) -> bool:
    """Whether the controller of pull Secrets, which the cutover stops, runs again with the next time it is applied."""
    controller = case.inventory.controller
    return controller is not None and controller.owner in _owners(case, release)


def give_back(case: Case) -> Iterator[Step]:
    """Last of all, when nothing that such a release takes back is written any more."""
    held = {step.object: step for step in hold(case)}
    for release in case.inventory.releases:
        step = held.get(release.object)
        if step is not None and stays(case, release):
            yield Step(
                f"finalize/release/{release.object}",
                Phase.FINALIZE,
                Action.GIVE_BACK,
                f"Let the platform apply {release.object} again, which stays",
                release.object,
                parameters={"held": step.id},
                seconds=1,
            )


def told(case: Case) -> Iterator[str]:
    """What comes back with each of them, for the person who reads what remains."""
    for release in case.inventory.releases:
        if release.applied_again and stays(case, release) and (found := rendered(case, release)):
            yield f"{release.object} renders {', '.join(map(str, found))}"


def _owners(case: Case, release: ReleaseFact) -> frozenset[str]:
    return frozenset(f"{case.inventory.namespace}/{name}" for name in release.releases)
