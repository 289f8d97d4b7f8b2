"""How each process begins: what must be in order before it serves, and in which words it is refused.

What it is made of then is put together in :mod:`~image_registry.server.wiring`.
"""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from image_registry import __version__
from image_registry.auth.token_keys import read_keys
from image_registry.auth.tokens import generate_key
from image_registry.kube import endpoint, front_proxy
from image_registry.kube.client import ClusterClient
from image_registry.metadata.database import Database, DatabaseUnavailable
from image_registry.server import lean, process
from image_registry.server.import_settings import read_imports
from image_registry.server.logs import configure
from image_registry.server.modes import Modes
from image_registry.server.observability import shared_folder
from image_registry.server.peer import WSGIApplication
from image_registry.server.settings import AuthMode, InvalidSettings, Settings
from image_registry.server.tls import ReloadingContext, require_pair
from image_registry.server.wiring import (
    cluster_application,
    cluster_rights,
    follow_modes,
    image_api_application,
    local_application,
    local_authenticator,
)
from image_registry.storage.blob_store import OutOfSpace
from image_registry.storage.choice import Filesystem, open_store

LONGEST_OUTAGE = 30 * 86400
"""Seconds for which somebody waits for the database to be back, to bring its schema to this version."""

CLUSTER_PATIENCE = 60.0
"""Seconds that a starting process waits for the API server: half of what its startup probe allows."""


def run_serve(settings: Settings) -> None:
    """The registry alone. Refuses to start on a folder, a database or a users file that does not work."""
    configure(settings.log_level)
    _upgrade_apart(settings)
    check_storage(settings)
    key = generate_key()
    local_authenticator(settings)

    def ready() -> None:
        scheme = "https" if settings.tls else "http"
        users = "users of the htpasswd file" if settings.auth is AuthMode.HTPASSWD else "no authentication"
        sys.stderr.write(
            f"image-registry {__version__} serves {settings.storage} "
            f"at {scheme}://{settings.http_addr} ({users}); stop it with Ctrl-C\n"
        )

    numbers = shared_folder()

    def build() -> WSGIApplication:
        return local_application(settings, key, numbers)

    process.run(_profile(settings, "image-registry", build, _tls(settings), ready))


def run_data_plane(settings: Settings) -> None:
    """``/v2/`` in a cluster. Refuses to start outside of a Pod, without token keys, or without its storage."""
    configure(settings.log_level)
    if settings.auth is not AuthMode.CLUSTER or settings.auth_token_keys is None:
        raise InvalidSettings(
            "the data plane needs REGISTRY_AUTH=cluster and REGISTRY_AUTH_TOKEN_KEYS, a folder of keys"
        )
    read_imports(settings.imports)
    ClusterClient.from_pod()
    read_keys(settings.auth_token_keys, datetime.now(UTC))
    check_storage(settings)
    upgrade_when_back(settings)

    numbers = shared_folder()

    def build() -> WSGIApplication:
        client, modes, namespace = ClusterClient.from_pod(), follow_modes(settings), endpoint.pod_namespace()
        modes.follow(client, namespace)
        return cluster_application(settings, cluster_rights(settings, client), numbers, modes, namespace=namespace)

    process.run(_profile(settings, "image-registry", build, _tls(settings)))


def run_api_server(settings: Settings) -> None:
    """``image.alauda.io/v1`` behind kube-apiserver. Refuses to start outside of a Pod or without an aggregation layer.

    It neither waits for the database nor asks it before it is ready: discovery must answer whatever happens, because
    no namespace of the cluster can be deleted while an APIService is unavailable.
    """
    configure(settings.log_level)
    if settings.auth is not AuthMode.CLUSTER or settings.http_tls_certificate is None or settings.http_tls_key is None:
        raise InvalidSettings(
            "the API server needs REGISTRY_AUTH=cluster, REGISTRY_HTTP_TLS_CERTIFICATE and REGISTRY_HTTP_TLS_KEY"
        )
    require_pair(settings.http_tls_certificate, settings.http_tls_key)
    read_imports(settings.imports)
    front_proxy.wait(ClusterClient.from_pod(), CLUSTER_PATIENCE)

    @functools.cache
    def trust() -> front_proxy.FollowedTrust:
        """One for each worker, made after the fork: it holds a connection."""
        return front_proxy.FollowedTrust(ClusterClient.from_pod())

    numbers = shared_folder()

    def build() -> WSGIApplication:
        return image_api_application(
            settings, cluster_rights(settings, ClusterClient.from_pod()), trust(), numbers, scheduled=True
        )

    tls = ReloadingContext(settings.http_tls_certificate, settings.http_tls_key, lambda: trust()().ca)
    process.run(_profile(settings, "image-api-server", build, tls))


