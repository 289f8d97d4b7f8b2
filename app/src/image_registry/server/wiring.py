"""What each process is made of: the only place that builds objects and hands them to the rooms below.

Everything is built inside the worker, after the fork; only what all workers must share (the signing key of a registry
without a cluster) is made before it.
"""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import structlog

from image_registry import __version__
from image_registry.auth import revocation
from image_registry.auth.cluster import ClusterAuthenticator, ClusterAuthorizer, ClusterStanding
from image_registry.auth.htpasswd import HtpasswdAuthenticator
from image_registry.auth.local import AllowAll, AuthenticatedOnly
from image_registry.auth.token_keys import FollowedKeys, read_keys
from image_registry.auth.tokens import RegistryTokens, generate_key
from image_registry.distribution_api.app import create_app
from image_registry.distribution_api.parts import Parts
from image_registry.image_api.app import create_app as create_image_api
from image_registry.image_api.parts import Parts as ImageAPIParts
from image_registry.imagestreams.limits import NO_LIMITS, Limits
from image_registry.imagestreams.rebuild_ledger import RebuildLedger
from image_registry.imagestreams.service import ImageStreams
from image_registry.kube import endpoint, front_proxy
from image_registry.kube.accounts import ServiceAccounts
from image_registry.kube.client import ClusterClient
from image_registry.kube.namespaces import Namespaces
from image_registry.kube.reviews import AccessReviewer, TokenReviewer
from image_registry.metadata.database import Database, DatabaseUnavailable
from image_registry.metadata.follower import Follower
from image_registry.rebuilding.rebuild import Rebuild
from image_registry.server import process
from image_registry.server.background_rebuild import BackgroundRebuild
from image_registry.server.cluster_limits import ClusterLimits
from image_registry.server.echo import Echo
from image_registry.server.hot_reads import HotReads
from image_registry.server.limiter import Bounds
from image_registry.server.limiter import Limits as RequestLimits
from image_registry.server.logs import configure
from image_registry.server.maintenance import Maintenance
from image_registry.server.metrics import READ_ONLY
from image_registry.server.modes import Modes
from image_registry.server.numbers import Numbers
from image_registry.server.observability import Observability, shared_folder
from image_registry.server.peer import WSGIApplication
from image_registry.server.settings import AuthMode, InvalidSettings, Settings
from image_registry.server.tls import ReloadingContext, require_pair
from image_registry.storage.blob_store import BlobStore, OutOfSpace
from image_registry.storage.choice import Filesystem, open_store

LONGEST_OUTAGE = 30 * 86400
"""Seconds for which somebody waits for the database to be back, to bring its schema to this version."""

CLUSTER_PATIENCE = 60.0
"""Seconds that a starting process waits for the API server: half of what its startup probe allows."""


def run_serve(settings: Settings) -> None:
    """The registry alone. Refuses to start on a folder, a database or a users file that does not work."""
    configure(settings.log_level)
    upgrade_database(settings, wait=0)
    check_storage(settings)
    key = generate_key()
    _local_authenticator(settings)

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
    ClusterClient.from_pod()
    read_keys(settings.auth_token_keys, datetime.now(UTC))
    check_storage(settings)
    upgrade_when_back(settings)

    numbers = shared_folder()

    def build() -> WSGIApplication:
        client, modes = ClusterClient.from_pod(), _modes(settings)
        modes.follow(client, endpoint.pod_namespace())
        return cluster_application(settings, cluster_rights(settings, client), numbers, modes)

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
    front_proxy.wait(ClusterClient.from_pod(), CLUSTER_PATIENCE)

    @functools.cache
    def trust() -> front_proxy.FollowedTrust:
        """One for each worker, made after the fork: it holds a connection."""
        return front_proxy.FollowedTrust(ClusterClient.from_pod())

    numbers = shared_folder()

    def build() -> WSGIApplication:
        return image_api_application(settings, cluster_rights(settings, ClusterClient.from_pod()), trust(), numbers)

    tls = ReloadingContext(settings.http_tls_certificate, settings.http_tls_key, lambda: trust()().ca)
    process.run(_profile(settings, "image-api-server", build, tls))


def image_api_application(
    settings: Settings, rights: Rights, trust: front_proxy.FollowedTrust, numbers: Path | None = None
) -> WSGIApplication:
    """The Image API of one worker; ``numbers`` is the folder in which workers count together."""
    watched = Observability(settings.audit, numbers, access=settings.access_log, process="image-api-server")
    streams = _streams(settings)
    parts = ImageAPIParts(
        streams=streams,
        authorizer=rights.authorizer,
        authenticator=rights.authenticator,
        front_proxy=trust,
        internal_hostname=settings.internal_hostname,
        public_hostname=settings.external_hostnames[0] if settings.external_hostnames else None,
        namespace_phase=rights.namespaces.phase,
        forget_namespace=rights.namespaces.forget,
        metrics=watched.page,
    )
    return watched.around(create_image_api(parts))


