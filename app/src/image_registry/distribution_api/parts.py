"""What the data plane is made of; the server room builds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from image_registry.auth.access import Authorizer
from image_registry.auth.gate import Gate, Standing
from image_registry.auth.identity import Authenticator
from image_registry.auth.tokens import RegistryTokens
from image_registry.imagestreams.service import ImageStreams
from image_registry.importing.pull_through import PullThrough
from image_registry.oci.reference import Repository
from image_registry.storage.blob_store import BlobStore
from image_registry.upkeep.asking import Upkeep

MANIFEST_LIMIT = 4 << 20
"""Largest manifest in bytes unless a setting says otherwise: the distribution specification asks for at least 4 MiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """``authenticator`` and ``tokens`` are ``None`` together: a registry without authentication."""

    store: BlobStore
    streams: ImageStreams
    authorizer: Authorizer
    authenticator: Authenticator | None = None
    tokens: RegistryTokens | None = None
    standing: Standing | None = None
    """Whether what tokens were issued for is still the same; ``None`` without a cluster."""
    namespace_exists: Callable[[str], bool] = lambda _namespace: True
    forget_namespace: Callable[[str], None] = lambda _namespace: None
    """Lets the next question about a namespace be asked anew."""
    read_only: Callable[[], str | None] = lambda: None
    """Why pushes and deletes are refused now; ``None`` if they are not."""
    pull_through: PullThrough | None = None
    """Who fetches content of imported images that is not here; ``None`` serves only what is."""
    echo: Callable[[Repository], None] | None = None
    """Told of each repository whose tags changed; without it their links are written before the answer."""
    upkeep: Upkeep | None = None
    """Where administrators ask for collections, verifications and scrubs."""
    behind: Callable[[], bool] = lambda: False
    """Whether the tables are known to be older than the storage, so that nothing may be concluded from them."""
    manifest_limit: int = MANIFEST_LIMIT
    """Largest manifest that is taken, in bytes."""
    sparse_images: bool = False
    """Take manifests whose blobs are not there; without it they are refused, because nobody could pull them."""
    metrics: Callable[[str], tuple[bytes, str]] | None = None
    """The page of metrics and its media type, for the ``Accept`` of the request."""

    @property
    def gate(self) -> Gate:
        """Who calls and whether they may, in plain values."""
        return Gate(self.authorizer, self.authenticator, self.tokens, self.standing)
