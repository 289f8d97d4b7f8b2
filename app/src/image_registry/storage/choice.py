"""Which medium keeps the bytes: one value per kind of storage, and the one place that opens it.

The values say what an administrator decided (``config.storage`` of the chart, ``Config.spec.storage``); where they are
read from is the business of the serving room. What is secret is kept out of every ``repr``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from image_registry.proxies import Proxies
from image_registry.storage.blob_store import RENEWED, BlobStore
from image_registry.storage.object_client import ObjectClient

CHUNK = 10 << 20
"""Bytes of a piece of an upload, as OpenShift has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filesystem:
    """A folder: a claim, an NFS share, a disk. One that does not last is lost with its Pod (``emptyDir``)."""

    rootdirectory: Path = Path("/registry")
    lasting: bool = True

    def __str__(self) -> str:
        return str(self.rootdirectory)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectStorage:
    """What all object stores share."""

    rootdirectory: str = ""
    """Prefix of every key, for a bucket that holds other things too."""
    chunksize: int = CHUNK
    redirect: bool = True
    """Send readers to the store by signed addresses, or let the bytes come through the registry."""
    proxies: Proxies = field(default_factory=Proxies)
    """Through which the store is asked; without any, libraries may read those of the environment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class S3(ObjectStorage):
    """Amazon S3 and everything that speaks like it."""

    bucket: str
    region: str = "us-east-1"
    regionendpoint: str = ""
    forcepathstyle: bool = True
    trustedca: Path | None = None
    skipverify: bool = False
    encrypt: bool = False
    keyid: str = ""
    cloudfrontbaseurl: str = ""
    """Address of a CloudFront distribution whose origin is the bucket: readers are sent there."""
    cloudfrontkeypairid: str = ""
    cloudfrontprivatekey: Path | None = None
    cloudfrontduration: str = "20m"
    accesskey: str = field(default="", repr=False)
    secretkey: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"bucket {self.bucket} at {self.regionendpoint or self.region}"


@dataclass(frozen=True, slots=True, kw_only=True)
class GCS(ObjectStorage):
    """Google Cloud Storage."""

    bucket: str
    keyid: str = ""
    endpoint: str = ""
    keyfile: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"bucket {self.bucket} of Google Cloud Storage"


@dataclass(frozen=True, slots=True, kw_only=True)
class Azure(ObjectStorage):
    """Azure Blob Storage."""

    accountname: str
    container: str
    realm: str = "core.windows.net"
    endpoint: str = ""
    accountkey: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"container {self.container} of account {self.accountname}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Swift(ObjectStorage):
    """OpenStack Swift."""

    authurl: str
    container: str
    authversion: str = ""
    """``1`` or ``3``; empty: by the address."""
    region: str = ""
    tenant: str = ""
    tenantid: str = ""
    domain: str = ""
    domainid: str = ""
    trustedca: Path | None = None
    skipverify: bool = False
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    applicationcredentialid: str = field(default="", repr=False)
    applicationcredentialsecret: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"container {self.container} of Swift at {self.authurl}"


Storage = Filesystem | S3 | GCS | Azure | Swift
KINDS: dict[str, type[Storage]] = {"filesystem": Filesystem, "s3": S3, "gcs": GCS, "azure": Azure, "swift": Swift}
"""By the names that ``REGISTRY_STORAGE`` and CNCF distribution use."""


def open_store(storage: Storage, *, renew_after: float = RENEWED) -> BlobStore:
    """The store that ``storage`` names; nothing is read or written before it is used.

    Links that are ``renew_after`` seconds old are renewed when somebody relies on them.

    Clients are large, so only the one that is used is imported. Open it after a fork: it keeps connections.
    """
    if isinstance(storage, Filesystem):
        from image_registry.storage.filesystem import FilesystemStore

        return FilesystemStore(storage.rootdirectory, renew_after=renew_after)
    from image_registry.storage.object_store import ObjectStore

    client = object_client(storage)
    return ObjectStore(client, chunk=storage.chunksize, redirect=storage.redirect, renew_after=renew_after)


def object_client(storage: S3 | GCS | Azure | Swift) -> ObjectClient:
    """The client of the store that ``storage`` names; only its libraries are imported."""
    match storage:
        case S3():
            from image_registry.storage.s3 import S3Client

            return S3Client(storage)
        case GCS():
            from image_registry.storage.gcs import GCSClient

            return GCSClient(storage)
        case Azure():
            from image_registry.storage.azure import AzureClient

            return AzureClient(storage)
        case Swift():
            from image_registry.storage.swift import SwiftClient

            return SwiftClient(storage)
