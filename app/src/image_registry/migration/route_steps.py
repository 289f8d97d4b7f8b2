"""How a host goes from one Ingress to another, with somebody answering by it at every moment. Pure.

Controllers may refuse a second Ingress with the host and the path of another one, so both cannot have ``/``. Of two
paths the longer one counts. So the old Ingress keeps ``/v2``, which is all that clients of a registry ask for; then the
one of this registry is made with ``/``, and answers when the old one goes. Taken back in the other
order it is the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from image_registry.migration.case import Case
from image_registry.migration.phases import Action, Phase
from image_registry.migration.plan import Step
from image_registry.migration.rewriting import Change

KEPT = "/v2"
NARROWED = "narrowed"
"""Parameter of the steps that leave an old Ingress that path alone."""
_BACK = "the saved object is written back"


def let_in(case: Case, values: Mapping[str, Any]) -> Iterator[Step]:
    """While nothing is refused to anybody yet, the API server is asked whether it will let the hosts go over."""
    if values.get("routes"):
        yield Step(
            "prepare/routes",
            Phase.PREPARE,
            Action.GATE,
            "Gate: the cluster lets the hosts of the old registry go over to this one",
            parameters={
                "gate": "routes",
                "routes": list(values["routes"]),
                "namespace": case.inventory.target.namespace,
            },
            seconds=5,
        )


def hosts_over(case: Case, values: Mapping[str, Any]) -> Iterator[Step]:
    """The old Ingresses are narrowed, this registry's are made, the old ones go."""
    target = case.inventory.target.namespace
    exposures = case.installation.exposures if case.installation else ()
    ingresses = [exposed for exposed in exposures if exposed.object.kind == "Ingress"]
    if values.get("routes"):
        for exposed in ingresses:
            if exposed.roots:
                yield Step(
                    f"cutover/narrow/{exposed.object}",
                    Phase.CUTOVER,
                    Action.PATCH,
                    f"Leave {KEPT} of {', '.join(exposed.hosts)} alone to the old registry, so that both may have them",
                    exposed.object,
                    tuple(Change(pointer, path, KEPT) for pointer, path in exposed.roots.items()),
                    parameters={NARROWED: True},
                    undo=_BACK,
                    seconds=1,
                )
        yield Step(
            "cutover/routes",
            Phase.CUTOVER,
            Action.INSTALL,
            "Let this registry answer by the hosts of the old one too",
            parameters={"values": {"routes": values["routes"]}, "namespace": target},
            undo="it answers by its own host alone again",
            seconds=30,
        )
    for exposed in ingresses:
        yield Step(
            f"cutover/{exposed.object}",
            Phase.CUTOVER,
            Action.DELETE,
            f"Let {', '.join(exposed.hosts)} lead to this registry alone: remove {exposed.object}",
            exposed.object,
            parameters={"hosts": list(exposed.hosts), "namespace": target},
            undo=_BACK,
            seconds=10,
        )
