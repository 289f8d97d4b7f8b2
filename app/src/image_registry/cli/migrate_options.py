"""What ``ac adm migrate`` is told: what it looks at, and what a person decides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from image_registry.cli.connection import cluster_options
from image_registry.migration.choices import ACCESS_MODES, Way
from image_registry.migration.generations import GENERATIONS, NAMESPACE

F = TypeVar("F", bound=Callable[..., Any])
FORMS = ("table", "json", "yaml")
FILE = click.Path(path_type=Path, dir_okay=False)


def form_option(command: F) -> F:
    return click.option(
        "-o",
        "--output",
        "form",
        type=click.Choice(FORMS),
        default="table",
        show_default=True,
        help="Form of the result.",
    )(command)


def discover_options(command: F) -> F:
    """What is looked at."""
    for option in reversed(
        (
            click.option("--inventory", type=FILE, default=None, help="Read this inventory instead of the cluster."),
            click.option("-n", "--namespace", default=NAMESPACE, show_default=True, help="Of the legacy registry."),
            click.option("--target-namespace", default="image-registry-system", show_default=True, help="Of this one."),
            click.option(
                "--image-field",
                "fields",
                multiple=True,
                metavar="GROUP/VERSION/RESOURCE=PATH",
                help="Where objects of a custom resource name an image. Repeatable.",
            ),
            click.option("--registry-host", "hosts", multiple=True, metavar="HOST", help="One more name. Repeatable."),
            click.option(
                "--global-kubeconfig", type=FILE, default=None, help="Of the global cluster, if it may be asked."
            ),
            click.option("--cluster", default="", metavar="NAME", help="Name of this cluster in the global one."),
        )
    ):
        command = option(command)
    return cluster_options(command)


def choice_options(command: F) -> F:
    """What a person decides."""
    for option in reversed(
        (
            click.option("--content", type=FILE, default=None, help="The survey, as discover --content wrote it."),
            click.option(
                "--generation",
                type=click.Choice([known.name for known in GENERATIONS]),
                default=None,
                help="Needed where two legacy registries run.",
            ),
            click.option(
                "--way",
                type=click.Choice([way.value for way in Way]),
                default=None,
                help="Keep the storage, or copy. Else what is possible.",
            ),
            click.option(
                "--host",
                default="",
                help="Under which workloads name images then; that of this registry's Service unless given.",
            ),
            click.option(
                "--source-url",
                default="",
                metavar="URL",
                help="Where run will ask the old registry, if it is known: a host that moves is a finding.",
            ),
            click.option("--rename", "renames", multiple=True, metavar="OLD=NEW", help="Another name. Repeatable."),
            click.option(
                "--accept",
                "accepted",
                multiple=True,
                metavar="ID",
                help="A finding that is accepted, * for any text. Repeatable.",
            ),
            click.option("--claim-size", default="", metavar="QUANTITY", help="Of the claim that a copy goes to."),
            click.option("--claim-class", default="", metavar="NAME", help="StorageClass of that claim."),
            click.option(
                "--claim-access-mode",
                type=click.Choice(ACCESS_MODES),
                default=None,
                help="Of that claim; without ReadWriteMany this registry gets one replica.",
            ),
            click.option("--rate", default=60.0, show_default=True, help="MiB that a copy moves in a second."),
        )
    ):
        command = option(command)
    return command
