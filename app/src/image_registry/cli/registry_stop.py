"""``ac adm registry runs`` and ``stop``: what a registry was asked for, and an end to it."""

from __future__ import annotations

from typing import Any

import click

from image_registry.cli.connection import cluster_options
from image_registry.cli.output import document, output_option
from image_registry.cli.registry_door import open_door, registry_options
from image_registry.cli.registry_runs import PATH


@click.command("runs")
@output_option("json", "yaml")
@registry_options
@cluster_options
def runs(**options: Any) -> None:
    """List what the registry was asked for lately, the newest first.

    \b
    Exit codes: as of `ac adm registry gc`.
    """
    found = open_door(options).ask("GET", PATH)["runs"]
    if options["form"] is not None:
        document(options["form"], found)
        return
    click.echo(f"{'ID':<36}  {'KIND':<6}  {'STATE':<9}  {'CONFIRM':<7}  {'ASKED':<20}  BY")
    for run in found:
        confirm = "no" if run["dryRun"] else "yes"
        click.echo(
            f"{run['id']:<36}  {run['kind']:<6}  {run['state']:<9}  {confirm:<7}  {run['asked']:<20}  {run['askedBy']}"
        )


@click.command("stop")
@click.argument("run", help="Its id, as `runs` lists it.")
@registry_options
@cluster_options
def stop(run: str, **options: Any) -> None:
    """Stop a run; what it has done stays done, and is right by itself.

    \b
    Exit codes: as of `ac adm registry gc`.
    """
    open_door(options).ask("DELETE", f"{PATH}/{run}")
    click.echo(f"run {run} is being stopped")
