"""``ac``: the administrator's and developer's command.

It is a door like the others: a command reads options, calls the rooms below and prints. It grows with the product and
lists only what works; for everything about clusters that is not ours, there is kubectl.
"""

from __future__ import annotations

import sys

import click

from image_registry import __version__
from image_registry.cli.completion import completion
from image_registry.cli.create_streams import create
from image_registry.cli.failures import FAILED, INTERRUPTED
from image_registry.cli.image_append import append
from image_registry.cli.image_extract import extract
from image_registry.cli.image_info import info
from image_registry.cli.image_mirror import mirror
from image_registry.cli.import_image import import_image
from image_registry.cli.kubectl import Root
from image_registry.cli.migrate import migrate
from image_registry.cli.policy import policy
from image_registry.cli.prune_images import images
from image_registry.cli.prune_scheduled import scheduled
from image_registry.cli.registry_access import registry
from image_registry.cli.registry_gc import gc
from image_registry.cli.registry_stop import runs, stop
from image_registry.cli.registry_verify import scrub
from image_registry.cli.registry_verify import verify as verify_storage
from image_registry.cli.set_streams import set_group
from image_registry.cli.stream_images import delete, get
from image_registry.cli.tag import tag
from image_registry.cli.top import top
from image_registry.cli.verify_signature import verify
from image_registry.cli.versions import version


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

    What is not listed here is kubectl's: the same words, its output and its exit code (ac get pods).
    """


@cli.group()
def adm() -> None:
    """For administrators of a cluster."""


@adm.group()
def prune() -> None:
    """Delete what nothing uses."""


prune.add_command(images)
prune.add_command(scheduled)
for command in (completion, create, delete, get, import_image, registry, set_group, tag, version):
    cli.add_command(command)


@adm.group("registry")
def adm_registry() -> None:
    """Look after what lies in the storage of the registry."""


adm_registry.add_command(gc)
adm_registry.add_command(runs)
adm_registry.add_command(stop)
adm_registry.add_command(verify_storage)
adm_registry.add_command(scrub)
adm.add_command(migrate)
adm.add_command(policy)
adm.add_command(top)
adm.add_command(verify)


@cli.group()
def image() -> None:
    """Images themselves, in registries, folders and layouts; no cluster is needed."""


image.add_command(append)
image.add_command(extract)
image.add_command(info)
image.add_command(mirror)
