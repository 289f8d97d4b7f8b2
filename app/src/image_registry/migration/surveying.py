"""Looking at what lies in a legacy registry, from one of three places: one rule for the command and the modules."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from image_registry.kube.client import ClusterClient, object_path
from image_registry.migration.content import ContentSummary, ContentWriter
from image_registry.migration.documents import InvalidDocument
from image_registry.migration.facts import Inventory, StorageFact
from image_registry.migration.storage_facts import S3_KEYS
from image_registry.migration.survey_registry import LegacyRegistry, SurveyOptions, explained, survey_registry
from image_registry.migration.survey_storage import survey_storage
from image_registry.remote.asking import Access
from image_registry.remote.errors import RemoteError
from image_registry.storage.blob_store import BlobStore, StorageFault
from image_registry.storage.choice import S3, open_store
from image_registry.storage.filesystem import FilesystemStore

Tell = Callable[[int, int], None]
"""Is told how many repositories were looked at, of how many known so far."""


class WrongPlace(Exception):
    """What was asked for cannot be meant; nothing was done."""


class NoAnswer(Exception):
    """The registry or its storage does not answer."""


@dataclass(frozen=True, slots=True)
class InRegistry:
    """Through the registry; ``authorities`` are PEM, trusted beside those of the system."""

    url: str
    access: Access
    options: SurveyOptions
    authorities: str = ""


@dataclass(frozen=True, slots=True)
class InFolder:
    """Where its volume is mounted: the folder that holds ``docker/registry/v2``."""

    root: Path


@dataclass(frozen=True, slots=True)
class InBucket:
    """In its bucket; see :func:`bucket_of`."""

    storage: S3


Place = InRegistry | InFolder | InBucket


def survey(place: Place, content: Path, tell: Tell = lambda _done, _known: None) -> ContentSummary:
    """Into the file ``content``; goes on with one that was interrupted.

    Raises :class:`WrongPlace` and :class:`NoAnswer`.
    """
    try:
        if isinstance(place, InRegistry):
            return _by_registry(place, content, tell)
        if isinstance(place, InFolder):
            if not place.root.is_dir():
                raise WrongPlace(f"{place.root} is no folder: name the one that holds docker/registry/v2")
            return _by_storage(FilesystemStore(place.root), str(place.root.resolve()), content, tell)
        return _by_storage(open_store(place.storage), str(place.storage), content, tell)
    except InvalidDocument as error:
        raise WrongPlace(f"content: {error}") from None
    except StorageFault as error:
        raise NoAnswer(f"the storage cannot be read: {error}") from None


def bucket_of(inventory: Inventory, client: ClusterClient) -> InBucket:
    """That of the registry that was found, with its credentials, which are read for this and kept nowhere.

    Raises :class:`WrongPlace`, and :class:`~image_registry.kube.errors.KubeError` where the Secret may not be read.
    """
    found = [entry.storage for entry in inventory.installations if entry.storage and entry.storage.kind == "s3"]
    if not found:
        raise WrongPlace("no bucket was found in the cluster; survey the registry by its address, or its folder")
    storage: StorageFact = found[0]
    endpoint = storage.endpoint if "://" in storage.endpoint or not storage.endpoint else f"https://{storage.endpoint}"
    keys = ["", ""]
    if storage.secret is not None:
        path = object_path("v1", "secrets", storage.secret.name, namespace=storage.secret.namespace)
        data = client.get(path).get("data") or {}
        try:
            keys = [base64.b64decode(data.get(key, ""), validate=True).decode() for key in S3_KEYS]
        except (binascii.Error, ValueError, TypeError):
            raise WrongPlace(f"{storage.secret} holds no usable credentials; correct it") from None
    return InBucket(
        S3(
            bucket=storage.bucket,
            region=storage.region or "us-east-1",
            regionendpoint=endpoint,
            rootdirectory=storage.root.strip("/"),
            skipverify=storage.skip_verify,
            accesskey=keys[0],
            secretkey=keys[1],
        )
    )


def _by_registry(place: InRegistry, content: Path, tell: Tell) -> ContentSummary:
    try:
        registry = LegacyRegistry(place.url, place.access, place.options, place.authorities)
    except ValueError as error:
        raise WrongPlace(str(error)) from None
    try:
        registry.ping()
        with ContentWriter(content, "registry", place.url) as writer:
            return survey_registry(registry, writer, progress=tell)
    except RemoteError as error:
        raise NoAnswer(explained(error, place.url)) from None


def _by_storage(store: BlobStore, named: str, content: Path, tell: Tell) -> ContentSummary:
    with ContentWriter(content, "storage", named) as writer:
        return survey_storage(store, writer, progress=tell)