def cluster_application(
    settings: Settings, rights: Rights, numbers: Path | None = None, modes: Modes | None = None
) -> WSGIApplication:
    """The data plane of one worker: the cluster says who calls and what they may do."""
    modes = modes or _modes(settings)
    watched = Observability(settings.audit, numbers, access=settings.access_log)
    if settings.auth_token_keys is None:
        raise InvalidSettings("REGISTRY_AUTH_TOKEN_KEYS is not set")
    store = watched.store(open_store(settings.storage))
    streams = _streams_beside(store, settings, rights.limits)
    rights.limits.start(streams)
    keys = read_keys(settings.auth_token_keys, datetime.now(UTC))
    tokens = RegistryTokens(keys, audience=settings.auth_audience)
    FollowedKeys(tokens, settings.auth_token_keys).start()
    parts = Parts(
        store=store,
        streams=streams,
        authorizer=rights.authorizer,
        authenticator=rights.authenticator,
        tokens=tokens,
        standing=rights.standing,
        namespace_exists=rights.namespaces.is_active,
        forget_namespace=rights.namespaces.forget,
        read_only=modes.read_only,
        manifest_limit=settings.max_manifest_bytes,
        sparse_images=settings.sparse_images,
        metrics=watched.page,
    )
    return _data_plane(settings, parts, watched)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """Who decides in a cluster; what they remember ends when the cluster tells of a change."""

    authorizer: ClusterAuthorizer
    authenticator: ClusterAuthenticator
    standing: ClusterStanding
    namespaces: Namespaces
    limits: ClusterLimits


def cluster_rights(settings: Settings, client: ClusterClient) -> Rights:
    """One set for each worker; its watches run until the worker ends."""
    authorizer = ClusterAuthorizer(AccessReviewer(client))
    authenticator = ClusterAuthenticator(TokenReviewer(client), audience=settings.auth_audience)
    namespaces, accounts = Namespaces(client), ServiceAccounts(client)
    for watch in revocation.watches(client, revocation.Memory(authorizer, authenticator, namespaces, accounts)):
        watch.start()
    return Rights(
        authorizer=authorizer,
        authenticator=authenticator,
        standing=ClusterStanding(namespaces, accounts),
        namespaces=namespaces,
        limits=ClusterLimits(client),
    )


def local_application(settings: Settings, key: bytes, numbers: Path | None = None) -> WSGIApplication:
    """The data plane of one worker, without a cluster behind it."""
    modes = _modes(settings)
    watched = Observability(settings.audit, numbers, access=settings.access_log)
    store = watched.store(open_store(settings.storage))
    streams = _streams_beside(store, settings)
    authenticator = _local_authenticator(settings)
    parts = Parts(
        store=store,
        streams=streams,
        authorizer=AllowAll() if authenticator is None else AuthenticatedOnly(authenticator.knows),
        authenticator=authenticator,
        tokens=None if authenticator is None else RegistryTokens([key], audience=settings.auth_audience),
        read_only=modes.read_only,
        manifest_limit=settings.max_manifest_bytes,
        sparse_images=settings.sparse_images,
        metrics=watched.page,
    )
    return _data_plane(settings, parts, watched)


@contextmanager
def rebuild_tools(settings: Settings) -> Iterator[tuple[Rebuild, RebuildLedger]]:
    """What the command needs to make the tables from storage."""
    database = Database(settings.database_url)
    try:
        streams = ImageStreams(database, internal_hostname=settings.internal_hostname)
        ledger = RebuildLedger(database)
        yield Rebuild(open_store(settings.storage), streams, ledger), ledger
    finally:
        database.dispose()


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


def _streams(settings: Settings) -> ImageStreams:
    return ImageStreams(Database(settings.database_url), internal_hostname=settings.internal_hostname)


def _streams_beside(
    store: BlobStore, settings: Settings, limits: Callable[[str], Limits] = lambda _namespace: NO_LIMITS
) -> ImageStreams:
    """The same for a process that has the storage: it makes the tables from it where they are not whole."""
    database = Database(settings.database_url)
    streams = ImageStreams(database, internal_hostname=settings.internal_hostname, limits=limits)
    rebuild = Rebuild(store, streams, RebuildLedger(database))
    streams.read_storage_with(rebuild.read)
    BackgroundRebuild(rebuild).start()
    return streams


def _data_plane(settings: Settings, parts: Parts, watched: Observability) -> WSGIApplication:
    """``/v2/`` of one worker, with the work that it does beside requests."""
    watched.numbers.watch(READ_ONLY, (), lambda: parts.read_only() is not None)

    def paused() -> bool:
        return parts.read_only() is not None

    Maintenance(parts.store, parts.streams, paused).start()
    echo = Echo(parts.store, parts.streams, paused)
    echo.start()
    hot = None
    if settings.http_hot_reads:
        follower, limited = Follower(settings.database_url), bool(settings.requests_read_maxrunning)
        hot = HotReads(parts.gate, parts.store, follower, watched.observer, files=not limited)
    application = create_app(replace(parts, echo=echo))
    return watched.around(_limits(settings, watched.numbers).around(application), hot)


def _limits(settings: Settings, numbers: Numbers) -> RequestLimits:
    def share(kind: str) -> Bounds:
        running, queued, wait = (
            getattr(settings, f"requests_{kind}_{name}") for name in ("maxrunning", "maxinqueue", "maxwaitinqueue")
        )
        return Bounds(running, queued, wait).share(settings.http_workers, settings.http_threads)

    return RequestLimits(share("read"), share("write"), numbers)


def _modes(settings: Settings) -> Modes:
    modes = Modes(always=settings.read_only, file=settings.read_only_file)
    modes.start()
    return modes


def _local_authenticator(settings: Settings) -> HtpasswdAuthenticator | None:
    if settings.auth is AuthMode.NONE:
        return None
    if settings.auth_htpasswd_path is None:
        raise InvalidSettings("this process needs REGISTRY_AUTH=none or htpasswd")
    return HtpasswdAuthenticator(settings.auth_htpasswd_path)


def _tls(settings: Settings) -> ReloadingContext | None:
    if settings.http_tls_certificate is None or settings.http_tls_key is None:
        return None
    require_pair(settings.http_tls_certificate, settings.http_tls_key)
    return ReloadingContext(settings.http_tls_certificate, settings.http_tls_key)
