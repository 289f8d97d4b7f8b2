# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The door to the execution of a migration plan. No rule is here: arguments become questions, answers documents.

Private to this collection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.alauda.registry.plugins.module_utils._migration import MigrationError
from ansible_collections.alauda.registry.plugins.module_utils._spelling import for_playbooks

try:
    from image_registry.kube.client import ClusterClient
    from image_registry.kube.errors import ClusterUnreachable, KubeconfigError, KubeError
    from image_registry.migration.actions import RegistryDoor
    from image_registry.migration.before_freeze import hindrances, listed
    from image_registry.migration.documents import to_document
    from image_registry.migration.doing import DOERS
    from image_registry.migration.execution import (
        Refused,
        Stopped,
        TooEarly,
        held,
        rollback,
        run,
        steps_of,
        to_undo,
        without_holes,
    )
    from image_registry.migration.foreseeing import foresee, foresee_back, lines, looked_at
    from image_registry.migration.journal import State
    from image_registry.migration.opening import (
        Asked,
        Migration,
        chosen_phases,
        folder_beside,
        load_journal,
        open_migration,
        takes_away,
    )
    from image_registry.migration.phases import Phase
    from image_registry.migration.plan import only_looks
    from image_registry.migration.reports import Reports
    from image_registry.migration.standing import standing
    from image_registry.migration.step_results import named_in, results_of
    from image_registry.remote.asking import Access
    from image_registry.remote.authorities import NoAuthorities, authorities
    from image_registry.remote.credentials import Login
except ImportError:
    pass  # need_package of _migration says so

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Result:
    """Whether something changed, or would by a run with the same arguments; a line for each step; how far it is.

    ``waits`` says what it is too early for; empty where nothing is. ``changes`` names the steps that changed something,
    or would; ``unknown`` says of which steps that is not known yet, and why.
    """

    changed: bool
    steps: list[str]
    progress: dict[str, Any]
    waits: str = ""
    changes: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


def execute(asked: dict[str, Any], tell: Tell, *, only_show: bool) -> Result:
    """Run phases. Raises :class:`MigrationError`; then the journal knows how far it got."""
    found = None
    before: set[str] = set()
    try:
        phases = chosen_phases(asked["phases"], asked["until"] or "")
        confirmed = asked["confirm"] or not takes_away(phases)
        if only_show or not confirmed:
            asked = {**asked, "_check": True}  # nothing is written
            with looked_at(Path(asked["journal"])) as scratch:
                found = _opened(asked, tell, scratch)
                before = _written(found)
                return _foreseen(found, asked, phases, tell, confirmed=confirmed)
        with held(Path(asked["journal"])):
            found = _opened(asked, tell)
            before = _written(found)
            steps = steps_of(found.journal, without_holes(found.plan, phases, for_playbooks))
            waits = ""
            try:
                with _reports(found, asked, tell).kept_up():
                    run(found.context, found.journal, DOERS, phases)
            except TooEarly as early:
                waits = _explained(early, found, asked)
                tell(waits)
            done = [f"{step.phase} {step.id}: {step.title}" for step in steps]
            after = _written(found)
            changes = tuple(step.id for step in found.plan.steps if step.id in after - before)
            return Result(after != before, done, _progress(found, asked, tell), waits, changes)
    except (Refused, Stopped, KubeError, ClusterUnreachable, KubeconfigError) as error:
        raise _stopped(error, found, before, asked) from None


def _foreseen(found: Migration, asked: dict[str, Any], phases: Any, tell: Tell, *, confirmed: bool) -> Result:
    """As a run would end, too; without a confirmation nothing would be done, so the list is all."""
    seen = foresee(found.context, found.journal, DOERS, phases, [Phase(name) for name in asked["assume"]])
    steps, waits = lines(seen.steps), ""
    if steps and not confirmed:
        if seen.end is not None:
            tell(f"a run would end by this: {_explained(seen.end, found, asked)}")
        tell("nothing was done: finalize wants confirm=true")
    changes = tuple(entry.step.id for entry in seen.steps if entry.writes and confirmed)
    unknown = tuple(f"{entry.step.id}: {entry.unknown}" for entry in seen.steps if entry.unknown)
    if confirmed and isinstance(seen.end, TooEarly):
        waits = _explained(seen.end, found, asked)
        tell(waits)
    elif confirmed and seen.end is not None:
        said = str(_stopped(seen.end, found, set(), asked))
        raise MigrationError(said, changed=bool(changes), steps=steps)
    return Result(bool(changes), steps, _progress(found, asked, tell), waits, changes, unknown)


def _written(found: Migration) -> set[str]:
    """Steps that are done and changed something."""
    return {step.id for step in found.plan.steps if not only_looks(step) and found.journal.state(step) is State.DONE}


def look_ahead(asked: dict[str, Any], tell: Tell, *, only_show: bool) -> Result:
    """What later phases would stumble over. Raises :class:`MigrationError` with the whole list."""
    del only_show  # nothing is written
    found = None
    try:
        with looked_at(Path(asked["journal"])) as scratch:
            found = _opened(asked, tell, scratch)
            hindered = hindrances(found.context, found.journal)
            state = _reports(found, asked, tell).now()
    except (Refused, KubeError, ClusterUnreachable, KubeconfigError) as error:
        raise MigrationError(_explained(error, found, asked)) from None
    if hindered:
        raise MigrationError(listed(hindered, for_playbooks))
    return Result(changed=False, steps=[], progress=to_document(state))


