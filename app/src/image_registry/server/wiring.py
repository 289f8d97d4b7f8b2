"""What each process is made of: the only place that builds objects and hands them to the rooms below.

Everything is built inside the worker, after the fork; only what all workers must share (the signing key of a registry
without a cluster) is made before it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from image_registry.auth import revocation
from image_registry.auth.cluster import ClusterAuthenticator, ClusterAuthorizer, ClusterStanding
from image_registry.auth.htpasswd import HtpasswdAuthenticator
from image_registry.auth.local import AllowAll, AuthenticatedOnly
from image_registry.auth.token_keys import FollowedKeys, read_keys
from image_registry.auth.tokens import RegistryTokens
from image_registry.distribution_api.app import create_app
from image_registry.distribution_api.parts import Parts
from image_registry.imagestreams.limits import NO_LIMITS, Limits
from image_registry.imagestreams.pulls import Pulls
from image_registry.imagestreams.rebuild_ledger import RebuildLedger
from image_registry.imagestreams.records import Records
from image_registry.imagestreams.service import ImageStreams
from image_registry.kube import front_proxy, pull_secrets
from image_registry.kube.accounts import ServiceAccounts
from image_registry.kube.client import ClusterClient
from image_registry.kube.namespaces import Namespaces
from image_registry.kube.reviews import AccessReviewer, TokenReviewer
from image_registry.metadata.database import Database
from image_registry.metadata.follower import Follower
from image_registry.rebuilding.rebuild import Rebuild
from image_registry.rebuilding.recording import Recorder
from image_registry.server import importing_parts, upkeep_options, upkeep_process
from image_registry.server.background_rebuild import BackgroundRebuild
from image_registry.server.background_records import BackgroundRecords
from image_registry.server.cluster_limits import ClusterLimits
from image_registry.server.echo import Echo
from image_registry.server.hot_reads import HotReads
from image_registry.server.import_settings import read_imports
from image_registry.server.integrity_teller import IntegrityTeller
from image_registry.server.limiter import Bounds
from image_registry.server.limiter import Limits as RequestLimits
from image_registry.server.maintenance import Maintenance
from image_registry.server.metrics import PULL_THROUGH, READ_ONLY
from image_registry.server.modes import Modes
from image_registry.server.numbers import Numbers
from image_registry.server.observability import Observability
from image_registry.server.peer import WSGIApplication
from image_registry.server.settings import AuthMode, InvalidSettings, Settings
from image_registry.server.upkeep_keeper import Keeper
from image_registry.storage.blob_store import BlobStore
from image_registry.storage.choice import open_store
from image_registry.upkeep.asking import Upkeep
from image_registry.upkeep.ledger import Ledger

NOT_FOR_WATCHES = 8
"""One thread of so many stays for requests that end."""


def image_api_application(
    settings: Settings,
    rights: Rights,
    trust: front_proxy.FollowedTrust,
    numbers: Path | None = None,
    *,
    scheduled: bool = False,
) -> WSGIApplication:
    """The Image API of one worker; ``numbers`` is the folder in which workers count together.

    ``scheduled`` lets it import by itself what is due.
    """
    from image_registry.image_api.app import create_app as create_image_api  # of no use to who serves /v2/
    from image_registry.image_api.parts import Parts as ImageAPIParts

    watched = Observability(settings.audit, numbers, access=settings.access_log, process="image-api-server")
    streams = _streams(settings, rights.limits)
    rights.limits.follow()
    imports = read_imports(settings.imports)
    parts = ImageAPIParts(
        streams=streams,
        importer=importing_parts.importer(settings, imports, streams.imports, rights.client, scheduled=scheduled),
        authorizer=rights.authorizer,
        authenticator=rights.authenticator,
        front_proxy=trust,
        pull_secrets=pull_secrets.from_cluster(rights.client),
        internal_hostname=settings.internal_hostname,
        public_hostname=settings.external_hostnames[0] if settings.external_hostnames else None,
        namespace_phase=rights.namespaces.phase,
        forget_namespace=rights.namespaces.forget,
        local_names=settings.local_names,
        most_watches=settings.http_threads - -(-settings.http_threads // NOT_FOR_WATCHES),
        metrics=watched.page,
    )
    return watched.around(create_image_api(parts))


def cluster_application(
    settings: Settings,
    rights: Rights,
    numbers: Path | None = None,
    modes: Modes | None = None,
    *,
    namespace: str = "",
) -> WSGIApplication:
    """The data plane of one worker: the cluster says who calls and what they may do.

    In its ``namespace`` it is told what verifications and scrubs have found; nowhere if that is empty.
    """
    modes = modes or follow_modes(settings)
    watched = Observability(settings.audit, numbers, access=settings.access_log)
    if settings.auth_token_keys is None:
        raise InvalidSettings("REGISTRY_AUTH_TOKEN_KEYS is not set")
    store = watched.store(open_store(settings.storage, renew_after=settings.blob_promise))
    streams = _streams_beside(store, settings, modes, rights.limits)
    rights.limits.start(streams)
    pull_through = importing_parts.pull_through(
        settings,
        read_imports(settings.imports),
        streams.imports,
        store,
        rights.client,
        lambda: modes.read_only() is not None,
        lambda kind, result: watched.numbers.add(PULL_THROUGH, (kind, result)),
    )
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
        pull_through=pull_through,
        namespace_exists=rights.namespaces.is_active,
        forget_namespace=rights.namespaces.forget,
        read_only=modes.read_only,
        manifest_limit=settings.max_manifest_bytes,
        sparse_images=settings.sparse_images,
        metrics=watched.page,
    )
    tell = partial(IntegrityTeller, client=rights.client, namespace=namespace) if namespace else None
    return _data_plane(settings, parts, watched, tell)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """Who decides in a cluster; what they remember ends when the cluster tells of a change."""

    authorizer: ClusterAuthorizer
    authenticator: ClusterAuthenticator
    standing: ClusterStanding
    namespaces: Namespaces
    limits: ClusterLimits
    client: ClusterClient


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
        client=client,
    )


def local_application(settings: Settings, key: bytes, numbers: Path | None = None) -> WSGIApplication:
    """The data plane of one worker, without a cluster behind it."""
    modes = follow_modes(settings)
    watched = Observability(settings.audit, numbers, access=settings.access_log)
    store = watched.store(open_store(settings.storage, renew_after=settings.blob_promise))
    streams = _streams_beside(store, settings, modes)
    authenticator = local_authenticator(settings)
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


def _streams(settings: Settings, limits: Callable[[str], Limits]) -> ImageStreams:
    database = Database(settings.database_url)
    return ImageStreams(database, internal_hostname=settings.internal_hostname, limits=limits)


def _streams_beside(
    store: BlobStore,
    settings: Settings,
    modes: Modes,
    limits: Callable[[str], Limits] = lambda _namespace: NO_LIMITS,
) -> ImageStreams:
    """The same for a process that has the storage: it makes the tables from it where they are not whole.

    What only the tables know it keeps there, unless the registry is read-only.
    """
    database = Database(settings.database_url)
    streams = ImageStreams(database, internal_hostname=settings.internal_hostname, limits=limits)
    ledger, tables = RebuildLedger(database), Records(database)
    rebuild = Rebuild(store, streams, ledger, tables)
    streams.read_storage_with(rebuild.read)
    BackgroundRebuild(rebuild).start()
    BackgroundRecords(Recorder(store, tables, ledger), lambda: modes.read_only() is not None).start()
    return streams


def _data_plane(
    settings: Settings,
    parts: Parts,
    watched: Observability,
    tell: Callable[[Ledger], IntegrityTeller] | None = None,
) -> WSGIApplication:
    """``/v2/`` of one worker, with the work that it does beside requests."""
    watched.numbers.watch(READ_ONLY, (), lambda: parts.read_only() is not None)

    def paused() -> bool:
        return parts.read_only() is not None

    database = Database(settings.database_url)
    parts = replace(parts, behind=Recorder(parts.store, Records(database), RebuildLedger(database)).is_behind)
    note_pulls = partial(watched.pulled.write, Pulls(database))
    Maintenance(parts.store, parts.streams, paused, parts.behind, note_pulls).start()
    upkeep = _upkeep(settings, Ledger(database), watched.numbers, paused, tell)
    echo = Echo(parts.store, parts.streams, paused)
    echo.start()
    hot = None
    if settings.http_hot_reads:
        follower, limited = Follower(settings.database_url), bool(settings.requests_read_maxrunning)
        hot = HotReads(
            parts.gate, parts.store, follower, watched.observer, files=not limited, promise=settings.blob_promise
        )
    application = create_app(replace(parts, echo=echo, upkeep=upkeep))
    return watched.around(_limits(settings, watched.numbers).around(application), hot)


def _upkeep(
    settings: Settings,
    ledger: Ledger,
    numbers: Numbers,
    paused: Callable[[], bool],
    tell: Callable[[Ledger], IntegrityTeller] | None,
) -> Upkeep:
    """Where collections and the like are asked for, and the threads that let them be made and tell of them."""
    teller, begin = tell(ledger) if tell is not None else None, partial(upkeep_process.begin, settings)
    keeper = Keeper(ledger, begin, paused, numbers, ended=teller.wake if teller is not None else lambda: None)
    keeper.start()
    if teller is not None:
        teller.start()
    return Upkeep(ledger, partial(upkeep_options.check, promise=settings.blob_promise), keeper.wake)


def _limits(settings: Settings, numbers: Numbers) -> RequestLimits:
    def share(kind: str) -> Bounds:
        running, queued, wait = (
            getattr(settings, f"requests_{kind}_{name}") for name in ("maxrunning", "maxinqueue", "maxwaitinqueue")
        )
        return Bounds(running, queued, wait).share(settings.http_workers, settings.http_threads)

    return RequestLimits(share("read"), share("write"), numbers)


def follow_modes(settings: Settings) -> Modes:
    modes = Modes(always=settings.read_only, file=settings.read_only_file)
    modes.start()
    return modes


def local_authenticator(settings: Settings) -> HtpasswdAuthenticator | None:
    if settings.auth is AuthMode.NONE:
        return None
    if settings.auth_htpasswd_path is None:
        raise InvalidSettings("this process needs REGISTRY_AUTH=none or htpasswd")
    return HtpasswdAuthenticator(settings.auth_htpasswd_path)
