"""From files and names to a migration that can be executed: for the command and for the module alike."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from image_registry.kube.client import ClusterClient
from image_registry.kube.errors import ClusterUnreachable, KubeError
from image_registry.migration.actions import MOST_PER_REGISTRY, PER_REGISTRY, Context, RegistryDoor, Settings
from image_registry.migration.config_settings import ConfigSettings, looked_after
from image_registry.migration.content import ContentFile
from image_registry.migration.documents import InvalidDocument
from image_registry.migration.execution import DEFAULT_LAST, Refused, phases_until
from image_registry.migration.helm_settings import HelmSettings
from image_registry.migration.installing import KEEPER
from image_registry.migration.journal import Journal
from image_registry.migration.phases import NO_WAY_BACK, READ_ONLY, Action, Phase
from image_registry.migration.plan import Plan, read_plan
from image_registry.migration.spelling import Said, Spelling, command_line

HELM, OPERATOR = "helm", "operator"
METHODS = (OPERATOR, HELM)
EXECUTED = tuple(phase.value for phase in Phase if phase not in READ_ONLY)
"""Names of phases that do something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What somebody says beside the plan."""

    plan: Path
    journal: Path
    client: ClusterClient
    kubeconfig: Path | None = None
    context: str | None = None
    global_client: ClusterClient | None = None
    method: str = ""
    """How this registry is installed; by default the operator's way if there is one."""
    chart: str = ""
    chart_version: str = ""
    helm: str = "helm"
    values: Mapping[str, Any] = field(default_factory=dict)
    """For the chart, below those of the plan."""
    content: Path | None = None
    source: RegistryDoor | None = None
    target: RegistryDoor | None = None
    accepted: tuple[str, ...] = ()
    max_per_registry: int = PER_REGISTRY
    tell: Callable[[str], None] = lambda _line: None
    spelling: Spelling = command_line
    """The words of the door."""
    scratch: Path | None = None
    """Where one only looks: an empty folder for what would be kept beside the journal, of which it gets a copy."""


@dataclass(frozen=True, slots=True)
class Migration:
    """A plan, what was done of it, and what it is executed with."""

    plan: Plan
    journal: Journal
    context: Context


def load_plan(path: Path, spelling: Spelling = command_line) -> Plan:
    """Raises :class:`Refused`."""
    try:
        return read_plan(json.loads(path.read_text(encoding="utf-8")), spelling)
    except OSError as error:
        raise Refused(f"cannot read the plan {path}: {error.strerror}; make it by {spelling(Said.DO_PLAN)}") from None
    except InvalidDocument as error:
        raise Refused(f"{path}: {error}") from None
    except ValueError:
        raise Refused(f"{path} is no plan: make it by {spelling(Said.DO_PLAN)}") from None


def load_journal(path: Path, plan: Plan) -> Journal:
    """Raises :class:`Refused`."""
    try:
        return Journal(path, plan)
    except InvalidDocument as error:
        raise Refused(str(error)) from None
    except OSError as error:
        raise Refused(f"cannot read the journal {path}: {error.strerror}") from None


def folder_beside(journal: Path) -> Path:
    """What actions keep, and what became of each image: beside the journal, under its name."""
    return journal.with_name(f"{journal.name}.d")


def open_migration(asked: Asked) -> Migration:
    """Raises :class:`Refused`; nothing is asked of a registry yet."""
    if not 1 <= asked.max_per_registry <= MOST_PER_REGISTRY:
        raise Refused(
            f"{asked.max_per_registry} requests at once for each registry make no sense: 1 to {MOST_PER_REGISTRY} "
            f"({asked.spelling(Said.MAX_PER_REGISTRY)}; {PER_REGISTRY} unless it is said)"
        )
    plan = load_plan(asked.plan, asked.spelling)
    journal = load_journal(asked.journal, plan)
    folder = _folder(asked)
    operator, unread = _operator(asked, plan)
    begun = begun_by(plan, journal)
    guessed = unread and asked.chart and not asked.method and not begun
    context = Context(
        plan=plan,
        client=asked.client,
        folder=folder,
        settings=_settings(asked, plan, begun, operator, folder),
        undecided=f"whether an operator looks after this registry may not be read: {unread}" if guessed else "",
        source=asked.source,
        target=asked.target,
        content=ContentFile(asked.content) if asked.content else None,
        accepted=asked.accepted,
        max_per_registry=asked.max_per_registry,
        global_client=asked.global_client,
        tell=asked.tell,
        spelling=asked.spelling,
        saved=lambda step: journal.saved(step) or {},
    )
    return Migration(plan, journal, context)