def take_back(asked: dict[str, Any], tell: Tell, *, only_show: bool) -> Result:
    """Roll back. Raises :class:`MigrationError`."""
    found = None
    before: set[str] = set()
    try:
        if only_show or not asked["confirm"]:
            asked = {**asked, "_check": True}
            with looked_at(Path(asked["journal"])) as scratch:
                found = _opened(asked, tell, scratch)
                before = _written(found)
                return _foreseen_back(found, asked, tell)
        with held(Path(asked["journal"])):
            found = _opened(asked, tell)
            before = _written(found)
            back = [step for step, _saved in to_undo(found.journal)]
            with _reports(found, asked, tell).kept_up():
                done = rollback(found.context, found.journal, DOERS)
            changes = tuple(step.id for step in back)
            return Result(done > 0, _backwards(back), _progress(found, asked, tell), changes=changes)
    except (Refused, Stopped, KubeError, ClusterUnreachable, KubeconfigError) as error:
        raise _stopped(error, found, before, asked) from None


def _foreseen_back(found: Migration, asked: dict[str, Any], tell: Tell) -> Result:
    """Without a confirmation nothing would be done, so nothing is looked at but the journal."""
    if not asked["confirm"]:
        back = _backwards(step for step, _saved in to_undo(found.journal))
        if back:
            tell("nothing was done: a rollback wants confirm=true")
        return Result(changed=False, steps=back, progress=_progress(found, asked, tell))
    seen = foresee_back(found.context, found.journal, DOERS)
    back = _backwards(entry.step for entry in seen.steps)
    if seen.end is not None:
        raise MigrationError(str(_stopped(seen.end, found, set(), asked)), steps=back)
    changes = tuple(entry.step.id for entry in seen.steps)
    return Result(bool(changes), back, _progress(found, asked, tell), changes=changes)


def _backwards(steps: Iterable[Any]) -> list[str]:
    return [f"{step.phase} {step.id}: {step.undo}" for step in steps]


def stands(plan: str, journal: str) -> dict[str, Any]:
    """How a plan and its journal stand. Raises :class:`MigrationError`."""
    try:
        found = standing(Path(plan), Path(journal), for_playbooks)
        done = load_journal(Path(journal), found.plan) if found.plan else None
        state = Reports(found.plan, done, folder_beside(Path(journal))).now() if done else None
    except Refused as error:
        raise MigrationError(str(error)) from None
    return {
        "state": found.stand.value,
        "why": found.why,
        "digest": found.plan.digest if found.plan else "",
        "ready": found.plan is not None and found.plan.ready,
        "progress": to_document(state) if state else {},
    }


def _stopped(error: Exception, found: Migration | None, before: set[str], asked: dict[str, Any]) -> MigrationError:
    """What a run that ended early says, with the cause of each thing that it names; ``before`` is of its beginning."""
    if found is None:
        return MigrationError(_explained(error, found, asked))
    causes = named_in(str(error), results_of(found.plan, found.journal, found.context.folder))
    said = _explained(error, found, asked) + "".join(f"\n- {cause}" for cause in causes)
    return MigrationError(said, changed=_written(found) != before)


def _explained(error: Exception, found: Migration | None, asked: dict[str, Any]) -> str:
    """With what of the role comes next."""
    said = str(error)
    if found is None:
        return said
    if asked["state"] == "rolled_back":
        return f"{said}. Next: rollback of the role migrate (playbooks/rollback.yml)" if _goes_back(found) else said
    phase = next((step.phase for step in found.journal.left()), None)
    return f"{said}. Next: tag {phase} of the role migrate" if phase else said


def _goes_back(found: Migration) -> bool:
    """Whether something is left that a rollback may take back."""
    try:
        return bool(to_undo(found.journal))
    except Refused:
        return False


def _opened(asked: dict[str, Any], tell: Tell, scratch: Path | None = None) -> Migration:
    """``scratch`` where one only looks."""
    kubeconfig = Path(asked["kubeconfig"])
    beyond = asked["global_kubeconfig"]
    return open_migration(
        Asked(
            plan=Path(asked["plan"]),
            journal=Path(asked["journal"]),
            client=ClusterClient.from_kubeconfig(kubeconfig, asked["context"]),
            kubeconfig=kubeconfig,
            context=asked["context"],
            global_client=ClusterClient.from_kubeconfig(Path(beyond)) if beyond else None,
            method=asked["method"] or "",
            chart=asked["chart_ref"] or "",
            chart_version=asked["chart_version"] or "",
            helm=asked["helm_binary"],
            values=asked["values"],
            content=Path(asked["content"]) if asked["content"] else None,
            source=_door(asked, "source"),
            target=_door(asked, "target"),
            accepted=tuple(asked["accept"]),
            max_per_registry=asked["max_per_registry"],
            tell=tell,
            spelling=for_playbooks,
            scratch=scratch,
        )
    )


def _door(asked: dict[str, Any], which: str) -> RegistryDoor | None:
    url, token = asked[f"{which}_url"], asked[f"{which}_token"]
    if not url and which == "source":
        return None  # this registry is found by its Service
    try:
        trusted = authorities(Path(asked["ca_path"])) if asked["ca_path"] else ""
    except NoAuthorities as error:
        raise Refused(f"ca_path: {error}") from None
    insecure = (url or "").startswith("http://") or not asked["validate_certs"]
    access = Access(insecure=insecure, login=Login(registry_token=token) if token else None)
    return RegistryDoor(url or "", access, trusted)


def _progress(found: Migration, asked: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """How far it is; in check mode no report is touched."""
    reports = _reports(found, asked, tell)
    document: dict[str, Any] = to_document(reports.now() if asked["_check"] else reports.write())
    return document


def _reports(found: Migration, asked: dict[str, Any], tell: Tell) -> Reports:
    html, document = (Path(asked[name]) if asked[name] else None for name in ("html", "report"))
    return Reports(found.plan, found.journal, found.context.folder, html=html, document=document, tell=tell)
