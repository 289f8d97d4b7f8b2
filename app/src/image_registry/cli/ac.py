"""``ac``: the administrator's and developer's command.

It is a door like the others: a command reads options, calls the rooms below and prints. It grows with the product and
lists only what works; for everything about clusters that is not ours, there is kubectl.
"""

from __future__ import annotations

import sys

import click

from image_registry import __version__
from image_registry.cli.failures import FAILED, INTERRUPTED
from image_registry.cli.kubectl import Root
from image_registry.cli.loading import OnDemand
from image_registry.cli.output import problem


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
        problem(f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error))
        sys.exit(FAILED)
    else:
        sys.exit(code if isinstance(code, int) else 0)  # click returns what ctx.exit() says


@click.group(
    cls=Root,
    commands=OnDemand(
        {
            "completion": "completion:completion",
            "create": "create_streams:create",
            "delete": "stream_images:delete",
            "get": "stream_images:get",
            "import-image": "import_image:import_image",
            "registry": "registry_access:registry",
            "set": "set_streams:set_group",
            "tag": "tag:tag",
            "version": "versions:version",
        }
    ),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, prog_name="ac", message="%(prog)s %(version)s")
def cli() -> None:
    """Look after images of the Alauda Container Platform.

    What is not listed here is kubectl's: the same words, its output and its exit code (ac get pods).
    """


@cli.group(
    commands=OnDemand(
        {
            "migrate": "migrate:migrate",
            "policy": "policy:policy",
            "top": "top:top",
            "verify-image-signature": "verify_signature:verify",
        }
    )
)
def adm() -> None:
    """For administrators of a cluster."""


@adm.group(commands=OnDemand({"images": "prune_images:images", "scheduled": "prune_scheduled:scheduled"}))
def prune() -> None:
    """Delete what nothing uses."""


@adm.group(
    "registry",
    commands=OnDemand(
        {
            "gc": "registry_gc:gc",
            "runs": "registry_stop:runs",
            "scrub": "registry_verify:scrub",
            "stop": "registry_stop:stop",
            "verify": "registry_verify:verify",
        }
    ),
)
def adm_registry() -> None:
    """Look after what lies in the storage of the registry."""


@cli.group(
    commands=OnDemand(
        {
            "append": "image_append:append",
            "extract": "image_extract:extract",
            "info": "image_info:info",
            "mirror": "image_mirror:mirror",
        }
    )
)
def image() -> None:
    """Images themselves, in registries, folders and layouts; no cluster is needed."""
