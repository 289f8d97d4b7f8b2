"""Discovery: what is published is what is served, for everybody, whatever else is broken."""

from __future__ import annotations

from typing import Any

import pytest

from image_registry.image_api.resources import RESOURCES

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
OPEN = [
    "/",
    "/apis",
    "/apis/image.alauda.io",
    "/apis/image.alauda.io/v1",
    "/openapi/v2",
    "/openapi/v3",
    "/openapi/v3/apis/image.alauda.io/v1",
    "/version",
    "/livez",
    "/readyz",
    "/healthz",
]


def test_the_old_documents_name_group_version_and_resources(api: Any) -> None:
    groups = api.get("/apis")
    assert (groups["kind"], groups["apiVersion"]) == ("APIGroupList", "v1")
    group = api.get("/apis/image.alauda.io")
    assert group["kind"] == "APIGroup"
    assert group["preferredVersion"] == {"groupVersion": "image.alauda.io/v1", "version": "v1"}
    assert {**groups["groups"][0], "kind": "APIGroup", "apiVersion": "v1"} == group
    resources = api.get("/apis/image.alauda.io/v1")
    assert (resources["kind"], resources["groupVersion"]) == ("APIResourceList", "image.alauda.io/v1")
    found = {entry["name"]: entry.get("shortNames", []) for entry in resources["resources"]}
    assert found == {resource.name: list(resource.short_names) for resource in RESOURCES}
    assert found.items() >= {"images": [], "imagestreams": ["is"], "imagestreamtags": ["istag"]}.items()


def test_the_aggregated_document_comes_under_exactly_the_type_that_was_asked_for(api: Any) -> None:
    answer = api.ask("/apis", AGGREGATED)
    assert answer.content_type == AGGREGATED
    document = answer.get_json()
    assert (document["kind"], document["apiVersion"]) == ("APIGroupDiscoveryList", "apidiscovery.k8s.io/v2")


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (f"{AGGREGATED},application/json", "APIGroupDiscoveryList"),
        (f"{AGGREGATED};profile=nopeer,{AGGREGATED},application/json", "APIGroupDiscoveryList"),
        ("application/json;as=APIGroupDiscoveryList;v=v2;g=apidiscovery.k8s.io", "APIGroupDiscoveryList"),
        (f"application/json,{AGGREGATED}", "APIGroupList"),
        ("application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json", "APIGroupList"),
        ("application/vnd.kubernetes.protobuf,application/json", "APIGroupList"),
        ("", "APIGroupList"),
        ("*/*", "APIGroupList"),
    ],
)
def test_clients_get_the_first_form_that_they_read(api: Any, accept: str, kind: str) -> None:
    assert api.get("/apis", accept)["kind"] == kind


@pytest.mark.parity(3)
def test_a_form_of_discovery_that_is_not_served_is_refused_so_that_clients_fall_back(api: Any) -> None:
    accept = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
    assert api.refuse("/apis", 406, "NotAcceptable", accept=accept)


@pytest.mark.parity(3)
def test_both_discoveries_agree(api: Any) -> None:
    (group,) = api.get("/apis", AGGREGATED)["items"]
    (version,) = group["versions"]
    assert (group["metadata"]["name"], version["version"], version["freshness"]) == ("image.alauda.io", "v1", "Current")
    new = {
        entry["resource"]: (
            entry["responseKind"]["kind"],
            entry["scope"] == "Namespaced",
            entry["singularResource"],
            entry["verbs"],
            entry.get("shortNames"),
            entry.get("categories"),
        )
        for entry in version["resources"]
    } | {
        f"{entry['resource']}/{below['subresource']}": (
            below["responseKind"]["kind"],
            entry["scope"] == "Namespaced",
            "",
            below["verbs"],
            None,
            None,
        )
        for entry in version["resources"]
        for below in entry.get("subresources", ())
    }
    old = {
        entry["name"]: (
            entry["kind"],
            entry["namespaced"],
            entry["singularName"],
            entry["verbs"],
            entry.get("shortNames"),
            entry.get("categories"),
        )
        for entry in api.get("/apis/image.alauda.io/v1")["resources"]
    }
    assert new == old


