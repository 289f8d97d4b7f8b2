"""Bindings, limits and pull secrets: who has what afterwards, and nothing of anybody else's is touched."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.alauda.registry.plugins.modules import (
    image_limits,
    image_limits_info,
    pull_secret_info,
    registry_access,
    registry_access_info,
)

from tests.collection.conftest import FakeCluster, Result, Run

if TYPE_CHECKING:
    from types import ModuleType

PLACE = "/apis/rbac.authorization.k8s.io/v1/namespaces/team/rolebindings"
CLUSTER = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
ACCOUNT = {"kind": "ServiceAccount", "namespace": "team", "name": "builder"}
RANGE = "/api/v1/namespaces/team/limitranges/images"
QUOTA = "/api/v1/namespaces/team/resourcequotas/images"


def user(name: str) -> dict[str, str]:
    return {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": name}


def binding(*subjects: dict[str, str], role: str = "system:image-puller", **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": list(subjects),
    }


def twice(run: Run, cluster: FakeCluster, module: ModuleType, **arguments: Any) -> Result:
    """Checked, done, done again: the check predicts and writes nothing, the second run changes nothing."""
    before = dict(cluster.objects)
    checked = run(module, check=True, **arguments)
    assert not checked.failed, checked.message
    assert cluster.objects == before
    done = run(module, **arguments)
    assert not done.failed, done.message
    assert (checked["changed"], checked["diff"]) == (done["changed"], done["diff"])
    kept = dict(cluster.objects)
    again = run(module, **arguments)
    assert (again["changed"], again["diff"]) == (False, [])
    assert cluster.objects == kept
    return done


def test_who_has_no_binding_gets_one_named_like_the_role(run: Run, cluster: FakeCluster) -> None:
    done = twice(run, cluster, registry_access, namespace="team", role="pusher", service_accounts=["builder"])
    assert done["holders"] == ["ServiceAccount team/builder"]
    made = cluster.objects[f"{PLACE}/system:image-pusher"]
    assert (made["kind"], made["subjects"]) == ("RoleBinding", [ACCOUNT])


def test_a_binding_of_people_is_used_again_and_one_of_a_program_never(run: Run, cluster: FakeCluster) -> None:
    cluster.put(f"{PLACE}/theirs", binding(user("ann")))
    marks = {"app.kubernetes.io/managed-by": "Helm"}
    cluster.put(f"{PLACE}/chart", binding(user("carol"), labels=marks))
    done = twice(run, cluster, registry_access, namespace="team", role="puller", users=["bob", "carol"])
    assert (done["bindings"], done["kept_by_programs"]) == (["theirs"], ["chart"])
    assert done["holders"] == ["User ann", "User bob", "User carol"]
    assert cluster.objects[f"{PLACE}/theirs"]["subjects"] == [user("ann"), user("bob")]
    assert cluster.objects[f"{PLACE}/chart"]["subjects"] == [user("carol")]


def test_a_role_is_taken_away_everywhere_and_an_empty_binding_goes(run: Run, cluster: FakeCluster) -> None:
    cluster.put(f"{PLACE}/one", binding(user("ann"), user("bob")))
    cluster.put(f"{PLACE}/two", binding(user("bob")))
    cluster.put(f"{PLACE}/other", binding(user("bob"), role="system:image-pusher"))
    done = twice(run, cluster, registry_access, namespace="team", role="puller", users=["bob"], state="absent")
    assert done["bindings"] == ["one", "two"]
    assert f"{PLACE}/two" not in cluster.objects
    assert cluster.objects[f"{PLACE}/other"]["subjects"] == [user("bob")]


def test_exactly_those_have_it_afterwards(run: Run, cluster: FakeCluster) -> None:
    cluster.put(f"{PLACE}/one", binding(user("ann"), user("bob")))
    done = twice(run, cluster, registry_access, namespace="team", role="puller", users=["bob", "carol"], state="exact")
    assert done["holders"] == ["User bob", "User carol"]
    nobody = twice(run, cluster, registry_access, namespace="team", role="puller", state="exact", take_from_all=True)
    assert nobody["holders"] == []
    assert f"{PLACE}/one" not in cluster.objects


def test_without_a_namespace_it_counts_in_all(run: Run, cluster: FakeCluster) -> None:
    accounts = ["system:serviceaccount:ci:robot", "ann"]
    twice(run, cluster, registry_access, role="pruner", users=accounts, groups=["admins"])
    made = cluster.objects[f"{CLUSTER}/system:image-pruner"]
    assert made["kind"] == "ClusterRoleBinding"
    assert [subject["kind"] for subject in made["subjects"]] == ["ServiceAccount", "User", "Group"]


def test_a_name_that_another_role_has_is_not_taken(run: Run, cluster: FakeCluster) -> None:
    cluster.put(f"{PLACE}/system:image-puller", binding(user("ann"), role="view"))
    done = twice(run, cluster, registry_access, namespace="team", role="puller", users=["bob"])
    assert done["bindings"] == ["system:image-puller-1"]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (binding(user("bob"), role="admin"), "gives another role than system:image-puller"),
        (binding(user("bob"), labels={"app.kubernetes.io/managed-by": "Helm"}), "is kept by a program"),
        (binding(user("bob"), role="admin", labels={"app.kubernetes.io/managed-by": "Helm"}), "gives another role"),
    ],
)
@pytest.mark.parametrize("arguments", [{"users": ["ann"]}, {"users": ["ann"], "state": "exact"}], ids=str)
def test_a_named_binding_that_is_not_ours_is_refused_and_stays(
    run: Run, cluster: FakeCluster, found: dict[str, Any], said: str, arguments: dict[str, Any]
) -> None:
    cluster.put(f"{PLACE}/team-admins", found)
    before = dict(cluster.objects)
    for check in (True, False):
        refused = run(registry_access, check=check, namespace="team", role="puller", binding="team-admins", **arguments)
        assert refused.failed
        assert said in refused.message
        assert cluster.objects == before, "ann is no admin, and bob still is one"
    named = twice(run, cluster, registry_access, namespace="team", role="puller", binding="pullers", users=["ann"])
    assert named["bindings"] == ["pullers"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"role": "puller"}, "needs somebody"),
        ({"role": "puller", "take_from_all": True}, "needs somebody"),
        ({"role": "puller", "state": "exact", "namespace": "team"}, "takes the role puller from everybody in team"),
        ({"role": "puller", "service_accounts": ["builder"]}, "<namespace>/<name>"),
        ({"role": "king", "users": ["ann"]}, "must be one of"),
    ],
)
def test_nobody_and_nothing_are_refused(run: Run, arguments: dict[str, Any], said: str) -> None:
    failed = run(registry_access, **arguments)
    assert failed.failed
    assert said in failed.message


def test_limits_are_what_the_options_say_and_no_more(run: Run, cluster: FakeCluster) -> None:
    limits: dict[str, Any] = {"image_size": "2Gi", "stream_tags": 100, "streams": 50, "storage": "100Gi"}
    twice(run, cluster, image_limits, namespace="team", **limits)
    assert cluster.objects[RANGE]["spec"]["limits"] == [
        {"type": "alauda.io/Image", "max": {"storage": "2Gi"}},
        {"type": "alauda.io/ImageStream", "max": {"alauda.io/image-tags": "100"}},
    ]
    assert cluster.objects[QUOTA]["spec"]["hard"] == {
        "alauda.io/imagestreams": "50",
        "alauda.io/image-storage": "100Gi",
    }
    twice(run, cluster, image_limits, namespace="team", streams=7)
    assert RANGE not in cluster.objects
    assert cluster.objects[QUOTA]["spec"]["hard"] == {"alauda.io/imagestreams": "7"}
    twice(run, cluster, image_limits, namespace="team", state="absent", streams=7)
    assert QUOTA not in cluster.objects


def test_limits_that_are_not_about_images_stay(run: Run, cluster: FakeCluster) -> None:
    container = {"type": "Container", "max": {"cpu": "1"}}
    cluster.put(RANGE, {"spec": {"limits": [container, {"type": "alauda.io/Image", "max": {"storage": "1Gi"}}]}})
    cluster.put(QUOTA, {"spec": {"hard": {"pods": "5"}}, "status": {"used": {"pods": "1"}}})
    done = twice(run, cluster, image_limits, namespace="team", tags=10)
    assert done["used"] == {"pods": "1"}
    assert cluster.objects[RANGE]["spec"]["limits"] == [container]
    assert cluster.objects[QUOTA]["spec"]["hard"] == {"pods": "5", "alauda.io/image-tags": "10"}


def secret(document: object, **metadata: Any) -> dict[str, Any]:
    data = base64.b64encode(json.dumps(document).encode()).decode()
    return {"metadata": {"namespace": "team", **metadata}, "data": {".dockerconfigjson": data}}


def test_pull_secrets_are_told_without_what_is_secret(
    run: Run, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": 1893456000}).encode()).decode().rstrip("=")
    login = base64.b64encode(f"<token>:e30.{claims}.c2ln".encode()).decode()
    place = "/api/v1/namespaces/team/secrets"
    label = {"imageregistry.operator.alauda.io/managed-pull-secret": "true"}
    cluster.put(f"{place}/kept", secret({"auths": {"a.svc:5000": {"auth": login}}}, labels=label))
    plain = base64.b64encode(b"robot:topsecret").decode()
    cluster.put(f"{place}/plain", secret({"auths": {"quay.io": {"auth": plain}}}))
    cluster.put(f"{place}/broken", secret("nothing"))
    account = {"metadata": {"namespace": "team"}, "imagePullSecrets": [{"name": "kept"}]}
    cluster.put("/api/v1/namespaces/team/serviceaccounts/default", account)
    original = FakeCluster._list

    def of_one_type(fake: FakeCluster, path: str, query: dict[str, list[str]]) -> list[dict[str, Any]] | None:
        return [] if "type=kubernetes.io/dockercfg" in query.get("fieldSelector", []) else original(fake, path, query)

    monkeypatch.setattr(FakeCluster, "_list", of_one_type)
    found = run(pull_secret_info, namespace="team")
    assert [(row["name"], row["hosts"], row["readable"]) for row in found["pull_secrets"]] == [
        ("broken", [], False),
        ("kept", ["a.svc:5000"], True),
        ("plain", ["quay.io"], True),
    ]
    kept = found["pull_secrets"][1]
    assert (kept["managed"], kept["service_accounts"]) == (True, ["default"])
    assert kept["expires"] == "2030-01-01T00:00:00Z"
    for hidden in (login, plain, "topsecret"):
        assert hidden not in json.dumps(found.document)
    only = run(pull_secret_info, namespace="team", service_account="default", host="a.svc:5000")
    assert [row["name"] for row in only["pull_secrets"]] == ["kept"]
    assert "needs namespace" in run(pull_secret_info, service_account="default").message


def test_who_has_a_role_is_read_in_the_namespace_and_in_the_cluster(run: Run, cluster: FakeCluster) -> None:
    cluster.put(f"{PLACE}/team", binding(user("bob"), ACCOUNT, role="system:image-pusher"))
    cluster.put(f"{PLACE}/other", binding(user("eve"), role="admin"))
    marks = {"app.kubernetes.io/managed-by": "Helm"}
    cluster.put(f"{CLUSTER}/all", binding(user("ann"), labels=marks))
    found = run(registry_access_info, namespace="team")
    assert [(held["role"], held["holder"], held["namespace"]) for held in found["access"]] == [
        ("puller", "User ann", ""),
        ("pusher", "ServiceAccount team/builder", "team"),
        ("pusher", "User bob", "team"),
    ]
    assert [held["kept_by_program"] for held in found["access"]] == [True, False, False]
    assert [held["binding"] for held in run(registry_access_info, role="puller")["access"]] == ["all"]
    assert run(registry_access_info, role="pusher")["access"] == []


def test_limits_are_read_as_they_were_set_and_others_left_out(run: Run, cluster: FakeCluster) -> None:
    done = run(image_limits, namespace="team", image_size="2Gi", stream_tags=20, storage="50Gi", streams=5)
    assert not done.failed, done.message
    quota = cluster.objects[QUOTA]
    quota["spec"]["hard"]["pods"] = "3"
    quota["status"] = {"used": {"alauda.io/image-storage": "812"}}
    found = run(image_limits_info, namespace="team")
    assert sorted((each["limit"], each["value"]) for each in found["of_one"]) == [
        ("image_size", "2Gi"),
        ("stream_tags", "20"),
    ]
    assert sorted((each["limit"], each["value"], each["used"]) for each in found["of_all"]) == [
        ("storage", "50Gi", "812"),
        ("streams", "5", ""),
    ]
