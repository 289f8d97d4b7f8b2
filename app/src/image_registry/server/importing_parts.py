"""What importing and pull-through are made of in a serving process."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import structlog

from image_registry.imagestreams.importer import Imports
from image_registry.importing.importer import CredentialsUnknown, Importer
from image_registry.importing.pull_through import PullThrough
from image_registry.importing.schedule import Pace, Schedule
from image_registry.kube.client import ClusterClient
from image_registry.kube.errors import ClusterUnreachable, KubeconfigError, KubeError
from image_registry.kube.pull_secrets import PullSecrets
from image_registry.remote.credentials import Keyring, UnreadableCredentials
from image_registry.remote.registry import Registries
from image_registry.remote.wire import Wire
from image_registry.server.import_settings import ImportSettings
from image_registry.server.settings import Settings
from image_registry.storage.blob_store import BlobStore


def registries(found: ImportSettings) -> Registries:
    """The client of other registries; one for each worker, made after the fork."""
    return Registries(Wire(found.addresses, authorities=found.authorities), found.rules)


def keyring(client: ClusterClient) -> Callable[[str], Keyring]:
    """Credentials of a namespace by its Secrets; none where this process may not read them."""
    secrets, told = PullSecrets(client), set[str]()

    def say(what: str, reason: str) -> None:
        if what not in told:
            told.add(what)
            structlog.get_logger().warning(what, reason=reason)

    def of(namespace: str) -> Keyring:
        try:
            documents = secrets.documents(namespace)
        except KubeError as error:
            if not error.forbidden:
                raise CredentialsUnknown(f"the Secrets of namespace {namespace} cannot be read: {error}") from error
            say("imports have no credentials: Secrets can not be read", str(error))
            return Keyring()
        except (ClusterUnreachable, KubeconfigError) as error:
            raise CredentialsUnknown(f"the Secrets of namespace {namespace} cannot be read: {error}") from error
        found = []
        for document in documents:
            try:
                found.append(Keyring.parse(document))
            except UnreadableCredentials as error:
                say(f"a pull Secret of namespace {namespace} is not used", str(error))
        return Keyring.joined(found)

    return of


def importer(
    settings: Settings, found: ImportSettings, imports: Imports, client: ClusterClient, *, scheduled: bool
) -> Importer:
    """For the process that serves the Image API; ``scheduled`` starts the thread that imports what is due."""
    ourselves = (settings.internal_hostname, *settings.external_hostnames)
    made = Importer(registries(found), imports, keyring(client), ourselves=ourselves, most_tags=found.max_tags)
    if scheduled:
        interval = timedelta(seconds=found.interval) if found.interval > 0 else None
        Schedule(made, imports, Pace(interval, found.per_minute)).start()
    return made


def pull_through(
    found: ImportSettings,
    imports: Imports,
    store: BlobStore,
    client: ClusterClient,
    paused: Callable[[], bool],
    count: Callable[[str, str], None],
) -> PullThrough:
    """For the process that has the storage."""
    return PullThrough(registries(found), imports, store, keyring(client), paused=paused, fetched=count)
