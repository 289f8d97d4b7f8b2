"""``imagestreams/secrets``: pull Secrets of the namespace, for whoever has the right on the subresource."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from image_registry.image_api.app import create_app
from image_registry.kube.errors import ClusterUnreachable, KubeError

PATH = "namespaces/team/imagestreams/app/secrets"
SECRET = {
    "metadata": {"name": "quay", "namespace": "team", "uid": "1", "managedFields": [{"manager": "kubectl"}]},
    "type": "kubernetes.io/dockerconfigjson",
    "data": {".dockerconfigjson": "e30="},
}


@pytest.fixture
def asked(api: Any) -> Any:
    """The API with Secrets; ``api.failure`` is raised instead of them."""
    api.failure, api.namespaces = None, []

    def read(namespace: str) -> list[dict[str, Any]]:
        api.namespaces.append(namespace)
        if api.failure is not None:
            raise api.failure
        return [SECRET]

    api.parts = dataclasses.replace(api.parts, pull_secrets=read)
    api.client = create_app(api.parts).test_client()
    return api


def test_they_are_a_list_of_whole_secrets(asked: Any) -> None:
    found = asked.get(PATH)
    assert (found["kind"], found["apiVersion"]) == ("SecretList", "image.alauda.io/v1")
    metadata = {"name": "quay", "namespace": "team", "uid": "1"}
    assert found["items"] == [{"kind": "Secret", "apiVersion": "v1", **SECRET, "metadata": metadata}]
    assert asked.namespaces == ["team"]


def test_the_right_on_the_subresource_is_what_counts(asked: Any) -> None:
    asked.cluster.allowed = {'get imagestreams.image.alauda.io "app" in namespace "team"'}
    refused = asked.refuse(PATH, 403, "Forbidden")
    assert 'cannot get resource "imagestreams/secrets"' in refused["message"]
    assert asked.namespaces == [], "without the right nothing is read"
    asked.cluster.allowed = {'get imagestreams/secrets.image.alauda.io "app" in namespace "team"'}
    assert asked.get(PATH)["items"]


def test_a_namespace_that_did_not_opt_in_says_what_to_do(asked: Any) -> None:
    asked.failure = KubeError(403, "Forbidden", "secrets is forbidden")
    said = asked.refuse(PATH, 403, "Forbidden")["message"]
    assert "ClusterRole <namespace of the registry>:pull-secret-reader to" in said
    for failure in (ClusterUnreachable("away"), KubeError(500, "InternalError", "etcd")):
        asked.failure = failure
        answer = asked.ask(PATH)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


def test_there_are_tables_and_metadata_of_them_too(asked: Any) -> None:
    table = asked.get(PATH, asked.table)
    assert [row["cells"] for row in table["rows"]] == [["quay"]]
    partial = asked.get(PATH, "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io")
    assert [item["metadata"]["name"] for item in partial["items"]] == ["quay"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nothing_is_written_here(asked: Any, method: str) -> None:
    assert asked.ask(PATH, method=method).status_code == 405
