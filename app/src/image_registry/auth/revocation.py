"""What a change in the cluster makes untrue of what we remember.

Remembered answers end by themselves within :data:`~image_registry.auth.cluster.ALLOWED` seconds; watches let them end
when something happens. What a change may concern is forgotten, no more, so that a busy cluster does not empty the
memory all the time: bindings of one namespace concern that namespace.
"""

from __future__ import annotations

from collections.abc import Callable

from image_registry.auth.cluster import ClusterAuthenticator, ClusterAuthorizer
from image_registry.auth.gate import SERVICE_ACCOUNT
from image_registry.kube.accounts import ServiceAccounts
from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.namespaces import Namespaces
from image_registry.kube.watch import Change, Watch

RBAC = "rbac.authorization.k8s.io/v1"


class Memory:
    """Everything that is remembered of the cluster's answers, and which part of it a change concerns."""

    def __init__(
        self,
        authorizer: ClusterAuthorizer,
        authenticator: ClusterAuthenticator,
        namespaces: Namespaces,
        accounts: ServiceAccounts,
    ) -> None:
        self._authorizer = authorizer
        self._authenticator = authenticator
        self._namespaces = namespaces
        self._accounts = accounts

    def in_namespace(self, change: Change) -> None:
        """A Role or RoleBinding."""
        self._authorizer.forget(change.namespace)

    def everywhere(self, change: Change | None = None) -> None:  # noqa: ARG002
        """A ClusterRole or ClusterRoleBinding, or changes that were missed."""
        self._authorizer.forget_all()

    def account(self, change: Change) -> None:
        """A ServiceAccount; only its end makes an answer untrue."""
        if change.type == "DELETED":
            self._authenticator.forget(f"{SERVICE_ACCOUNT}{change.namespace}:{change.name}")
        self._accounts.forget(change.namespace, change.name)

    def accounts(self) -> None:
        """Missed changes of ServiceAccounts."""
        self._authenticator.forget_all()
        self._accounts.forget()

    def namespace(self, change: Change) -> None:
        """A namespace."""
        self._namespaces.forget(change.name)

    def namespaces(self) -> None:
        """Missed changes of namespaces."""
        self._namespaces.forget()


def watches(client: ClusterClient, memory: Memory) -> list[Watch]:
    """One for each collection that access depends on, not started."""
    table: list[tuple[str, Callable[[Change], None], Callable[[], None]]] = [
        (object_path(RBAC, "rolebindings"), memory.in_namespace, memory.everywhere),
        (object_path(RBAC, "roles"), memory.in_namespace, memory.everywhere),
        (object_path(RBAC, "clusterrolebindings"), memory.everywhere, memory.everywhere),
        (object_path(RBAC, "clusterroles"), memory.everywhere, memory.everywhere),
        (object_path("v1", "serviceaccounts"), memory.account, memory.accounts),
        (object_path("v1", "namespaces"), memory.namespace, memory.namespaces),
    ]
    return [Watch(client, path, changed, unsure) for path, changed, unsure in table]
