"""``lab/lab legacy``: the objects, logins and workloads that it makes, in a real kube-apiserver; all of it goes.

Images are pushed into a real CNCF distribution. Nodes, which the lab would tell of the registry, are not here.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from image_registry.kube.client import object_path
from image_registry.kube.reviews import TokenReviewer
from image_registry_lab.legacy import filling, running
from image_registry_lab.legacy.variants import HOST, NAMESPACE, TEAMS
from image_registry_lab.places import Places, cache
from tests.app.remote.conftest import distribution
from tests.operator.conftest import control_plane, started
from tests.operator.control_plane import ApiServer
from tests.operator.every_hand import EveryHands

Say = Callable[[str], None]


class Hands(EveryHands):
    """A namespace that is deleted goes at once; what is in it is found by nobody any more."""

    def _look(self) -> None:
        super()._look()
        for item in self._all("v1", "namespaces"):
            if item["metadata"].get("deletionTimestamp"):
                path = object_path("v1", "namespaces", item["metadata"]["name"])
                self._client.replace(f"{path}/finalize", {**item, "spec": {"finalizers": []}})


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ApiServer]:
    (tmp_path / "plane").mkdir()
    with started(control_plane(tmp_path / "plane")) as found:
        for name in (NAMESPACE, *TEAMS):  # a controller would make the accounts of new namespaces
            found.client.create("/api/v1/namespaces", {"metadata": {"name": name}})
            accounts = object_path("v1", "serviceaccounts", namespace=name)
            found.client.create(accounts, {"metadata": {"name": "default"}})
        with Hands(found.client, ""):
            yield found


def places(server: ApiServer, folder: Path) -> Places:
    """As the lab has them, with its programs and this cluster."""
    found = Places(folder / "lab")
    for path in (found.state, found.images):
        path.mkdir(parents=True)
    found.programs.symlink_to(cache() / "bin")
    found.kubeconfig.symlink_to(server.kubeconfig)
    return found


def test_it_is_made_with_logins_that_count_and_leaves_nothing_behind(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill = filling.fill
    with distribution(tmp_path / "registry") as registry:

        def elsewhere(place: Places, folder: Path, _: str, tokens: Mapping[str, str], say: Say) -> dict[str, str]:
            return fill(place, folder, registry.host, tokens, say)

        monkeypatch.setattr(filling, "fill", elsewhere)  # no Service leads anywhere here
        legacy = running.Legacy(places(server, tmp_path), list, lambda _line: None)
        legacy.make("4.2-local", "lab.local/legacy-registry:1")
        legacy.make("4.2-local", "lab.local/legacy-registry:1")  # a second time changes nothing
    client, pushed = server.client, legacy.pushed()
    assert {"team-a/app:v1", "team-a/tools/report:1", "team-b/multi:v1"} <= set(pushed)
    assert len(set(pushed.values())) == len(pushed) - 1, "both teams began with one image"
    deployment = client.get(object_path("apps/v1", "deployments", "api", namespace="team-a"))
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"].endswith(f"/team-a/app@{pushed['team-a/app:v2']}")
    assert legacy.settings()["LEGACY_URL"].startswith("http://10.0.0.")
    secret: dict[str, Any] = client.get(object_path("v1", "secrets", "dockercfg-team-a-x7k2p", namespace="team-a"))
    logins = json.loads(base64.b64decode(secret["data"][".dockercfg"]))
    assert set(logins) == {f"image-registry.{NAMESPACE}.svc", HOST}
    user, _, token = base64.b64decode(logins[HOST]["auth"]).decode().partition(":")
    known = TokenReviewer(client).review(token)
    assert user == "<token>"
    assert known is not None
    assert known.username == "system:serviceaccount:team-a:default"

    legacy.remove()
    assert legacy.name() == ""
    for name in (NAMESPACE, *TEAMS):
        assert client.find(object_path("v1", "namespaces", name)) is None
    for kind in ("clusterroles", "clusterrolebindings"):
        listed = client.get(object_path("rbac.authorization.k8s.io/v1", kind))["items"]
        names = {item["metadata"]["name"] for item in listed}
        assert not {
            name for name in names if "image-p" in name or "registry-proxy" in name or "legacy-migrator" in name
        }
    definitions = client.get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")["items"]
    assert definitions == []
