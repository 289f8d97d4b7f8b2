"""What can go wrong between us and the cluster, in sentences a person can act on."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from image_registry.kube.own_access import Right


class ClusterUnreachable(Exception):
    """The API server does not answer at all; the text names the address and what to check."""


class KubeconfigError(ValueError):
    """A kubeconfig file, or the Pod's service account, cannot be used; the text names the file and the cure."""


class KubeError(Exception):
    """The API server answered with an error (``Status`` of meta/v1)."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        self.status = status
        self.reason = reason
        self.message = message
        super().__init__(message)

    @property
    def not_found(self) -> bool:
        """True if the object, or its namespace, does not exist."""
        return self.status == HTTPStatus.NOT_FOUND

    @property
    def conflict(self) -> bool:
        """True if somebody else created or changed the object in between."""
        return self.status == HTTPStatus.CONFLICT

    @property
    def forbidden(self) -> bool:
        """True if our own permissions do not suffice."""
        return self.status == HTTPStatus.FORBIDDEN

    @property
    def unauthorized(self) -> bool:
        """True if our own credentials are not accepted."""
        return self.status == HTTPStatus.UNAUTHORIZED

    @property
    def passing(self) -> bool:
        """True if the same request may work in a moment."""
        return self.status == HTTPStatus.TOO_MANY_REQUESTS or self.status >= HTTPStatus.INTERNAL_SERVER_ERROR


class RightsMissing(Exception):
    """The cluster does not let us do what was asked for; nothing was done."""

    def __init__(self, rights: Sequence[Right]) -> None:
        self.rights = tuple(rights)
        super().__init__("missing rights: " + ", ".join(str(right) for right in rights))


class NoRegistry(Exception):
    """The cluster does not serve the Image API; the text says what to look at."""
