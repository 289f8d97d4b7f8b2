"""``ac``: the administrator's and developer's command.

It is a door like the others: a command reads options, calls the rooms below and prints. It grows with the product and
lists only what works; for everything about clusters that is not ours, there is kubectl.
"""

from __future__ import annotations

import platform
import sys

import click

from image_registry import __version__
from image_registry.cli.failures import FAILED, INTERRUPTED
from image_registry.cli.kubectl import Root
from image_registry.cli.prune_images import images
from image_registry.cli.prune_scheduled import scheduled


def main() -> None:
    """Entry point: errors that a person can cure end in one sentence, not in a traceback."""
    try:
        code = cli(prog_name="ac", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(INTERRUPTED)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except OSError as error:
        click.echo(f"ac: {error}", err=True)
        sys.exit(FAILED)
    else:
        sys.exit(code if isinstance(code, int) else 0)  # click returns what ctx.exit() says


@click.group(cls=Root, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="ac", message="%(prog)s %(version)s")
def cli() -> None:
    """Look after images of the Alauda Container Platform.

    Streams and tags are Kubernetes objects: read and delete them with kubectl (kubectl get imagestreams,istag).
    """


@cli.command()
@click.option("--short", is_flag=True, help="The number alone.")
def version(*, short: bool) -> None:
    """Print the version of this program."""
    if short:
        click.echo(__version__)
        return
    click.echo(f"ac {__version__} (Python {platform.python_version()}, {platform.system()} {platform.machine()})")


@cli.group()
def adm() -> None:
    """For administrators of a cluster."""


@adm.group()
def prune() -> None:
    """Delete what nothing uses."""


prune.add_command(images)
prune.add_command(scheduled)
