"""The writes of managed pull Secrets, at the pace that was allowed. What comes back is seen at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.errors import KubeError
from image_registry.operator import pull_secret_content as content
from image_registry.operator.pull_secret_plan import (
    BINDING,
    LIFETIME,
    Account,
    Action,
    BindingPlan,
    Drop,
    Held,
    Make,
    Refer,
    Renew,
    binding,
)
from image_registry.operator.pull_secret_settings import AUDIENCE
from image_registry.operator.pull_secret_view import View, held_of

OWNER = "image-registry-pull-secrets"
"""Our name among the managers of fields."""

RBAC = "rbac.authorization.k8s.io/v1"


class NameTaken(Exception):
    """A Secret of this name is somebody else's."""


class Writes:
    """Thread-safe. Everything raises KubeError and ClusterUnreachable."""

    def __init__(self, client: ClusterClient, view: View, wait: Callable[[], None]) -> None:
        self._client = client
        self._view = view
        self._wait = wait

    def do(self, action: Action, hosts: frozenset[str]) -> Held | None:
        """One action; the Secret if it has a new token. Raises :class:`NameTaken`."""
        match action:
            case Refer():
                self._refer(action)
            case Drop():
                self._drop(action.held)
            case Make():
                return self._renew(action.account, self._make(action.account, action.name), hosts)
            case Renew():
                return self._renew(action.account, action.held, hosts)
        return None

    def bind(self, namespace: str, planned: BindingPlan) -> None:
        """The RoleBinding of a namespace."""
        path = object_path(RBAC, "rolebindings", BINDING, namespace=namespace)
        if planned.delete:
            self._delete(path)
            self._view.remove_binding(namespace)
        if planned.write:
            self._wait()
            self._view.put_binding(self._client.apply(path, binding(namespace), owner=OWNER))

    def look(self, namespace: str, account: str) -> None:
        """See a ServiceAccount and its Secrets as they are now."""
        self._wait()
        begun = time.monotonic()
        item = self._client.find(object_path("v1", "serviceaccounts", account, namespace=namespace))
        if item is None:
            self._view.remove_account(namespace, account)
        else:
            self._view.put_account(item, begun)
        for held in self._view.account(namespace, account)[1]:
            if self._find(namespace, held.name) is None:
                self._view.remove_secret(namespace, held.name)

    def _find(self, namespace: str, name: str) -> dict[str, Any] | None:
        """By a list, because whoever may list Secrets needs no right to get them."""
        self._wait()
        begun = time.monotonic()
        query = {"fieldSelector": f"metadata.name={name}"}
        items = self._client.get(object_path("v1", "secrets", namespace=namespace), query=query).get("items") or ()
        for item in items:
            self._view.put_secret(item, begun)
            return dict(item)
        return None

    def _refer(self, action: Refer) -> None:
        account = action.account
        body = {
            "metadata": {
                "uid": account.uid,
                "resourceVersion": account.version,  # the list is replaced as a whole, so nobody may have changed it
                "annotations": {content.REFERENCE: action.reference or None},
            },
            "imagePullSecrets": [{"name": name} for name in action.pulls],
        }
        self._wait()
        path = object_path("v1", "serviceaccounts", account.name, namespace=account.namespace)
        self._view.put_account(self._client.merge(path, body, query={"fieldManager": OWNER}))

    def _make(self, account: Account, name: str) -> Held:
        empty = content.document((), "")
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": account.namespace, **self._marks(account, empty)},
            "type": content.TYPE,
            "data": {content.KEY: empty},
        }
        self._wait()
        path = object_path("v1", "secrets", namespace=account.namespace)
        try:
            made = self._client.create(path, body, query={"fieldManager": OWNER})
        except KubeError as error:
            if not error.conflict:
                raise
            found = self._find(account.namespace, name)
            if found is None:
                raise
            if not _is_ours(held_of(found), account):
                raise NameTaken(name) from None
            return held_of(found)
        self._view.put_secret(made)
        return held_of(made)

    def _renew(self, account: Account, held: Held, hosts: frozenset[str]) -> Held:
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "audiences": [AUDIENCE],
                "expirationSeconds": LIFETIME,
                "boundObjectRef": {"apiVersion": "v1", "kind": "Secret", "name": held.name, "uid": held.uid},
            },
        }
        self._wait()
        path = object_path("v1", "serviceaccounts", account.name, namespace=account.namespace)
        token = str(self._client.create(f"{path}/token", request)["status"]["token"])
        encoded = content.document(hosts, token)
        marks = self._marks(account, encoded)
        body = {"metadata": {"uid": held.uid, **marks}, "data": {content.KEY: encoded}}
        self._wait()
        path = object_path("v1", "secrets", held.name, namespace=account.namespace)
        written = self._client.merge(path, body, query={"fieldManager": OWNER})
        self._view.put_secret(written)
        return held_of(written)

    def _marks(self, account: Account, encoded: str) -> dict[str, Any]:
        found = content.metadata(account.name, account.uid)
        found["annotations"][content.DIGEST] = content.digest(encoded)
        return found

    def _drop(self, held: Held) -> None:
        path = object_path("v1", "secrets", held.name, namespace=held.namespace)
        self._delete(path, held.uid)
        self._view.remove_secret(held.namespace, held.name)

    def _delete(self, path: str, uid: str = "") -> None:
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}} if uid else None
        self._wait()
        try:
            self._client.request("DELETE", path, body)
        except KubeError as error:
            if not error.not_found:
                raise


def _is_ours(held: Held, account: Account) -> bool:
    """A Secret whose label somebody has taken away still has its owner, and one without an owner its marks."""
    return held.account == account.name and (held.owner == account.uid or held.marked)
