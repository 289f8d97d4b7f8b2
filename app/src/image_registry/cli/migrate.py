"""``ac adm migrate``: what there is of a legacy registry, what stands in the way, and the plan; then its execution."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import yaml

from image_registry import measures
from image_registry.cli import output
from image_registry.cli.connection import Unreachable, connect
from image_registry.cli.failures import FAILED, Wrong
from image_registry.cli.migrate_options import FILE, choice_options, discover_options, form_option
from image_registry.cli.migrate_reports import (
    as_json,
    findings_file,
    inventory_files,
    plan_files,
    reports_option,
    write,
    write_one,
)
from image_registry.cli.migrate_run import rollback, run, status
from image_registry.cli.migrate_survey import survey, survey_options
from image_registry.kube.client import ClusterClient
from image_registry.kube.errors import KubeconfigError
from image_registry.kube.image_references import CustomField
from image_registry.kube.quantity import whole as quantity
from image_registry.migration.assess import assess as judge
from image_registry.migration.case import Case, make_case
from image_registry.migration.choices import Choices, Way
from image_registry.migration.content import ContentFile
from image_registry.migration.discovery import Question, WrongNamespace
from image_registry.migration.discovery import discover as look
from image_registry.migration.documents import InvalidDocument, from_document, to_document
from image_registry.migration.facts import Inventory
from image_registry.migration.findings import Finding, open_blockers
from image_registry.migration.plan import write_plan
from image_registry.migration.planning import plan as make_plan
from image_registry.migration.report import html


@click.group()
def migrate() -> None:
    """Move from a legacy registry to this one: discover, assess, plan, run.

    The first three change nothing, in the cluster or in the registry. What a run did, rollback takes back.
    """


migrate.add_command(run)
migrate.add_command(status)
migrate.add_command(rollback)


@migrate.command()
@discover_options
@survey_options
@form_option
@click.option("--html", "page", type=FILE, default=None, help="Write a report for people there.")
@reports_option
def discover(form: str, page: Path | None, reports: Path | None, **options: Any) -> None:
    """Find the legacy registries of a cluster, and everything that hangs on them.

    With --content what lies in the registry is surveyed too, through its API (--registry-url), in a folder
    (--storage-root) or in its bucket (--survey-bucket). A survey that was interrupted goes on where it was.

    \b
    What cannot be read is part of the result, with the right that is missing; nothing else stops.
    """
    found, client = inventory(options)
    write(reports, inventory_files(found))
    if options["content"] is not None:
        survey(found, client, options)
    if page is not None:
        write_one("--html", page, html(found, ()))
    if form != "table":
        output.document(form, to_document(found))
        return
    _table(found)


@migrate.command()
@discover_options
@choice_options
@form_option
@click.option("--html", "page", type=FILE, default=None, help="Write a report for people there.")
@reports_option
@click.pass_context
def assess(context: click.Context, /, form: str, page: Path | None, reports: Path | None, **options: Any) -> None:
    """Say what stands in the way of a migration, and what to do about each thing.

    \b
    Exit codes:
      0  nothing blocks, or everything that does was accepted
      1  something blocks
    """
    case = _case(options)
    findings = judge(case)
    shown = html(case.inventory, findings)
    write(reports, {**_inventory_files(case, options), **findings_file(findings), "findings.html": shown})
    if page is not None:
        write_one("--html", page, shown)
    if form == "table":
        _show(findings)
    else:
        output.document(form, {"findings": [{"id": found.id, **to_document(found)} for found in findings]})
    _end(context, findings)


@migrate.command()
@discover_options
@choice_options
@form_option
@click.option("--html", "page", type=FILE, default=None, help="Write a report for people there.")
@reports_option
@click.option("--out", type=FILE, default=None, help="Write the plan (JSON) there.")
@click.pass_context
def plan(
    context: click.Context, /, form: str, page: Path | None, reports: Path | None, out: Path | None, **options: Any
) -> None:
    """Plan a migration: phases, steps, diffs of workloads, time and bytes. Nothing is changed.

    \b
    Exit codes:
      0  the plan can be executed
      1  something blocks; the plan is made all the same
    """
    case = _case(options)
    made = make_plan(case, made=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    if out is not None:
        write_one("--out", out, as_json(write_plan(made)))
    write(reports, {**_inventory_files(case, options), **plan_files(case.inventory, made)})
    if page is not None:
        write_one("--html", page, html(case.inventory, made.findings, made))
    if form != "table":
        output.document(form, write_plan(made))
    else:
        _show(made.findings)
        estimate = made.estimate
        copied = measures.size(estimate.bytes_copied)
        whole, pause = measures.duration(estimate.seconds), measures.duration(estimate.pause)
        click.echo(f"\nWay: {made.way} ({made.why}), {copied} copied, about {whole}, ", nl=False)
        click.echo(f"pushes refused for about {pause}; {'; '.join(estimate.assumptions)}")
        output.rows(("PHASE", "STEP", "WHAT"), ((step.phase.value, step.id, step.title) for step in made.steps))
        for rewrite in made.rewrites:
            click.echo(rewrite.diff)
        click.echo(f"plan {made.digest}: {'can be executed' if made.ready else 'cannot be executed yet'}")
    _end(context, made.findings)


def inventory(options: Mapping[str, Any]) -> tuple[Inventory, ClusterClient | None]:
    """From a file, or from the cluster. Raises :class:`Wrong` and :class:`Unreachable`."""
    if options["inventory"] is not None:
        return _read(options["inventory"]), None
    try:
        fields = tuple(CustomField.parse(text) for text in options["fields"])
    except ValueError as error:
        raise Wrong(f"--image-field: {error}") from None
    beyond = None
    if options["global_kubeconfig"] is not None:
        if not options["cluster"]:
            raise Wrong("--global-kubeconfig needs --cluster: the name of this cluster in the global one")
        try:
            beyond = ClusterClient.from_kubeconfig(options["global_kubeconfig"])
        except KubeconfigError as error:
            raise Unreachable(str(error)) from None
    question = Question(
        options["namespace"], options["target_namespace"], options["cluster"], fields, tuple(options["hosts"])
    )
    client = connect(options["kubeconfig"], options["context"])
    client.get("/version")  # nobody to ask is another thing than nothing to be found
    try:
        return look(client, question, global_client=beyond), client
    except WrongNamespace as error:
        raise Wrong(str(error)) from None


def _read(path: Path) -> Inventory:
    try:
        return from_document(Inventory, yaml.safe_load(path.read_text(encoding="utf-8")), str(path))
    except OSError as error:
        raise Wrong(f"cannot read {path}: {error.strerror}") from None
    except (InvalidDocument, yaml.YAMLError) as error:
        raise Wrong(f"{path} is no inventory: {error}") from None


def _case(options: Mapping[str, Any]) -> Case:
    renames = dict(text.partition("=")[::2] for text in options["renames"])
    if not all(renames.values()):
        raise Wrong("--rename wants OLD=NEW, as in --rename team/tools/report=team/report")
    try:
        claim = quantity(options["claim_size"]) if options["claim_size"] else 0
    except ValueError as error:
        raise Wrong(f"--claim-size: {error}") from None
    choices = Choices(
        generation=options["generation"] or "",
        way=Way(options["way"]) if options["way"] else None,
        host=options["host"],
        source_url=options["source_url"],
        renames=renames,
        accepted=tuple(options["accepted"]),
        claim_size=claim,
        claim_class=options["claim_class"],
        claim_access_mode=options["claim_access_mode"] or "",
        mib_per_second=max(options["rate"], 0.001),
    )
    found, _ = inventory(options)
    try:
        return make_case(found, ContentFile(options["content"]) if options["content"] else None, choices)
    except InvalidDocument as error:
        raise Wrong(str(error)) from None


def _inventory_files(case: Case, options: Mapping[str, Any]) -> dict[str, str]:
    """Of what was discovered just now; one that was given is kept where it is."""
    return inventory_files(case.inventory) if options["inventory"] is None else {}


def _table(found: Inventory) -> None:
    for entry in found.installations:
        storage = entry.storage
        place = (storage.claim or storage.bucket or storage.path or "") if storage else ""
        click.echo(f"{entry.name} ({entry.versions}) in {found.namespace}, {'runs' if entry.runs else 'does not run'}")
        lines = [
            ("storage", f"{storage.kind if storage else 'unknown'} {place}".rstrip(), storage.source if storage else "")
        ]
        lines += [
            ("service", f"{fact.object.name} ({fact.role})", ", ".join(fact.addresses)) for fact in entry.services
        ]
        lines += [("exposed", ", ".join(fact.hosts), str(fact.object)) for fact in entry.exposures]
        lines += [("record", str(fact.object), fact.version) for fact in entry.records]
        lines += [("missing", piece, "") for piece in entry.missing]
        output.rows(("WHAT", "VALUE", "SOURCE"), lines)
        click.echo()
    if not found.installations:
        click.echo(f"No legacy registry was found in namespace {found.namespace}.")
    counts = (
        ("workloads", len(found.consumers)),
        ("pull secrets", len(found.pull_secrets)),
        ("roles", len(found.roles)),
        ("bindings", len(found.bindings)),
        ("limits", len(found.limits)),
        ("cleanup jobs", len(found.cleanups)),
    )
    click.echo(", ".join(f"{number} {what}" for what, number in counts))
    for unread in found.unread:
        output.warn(
            f"not read: {unread.what}: {unread.why}" + (f" (missing right: {unread.right})" if unread.right else "")
        )


def _show(findings: tuple[Finding, ...]) -> None:
    lines = [
        (found.severity.value + (" (accepted)" if found.accepted else ""), found.id, f"{found.cause}: {found.action}")
        for found in findings
    ]
    output.rows(("SEVERITY", "ID", "CAUSE AND WHAT TO DO"), lines)


def _end(context: click.Context, findings: tuple[Finding, ...]) -> None:
    blockers = list(open_blockers(findings))
    if blockers:
        block = "1 finding blocks" if len(blockers) == 1 else f"{len(blockers)} findings block"
        output.note(f"{block}; remove the cause, or accept it by --accept ID")
        context.exit(FAILED)
