"""Ours answers as k8s.io/sample-apiserver does: the same request, the same status, headers and shape of the body."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster import sample_apiserver
from tests.cluster.golden import Resource, outcome
from tests.cluster.golden_requests import REQUESTS
from tests.cluster.kubernetes import Kubectl
from tests.cluster.raw import RawApi

pytestmark = pytest.mark.lab

NAMESPACE = "golden"
OURS = Resource("image.alauda.io", "v1", "imagestreams", "ImageStream", NAMESPACE)
SAMPLE = Resource(sample_apiserver.GROUP, "v1beta1", "flunders", "Flunder", NAMESPACE)


@pytest.fixture(scope="module")
def outcomes(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[Any, Any]]]:
    """What both answered to every request, sent once and in order."""
    folder = tmp_path_factory.mktemp("golden")
    api = RawApi(kubectl.kubeconfig, folder)
    with sample_apiserver.running(kubectl, api, folder):
        kubectl("create", "namespace", NAMESPACE)
        try:
            known: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
            yield {
                request.name: (outcome(request, OURS, api, known[0]), outcome(request, SAMPLE, api, known[1]))
                for request in REQUESTS
            }
        finally:
            kubectl("delete", "namespace", NAMESPACE)


@pytest.mark.parametrize("name", [request.name for request in REQUESTS])
def test_ours_answers_as_the_sample_does(outcomes: dict[str, tuple[Any, Any]], name: str) -> None:
    ours, sample = outcomes[name]
    if sample["status"] == 500:  # it calls a caller's mistake its own
        assert ours["status"] in (400, 409, 422)
        assert ours["body"]["reason"]
        return
    assert json.dumps(ours, indent=1) == json.dumps(sample, indent=1)


def test_no_two_requests_have_one_name() -> None:
    names = [request.name for request in REQUESTS]
    assert len(set(names)) == len(names) >= 80
