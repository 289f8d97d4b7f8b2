"""What the Image API is made of; the server room builds it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from image_registry.auth.access import Authorizer
from image_registry.auth.identity import Authenticator
from image_registry.imagestreams.local_names import LocalNames
from image_registry.imagestreams.service import ImageStreams
from image_registry.importing.importer import Importer
from image_registry.kube.front_proxy import FrontProxyTrust
from image_registry.kube.pull_secrets import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """``front_proxy`` answers with the trust of now (it follows rotations), or ``None`` while it is not known."""

    streams: ImageStreams
    authorizer: Authorizer
    authenticator: Authenticator | None = None
    """For callers that come directly with a bearer token; ``None`` refuses every token."""
    front_proxy: Callable[[], FrontProxyTrust | None] = lambda: None
    internal_hostname: str
    """Host of ``status.dockerImageRepository``."""
    public_hostname: str | None = None
    """Host of ``status.publicDockerImageRepository``; ``None`` leaves the field out."""
    importer: Importer | None = None
    """Who looks into other registries; ``None`` cannot import."""
    pull_secrets: Callable[[str], Sequence[Secret]] | None = None
    """The pull Secrets of a namespace, read with the rights of this process; raises KubeError, ClusterUnreachable."""
    namespace_phase: Callable[[str], str] | None = None
    """Phase of a namespace, empty if there is none; ``None`` lets everything be made anywhere."""
    forget_namespace: Callable[[str], None] = lambda _name: None
    """Ask the cluster again about this namespace."""
    local_names: LocalNames = LocalNames.OFF
    """Whether short names in Pods are resolved, and what happens while they cannot be."""
    most_watches: int = 200
    """Open at once in this process; each has a thread."""
    metrics: Callable[[str], tuple[bytes, str]] | None = None
    """The page of metrics and its media type, for the ``Accept`` of the request."""
