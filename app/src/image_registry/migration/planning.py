"""Planning: one pure function from a case to a plan, with the same result for the same case."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from image_registry.migration import moving_steps, preparing_steps, release_steps, route_steps
from image_registry.migration.assess import assess
from image_registry.migration.case import Case
from image_registry.migration.choices import Way
from image_registry.migration.documents import digest_of, to_document
from image_registry.migration.limit_conversion import convert_limits
from image_registry.migration.phases import ORDER, Phase
from image_registry.migration.plan import VERSION, Estimate, Plan, Step, sealed
from image_registry.migration.pruner_conversion import convert_cleanups
from image_registry.migration.rewriting import rewrites
from image_registry.migration.role_conversion import convert_roles
from image_registry.migration.target_values import gaps, target_values
from image_registry.migration.volume_sharing import why_not_both

_PAUSED = frozenset({Phase.FREEZE, Phase.ATTACH, Phase.COPY, Phase.BACKFILL, Phase.GATES, Phase.CUTOVER})
"""While these last nobody can push."""


def plan(case: Case, *, made: str = "") -> Plan:
    """What would be done, in the order in which it would be done."""
    findings = assess(case)
    values = target_values(case)
    pruner = {**convert_cleanups(case.inventory.cleanups).values, "registryHosts": list(case.inventory.hosts)}
    roles = convert_roles(case.inventory.roles)
    known = {entry.object.namespace for entry in case.inventory.pull_secrets}
    limits = convert_limits(case.inventory.limits, case.namespaces or known)
    names = {name: name for name in case.names} | dict(case.new_names)
    changed = tuple(rewrites(case.inventory.consumers, host=case.choices.host, moving=case.moving_hosts, renames=names))
    found: list[Step] = []
    if case.installation is not None:
        found += moving_steps.serving(case, Phase.PREPARE)  # the last thing that a rollback looks at
        found += release_steps.hold(case)  # before anything that such a release renders
        found += preparing_steps.prepare(case, values, pruner, roles, limits)
        found += route_steps.let_in(case, values)
        found += release_steps.not_applied(case)
        found += preparing_steps.freeze(case)
        found += preparing_steps.attach(case)
        found += preparing_steps.copy(case)
        found += moving_steps.backfill(case)
        found += moving_steps.gates(case)
        found += moving_steps.cutover(case, changed, values)
        found += moving_steps.observe(case)
        found += moving_steps.finalize(case)
    found.sort(key=lambda step: ORDER.index(step.phase))  # stable: the order within a phase stays
    why = case.why_not_reuse if case.way is Way.COPY else "the same storage can be served"
    return sealed(
        Plan(
            VERSION,
            made,
            case.installation.name if case.installation else "",
            case.inventory.namespace,
            case.inventory.target.namespace,
            case.inventory.server,
            case.way.value,
            why or "it was chosen",
            case.choices.host,
            digest_of(to_document(replace(case.inventory, taken=""))),
            values,
            pruner,
            replace(case.summary, seconds=0.0) if case.summary else None,
            tuple(found),
            case.renames,
            changed,
            roles,
            limits,
            gaps(case),
            findings,
            _estimate(case, found),
            cluster_uid=case.inventory.cluster_uid,
            global_uid=case.inventory.global_uid,
        )
    )


def _estimate(case: Case, found: Iterable[Step]) -> Estimate:
    listed = [step for step in found if step.phase not in (Phase.OBSERVE, Phase.FINALIZE)]
    size = case.summary.size if case.summary else 0
    assumptions = [f"{case.choices.images_per_second:.0f} images a second in backfill and gates"]
    if case.way is Way.COPY:
        assumptions.insert(0, f"{case.choices.mib_per_second:.0f} MiB a second copied")
    if case.way is Way.REUSE and why_not_both(case.storage):
        assumptions.append("pulls pause from attach to the end of the cutover: the old registry has to be stopped then")
    if case.summary is None:
        assumptions.append("the registry was not surveyed: sizes are not known")
    return Estimate(
        size if case.way is Way.COPY else 0,
        case.summary.manifests if case.summary else 0,
        round(sum(step.seconds for step in listed), 1),
        round(sum(step.seconds for step in listed if step.phase in _PAUSED), 1),
        tuple(assumptions),
    )
