"""Every image that an object of the cluster names or runs is found, and nothing that is misshapen gets lost."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_registry.kube.errors import KubeError
from image_registry.kube.field_paths import FieldPath, InvalidFieldPath
from image_registry.kube.image_references import (
    CustomField,
    ImageReference,
    UnknownResource,
    Unreadable,
    list_references,
    references_at,
    references_in,
    texts_in,
)
from image_registry.kube.listing import items
from image_registry.kube.own_access import Right, missing
from image_registry.kube.pod_templates import WORKLOADS, Workload

if TYPE_CHECKING:
    from tests.conftest import FakeCluster

POD = WORKLOADS[0]


def placed(known: Workload, spec: Any, **members: Any) -> dict[str, Any]:
    """An object of that kind with this Pod specification."""
    inner: Any = {"spec": spec}
    for key in reversed(known.pod):
        inner = {key: inner}
    return {**inner, **members, "metadata": {"name": "web", "namespace": "team", **members.get("metadata", {})}}


EVERYWHERE = {
    "initContainers": [{"name": "i", "image": "host/team/init:1"}],
    "containers": [{"name": "a", "image": "host/team/app:1"}, {"name": "b", "image": "host/team/side:1"}],
    "ephemeralContainers": [{"name": "e", "image": "host/team/debug:1"}],
    "volumes": [{"name": "v", "image": {"reference": "host/team/data:1"}}, {"name": "x", "emptyDir": {}}],
}


@pytest.mark.parametrize("known", WORKLOADS, ids=lambda known: known.kind)
def test_every_place_of_every_kind_is_read(known: Workload) -> None:
    found = list(references_in(known, placed(known, EVERYWHERE)))
    assert {(entry.owner, entry.text) for entry in found if isinstance(entry, ImageReference)} == {
        (f"{known.kind} team/web", f"host/team/{name}:1") for name in ("init", "app", "side", "debug", "data")
    }


def test_what_runs_is_told_with_the_name_under_which_it_was_asked_for() -> None:
    status = {
        "phase": "Running",
        "containerStatuses": [{"name": "a", "image": "host/team/app:1", "imageID": "host/team/app@sha256:12"}],
        "ephemeralContainerStatuses": [{"name": "e", "image": "sha256:ab", "imageID": "host/x/y@sha256:34"}],
    }
    running = [
        entry
        for entry in references_in(POD, placed(POD, EVERYWHERE, status=status))
        if isinstance(entry, ImageReference) and entry.running
    ]
    assert [(entry.text, entry.names) for entry in running] == [
        ("host/team/app@sha256:12", ("host/team/app:1", "host/team/app:1")),
        ("host/x/y@sha256:34", ("host/team/debug:1", "sha256:ab")),
    ]


def test_a_pod_that_is_over_says_so_with_its_age() -> None:
    made = {"metadata": {"creationTimestamp": "2030-01-01T00:00:00Z"}}
    for phase, expected in (("Failed", datetime(2030, 1, 1, tzinfo=UTC)), ("Running", None), ("Pending", None)):
        found = list(references_in(POD, placed(POD, EVERYWHERE, status={"phase": phase}, **made)))
        assert {entry.over_since for entry in found if isinstance(entry, ImageReference)} == {expected}


@pytest.mark.parametrize(
    "spec",
    [
        None,
        "host/team/app:1",
        ["host/team/app:1"],
        {"containers": {"image": "host/team/app:1"}},
        {"containers": ["host/team/app:1"]},
        {"containers": [{"image": ["host/team/app:1"]}]},
        {"volumes": [{"image": {"reference": {"name": "host/team/app:1"}}}]},
    ],
)
def test_what_cannot_be_understood_keeps_all_its_texts(spec: Any) -> None:
    (found,) = references_in(POD, placed(POD, spec))
    assert isinstance(found, Unreadable)
    assert found.owner == "Pod team/web"
    assert spec is None or "host/team/app:1" in found.texts


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["spec", "template", "metadata", "status", "containers", "image", "name", "volumes", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(document=documents, known=st.sampled_from(WORKLOADS))
def test_no_document_stops_the_reading(document: Any, known: Workload) -> None:
    for found in references_in(known, document):
        assert found.owner.startswith(known.kind)


def test_texts_are_searched_to_a_depth_and_no_further() -> None:
    nested: Any = "deep"
    for _ in range(500):
        nested = [nested]
    assert list(texts_in(nested)) == []
    assert set(texts_in({"a": ["b", {"c": 1}]})) == {"a", "b", "c"}


def test_fields_of_custom_resources_are_found_by_their_paths() -> None:
    service = {
        "kind": "Service",
        "metadata": {"name": "hello", "namespace": "team"},
        "spec": {
            "template": {"spec": {"containers": [{"image": "one"}, {"image": "two"}, {}]}},
            "by.name": {"a": "three", "b": 4},
        },
    }

    def at(path: str) -> list[Any]:
        field = CustomField.parse(f"serving.knative.dev/v1/services={path}")
        return [
            found.text if isinstance(found, ImageReference) else found.why for found in references_at(field, service)
        ]

    assert at("spec.template.spec.containers[*].image") == ["one", "two"]
    assert at("spec.template.spec.containers[1].image") == ["two"]
    assert at(".spec['by.name'][*]") == ["three", ".spec['by.name'][*] is no text"]
    assert at("spec.nothing[*].here") == []


@pytest.mark.parametrize("text", ["", "spec..image", "spec[", "spec[x]", "spec.im age", "[]"])
def test_a_path_that_says_nothing_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidFieldPath, match="spec"):
        FieldPath.parse(text)


@pytest.mark.parametrize("text", ["", "spec.image", "services=spec.image", "a/b/c/d=spec", "v1/=spec", "apps/v1/x"])
def test_a_field_without_a_resource_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="as in serving"):
        CustomField.parse(text)


def test_lists_are_read_page_by_page_and_kind_by_kind(fake_cluster: FakeCluster) -> None:
    for known in WORKLOADS[:2]:
        fake_cluster.put(f"/api/v1/{known.resource}", {"items": [placed(known, EVERYWHERE)], "metadata": {}})
    fake_cluster.put("/apis/x.io/v1/things", {"items": [{"metadata": {"name": "one"}, "spec": {"image": "host/a/b"}}]})
    field = CustomField.parse("x.io/v1/things=spec.image")
    found = list(list_references(fake_cluster.client(), [field]))
    assert {entry.owner for entry in found} == {"Pod team/web", "ReplicationController team/web", "things one"}


def test_a_custom_resource_that_is_not_there_is_no_empty_one(fake_cluster: FakeCluster) -> None:
    field = CustomField.parse("x.io/v1/nothing=spec.image")
    with pytest.raises(UnknownResource, match=r"no nothing of x\.io/v1"):
        list(list_references(fake_cluster.client(), [field]))


def test_a_kind_that_may_not_be_listed_stops_everything(fake_cluster: FakeCluster) -> None:
    fake_cluster.forbidden = {"/apis/batch/v1/jobs"}
    with pytest.raises(KubeError) as refused:
        list(list_references(fake_cluster.client()))
    assert refused.value.forbidden


def test_what_is_no_object_among_items_is_given_on(fake_cluster: FakeCluster) -> None:
    fake_cluster.put("/api/v1/pods", {"items": ["host/team/app:1", None]})
    found = list(items(fake_cluster.client(), "/api/v1/pods", limit=10))
    assert found == ["host/team/app:1", None]


def test_missing_rights_are_named_each() -> None:
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    answers = {"pods": True, "jobs": False}

    class Client:
        """A named fake: answers by the resource that is asked about."""

        def create(self, asked: str, body: dict[str, Any], **_options: Any) -> dict[str, Any]:
            assert asked == path
            return {"status": {"allowed": answers[body["spec"]["resourceAttributes"]["resource"]]}}

    rights = [Right("list", "", "pods"), Right("list", "batch", "jobs", "status", "team")]
    client: Any = Client()
    assert [str(right) for right in missing(client, rights)] == ["list jobs/status.batch in namespace team"]
