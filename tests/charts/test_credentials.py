"""Who may read credentials for other registries: what the chart gives is what the servers use."""

from __future__ import annotations

from typing import Any

import pytest

from image_registry.auth.access import IMAGE_GROUP
from image_registry.kube.errors import KubeError
from image_registry.kube.pull_secrets import from_cluster, from_image_api
from image_registry.oci.reference import Repository
from tests.charts.conftest import NAMESPACE

READER = f"{NAMESPACE}:pull-secret-reader"
Right = tuple[str, str, str]
"""Group, resource with subresource, verb."""


def granted(release, account: str, *, everywhere_only: bool = False) -> set[Right]:
    """What an account of the servers may do with Secrets, by any role of the chart, in any namespace."""
    rules = {(m["kind"], m["metadata"]["name"]): m.get("rules") or [] for m in release if m["kind"].endswith("Role")}
    found: set[Right] = set()
    for binding in release:
        if binding["kind"] not in ("ClusterRoleBinding", *(() if everywhere_only else ("RoleBinding",))):
            continue
        if account not in {subject["name"] for subject in binding["subjects"]}:
            continue
        role = binding["roleRef"]
        for rule in rules.get((role["kind"], role["name"]), []):
            assert "*" not in (*rule.get("resources", ()), *rule["verbs"]), rule
            found |= {
                (group, resource, verb)
                for group in rule.get("apiGroups", ())
                for resource in rule.get("resources", ())
                for verb in rule["verbs"]
                if "secrets" in resource
            }
    return found


class GuardedCluster:
    """A named fake of the API server: it answers whoever has the right, and remembers which rights were used."""

    def __init__(self, rights: set[Right]) -> None:
        self.rights, self.used = rights, set[Right]()

    def get(self, path: str, *, query: dict[str, str] | None = None, timeout: float) -> dict[str, Any]:
        assert timeout
        right = ("", "secrets", "list")
        if path.startswith("/apis/"):
            group, _, _, _, resource, _, subresource = path.removeprefix("/apis/").split("/")
            right = (group, f"{resource}/{subresource}", "get")
        else:
            assert path == "/api/v1/namespaces/team/secrets"
            assert (query or {})["fieldSelector"].startswith("type=kubernetes.io/dockerc"), (
                "of other types none is read"
            )
        if right not in self.rights:
            raise KubeError(403, "Forbidden", f"{right} is not allowed")
        self.used.add(right)
        return {"items": []}


def test_what_the_chart_gives_is_what_each_server_uses(render):
    release = render()
    for account, read in (
        ("image-api-server", lambda client: from_cluster(client)("team")),
        ("registry", lambda client: from_image_api(client, f"{IMAGE_GROUP}/v1")(Repository("team", "app"))),
    ):
        cluster = GuardedCluster(granted(release, account))
        read(cluster)
        assert cluster.used == cluster.rights, account


def test_nobody_but_the_image_api_may_read_secrets_everywhere_and_nobody_may_watch_them(render, mode):
    release = render(mode)
    accounts = {subject["name"] for m in release if m["kind"].endswith("Binding") for subject in m["subjects"]}
    readers = {
        account: rights
        for account in accounts
        if (rights := {r for r in granted(release, account, everywhere_only=True) if r[1] == "secrets"})
    }
    assert readers in ({}, {"image-api-server": {("", "secrets", "list")}})


@pytest.mark.parametrize("off", ["pullSecrets", "pullThrough"])
def test_what_is_switched_off_gives_no_right(render, off):
    release = render(values={"config": {"imports": {off: False}}})
    rights = {account: granted(release, account) for account in ("image-api-server", "registry")}
    if off == "pullThrough":
        assert rights == {"image-api-server": {("", "secrets", "list")}, "registry": set()}
    else:
        assert rights == {"image-api-server": set(), "registry": {(IMAGE_GROUP, "imagestreams/secrets", "get")}}
        assert release.named("ClusterRole", READER)["rules"][0]["verbs"] == ["list"], "for a RoleBinding of a namespace"
