"""What is to be done about the release: nothing, apply, or first put an end to what another process left. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from image_registry.kube.release_record import Release
from image_registry.operator import config_values
from image_registry.operator.config_values import REMOVED, UNMANAGED

LEFT_BEHIND = timedelta(seconds=30)
"""Age at which a pending revision counts as left behind: whoever began it holds no lease any more."""


@dataclass(frozen=True, slots=True)
class Plan:
    """``apply`` carries values; ``heal`` takes a pending revision away; ``stop`` ends the upgrade that runs."""

    action: Literal["rest", "wait", "stop", "heal", "apply"]
    why: str = ""
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)
    keep_claim: str = ""
    """A claim that would be deleted by this change and must not be."""
    moved_from: str = ""


def plan(
    spec: Mapping[str, Any],
    release: Release | None,
    base: Mapping[str, Any],
    drift: tuple[str, ...],
    now: datetime,
    applying: Mapping[str, Any] | None = None,
    *,
    owned: bool = False,
) -> Plan:
    """``base`` are the values that the operator was installed with, ``applying`` those of an upgrade that runs.

    ``owned`` is true if the operator itself has made what the images and their names lie in.
    """
    state = config_values.state_of(spec)
    if applying is not None:
        return _meanwhile(spec, base, applying, owned=owned)
    if state == UNMANAGED:
        return Plan("rest", "spec.managementState is Unmanaged")
    if release is not None and release.pending:
        if release.written is not None and now - release.written < LEFT_BEHIND:
            return Plan("wait", f"revision {release.revision} is {release.status}")
        return Plan("heal", f"revision {release.revision} was left {release.status} by a process that is gone")
    if release is None and state == REMOVED:
        return Plan("rest", "there is nothing to remove")
    applied = (release.values.get("config") or {}) if release is not None else {}
    gone = release is not None and bool(release.values.get(config_values.DELETE_STORAGE))
    wanted = config_values.values(spec, base, applied, delete_storage=owned or gone)
    if release is None:
        return Plan("apply", "there is no registry yet", wanted)
    moved = moved_from(wanted["config"], applied)
    keep = claim_let_go(wanted, applied)
    if _without_nulls(release.values) != _without_nulls(wanted):
        return Plan("apply", _difference(release.values, wanted), wanted, keep, moved)
    if not release.deployed:
        return Plan("apply", f"revision {release.revision} is {release.status}", wanted, keep, moved)
    if drift:
        return Plan("apply", f"somebody changed or deleted {', '.join(drift)}", wanted)
    return Plan("rest", "the release is what the specification says")


def _meanwhile(spec: Mapping[str, Any], base: Mapping[str, Any], applying: Mapping[str, Any], *, owned: bool) -> Plan:
    """While Helm runs its record is pending, which is no concern; only that it runs towards what is wanted."""
    delete = owned or bool(applying.get(config_values.DELETE_STORAGE))
    wanted = config_values.values(spec, base, applying.get("config"), delete_storage=delete)
    if config_values.state_of(spec) == UNMANAGED or wanted != applying:
        return Plan("stop", "the specification changed while helm ran")
    return Plan("wait", "helm runs")


def deletes_storage(plan: Plan, spec: Mapping[str, Any], release: Release | None) -> bool:
    """Whether claims that Helm has let go of are deleted now: only while just that is still wanted and Helm is done.

    Its record says so from its first moment on; who changes his mind meanwhile, to Unmanaged too, keeps his images.
    """
    if plan.action != "rest" or config_values.state_of(spec) != REMOVED or release is None or not release.deployed:
        return False
    return bool(release.values.get(config_values.DELETE_STORAGE))


def moved_from(wanted: Mapping[str, Any], applied: Mapping[str, Any]) -> str:
    """The place that images are no longer looked for in; empty if they stay where they are."""
    before, after = config_values.place_of(applied), config_values.place_of(wanted)
    return before if config_values.storage_of(applied) is not None and before != after else ""


def left_place(history: Sequence[Release]) -> str:
    """The place of the images before the storage was changed, as far as Helm's history reaches; the newest is first."""
    for later, earlier in itertools.pairwise(history):
        if found := moved_from(later.values.get("config") or {}, earlier.values.get("config") or {}):
            now = config_values.place_of(history[0].values.get("config") or {})
            return found if found != now else ""
    return ""


def claim_let_go(wanted: Mapping[str, Any], applied: Mapping[str, Any]) -> str:
    """The chart's own claim, if this change takes it out of the release: Helm would delete a Managed one.

    Also when it is to go: Helm would do that before it is done, and a removal can be called off until then.
    """
    leaves = bool(wanted.get(config_values.DELETE_STORAGE)) or not _own_claim(wanted["config"])
    return config_values.CLAIM if _own_claim(applied) and leaves else ""


def _own_claim(config: Mapping[str, Any]) -> bool:
    found = config_values.storage_of(config)
    return found is not None and found[0] == "pvc" and not found[1].get("claim")


def _without_nulls(values: Any) -> Any:
    """Helm's record may leave them out; which there are follows from the rest."""
    if isinstance(values, Mapping):
        return {name: _without_nulls(part) for name, part in values.items() if part is not None}
    return values


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    names = sorted(_different("", before, after))
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return f"changed: {shown}"


def _different(path: str, before: Any, after: Any) -> set[str]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        found: set[str] = set()
        for name in set(before) | set(after):
            found |= _different(f"{path}.{name}" if path else name, before.get(name), after.get(name))
        return found
    return set() if before == after else {path}
