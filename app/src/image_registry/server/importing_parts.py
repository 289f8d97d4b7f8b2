"""What importing and pull-through are made of in a serving process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

import structlog

from image_registry.auth.access import IMAGE_GROUP
from image_registry.imagestreams.importer import Imports
from image_registry.importing.importer import CredentialsUnknown, Importer
from image_registry.importing.pull_through import PullThrough
from image_registry.importing.refetching import Refetching
from image_registry.importing.schedule import Pace, Schedule
from image_registry.kube import pull_secrets
from image_registry.kube.client import ClusterClient
from image_registry.kube.errors import ClusterUnreachable, KubeconfigError, KubeError
from image_registry.kube.pull_secrets import PullSecrets, Read, Secret
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository
from image_registry.proxies import Proxies
from image_registry.remote.credentials import Keyring, UnreadableCredentials
from image_registry.remote.registry import Registries
from image_registry.remote.wire import Wire
from image_registry.server.import_settings import ImportSettings, read_imports
from image_registry.server.settings import Settings
from image_registry.storage.blob_store import BlobStore


def registries(found: ImportSettings, proxies: Proxies) -> Registries:
    """The client of other registries; one for each worker, made after the fork."""
    return Registries(Wire(found.addresses, authorities=found.authorities, proxies=proxies), found.rules)


def keyring(read: Read) -> Callable[[Repository], Keyring]:
    """Credentials for a repository by the Secrets of its namespace; none where they may not be read."""
    secrets, told = PullSecrets(read), set[str]()

    def say(what: str, reason: str) -> None:
        if what not in told:
            told.add(what)
            structlog.get_logger().warning(what, reason=reason)

    def of(repository: Repository) -> Keyring:
        namespace = repository.namespace
        try:
            documents = secrets.documents(repository)
        except KubeError as error:
            if not error.forbidden:
                raise CredentialsUnknown(f"the Secrets of namespace {namespace} cannot be read: {error}") from error
            say(f"imports of namespace {namespace} have no credentials: its Secrets may not be read", str(error))
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
    secrets = pull_secrets.from_cluster(client)

    def by_namespace(repository: Repository) -> Sequence[Secret]:
        return secrets(repository.namespace)

    ourselves = (settings.internal_hostname, *settings.external_hostnames)
    made = Importer(
        registries(found, settings.proxy),
        imports,
        keyring(by_namespace),
        ourselves=ourselves,
        most_tags=found.max_tags,
    )
    if scheduled:
        interval = timedelta(seconds=found.interval) if found.interval > 0 else None
        Schedule(made, imports, Pace(interval, found.per_minute)).start()
    return made


def pull_through(
    settings: Settings,
    found: ImportSettings,
    imports: Imports,
    store: BlobStore,
    client: ClusterClient,
    paused: Callable[[], bool],
    count: Callable[[str, str], None],
) -> PullThrough | None:
    """For the process that has the storage; it asks the Image API for credentials. ``None`` where it is off."""
    if not found.pull_through:
        return None
    read = pull_secrets.from_image_api(client, f"{IMAGE_GROUP}/v1")
    return PullThrough(registries(found, settings.proxy), imports, store, keyring(read), paused=paused, fetched=count)


def refetching(settings: Settings, imports: Imports, store: BlobStore) -> Callable[[Digest], str]:
    """For a process that looks after the storage; it does nothing where pull-through is off."""
    found = read_imports(settings.imports)
    if not found.pull_through:
        return lambda _digest: ""
    try:
        secrets = keyring(pull_secrets.from_image_api(ClusterClient.from_pod(), f"{IMAGE_GROUP}/v1"))
    except KubeconfigError:  # a registry without a cluster has no Secrets
        secrets = _anonymous
    return Refetching(imports, PullThrough(registries(found, settings.proxy), imports, store, secrets), store)


def _anonymous(_repository: Repository) -> Keyring:
    return Keyring()
