"""``ac adm migrate run``, ``status`` and ``rollback``: a plan is executed, looked at, and taken back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click
import yaml

from image_registry.cli import output
from image_registry.cli.auth_file import keyring
from image_registry.cli.connection import Unreachable, cluster_options, connect
from image_registry.cli.failures import Failed, Wrong
from image_registry.cli.migrate_reports import FOLDER, write
from image_registry.cli.other_registries import registry_options
from image_registry.cli.switches import switch
from image_registry.kube.client import ClusterClient
from image_registry.kube.errors import ClusterUnreachable, KubeconfigError, KubeError
from image_registry.migration.actions import MOST_PER_REGISTRY, PER_REGISTRY, RegistryDoor
from image_registry.migration.before_freeze import hindrances, listed, nothing_in_the_way
from image_registry.migration.documents import to_document
from image_registry.migration.doing import DOERS
from image_registry.migration.execution import Refused, Stopped, held, to_undo
from image_registry.migration.execution import rollback as take_back
from image_registry.migration.execution import run as execute
from image_registry.migration.foreseeing import foresee, looked_at
from image_registry.migration.holding import held_by
from image_registry.migration.journal import Journal
from image_registry.migration.opening import (
    EXECUTED,
    METHODS,
    Asked,
    Migration,
    chosen_phases,
    folder_beside,
    load_journal,
    load_plan,
    open_migration,
    takes_away,
)
from image_registry.migration.phases import Phase
from image_registry.migration.plan import Plan
from image_registry.migration.progress import Progress
from image_registry.migration.reports import Reports
from image_registry.remote.asking import Access
from image_registry.remote.credentials import Login

F = TypeVar("F", bound=Callable[..., Any])
FILE = click.Path(path_type=Path, dir_okay=False)
FORMS = ("table", "json", "yaml")
MOST_TOLD = 20
"""Of a step's images that are not well; the report names more of them, and the step's file all."""


def journal_options(command: F) -> F:
    """The plan, what was done of it, and reports."""
    for option in reversed(
        (
            click.option("--plan", "plan_file", type=FILE, required=True, help="As plan --out wrote it."),
            click.option("--journal", type=FILE, required=True, help="What was done; made by the first run."),
            click.option("--html", "report", type=FILE, default=None, help="Keep a report for people there."),
            click.option(
                "--reports", type=FOLDER, default=None, help="Keep progress.html and progress.json there; it is made."
            ),
            click.option(
                "-o",
                "--output",
                "form",
                type=click.Choice(FORMS),
                default="table",
                show_default=True,
                help="Form of the result.",
            ),
        )
    ):
        command = option(command)
    return command


def door_options(command: F) -> F:
    """How this registry is installed, and how both are asked."""
    for option in reversed(
        (
            click.option(
                "--method",
                type=click.Choice(METHODS),
                default=None,
                help="Else operator where there is one, or helm with --chart.",
            ),
            click.option("--chart", default="", metavar="CHART", help="Folder, archive or address of the chart."),
            click.option("--chart-version", default="", metavar="VERSION", help="Of a chart that is pulled."),
            click.option("--helm", default="helm", show_default=True, metavar="PROGRAM", help="Where it is."),
            click.option("--values", type=FILE, default=None, help="More values for the chart, below the plan's."),
            click.option("--content", type=FILE, default=None, help="The survey that the plan was made from."),
            click.option("--source-url", default="", metavar="URL", help="The old registry, http(s)://host[:port]."),
            click.option("--source-token-file", type=FILE, default=None, help="A token for it."),
            click.option(
                "--target-url",
                default="",
                metavar="URL",
                help="This registry, http(s)://host[:port]; by default the address of its Service.",
            ),
            click.option("--target-token-file", type=FILE, default=None, help="A token for it."),
            click.option("--global-kubeconfig", type=FILE, default=None, help="Of the global cluster."),
            click.option(
                "--accept",
                "accepted",
                multiple=True,
                metavar="NAME",
                help="An exception, or what was done by hand; * for any text. Repeatable.",
            ),
        )
    ):
        command = option(command)
    return registry_options(cluster_options(command))


@click.command()
@journal_options
@door_options
@click.option("--phase", "phases", multiple=True, type=click.Choice(EXECUTED), help="Only this one. Repeatable.")
@click.option("--until", type=click.Choice(EXECUTED), default=None, help="Up to this one. [default: cutover]")
@click.option(
    "--max-per-registry",
    type=click.IntRange(1, MOST_PER_REGISTRY),
    default=PER_REGISTRY,
    show_default=True,
    help="Requests at once of a copy, for each of the two registries.",
)
@switch("--dry-run", default=False, help_="Show what would be done now, and do nothing.")
@switch("--confirm", default=False, help_="Needed for finalize, behind which there is no way back.")
def run(phases: tuple[str, ...], until: str | None, *, dry_run: bool, confirm: bool, **options: Any) -> None:
    """Do what is left of a plan, up to the cutover unless you say otherwise.

    Before the freeze it looks at all that later phases need, and stops with the list of what is missing.

    Whatever interrupts it, the same command goes on. Each step is in the journal before it is done. With finalize among
    the phases it is only shown what would be done, until --confirm.

    \b
    Exit codes:
      0  everything that was asked for is done
      1  it stopped: a step failed, a gate is not green, or something takes more time; run again
      2  refused: nothing was done
    """
    try:
        wanted = chosen_phases(phases, until or "")
        if dry_run or (takes_away(wanted) and not confirm):
            with looked_at(options["journal"]) as scratch:
                _foreseen(_opened(options, scratch), wanted, asks=not dry_run, confirm=takes_away(wanted))
            return
        with held(options["journal"]):
            found = _opened(options)
            try:
                with _reports(found, options).kept_up():
                    execute(
                        found.context,
                        found.journal,
                        DOERS,
                        wanted,
                        before_freeze=lambda: nothing_in_the_way(found.context, found.journal),
                    )
            finally:
                _show(_reports(found, options).now(), options["form"])
    except Refused as error:
        raise Wrong(str(error)) from None
    except Stopped as error:
        raise Failed(str(error)) from None


@click.command()
@journal_options
@cluster_options
@switch("--held", default=False, help_="Ask the cluster, too: whose the migration is there, and whether it runs.")
def status(*, held: bool, **options: Any) -> None:
    """Say how far a migration is, from its files; no cluster is asked but for --held."""
    try:
        plan = load_plan(options["plan_file"])
        journal = load_journal(options["journal"], plan)
    except Refused as error:
        raise Wrong(str(error)) from None
    folder = folder_beside(options["journal"])
    found = _kept(plan, journal, folder, options).write()
    if held:
        found = replace(found, held=_holder(plan, options))
    _show(found, options["form"])


def _holder(plan: Plan, options: dict[str, Any]) -> str:
    try:
        return held_by(plan, connect(options["kubeconfig"], options["context"])) or "nobody"
    except (KubeError, ClusterUnreachable) as error:
        raise Unreachable(str(error)) from None


@click.command()
@journal_options
@door_options
@switch("--confirm", default=False, help_="Do it; else what would be taken back is shown.")
def rollback(*, confirm: bool, **options: Any) -> None:
    """Take back what was done, the last step first; the old registry serves again.

    Possible from every phase before finalize. Shows what it would do, until --confirm.
    """
    try:
        if not confirm:
            with looked_at(options["journal"]) as scratch:
                steps = to_undo(_opened(options, scratch).journal)
            output.rows(("PHASE", "STEP", "BACK"), ((step.phase, step.id, step.undo) for step, _ in steps))
            output.note(f"{len(steps)} steps would be taken back (dry run); add --confirm to do it")
            return
        with held(options["journal"]):
            found = _opened(options)
            try:
                with _reports(found, options).kept_up():
                    take_back(found.context, found.journal, DOERS)
            finally:
                _show(_reports(found, options).now(), options["form"])
    except Refused as error:
        raise Wrong(str(error)) from None
    except Stopped as error:
        raise Failed(str(error)) from None


def _opened(options: dict[str, Any], scratch: Path | None = None) -> Migration:
    beyond = None
    if options["global_kubeconfig"] is not None:
        try:
            beyond = ClusterClient.from_kubeconfig(options["global_kubeconfig"])
        except KubeconfigError as error:
            raise Unreachable(str(error)) from None
    values: dict[str, Any] = {}
    if options["values"] is not None:
        try:
            values = yaml.safe_load(options["values"].read_text(encoding="utf-8")) or {}
        except (OSError, yaml.YAMLError) as error:
            raise Wrong(f"--values {options['values']}: {error}") from None
    return open_migration(
        Asked(
            plan=options["plan_file"],
            journal=options["journal"],
            client=connect(options["kubeconfig"], options["context"]),
            kubeconfig=options["kubeconfig"],
            context=options["context"],
            global_client=beyond,
            method=options["method"] or "",
            chart=options["chart"],
            chart_version=options["chart_version"],
            helm=options["helm"],
            values=values,
            content=options["content"],
            source=_door(options, "source"),
            target=_door(options, "target"),
            accepted=options["accepted"],
            max_per_registry=options.get("max_per_registry", PER_REGISTRY),  # a rollback copies nothing
            tell=output.note,
            scratch=scratch,
        )
    )


def _door(options: dict[str, Any], which: str) -> RegistryDoor | None:
    url, token = options[f"{which}_url"], options[f"{which}_token_file"]
    if not url and which == "source":
        return None  # this registry is found by its Service
    authority = options["certificate_authority"]
    try:
        login = Login(registry_token=token.read_text(encoding="ascii").strip()) if token else None
    except OSError as error:
        raise Wrong(f"--{which}-token-file {token}: {error.strerror}") from None
    insecure = options["insecure"] or url.startswith("http://")
    access = Access(keyring(options["registry_config"]), insecure=insecure, login=login)
    return RegistryDoor(url, access, authority.read_text(encoding="ascii") if authority else "")


def _foreseen(found: Migration, wanted: Any, *, asks: bool, confirm: bool) -> None:
    """Raises :class:`Refused` and :class:`Stopped` as a run would, behind the list; who ``asks`` is only told that."""
    seen = foresee(found.context, found.journal, DOERS, wanted)
    output.rows(("PHASE", "STEP", "CHANGE"), ((entry.step.phase, entry.step.id, str(entry)) for entry in seen.steps))
    output.note(f"{len(seen.steps)} steps would be done (dry run)" + ("; add --confirm to do them" if confirm else ""))
    if seen.end is not None and asks:
        output.note(f"a run would end by this: {seen.end}")
    elif seen.end is not None:
        raise seen.end
    if Phase.FREEZE in wanted and (hindered := hindrances(found.context, found.journal)):
        output.note(listed(hindered, found.context.spelling))


def _reports(found: Migration, options: dict[str, Any]) -> Reports:
    return _kept(found.plan, found.journal, found.context.folder, options)


def _kept(plan: Plan, journal: Journal, folder: Path, options: dict[str, Any]) -> Reports:
    pages, place = [options["report"]] if options["report"] else [], options["reports"]
    write(place, {})
    return Reports(
        plan,
        journal,
        folder,
        html=(*pages, *([place / "progress.html"] if place else [])),
        document=place / "progress.json" if place else None,
        tell=output.note,
    )


def _show(found: Progress, form: str) -> None:
    if form != "table":
        output.document(form, to_document(found))
        return
    output.rows(
        ("PHASE", "STATE", "STEPS", "SECONDS"),
        (
            (entry.name, entry.state, f"{entry.done}/{len(entry.steps)}", f"{entry.seconds:.0f}")
            for entry in found.phases
        ),
    )
    for entry in found.phases:
        for step in entry.steps:
            if step.state == "failed":
                output.note(f"{step.id}: {step.detail}")
    for results in found.results:
        for item in [item for item in results.not_well if item.open][:MOST_TOLD]:
            output.note(f"{item.id or item.name}: {item.cause}")
    if found.held:
        output.note(f"held by {found.held}")
    for name in found.by_hand:
        output.note(f"by hand: {name}")
    output.note("it can be rolled back" if found.can_roll_back else "there is no way back by itself any more")
