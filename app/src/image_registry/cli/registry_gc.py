"""``ac adm registry gc``: let the registry give back the space of what no image needs."""

from __future__ import annotations

from typing import Any

import click

from image_registry.cli import beside_migration
from image_registry.cli.connection import cluster_options
from image_registry.cli.output import document, output_option
from image_registry.cli.registry_door import open_door, registry_options
from image_registry.cli.registry_runs import follow
from image_registry.cli.switches import switch
from image_registry.garbage import report as reports


@click.command("gc")
@switch("--confirm", default=False, help_="Do it. Without it nothing is changed and the registry says what would go.")
@click.option("--grace", default="24h", show_default=True, metavar="DURATION", help="What is younger is left alone.")
@click.option(
    "--trash", default="24h", show_default=True, metavar="DURATION", help="How long what went can be had back."
)
@click.option(
    "--at-most",
    type=click.IntRange(0, 100),
    default=None,
    metavar="PERCENT",
    help="Refuse to throw away more than this part of all blobs; without it more than half goes only if what "
    "repositories hold shows that metadata and storage belong together.",
)
@click.option("--rate", type=click.FloatRange(0), default=0, help="Changes per second at most; 0: no limit.")
@switch("--wait", default=True, help_="Wait for the end; without it the id of the run is printed.")
@output_option("json", "yaml", "wide")
@beside_migration.acceptance_option
@registry_options
@cluster_options
@click.pass_context
def gc(context: click.Context, /, **options: Any) -> None:
    """Give back the space of blobs that no image needs, while the registry serves.

    The registry does it by itself; this command asks for it, shows how far it is and prints the report. A client that
    goes away changes nothing: the next one follows the run that is at work.

    \b
    Exit codes:
      0  done; or, without --confirm, shown
      1  refused, failed, or something could not be done; all the rest was
      2  wrong options; or a migration is under way: nothing was done
      3  rights are missing, each is named; nothing was done
      4  the cluster or the registry does not answer
    """
    beside_migration.refuse(options)
    door = open_door(options)
    wanted = {
        "confirm": options["confirm"],
        "grace": options["grace"],
        "trash": options["trash"],
        "rate": options["rate"],
    }
    if options["at_most"] is not None:
        wanted["atMost"] = options["at_most"]
    run = follow(door, "gc", wanted, wait=options["wait"])
    if options["form"] in ("json", "yaml"):
        document(options["form"], run)
    elif not options["wait"]:
        click.echo(run["id"])
    else:
        for line in reports.lines(run["report"], wide=options["form"] == "wide"):
            click.echo(line)
    if options["wait"] and not reports.clean(run["report"]):
        context.exit(1)
