"""Where ``ac adm migrate discover`` surveys what lies in a legacy registry, and as whom."""

from __future__ import annotations

import base64
import binascii
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
from image_registry.kube.client import ClusterClient, object_path
from image_registry.migration.content import ContentSummary, ContentWriter
from image_registry.migration.documents import InvalidDocument
from image_registry.migration.facts import Inventory, StorageFact
from image_registry.migration.storage_facts import S3_KEYS
from image_registry.migration.survey_registry import LegacyRegistry, SurveyOptions, explained, survey_registry
from image_registry.migration.survey_storage import survey_storage
from image_registry.remote.asking import Access
from image_registry.remote.credentials import Login
from image_registry.remote.errors import RemoteError
from image_registry.storage.blob_store import BlobStore, StorageFault
from image_registry.storage.choice import S3, open_store
from image_registry.storage.filesystem import FilesystemStore

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
    ways = [name for name in ("registry_url", "storage_root", "survey_bucket") if options[name]]
    if len(ways) != 1:
        raise Wrong("--content needs exactly one of --registry-url, --storage-root and --survey-bucket")
    try:
        if options["registry_url"]:
            summary = _by_registry(options)
        elif options["storage_root"]:
            summary = _by_storage(
                FilesystemStore(options["storage_root"]), str(options["storage_root"].resolve()), options
            )
        else:
            storage = _bucket(inventory, client)
            summary = _by_storage(open_store(storage), str(storage), options)
    except InvalidDocument as error:
        raise Wrong(f"--content: {error}") from None
    except StorageFault as error:
        raise Unreachable(f"the storage cannot be read: {error}") from None
    faults = sum(summary.problems.values())
    output.note(
        f"surveyed {summary.repositories} repositories, {summary.tags} tags, {measures.size(summary.size)} "
        f"in {summary.blobs} blobs, {faults} faults, in {summary.seconds:.1f} s"
    )


def _by_registry(options: Mapping[str, Any]) -> ContentSummary:
    url, authority = options["registry_url"], options["certificate_authority"]
    insecure = options["insecure"] or url.startswith("http://")
    login = None
    if options["token_file"] is not None:
        login = Login(registry_token=given_files.token(options["token_file"]))
    access = Access(keyring(options["registry_config"]), insecure=insecure, login=login)
    asking = SurveyOptions(
        at_once=options["at_once"], per_second=options["per_second"], check_blobs=options["check_blobs"]
    )
    try:
        registry = LegacyRegistry(url, access, asking, given_files.authorities(authority))
    except ValueError as error:
        raise Wrong(f"--registry-url: {error}") from None
    try:
        registry.ping()
        with ContentWriter(options["content"], "registry", url) as writer:
            return survey_registry(registry, writer, progress=_told)
    except RemoteError as error:
        raise Unreachable(explained(error, url)) from None


def _by_storage(store: BlobStore, place: str, options: Mapping[str, Any]) -> ContentSummary:
    with ContentWriter(options["content"], "storage", place) as writer:
        return survey_storage(store, writer, progress=_told)


def _bucket(inventory: Inventory, client: ClusterClient | None) -> S3:
    """The bucket with its credentials, which are read for this and kept nowhere."""
    found = [entry.storage for entry in inventory.installations if entry.storage and entry.storage.kind == "s3"]
    if client is None:
        raise Wrong("--survey-bucket: the bucket's credentials are read in the cluster; leave --inventory out")
    if not found:
        raise Wrong("--survey-bucket: no bucket was found in the cluster; use --registry-url or --storage-root")
    storage: StorageFact = found[0]
    endpoint = storage.endpoint if "://" in storage.endpoint or not storage.endpoint else f"https://{storage.endpoint}"
    keys = ["", ""]
    if storage.secret is not None:
        path = object_path("v1", "secrets", storage.secret.name, namespace=storage.secret.namespace)
        data = client.get(path).get("data") or {}
        try:
            keys = [base64.b64decode(data.get(key, ""), validate=True).decode() for key in S3_KEYS]
        except (binascii.Error, ValueError, TypeError):
            raise Wrong(f"{storage.secret} holds no usable credentials; correct it") from None
    return S3(
        bucket=storage.bucket,
        region=storage.region or "us-east-1",
        regionendpoint=endpoint,
        rootdirectory=storage.root.strip("/"),
        skipverify=storage.skip_verify,
        accesskey=keys[0],
        secretkey=keys[1],
    )


def _told(done: int, known: int) -> None:
    if output.on_a_terminal():
        click.echo(f"\rsurveyed {done} of {known} repositories so far\033[K", err=True, nl=False)
