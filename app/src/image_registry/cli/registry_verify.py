"""``ac adm registry verify`` and ``scrub``: let the registry look at what lies in its storage."""

from __future__ import annotations

from typing import Any

import click

from image_registry.cli import beside_migration
from image_registry.cli.connection import cluster_options
from image_registry.cli.output import document, output_option
from image_registry.cli.registry_door import open_door, registry_options
from image_registry.cli.registry_runs import follow
from image_registry.cli.switches import switch
from image_registry.upkeep import wording


@click.command("verify")
@click.argument("name", default="", metavar="[NAMESPACE[/REPOSITORY]]", help="What is looked at; else everything.")
@switch("--deep", default=False, help_="Read every byte, and compare it with its digest.")
@click.option("--rate", type=click.FloatRange(0), default=0, help="With --deep: MiB per second at most; 0: no limit.")
@switch("--wait", default=True, help_="Wait for the end; without it the id of the run is printed.")
@output_option("json", "yaml", "wide")
@registry_options
@cluster_options
@click.pass_context
def verify(context: click.Context, /, name: str, **options: Any) -> None:
    """Say whether everything is there that the registry says it has: links, manifests, blobs, children of indexes.

    The registry looks, and changes nothing. Faults make the exit code 1; what is only worth a note is shown by -o wide.

    \b
    Exit codes:
      0  everything is there
      1  something is missing or wrong, or the run failed
      2  wrong options
      3  rights are missing, each is named
      4  the cluster or the registry does not answer
    """
    namespace, _, repository = name.partition("/")
    wanted = {"namespace": namespace, "repository": repository, "deep": options["deep"], "rate": options["rate"]}
    _told(context, options, follow(open_door(options), "verify", wanted, wait=options["wait"]))


@click.command("scrub")
@switch("--confirm", default=False, help_="Put aside what is corrupt. Without it nothing is changed.")
@click.option(
    "--rate", type=click.FloatRange(0), default=50, show_default=True, help="MiB per second at most; 0: no limit."
)
@switch("--wait", default=True, help_="Wait for the end; without it the id of the run is printed.")
@output_option("json", "yaml", "wide")
@beside_migration.acceptance_option
@registry_options
@cluster_options
@click.pass_context
def scrub(context: click.Context, /, **options: Any) -> None:
    """Let the registry read every blob again, slowly, and compare it with its digest.

    What is put aside is not removed: pulls of it are refused instead of giving wrong bytes, a push of the same digest
    repairs it, and what was imported is fetched again at once, or by the next pull. The condition ImagesIntact of
    Config/cluster tells of it until a verification finds everything there.

    \b
    Exit codes:
      0  every blob is right
      1  some are not, or the run failed
      2  wrong options; or a migration is under way: nothing was done
      3  rights are missing, each is named
      4  the cluster or the registry does not answer
    """
    beside_migration.refuse(options)
    wanted = {"confirm": options["confirm"], "rate": options["rate"]}
    _told(context, options, follow(open_door(options), "scrub", wanted, wait=options["wait"]))


def _told(context: click.Context, options: dict[str, Any], run: dict[str, Any]) -> None:
    if options["form"] in ("json", "yaml"):
        document(options["form"], run)
    elif not options["wait"]:
        click.echo(run["id"])
    else:
        wide = options["form"] == "wide"
        found = run["report"]
        for line in wording.verified(found, wide=wide) if run["kind"] == "verify" else wording.scrubbed(found):
            click.echo(line)
    if options["wait"] and not run["report"]["clean"]:
        context.exit(1)
