"""``image-registry``: one program for every process of the product.

Commands only read options and hand over; how a process begins is in :mod:`~image_registry.server.starting`.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import click

from image_registry import __version__
from image_registry.measures import seconds
from image_registry.server.cluster_commands import bootstrap, image_triggers, node_ca, operator
from image_registry.server.log_lines import Audit
from image_registry.server.settings import AuthMode, InvalidSettings, LogLevel, Settings
from image_registry.server.storage_commands import storage
from image_registry.server.storage_settings import read_storage
from image_registry.storage.choice import KINDS, Filesystem


def main() -> None:
    """Entry point: errors that a person can cure end in one sentence, not in a traceback."""
    # the first process of a container ignores SIGTERM unless it says otherwise, and kubelet would wait for nothing
    # while a command waits for a database or an API; servers and node-ca replace this by a handler of their own
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        cli(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except Exception as error:
        cure = _cure(error)
        if cure is None:
            raise
        click.echo(f"image-registry: {error}{cure}", err=True)
        sys.exit(1)


def _cure(error: Exception) -> str | None:
    """What to add for who can cure it; ``None`` for a defect. Imports late: no process needs all that may go wrong."""
    from image_registry.auth.identity import AuthenticationUnavailable
    from image_registry.garbage.collection import CollectionRefused
    from image_registry.imagestreams.errors import MetadataUnavailable
    from image_registry.kube.errors import ClusterUnreachable, KubeconfigError, KubeError
    from image_registry.kube.front_proxy import AggregationUnavailable
    from image_registry.metadata.database import DatabaseUnavailable, SchemaTooNew, UnknownSchema
    from image_registry.operator.release_secrets import BootstrapFailed
    from image_registry.relocating.copying import NoRegistry
    from image_registry.relocating.note import NotTheCopy
    from image_registry.storage.blob_store import StorageFault
    from image_registry.upkeep.asking import Refused

    if isinstance(error, DatabaseUnavailable):
        return "; see that it runs, and that REGISTRY_DATABASE_… or --database say where it is and who may use it"
    curable = (
        CollectionRefused,
        InvalidSettings,
        AggregationUnavailable,
        AuthenticationUnavailable,
        BootstrapFailed,
        ClusterUnreachable,
        KubeconfigError,
        KubeError,
        NoRegistry,
        NotTheCopy,
        MetadataUnavailable,
        SchemaTooNew,
        StorageFault,
        UnknownSchema,
        OSError,
        Refused,
    )
    return "" if isinstance(error, curable) else None


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="image-registry")
def cli() -> None:
    """The image registry of the Alauda Container Platform."""


cli.add_command(bootstrap)
cli.add_command(node_ca)
cli.add_command(image_triggers)
cli.add_command(operator)
cli.add_command(storage)


@cli.command()
def version() -> None:
    """Print the version."""
    click.echo(__version__)


@cli.command("data-plane")
def data_plane() -> None:
    """Serve the OCI distribution API (/v2/) in a cluster; settings come from REGISTRY_* variables."""
    from image_registry.server import starting

    starting.run_data_plane(Settings.from_environment(os.environ))


@cli.command("api-server")
def api_server() -> None:
    """Serve the aggregated API image.alauda.io/v1 in a cluster; settings come from REGISTRY_* variables."""
    from image_registry.server import starting

    starting.run_api_server(Settings.from_environment(os.environ))


@cli.command()
@click.option("--root", type=click.Path(path_type=Path), required=True, help="Folder for blobs and metadata.")
@click.option("--listen", default="127.0.0.1:5000", show_default=True, metavar="HOST:PORT")
@click.option("--auth", default="none", show_default=True, metavar="none|htpasswd:FILE", help="Who may push and pull.")
@click.option("--tls-cert", type=click.Path(path_type=Path), help="Certificate chain, PEM.")
@click.option("--tls-key", type=click.Path(path_type=Path), help="Private key, PEM.")
@click.option("--database", metavar="URL", help="Metadata database; default: SQLite in the root folder.")
@click.option(
    "--storage",
    type=click.Choice(list(KINDS)),
    default="filesystem",
    show_default=True,
    help="Where blobs lie: in the root folder, or as REGISTRY_STORAGE_<KIND>_* say.",
)
@click.option("--workers", type=click.IntRange(min=1), default=2, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), default=256, show_default=True, help="Per worker.")
@click.option("--sparse-images", is_flag=True, help="Accept images some of whose layers are not there.")
@click.option("--hot-reads/--no-hot-reads", default=True, show_default=True, help="Give answers again from memory.")
@click.option(
    "--blob-promise",
    default="1h",
    show_default=True,
    envvar="REGISTRY_BLOB_PROMISE",
    help="How long a blob is sure to stay for who was told that it is there.",
)
@click.option("--read-only-file", type=click.Path(path_type=Path), help="File that says true while pushes are refused.")
@click.option("--audit", type=click.Choice([*map(str, Audit)]), default="writes", show_default=True, help="On record.")
@click.option("--log-level", type=click.Choice([*map(str, LogLevel)]), default="Normal", show_default=True)
def serve(
    *,
    root: Path,
    listen: str,
    auth: str,
    tls_cert: Path | None,
    tls_key: Path | None,
    database: str | None,
    storage: str,
    workers: int,
    threads: int,
    sparse_images: bool,
    hot_reads: bool,
    blob_promise: str,
    read_only_file: Path | None,
    audit: str,
    log_level: str,
) -> None:
    """Serve the registry alone, without a cluster, from one folder."""
    from image_registry.server import starting

    mode, _, users = auth.partition(":")
    if mode not in (AuthMode.NONE, AuthMode.HTPASSWD) or (mode == AuthMode.HTPASSWD) != bool(users):
        raise click.BadParameter(f"{auth!r}: write none, or htpasswd:FILE", param_hint="--auth")
    for path in (tls_cert, tls_key, Path(users) if users else None):
        if path is not None and not path.is_file():
            raise click.BadParameter(f"no such file: {path}")
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.BadParameter(f"no folder can be made at {root}: {error.strerror}", param_hint="--root") from None
    starting.run_serve(
        Settings(
            http_addr=listen,
            http_tls_certificate=tls_cert,
            http_tls_key=tls_key,
            http_workers=workers,
            http_threads=threads,
            http_hot_reads=hot_reads,
            storage=Filesystem(rootdirectory=root) if storage == "filesystem" else read_storage(os.environ, storage),
            database_url=database or f"sqlite:///{(root / 'metadata.db').resolve()}",
            auth=AuthMode(mode),
            auth_htpasswd_path=Path(users) if users else None,
            internal_hostname=listen,
            sparse_images=sparse_images,
            read_only_file=read_only_file,
            blob_promise=_promise(blob_promise),
            audit=Audit(audit),
            log_level=LogLevel(log_level),
        )
    )


@cli.group()
def database() -> None:
    """Look after the metadata database."""


@database.command()
@click.option("--wait", default=120, show_default=True, help="Seconds to wait for the database to answer.")
@click.option("--or-later", is_flag=True, help="No error if it does not answer: the data plane tries again.")
def upgrade(*, wait: int, or_later: bool) -> None:
    """Bring the schema to this version; safe to run from several Pods at once."""
    from image_registry.metadata.database import DatabaseUnavailable
    from image_registry.server import starting

    try:
        for line in starting.upgrade_database(Settings.from_environment(os.environ), wait):
            click.echo(line)
    except DatabaseUnavailable as error:
        if not or_later:
            raise
        click.echo(f"image-registry: {error}; pulls are served without it, pushes when it is back", err=True)


@database.command()
@click.option("--to", "revision", required=True, metavar="SCHEMA", help="What the older version says that it knows.")
def downgrade(*, revision: str) -> None:
    """Bring the schema back to that of an older version, before that version is started again."""
    from image_registry.server import starting

    click.echo(starting.downgrade_database(Settings.from_environment(os.environ), revision))


@cli.group()
def metadata() -> None:
    """Make the metadata from what lies in the storage, and keep there what only the metadata knows."""


@metadata.command()
@click.option("--root", type=click.Path(path_type=Path, exists=True), help="Folder of `image-registry serve`.")
@click.option("--database", metavar="URL", help="Metadata database; default: SQLite in the root folder.")
@click.option("--dry-run", is_flag=True, help="Say what would be found and change; write nothing.")
@click.option("--apply", is_flag=True, help="Write even where the metadata has streams already.")
@click.option("--resume", is_flag=True, help="Go on where the last one stopped instead of beginning anew.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def rebuild(*, root: Path | None, database: str | None, dry_run: bool, apply: bool, resume: bool, output: str) -> None:
    """Make the metadata from what lies in the storage, while the registry serves.

    Metadata that has streams already is only compared, unless --apply is given. Without --root the settings come from
    REGISTRY_* variables, as in a Pod. No blob and no link in the storage is changed.
    """
    from image_registry.server import rebuild_command

    settings = Settings.from_environment(os.environ) if root is None else _local(root, database)
    wish = rebuild_command.Wish(dry_run=dry_run, apply=apply, resume=resume, as_json=output == "json")
    sys.exit(rebuild_command.run(settings, wish))


@metadata.command()
@click.option("--root", type=click.Path(path_type=Path, exists=True), help="Folder of `image-registry serve`.")
@click.option("--database", metavar="URL", help="Metadata database; default: SQLite in the root folder.")
@click.option("--discard", is_flag=True, help="Forget what records say that the metadata does not know.")
def record(*, root: Path | None, database: str | None, discard: bool) -> None:
    """Write down in the storage, now, what only the metadata knows; a registry that serves does so by itself."""
    from image_registry.server import rebuild_command

    settings = Settings.from_environment(os.environ) if root is None else _local(root, database)
    sys.exit(rebuild_command.record(settings, discard=discard))


@cli.command("garbage-collect")
@click.option("--root", type=click.Path(path_type=Path, exists=True), help="Folder of `image-registry serve`.")
@click.option("--database", metavar="URL", help="Metadata database; default: SQLite in the root folder.")
@click.option("--confirm", is_flag=True, help="Do it; without this it is only said what would be done.")
@click.option("--grace", default="24h", show_default=True, help="What is younger is left alone: it may be in a push.")
@click.option("--trash", default="24h", show_default=True, help="How long what was thrown away can be had back.")
@click.option(
    "--at-most",
    type=click.IntRange(0, 100),
    default=None,
    metavar="PERCENT",
    help="Refuse to throw away more than this part of all blobs; without it more than half goes only if what "
    "repositories hold shows that metadata and storage belong together.",
)
@click.option("--rate", type=click.FloatRange(min=0), default=0, help="Changes per second at most; 0: no limit.")
@click.option("-o", "--output", type=click.Choice(["text", "wide", "json"]), default="text", show_default=True)
def garbage_collect(
    *,
    root: Path | None,
    database: str | None,
    confirm: bool,
    grace: str,
    trash: str,
    at_most: int | None,
    rate: float,
    output: str,
) -> None:
    """Give back the space of blobs that no image needs, while the registry serves.

    Without --root the settings come from REGISTRY_* variables, as in a Pod. Blobs go into a trash first, and come back
    by themselves when somebody needs them; they are removed for good by a later run, once they have been there for the
    time of --trash.
    """
    from image_registry.server import garbage_command

    settings = Settings.from_environment(os.environ) if root is None else _local(root, database)
    rules = garbage_command.rules(settings, grace=grace, trash=trash, at_most=at_most, rate=rate)
    sys.exit(garbage_command.run(settings, rules, dry_run=not confirm, output=output))


@cli.command()
@click.argument("name", default="", metavar="[NAMESPACE[/REPOSITORY]]")
@click.option("--root", type=click.Path(path_type=Path, exists=True), help="Folder of `image-registry serve`.")
@click.option("--database", metavar="URL", help="Metadata database; default: SQLite in the root folder.")
@click.option("--deep", is_flag=True, help="Read every byte, and compare it with its digest.")
@click.option("--rate", type=click.FloatRange(min=0), default=0, help="MiB per second at most; 0: no limit.")
@click.option("-o", "--output", type=click.Choice(["text", "wide", "json"]), default="text", show_default=True)
def verify(*, name: str, root: Path | None, database: str | None, deep: bool, rate: float, output: str) -> None:
    """Say whether everything is there that the registry says it has; changes nothing, while the registry serves.

    Without a name everything is looked at. Exits with 1 if something is missing or wrong.
    """
    from image_registry.server import integrity_commands

    settings = Settings.from_environment(os.environ) if root is None else _local(root, database)
    sys.exit(integrity_commands.verify(settings, name, deep=deep, rate=rate, output=output))


@cli.command()
@click.option("--root", type=click.Path(path_type=Path, exists=True), help="Folder of `image-registry serve`.")
@click.option("--database", metavar="URL", help="Metadata database; default: SQLite in the root folder.")
@click.option("--confirm", is_flag=True, help="Put aside what is corrupt; without this it is only named.")
@click.option("--rate", type=click.FloatRange(min=0), default=0, help="MiB per second at most; 0: no limit.")
@click.option("--after", default="", metavar="DIGEST", help="Go on behind this digest.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def scrub(*, root: Path | None, database: str | None, confirm: bool, rate: float, after: str, output: str) -> None:
    """Read every blob again and compare it with its digest, while the registry serves.

    What is put aside is not removed: pulls of it are refused, and a push of the same digest repairs it.
    """
    from image_registry.server import integrity_commands

    settings = Settings.from_environment(os.environ) if root is None else _local(root, database)
    sys.exit(integrity_commands.scrub(settings, confirm=confirm, rate=rate, after=after, output=output))


def _promise(text: str) -> float:
    try:
        return seconds(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no duration; write 1h or 90s", param_hint="--blob-promise") from None


def _local(root: Path, database: str | None) -> Settings:
    """What `image-registry serve` reads and writes below its folder."""
    return Settings(
        blob_promise=_promise(os.environ.get("REGISTRY_BLOB_PROMISE", "1h")),
        storage=Filesystem(rootdirectory=root),
        database_url=database or f"sqlite:///{(root / 'metadata.db').resolve()}",
        auth=AuthMode.NONE,
    )
