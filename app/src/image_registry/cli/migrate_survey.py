"""Where ``ac adm migrate discover`` surveys what lies in a legacy registry, and as whom."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from image_registry import measures
from image_registry.cli import given_files, output
from image_registry.cli.auth_file import keyring
from image_registry.cli.failures import Unreachable, Wrong
from image_registry.cli.other_registries import registry_options
from image_registry.cli.switches import switch
from image_registry.kube.client import ClusterClient
from image_registry.migration import surveying
from image_registry.migration.facts import Inventory
from image_registry.migration.survey_registry import SurveyOptions
from image_registry.remote.asking import Access
from image_registry.remote.credentials import Login

F = TypeVar("F", bound=Callable[..., Any])


def survey_options(command: F) -> F:
    """Where the content is looked at."""
    for option in reversed(
        (
            click.option(
                "--content",
                type=click.Path(path_type=Path, dir_okay=False),
                default=None,
                help="Survey the registry too, into this file; goes on with one that is there.",
            ),
            click.option(
                "--registry-url", default="", metavar="URL", help="http(s)://host[:port] of the legacy registry."
            ),
            click.option(
                "--token-file",
                type=click.Path(path_type=Path, dir_okay=False, exists=True),
                default=None,
                help="A token of the cluster with which the legacy registry is asked.",
            ),
            click.option(
                "--storage-root",
                type=click.Path(path_type=Path, file_okay=False, exists=True),
                default=None,
                help="Look into this folder, which holds docker/registry/v2.",
            ),
            switch("--survey-bucket", default=False, help_="Look into the bucket, with the credentials of its Secret."),
            click.option(
                "--at-once", type=click.IntRange(1, 32), default=4, show_default=True, help="Repositories at a time."
            ),
            click.option(
                "--per-second", type=click.IntRange(1), default=400, show_default=True, help="Requests, at most."
            ),
            click.option("--check-blobs/--no-check-blobs", default=True, show_default=True, help="Ask for every blob."),
        )
    ):
        command = option(command)
    return registry_options(command)


def survey(inventory: Inventory, client: ClusterClient | None, options: Mapping[str, Any]) -> None:
    """Look where the options say. Raises :class:`Wrong` and :class:`Unreachable`."""
    try:
        summary = surveying.survey(_place(inventory, client, options), options["content"], _told)
    except surveying.WrongPlace as error:
        raise Wrong(str(error)) from None
    except surveying.NoAnswer as error:
        raise Unreachable(str(error)) from None
    faults = sum(summary.problems.values())
    output.note(
        f"surveyed {summary.repositories} repositories, {summary.tags} tags, {measures.size(summary.size)} "
        f"in {summary.blobs} blobs, {faults} faults, in {summary.seconds:.1f} s"
    )


def _place(inventory: Inventory, client: ClusterClient | None, options: Mapping[str, Any]) -> surveying.Place:
    ways = [name for name in ("registry_url", "storage_root", "survey_bucket") if options[name]]
    if len(ways) != 1:
        raise Wrong("--content needs exactly one of --registry-url, --storage-root and --survey-bucket")
    if options["storage_root"]:
        return surveying.InFolder(options["storage_root"])
    if options["survey_bucket"]:
        if client is None:
            raise Wrong("--survey-bucket: the bucket's credentials are read in the cluster; leave --inventory out")
        return surveying.bucket_of(inventory, client)
    url = options["registry_url"]
    insecure = options["insecure"] or url.startswith("http://")
    login = None
    if options["token_file"] is not None:
        login = Login(registry_token=given_files.token(options["token_file"]))
    return surveying.InRegistry(
        url,
        Access(keyring(options["registry_config"]), insecure=insecure, login=login),
        SurveyOptions(at_once=options["at_once"], per_second=options["per_second"], check_blobs=options["check_blobs"]),
        given_files.authorities(options["certificate_authority"]),
    )


def _told(done: int, known: int) -> None:
    if output.on_a_terminal():
        click.echo(f"\rsurveyed {done} of {known} repositories so far\033[K", err=True, nl=False)