def check_storage(settings: Settings) -> None:
    """Raise :class:`StorageFault` when there is nothing to serve; a full disk and a read-only one still serve pulls."""
    store = open_store(settings.storage)
    if isinstance(settings.storage, Filesystem) and not settings.storage.lasting:
        structlog.get_logger().warning(
            "images are kept in the Pod and lost with it: for tests only; use a claim or an object store",
            storage=str(settings.storage),
        )
    if Modes(always=settings.read_only, file=settings.read_only_file).read_only() is not None:
        next(store.repositories(), None)
        return
    try:
        store.probe()
    except OutOfSpace as error:
        structlog.get_logger().warning("the storage is full: pulls are served, pushes are refused", reason=str(error))


def upgrade_database(settings: Settings, wait: float) -> list[str]:
    """Wait for the database, then bring its schema to this version; returns what was done."""
    database = Database(settings.database_url)
    try:
        database.wait(wait)
        before, after = database.upgrade()
    finally:
        database.dispose()
    if before == after:
        return [f"the metadata schema is at {after} already"]
    return [f"the metadata schema went from {before or 'nothing'} to {after}"]


def downgrade_database(settings: Settings, revision: str) -> str:
    """Bring the schema back to an older version; returns what was done."""
    from image_registry.metadata import schema

    database = Database(settings.database_url)
    try:
        before, after = schema.downgrade(database, revision)
    finally:
        database.dispose()
    return f"the metadata schema went from {before} back to {after}" if before != after else f"it is at {after} already"


def _upgrade_apart(settings: Settings) -> None:
    """The same in a process that takes the migration tool with it when it ends; failures are those of this one."""
    database = Database(settings.database_url)
    try:
        done = database.is_current()
    finally:
        database.dispose()
    if not done and not lean.apart(lambda: upgrade_database(settings, wait=0)):
        upgrade_database(settings, wait=0)


def upgrade_when_back(settings: Settings) -> subprocess.Popen[bytes] | None:
    """If the database is away now, let a process of its own bring the schema to this version when it is back.

    Pulls do not wait for that, and pushes are told to come back. A process of its own, because serving ones do not
    carry the migration tool.
    """
    database = Database(settings.database_url)
    try:
        database.ping()
    except DatabaseUnavailable as error:
        structlog.get_logger().warning(
            "pulls are served, pushes are refused until the database is back", reason=str(error)
        )
    else:
        return None
    finally:
        database.dispose()
    command = [sys.argv[0], "database", "upgrade", "--wait", str(LONGEST_OUTAGE)]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 - this program itself


def _profile(
    settings: Settings,
    name: str,
    build: Callable[[], WSGIApplication],
    tls: ReloadingContext | None,
    ready: Callable[[], None] | None = None,
) -> process.Profile:
    """What the settings say about serving, for whichever application."""
    return process.Profile(
        name=name,
        bind=settings.http_addr,
        workers=settings.http_workers,
        threads=settings.http_threads,
        graceful_timeout=settings.http_graceful_timeout,
        max_headers=settings.http_max_headers,
        max_header_bytes=settings.http_max_header_bytes,
        build=build,
        tls=tls,
        ready=ready,
    )


def _tls(settings: Settings) -> ReloadingContext | None:
    if settings.http_tls_certificate is None or settings.http_tls_key is None:
        return None
    require_pair(settings.http_tls_certificate, settings.http_tls_key)
    return ReloadingContext(settings.http_tls_certificate, settings.http_tls_key)
