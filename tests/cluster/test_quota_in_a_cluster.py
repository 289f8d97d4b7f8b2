"""Quotas on images as administrators set them: kubectl and pushes meet the same one, and describe shows it.

The namespaces are new, so nothing is remembered of them: a quota that is there first needs no waiting.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.at_once import at_once
from tests.clients.layout import image
from tests.clients.programs import Crane, Refused
from tests.cluster.kubernetes import CommandFailed, Kubectl, Team

pytestmark = pytest.mark.lab

COUNT = "count/imagestreams.image.alauda.io"
RESYNC = 75.0
"""Seconds: what the documentation calls about fifteen seconds, on a busy machine."""


def until(condition: Callable[[], bool], seconds: float = RESYNC) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.5)


def quota(team: Team, **hard: str) -> None:
    named = {COUNT if name == "count" else f"alauda.io/{name.replace('_', '-')}": value for name, value in hard.items()}
    metadata = {"name": "images", "namespace": team.namespace}
    spec = {"hard": named}
    team.kubectl.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": spec})


def create(team: Team, name: str, *options: str, **spec: Any) -> str:
    stream = {
        "apiVersion": "image.alauda.io/v1",
        "kind": "ImageStream",
        "metadata": {"name": name, "namespace": team.namespace},
        "spec": spec,
    }
    return team.kubectl("create", *options, "-f", "-", stdin=json.dumps(stream))


def streams(team: Team) -> set[str]:
    return team.kubectl.names("-n", team.namespace, "imagestreams")


def described(kubectl: Kubectl, team: Team) -> dict[str, tuple[str, str]]:
    """What people see: used and hard by resource."""
    text = kubectl("-n", team.namespace, "describe", "quota", "images")
    return {name: (used, hard) for name, used, hard in re.findall(r"^(\S+/\S+)\s+(\S+)\s+(\S+)$", text, re.MULTILINE)}


@pytest.mark.parity(8)
def test_kubectl_create_beyond_a_count_quota_is_refused_as_kubernetes_refuses(kubectl: Kubectl, team: Team) -> None:
    quota(team, count="2", image_tags="3")
    create(team, "one")
    create(team, "two")
    told = (
        r'imagestreams\.image\.alauda\.io "three" is forbidden: exceeded quota: images, '
        rf"requested: {COUNT}=1, used: {COUNT}=2, limited: {COUNT}=2"
    )
    with pytest.raises(CommandFailed, match=told):
        create(team, "three")
    with pytest.raises(CommandFailed, match="exceeded quota"):
        create(team, "three", "--dry-run=server")
    wanted = {"spec": {"tags": [{"name": f"v{number}"} for number in range(4)]}}
    patch = ("-n", team.namespace, "patch", "imagestream", "one", "--type=merge", "-p", json.dumps(wanted))
    with pytest.raises(CommandFailed, match=r"requested: alauda\.io/image-tags=4, used: alauda\.io/image-tags=0"):
        kubectl(*patch)
    kubectl("-n", team.namespace, "delete", "imagestream", "two")
    create(team, "three")
    assert streams(team) == {"one", "three"}


@pytest.mark.parity(8)
def test_a_push_that_would_make_a_stream_too_many_is_refused_and_kubectl_counts_with_it(
    crane: Crane, team: Team, tmp_path: Path
) -> None:
    quota(team, count="2")
    create(team, "one")
    crane.push(image(tmp_path / "two"), f"{team.namespace}/two:v1")
    with pytest.raises(Refused, match=rf"DENIED: exceeded quota: images, requested: {COUNT}=1, used: {COUNT}=2"):
        crane.push(image(tmp_path / "three"), f"{team.namespace}/three:v1")
    with pytest.raises(CommandFailed, match="exceeded quota"):
        create(team, "three")
    crane.push(image(tmp_path / "again"), f"{team.namespace}/one:v1")
    assert streams(team) == {"one", "two"}


@pytest.mark.parity(8)
def test_twenty_creations_at_once_leave_exactly_what_the_quota_allows(kubectl: Kubectl, team: Team) -> None:
    quota(team, count="5")

    def told(name: str) -> str:
        try:
            return create(team, name)
        except CommandFailed as error:
            return str(error)

    answers = at_once([partial(told, f"app{number}") for number in range(20)], 180)
    refused = [answer for answer in answers if "exceeded quota: images" in answer]
    assert all(f"requested: {COUNT}=1, used: {COUNT}=5, limited: {COUNT}=5" in answer for answer in refused)
    assert (len(refused), sum("created" in answer for answer in answers)) == (15, 5), answers
    assert len(streams(team)) == 5
    until(lambda: described(kubectl, team).get(COUNT) == ("5", "5"))


def test_describe_quota_shows_what_there_is_and_the_quota_controller_leaves_it(
    crane: Crane, kubectl: Kubectl, team: Team, tmp_path: Path
) -> None:
    create(team, "wanted", tags=[{"name": "later"}])
    crane.push(image(tmp_path / "image"), f"{team.namespace}/app:v1")
    quota(team, count="5", imagestreams="5", images="5", image_tags="5", image_storage="1Gi")
    expected = {
        COUNT: ("2", "5"),
        "alauda.io/imagestreams": ("2", "5"),
        "alauda.io/images": ("1", "5"),
        "alauda.io/image-tags": ("2", "5"),
    }
    until(lambda: expected.items() <= described(kubectl, team).items())
    used = described(kubectl, team)["alauda.io/image-storage"][0]
    assert used not in ("0", "<unset>")
    # the controller counts again when the quota changes: what it cannot count must still be there
    quota(team, count="6", imagestreams="6", images="6", image_tags="6", image_storage="1Gi")
    changed = {name: (number, "6") for name, (number, _) in expected.items()}
    until(lambda: changed.items() <= described(kubectl, team).items())
    assert described(kubectl, team)["alauda.io/image-storage"][0] == used
    kubectl("-n", team.namespace, "delete", "imagestream", "app")
    until(lambda: described(kubectl, team)["alauda.io/image-storage"][0] == "0")
    assert described(kubectl, team)[COUNT] == ("1", "6")


@pytest.mark.parity(9)
def test_a_push_makes_stream_image_and_event_and_a_stream_only_for_who_may_create_one(
    crane: Crane, kubectl: Kubectl, team: Team, tmp_path: Path
) -> None:
    digest = crane.push(image(tmp_path / "image"), f"{team.namespace}/app:v1")
    stream = kubectl.json("-n", team.namespace, "get", "imagestream", "app")
    [tag] = stream["status"]["tags"]
    assert [item["image"] for item in tag["items"]] == [digest]
    assert kubectl.json("get", "image.image.alauda.io", digest)["metadata"]["name"] == digest
    rules = ["role", "layers", "--verb=get,update", "--resource=imagestreams.image.alauda.io/layers"]
    kubectl("-n", team.namespace, "create", *rules)
    kubectl("-n", team.namespace, "delete", "rolebinding", "builder-pushes")
    binding = ["rolebinding", "layers", "--role=layers", f"--serviceaccount={team.namespace}:builder"]
    kubectl("-n", team.namespace, "create", *binding)

    names = iter(f"new{number}" for number in range(100))
    told = ("", "")

    def next_is_refused() -> bool:
        nonlocal told
        name = next(names)
        try:
            crane.push(image(tmp_path / name), f"{team.namespace}/{name}:v1")
        except Refused as error:
            told = (name, str(error))
        return bool(told[0])

    until(next_is_refused, 15)
    assert "DENIED" in told[1]
    assert told[0] not in streams(team)
    crane.push(image(tmp_path / "second"), f"{team.namespace}/app:v2")
