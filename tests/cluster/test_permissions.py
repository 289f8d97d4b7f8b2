"""The cluster decides who may: TokenReview says who calls, SubjectAccessReview says what they may do."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.curl import Curl, Reply, bearer, upload
from tests.clients.layout import image
from tests.clients.programs import Crane, Refused, Registry
from tests.cluster.kubernetes import CommandFailed, Kubectl, Team

pytestmark = pytest.mark.lab


def as_account(registry: Registry, team: Team, account: str, home: Path) -> Crane:
    """crane, logged in as another ServiceAccount."""
    home.mkdir()
    client = Crane(registry, home)
    client.login(account, team.token(account))
    return client


def error(body: bytes) -> tuple[str, str]:
    """Code and message of a distribution error."""
    first = json.loads(body)["errors"][0]
    return str(first["code"]), str(first["message"])


def test_without_a_token_the_answer_is_401_and_where_to_get_one(curl: Curl, team: Team) -> None:
    for method, path in (("GET", "manifests/v1"), ("GET", "tags/list"), ("POST", "blobs/uploads/")):
        reply = curl(f"/v2/{team.namespace}/app/{path}", "-X", method)
        assert reply.status == 401, path
        assert reply.headers["www-authenticate"].startswith("Bearer realm="), path
        assert error(reply.body)[0] == "UNAUTHORIZED"


def test_a_token_that_the_cluster_does_not_know_is_401(curl: Curl) -> None:
    reply = curl("/v2/", config=f'user = "builder:{secrets.token_urlsafe(20)}"\n')
    assert reply.status == 401


def test_an_account_without_rights_may_neither_pull_nor_push_and_reads_why(
    curl: Curl, crane: Crane, registry: Registry, team: Team, tmp_path: Path
) -> None:
    crane.push(image(tmp_path / "image"), f"{team.namespace}/app:v1")
    credentials = f'user = "stranger:{team.token("stranger")}"\n'
    pull = curl(f"/v2/{team.namespace}/app/manifests/v1", config=credentials)
    push = curl(f"/v2/{team.namespace}/app/blobs/uploads/", "-X", "POST", "-d", "", config=credentials)
    for reply in (pull, push):
        assert reply.status == 403
        code, message = error(reply.body)
        assert code == "DENIED"
        assert f"system:serviceaccount:{team.namespace}:stranger" in message
        assert f'cannot get imagestreams/layers.image.alauda.io "app" in namespace "{team.namespace}"' in message
    stranger = as_account(registry, team, "stranger", tmp_path / "stranger")
    with pytest.raises(Refused, match=r"DENIED|UNAUTHORIZED|403"):
        stranger.pull(f"{team.namespace}/app:v1")
    with pytest.raises(Refused, match=r"DENIED|UNAUTHORIZED|403"):
        stranger.push(image(tmp_path / "other"), f"{team.namespace}/app:v2")


def test_a_namespace_that_does_not_exist_gets_no_images(curl: Curl, team: Team) -> None:
    nowhere = f"{team.namespace}-nowhere"
    credentials = f'user = "builder:{team.token()}"\n'
    assert curl(f"/v2/{nowhere}/app/blobs/uploads/", "-X", "POST", "-d", "", config=credentials).status == 403


def test_another_namespaces_image_is_not_listed(
    curl: Curl, crane: Crane, team: Team, other_team: Team, tmp_path: Path
) -> None:
    crane.push(image(tmp_path / "image"), f"{team.namespace}/app:v1")
    neighbour = f'user = "builder:{other_team.token()}"\n'
    assert curl(f"/v2/{team.namespace}/app/tags/list", config=neighbour).status == 403
    listed = curl("/v2/_catalog", config=neighbour)
    assert f"{team.namespace}/app".encode() not in listed.body
    with pytest.raises(CommandFailed, match="forbidden"):
        other_team.kubectl(
            *("-n", team.namespace, "get", "imagestreams"),
            f"--as=system:serviceaccount:{other_team.namespace}:builder",
        )


@pytest.mark.parity(14)
def test_another_namespaces_layer_cannot_be_mounted_without_the_right_to_pull_it(
    curl: Curl, registry: Registry, team: Team, other_team: Team, kubectl: Kubectl, tmp_path: Path
) -> None:
    source, target = f"{team.namespace}/app", f"{other_team.namespace}/copy"
    digest = upload(curl, source, os.urandom(100), bearer(curl.token(f"repository:{source}:pull,push")), tmp_path)
    neighbour = Curl(Registry(registry.address, registry.ca, "builder", other_team.token()))
    token = neighbour.token(f"repository:{target}:pull,push&scope=repository:{source}:pull")
    mount = f"/v2/{target}/blobs/uploads/?mount={digest}&from={source}"
    refused = neighbour(mount, "-X", "POST", "-d", "", config=bearer(token))
    assert refused.status == 202, "an upload is offered instead, which tells nothing about the layer"
    assert neighbour(f"/v2/{target}/blobs/{digest}", config=bearer(token)).status == 404

    account = f"{other_team.namespace}:builder"
    binding = ["rolebinding", "neighbour-pulls", "--clusterrole=system:image-puller", f"--serviceaccount={account}"]
    kubectl("-n", team.namespace, "create", *binding)
    token = ""
    for _ in range(30):  # a refusal is remembered for some seconds
        token = neighbour.token(f"repository:{target}:pull,push&scope=repository:{source}:pull")
        mounted = neighbour(mount, "-X", "POST", "-d", "", config=bearer(token))
        if mounted.status == 201:
            break
        kubectl("get", "--raw", "/livez")
    assert mounted.status == 201
    assert neighbour(f"/v2/{target}/blobs/{digest}", config=bearer(token)).status == 200


def seconds_until(status: int, ask: Callable[[], Reply]) -> float:
    """How long the registry took to answer with this status."""
    began = time.monotonic()
    while ask().status != status:
        assert time.monotonic() - began < 30, "half a minute is what it may take without any watch"
        time.sleep(0.05)
    return time.monotonic() - began


def test_rights_that_are_taken_away_or_given_count_within_two_seconds(
    curl: Curl, crane: Crane, team: Team, kubectl: Kubectl, tmp_path: Path
) -> None:
    crane.push(image(tmp_path / "image"), f"{team.namespace}/app:v1")
    token = bearer(curl.token(f"repository:{team.namespace}/app:pull"))

    def pull() -> Reply:
        return curl(f"/v2/{team.namespace}/app/manifests/v1", config=token)

    assert [pull().status for _ in range(5)] == [200] * 5, "the registry remembers the right by now"
    kubectl("-n", team.namespace, "delete", "rolebinding", "builder-pushes")
    assert seconds_until(403, pull) < 2
    binding = ["rolebinding", "builder-pulls", "--clusterrole=system:image-puller"]
    kubectl("-n", team.namespace, "create", *binding, f"--serviceaccount={team.namespace}:builder")
    assert seconds_until(200, pull) < 2
    kubectl("-n", team.namespace, "delete", "serviceaccount", "builder")
    assert seconds_until(401, pull) < 2