def _folder(asked: Asked) -> Path:
    """Raises :class:`Refused`."""
    beside = folder_beside(asked.journal)
    folder = beside if asked.scratch is None else asked.scratch / beside.name
    try:
        if asked.scratch is not None and beside.exists():
            shutil.copytree(beside, folder)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Refused(f"cannot make {folder} beside the journal: {error.strerror}") from None
    return folder


def chosen_phases(only: Iterable[str], until: str) -> tuple[Phase, ...]:
    """By names; up to the cutover if none is given. Raises :class:`Refused`."""
    names = tuple(only)
    if names and until:
        raise Refused("either single phases or the last one can be named, not both")
    try:
        wanted = {Phase(name) for name in names}
        last = Phase(until) if until else DEFAULT_LAST
    except ValueError as error:
        raise Refused(f"{error}: the phases that do something are {', '.join(EXECUTED)}") from None
    return tuple(phase for phase in Phase if phase in wanted) if names else phases_until(last)


def takes_away(phases: Iterable[Phase]) -> bool:
    """Whether something would go for good, so that it is shown unless it is confirmed."""
    return bool(NO_WAY_BACK.intersection(phases))


def chosen_way(method: str, chart: str, operator: str, *, begun: str, spelling: Spelling = command_line) -> str:
    """By Helm or by an operator, of which ``operator`` says what there is. Raises :class:`Refused`.

    A chart alone is no wish for Helm: inventories name it for other reasons. What was ``begun`` by one of them goes on
    and is taken back by it, whatever came since; ``begun`` is empty before that.
    """
    if method not in ("", *METHODS):
        raise Refused(f"{method!r} is no way to install: {', '.join(METHODS)}")
    if begun and method not in ("", begun):
        raise Refused(
            f"this migration was begun by {begun}, and goes on and back by it: leave the method out "
            f"({spelling(Said.METHOD)})"
        )
    if method == HELM and operator and not begun:
        raise Refused(
            f"an operator looks after this registry ({operator}) and would write again what Helm writes: nothing was "
            "done. Let the values go into Config/cluster: leave the method out or name operator "
            f"({spelling(Said.METHOD)}). If it is a rest of an operator that is gone, set managementState of "
            "Config/cluster to Unmanaged, and delete the Deployment"
        )
    way = begun or method or (HELM if chart and not operator else OPERATOR)
    if way == HELM and not chart:
        raise Refused(
            f"installing by Helm needs the chart: name its folder, archive or address ({spelling(Said.CHART)})"
        )
    return way


def begun_by(plan: Plan, journal: Journal) -> str:
    """Who has installed this registry for the migration, by its journal; empty while nobody has."""
    steps = (journal.saved(step) or {} for step in plan.steps if step.action is Action.INSTALL)
    return next((str(saved[KEEPER]) for saved in steps if KEEPER in saved), "")


def _operator(asked: Asked, plan: Plan) -> tuple[str, str]:
    """What there is of an operator, empty for nothing; and why that may not be read, empty where it may."""
    try:
        return looked_after(asked.client, plan.target_namespace), ""
    except KubeError as error:
        if not error.forbidden:
            raise Refused(f"who looks after this registry cannot be read: {error}") from None
        return "", str(error)
    except ClusterUnreachable as error:
        raise Refused(f"who looks after this registry cannot be read: {error}") from None


def _settings(asked: Asked, plan: Plan, begun: str, operator: str, folder: Path) -> Settings:
    way = chosen_way(asked.method, asked.chart, operator, begun=begun, spelling=asked.spelling)
    if asked.values and way == OPERATOR:
        why = (
            "an operator has values of its own for the chart, and would get none of those given beside the plan: set "
            "what the cluster needs in the operator (`operand` of its chart; images of one of OLM come by its bundle) "
            f"or in Config/cluster, and leave the values out ({asked.spelling(Said.VALUES)})"
        )
        if not begun:
            raise Refused(why)
        asked.tell(why)  # what was begun goes on, and back
    if asked.chart and way == OPERATOR and not asked.method:
        asked.tell(f"values go into Config/cluster, and the chart is not used: {operator}")
    keeper = HelmSettings(
        client=asked.client,
        namespace=plan.target_namespace,
        chart=asked.chart,
        folder=folder,
        kubeconfig=asked.kubeconfig,
        context=asked.context,
        program=asked.helm,
        chart_version=asked.chart_version,
        base=asked.values,
        values_file=asked.journal.with_name(f"{asked.journal.stem}.values.yml"),
        spelling=asked.spelling,
    )
    if way == HELM:
        return keeper
    return ConfigSettings(client=asked.client, namespace=plan.target_namespace, owner=keeper, spelling=asked.spelling)
