"""Short names of images in Pods: asked for only where wanted, and only about objects that have one."""

from __future__ import annotations

import pytest

from image_registry.image_api.local_names import PATH
from image_registry.kube.pod_templates import WORKLOADS

ON = {"localNames": {"enabled": True}}
NAME = "image-registry-local-names"


def environment(release):
    container = release.named("Deployment", "image-api-server")["spec"]["template"]["spec"]["containers"][0]
    return {variable["name"]: variable.get("value") for variable in container["env"]}


def test_nothing_of_it_is_rendered_by_default(render):
    release = render()
    assert release.names("MutatingWebhookConfiguration") == set()
    assert "REGISTRY_LOCAL_NAMES" not in environment(release)


def test_it_goes_with_the_servers(render):
    release = render(values={**ON, "config": {"managementState": "Removed"}})
    assert release.names("MutatingWebhookConfiguration") == set()


@pytest.mark.parametrize("policy", ["Ignore", "Fail"])
def test_one_value_says_what_happens_without_an_answer_on_both_sides(render, policy):
    release = render(values={"localNames": {"enabled": True, "failurePolicy": policy}})
    webhooks = release.named("MutatingWebhookConfiguration", NAME)["webhooks"]
    assert {webhook["failurePolicy"] for webhook in webhooks} == {policy}
    assert environment(release)["REGISTRY_LOCAL_NAMES"] == policy


def test_the_kube_apiserver_asks_itself_and_nobody_else_is_believed(render):
    for webhook in render(values=ON).named("MutatingWebhookConfiguration", NAME)["webhooks"]:
        service = {"name": "kubernetes", "namespace": "default", "port": 443, "path": PATH}
        assert webhook["clientConfig"] == {"service": service}
        assert webhook["sideEffects"] == "None"
        assert webhook["reinvocationPolicy"] == "IfNeeded"
        assert webhook["timeoutSeconds"] <= 10


def test_every_kind_that_holds_pods_is_asked_about_and_jobs_only_when_they_are_made(render):
    asked = {}
    for webhook in render(values=ON).named("MutatingWebhookConfiguration", NAME)["webhooks"]:
        for rule in webhook["rules"]:
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    asked[group, resource] = rule["operations"]
    assert set(asked) == {(known.group, known.resource) for known in WORKLOADS} | {("", "pods/ephemeralcontainers")}
    assert {key for key, operations in asked.items() if operations == ["CREATE"]} == {("batch", "jobs")}


def test_the_conditions_look_where_the_pods_are(render):
    for webhook in render(values=ON).named("MutatingWebhookConfiguration", NAME)["webhooks"]:
        resources = {resource.partition("/")[0] for rule in webhook["rules"] for resource in rule["resources"]}
        (way,) = {known.pod for known in WORKLOADS if known.resource in resources}
        names = webhook["matchConditions"][0]["expression"]
        pod = ".".join(("object", *way, "spec"))
        for section in ("containers", "initContainers", "ephemeralContainers", "volumes"):
            assert f"has({pod}.{section}) && {pod}.{section}.exists(" in names
        assert all(f"has({'.'.join(('object', *way, 'spec')[: end + 1])})" in names for end in range(1, len(way) + 1))


def test_the_systems_namespaces_are_left_alone(render):
    values = {"localNames": {"enabled": True, "excludedNamespaces": ["mesh", "kube-system"]}}
    for webhook in render(values=values).named("MutatingWebhookConfiguration", NAME)["webhooks"]:
        (expression,) = webhook["namespaceSelector"]["matchExpressions"]
        assert (expression["key"], expression["operator"]) == ("kubernetes.io/metadata.name", "NotIn")
        assert expression["values"] == ["kube-system", "image-registry-system", "mesh"]
