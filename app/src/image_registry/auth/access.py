"""What they may do: one question, one answer (authorization.k8s.io/v1 ``ResourceAttributes``)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from image_registry.auth.identity import Identity
from image_registry.oci.reference import Repository

IMAGE_GROUP = "image.alauda.io"


@dataclass(frozen=True, slots=True)
class Access:
    """A question: may the caller use ``verb`` on this resource? The subresource is sent apart (parity 4.4)."""

    verb: str
    resource: str
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    group: str = IMAGE_GROUP

    def __str__(self) -> str:
        resource = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        where = f' in namespace "{self.namespace}"' if self.namespace else " at the cluster scope"
        name = f' "{self.name}"' if self.name else ""
        return f"{self.verb} {resource}.{self.group}{name}{where}"


def pull(repository: Repository) -> Access:
    """Permission to read layers and manifests of a repository (D5)."""
    return Access("get", "imagestreams", "layers", repository.namespace, repository.name)


def push(repository: Repository) -> Access:
    """Permission to write layers and manifests of a repository (D5)."""
    return Access("update", "imagestreams", "layers", repository.namespace, repository.name)


def delete(repository: Repository) -> Access:
    """Permission to delete tags and manifests of a repository (design, decision 2)."""
    return Access("delete", "imagestreamtags", "", repository.namespace, repository.name)


def delete_anywhere() -> Access:
    """Permission of those who clean for everybody: deleting Images includes taking them out of any repository."""
    return Access("delete", "images")


def sign(repository: Repository) -> Access:
    """Permission to add a signature to what a repository holds (parity reference 4.4)."""
    return Access("create", "imagesignatures", "", repository.namespace, repository.name)


def create_stream(namespace: str) -> Access:
    """Permission that a push needs to bring a new repository into being (parity reference 1.7)."""
    return Access("create", "imagestreams", "", namespace)


def read_metrics() -> Access:
    """Permission to read metrics (parity reference 4.4), which no namespace has."""
    return Access("get", "registry", "metrics")


def start_upkeep() -> Access:
    """Permission to start and stop collections, verifications and scrubs, which no namespace has."""
    return Access("create", "registry", "upkeep")


def look_at_upkeep() -> Access:
    """Permission to read what those do and did; their reports name repositories of every namespace."""
    return Access("get", "registry", "upkeep")


def review_local_names() -> Access:
    """Permission to ask what short names in Pods mean, in whichever namespace: the kube-apiserver's own."""
    return Access("create", "localnamereviews")


def list_streams(namespace: str = "") -> Access:
    """Permission to see the repositories of a namespace, or of all (catalog)."""
    return Access("list", "imagestreams", "", namespace)


ACTIONS: dict[str, Callable[[Repository], tuple[Access, ...]]] = {
    "pull": lambda repository: (pull(repository),),
    "push": lambda repository: (push(repository),),
    "delete": lambda repository: (delete(repository), delete_anywhere()),
}
"""What an action of the registry needs: any one of these permissions. The first is the one that a refusal names."""


@dataclass(frozen=True, slots=True)
class Decision:
    """An answer; ``reason`` is fit for users when access is refused."""

    allowed: bool
    reason: str = ""


class AuthorizationUnavailable(Exception):
    """The party that decides (the API server) cannot be asked now."""


class Authorizer(Protocol):
    """Decides; implementations cache briefly. Raises :class:`AuthorizationUnavailable`."""

    def decide(self, identity: Identity, access: Access) -> Decision: ...
