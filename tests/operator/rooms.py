"""Namespaces with ServiceAccounts, and the controller of pull Secrets, on a kube-apiserver without controllers."""

from __future__ import annotations

import base64
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from image_registry.kube.client import ClusterClient, object_path
from image_registry.operator import pull_secret_content as content
from image_registry.operator.operand import CONFIG
from image_registry.operator.pull_secret_plan import BINDING
from image_registry.operator.pull_secret_settings import PullSecretOptions
from image_registry.operator.pull_secrets import PullSecrets
from tests.operator.conftest import NAMESPACE
from tests.operator.control_plane import ApiServer

SERVICE = object_path("v1", "services", "image-registry", namespace=NAMESPACE)
RBAC = "rbac.authorization.k8s.io/v1"
PATIENCE = 20.0
INTERNAL = {f"image-registry.{NAMESPACE}.svc:5000", f"image-registry.{NAMESPACE}.svc.cluster.local:5000"}
names = (f"team-{number}" for number in itertools.count())

Object = dict[str, Any]


def until(true: Callable[[], bool], what: str) -> float:
    began = time.monotonic()
    while not true():
        if time.monotonic() - began > PATIENCE:
            pytest.fail(f"not {what} after {PATIENCE:g} s")
        time.sleep(0.02)
    return time.monotonic() - began


class Room:
    """A namespace with one ServiceAccount, as people and tests see it."""

    def __init__(self, client: ClusterClient, account: str = "default") -> None:
        self.client, self.namespace, self.account = client, next(names), account
        client.create("/api/v1/namespaces", {"metadata": {"name": self.namespace}})
        self.join(account)

    def join(self, account: str, **more: Any) -> Object:
        return self.client.create(self.at("serviceaccounts"), {"metadata": {"name": account}, **more})

    def at(self, resource: str, name: str = "", version: str = "v1") -> str:
        return object_path(version, resource, name, namespace=self.namespace)

    def secrets(self) -> list[Object]:
        found: list[Object] = self.client.get(self.at("secrets"))["items"]
        return found

    def secret(self) -> Object:
        (found,) = self.secrets()
        return found

    def listed(self, account: str = "") -> list[str]:
        found = self.client.get(self.at("serviceaccounts", account or self.account))
        return [entry["name"] for entry in found.get("imagePullSecrets") or []]

    def good(self) -> bool:
        """One Secret, with a token for this ServiceAccount, named by it; and the binding."""
        found = self.secrets()
        if len(found) != 1 or self.client.find(self.at("rolebindings", BINDING, RBAC)) is None:
            return False
        said = content.read(found[0])
        return said is not None and said.secret_uid == found[0]["metadata"]["uid"] and self.named(found[0])

    def named(self, secret: Object) -> bool:
        account = self.client.get(self.at("serviceaccounts", self.account))
        name = secret["metadata"]["name"]
        reference = (account["metadata"].get("annotations") or {}).get(content.REFERENCE)
        return reference == name and {"name": name} in (account.get("imagePullSecrets") or [])


def auths(secret: Mapping[str, Any]) -> Object:
    found: Object = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))["auths"]
    return found


def token(secret: Mapping[str, Any]) -> str:
    (login,) = {base64.b64decode(entry["auth"]).decode() for entry in auths(secret).values()}
    user, _, found = login.partition(":")
    assert user == "<token>"
    return found


@contextmanager
def running(operator: ApiServer) -> Iterator[PullSecrets]:
    keeper = PullSecrets(operator.client.apart(), PullSecretOptions(namespace=NAMESPACE), CollectorRegistry())
    stop = threading.Event()
    thread = threading.Thread(target=keeper.run, args=(stop,), daemon=True)
    thread.start()
    try:
        yield keeper
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


@contextmanager
def with_registry(client: ClusterClient) -> Iterator[ClusterClient]:
    """A Config and a Service, for as long as it takes."""
    spec = {"managementState": "Managed", "storage": {"emptyDir": {}}}
    kind = {"apiVersion": "imageregistry.operator.alauda.io/v1", "kind": "Config", "metadata": {"name": "cluster"}}
    service = {"metadata": {"name": "image-registry"}, "spec": {"ports": [{"port": 5000}]}}
    made: list[str] = []
    try:
        for path, document in ((CONFIG, {**kind, "spec": spec}), (SERVICE, service)):
            client.create(path.rpartition("/")[0], document)
            made.append(path)
        yield client
    finally:
        for path in made:
            client.delete(path)
