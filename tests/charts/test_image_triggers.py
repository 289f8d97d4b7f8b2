"""Workloads that follow tags: a program of its own, only where wanted, with the rights of its work."""

from __future__ import annotations

from image_registry.operator.trigger_plan import FOLLOWING

ON = {"imageTriggers": {"enabled": True}}
NAME = "image-triggers"
RIGHTS = {
    *((known.group, known.resource, verb) for known in FOLLOWING for verb in ("get", "list", "patch", "watch")),
    ("image.alauda.io", "imagestreams", "list"),
    ("image.alauda.io", "imagestreams", "watch"),
    ("image.alauda.io", "imagestreamtags", "get"),
    ("authorization.k8s.io", "subjectaccessreviews", "create"),
    ("", "events", "create"),
}


def test_nothing_of_it_is_rendered_by_default(render):
    for release in (render(), render(values={**ON, "config": {"managementState": "Removed"}})):
        assert not [m["metadata"]["name"] for m in release if NAME in m["metadata"]["name"]]


def test_it_may_do_its_work_and_nothing_else(render):
    release = render(values=ON)
    rules = release.named("ClusterRole", f"image-registry-system:{NAME}")["rules"]
    assert not any("resourceNames" in rule for rule in rules)
    found = {
        (g, r, verb) for rule in rules for g in rule["apiGroups"] for r in rule["resources"] for verb in rule["verbs"]
    }
    assert found == RIGHTS
    lease = release.named("Role", NAME)["rules"]
    assert [(rule.get("resourceNames"), rule["verbs"]) for rule in lease] == [
        (None, ["create"]),
        ([NAME], ["get", "update"]),
    ]
    holders = {
        m["metadata"]["name"]
        for m in release
        if m["kind"].endswith("Binding") and any(subject["name"] == NAME for subject in m["subjects"])
    }
    assert holders == {NAME, f"image-registry-system:{NAME}"}


def test_it_has_neither_the_database_nor_the_storage(render):
    pod = render(values=ON).named("Deployment", NAME)["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == NAME
    assert [volume["name"] for volume in pod["volumes"]] == ["tmp"]
    assert "env" not in pod["containers"][0]


def test_others_are_not_restarted_by_it(render):
    on, off = (render(values=values).named("Deployment", "image-api-server")["spec"]["template"] for values in (ON, {}))
    assert on == off
