"""Credentials for other registries are the Secrets that kubelets know, and no others."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from image_registry.importing.importer import CredentialsUnknown
from image_registry.kube.errors import ClusterUnreachable, KubeError
from image_registry.kube.pull_secrets import EXCLUDED, REMEMBERED, PullSecrets, Read, from_cluster, from_image_api
from image_registry.oci.reference import Repository
from image_registry.remote.reference import RemoteReference
from image_registry.server.importing_parts import keyring

QUAY = RemoteReference.parse("quay.io/team/app")
APP = Repository("team", "app")
CONFIG = b'{"auths": {"quay.io": {"username": "u", "password": "p"}}}'


class FakeClient:
    """A named fake of the API server: Secrets by type."""

    def __init__(self, secrets: dict[str, list[dict[str, Any]]]) -> None:
        self.secrets, self.asked = secrets, 0
        self.failure: Exception | None = None

    def get(self, path: str, *, query: dict[str, str] | None = None, timeout: float) -> dict[str, Any]:
        assert timeout
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        if query is None:
            assert path == "/apis/image.alauda.io/v1/namespaces/team/imagestreams/app/secrets"
            return {"items": [{**item, "type": kind} for kind, items in self.secrets.items() for item in items]}
        assert path == "/api/v1/namespaces/team/secrets"
        return {"items": self.secrets.get(query["fieldSelector"].removeprefix("type="), [])}


def secret(name: str, key: str, data: bytes, **annotations: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "annotations": annotations},
        "data": {key: base64.b64encode(data).decode()},
    }


@pytest.fixture
def client() -> FakeClient:
    excluded = secret("c", ".dockerconfigjson", b"c", **{EXCLUDED: "true"})
    broken = {"metadata": {"name": "d"}, "data": {".dockerconfigjson": "%"}}
    return FakeClient(
        {
            "kubernetes.io/dockerconfigjson": [secret("b", ".dockerconfigjson", CONFIG), excluded, broken],
            "kubernetes.io/dockercfg": [secret("a", ".dockercfg", b"{}")],
        }
    )


def reader(client: FakeClient) -> Read:
    read = from_cluster(client)  # type: ignore[arg-type]
    return lambda repository: read(repository.namespace)


def test_both_types_are_read_and_what_is_excluded_or_broken_is_not(client: FakeClient) -> None:
    assert PullSecrets(reader(client)).documents(APP) == (CONFIG, b"{}")
    assert [item["metadata"]["name"] for item in reader(client)(APP)] == ["b", "d", "a"]


def test_who_asks_the_image_api_gets_the_same(client: FakeClient) -> None:
    client.secrets["Opaque"] = [secret("e", "password", b"e")]
    del client.secrets["kubernetes.io/dockerconfigjson"][1]
    read = from_image_api(client, "image.alauda.io/v1")  # type: ignore[arg-type]
    assert PullSecrets(read).documents(APP) == (CONFIG, b"{}")


def test_they_are_remembered_for_a_moment(client: FakeClient) -> None:
    now = [0.0]
    secrets = PullSecrets(reader(client), lambda: now[0])
    secrets.documents(APP)
    secrets.documents(Repository("team", "other"))
    assert client.asked == 2
    now[0] = REMEMBERED + 1
    secrets.documents(APP)
    assert client.asked == 4


@pytest.mark.parity(15)
def test_a_namespace_has_the_logins_of_its_secrets(client: FakeClient) -> None:
    [login] = keyring(reader(client))(APP).logins(QUAY)
    assert login.username == "u"


def test_without_the_right_there_are_none_and_without_an_answer_nobody_knows(client: FakeClient) -> None:
    client.failure = KubeError(403, "Forbidden", "no")
    assert keyring(reader(client))(APP).logins(QUAY) == ()
    for failure in (ClusterUnreachable("away"), KubeError(503, "ServiceUnavailable", "later")):
        client.failure = failure
        with pytest.raises(CredentialsUnknown):
            keyring(reader(client))(APP)