def test_every_verb_that_is_published_has_a_route_and_no_other(filled: Any) -> None:
    methods = {
        "create": ("POST", False),
        "update": ("PUT", True),
        "patch": ("PATCH", True),
        "get": ("GET", True),
        "delete": ("DELETE", True),
        "list": ("GET", False),
        "deletecollection": ("DELETE", False),
        "watch": ("GET", False),
    }
    for resource in RESOURCES:
        for verb, (method, one) in methods.items():
            if resource.subresource and not one:
                continue  # a subresource is always one object's
            path = resource.path(one=one, variable="%s").replace("/namespaces/namespace", "/namespaces/team")
            path = path.replace(f"{resource.plural}/name", f"{resource.plural}/a:b@c")
            answer = filled.ask(path + ("?watch=true&timeoutSeconds=1" if verb == "watch" else ""), method=method)
            unknown = "could not find the requested resource" in answer.text
            served = answer.status_code != 405 and not unknown
            assert served == (verb in resource.verbs), (resource.name, verb, answer.text)


@pytest.mark.parity(6)
def test_stream_tags_stay_out_of_sight_of_the_garbage_collector(api: Any) -> None:
    """They carry the uid of their stream, and it watches whatever can be listed, watched and deleted."""
    verbs = {entry["name"]: entry["verbs"] for entry in api.get("/apis/image.alauda.io/v1")["resources"]}
    assert "watch" not in verbs["imagestreamtags"]


def test_images_of_streams_stay_out_of_sight_of_the_namespace_controller(api: Any) -> None:
    """It deletes what can be deleted, and would be refused for what tags mean; they go with the streams."""
    verbs = {entry["name"]: entry["verbs"] for entry in api.get("/apis/image.alauda.io/v1")["resources"]}
    assert verbs["imagestreamimages"] == ["get", "list"]


@pytest.mark.parametrize("path", [path for path in OPEN if not path.endswith("z")])
@pytest.mark.parametrize("accept", ["", AGGREGATED + ",application/json"])
def test_whoever_has_a_document_is_told_so(api: Any, path: str, accept: str) -> None:
    first = api.ask(path, accept)
    tag = first.headers["ETag"]
    assert tag.startswith('"')
    again = api.ask(path, accept, headers={"If-None-Match": tag})
    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", tag)
    assert api.ask(path, accept, headers={"If-None-Match": '"other"'}).status_code == 200
    assert "Accept" in first.headers["Vary"]


def test_the_two_forms_of_discovery_do_not_share_a_validator(api: Any) -> None:
    tag = api.ask("/apis").headers["ETag"]
    assert api.ask("/apis", AGGREGATED, headers={"If-None-Match": tag}).status_code == 200


@pytest.mark.parametrize("path", OPEN)
def test_whatever_is_broken_everybody_is_told_what_exists(without_database: Any, path: str) -> None:
    without_database.cluster.away = True
    without_database.trust = None
    for headers in ({}, {"Authorization": "Bearer expired"}):
        assert without_database.ask(path, headers=headers).status_code == 200
    assert without_database.cluster.asked == []


@pytest.mark.parametrize("name", ["livez", "readyz", "healthz"])
def test_health_is_told_in_a_word_or_in_detail(api: Any, name: str) -> None:
    assert api.ask(f"/{name}").text == "ok"
    assert f"{name} check passed" in api.ask(f"/{name}?verbose").text


def test_the_version_is_that_of_the_package(api: Any) -> None:
    from image_registry import __version__

    version = api.get("/version")
    assert version["gitVersion"] == f"v{__version__}"
    assert (version["major"], version["minor"]) == tuple(__version__.split(".")[:2])


def test_the_root_lists_paths_that_exist(api: Any) -> None:
    paths = api.get("/")["paths"]
    assert set(paths) | {"/"} == set(OPEN)
    for path in paths:
        assert api.ask(path).status_code == 200
