"""Every place of an image, in every kind that runs Pods."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from image_registry.kube.pod_templates import (
    WORKLOADS,
    Workload,
    has_controller,
    image_fields,
    pod_of,
    read,
    with_image,
    workload,
)

POD: dict[str, Any] = {
    "metadata": {"annotations": {"a": "b"}},
    "spec": {
        "containers": [{"name": "web", "image": "web:1"}, {"name": "side", "image": "side"}],
        "initContainers": [{"name": "first", "image": "first:2"}],
        "ephemeralContainers": [{"name": "look", "image": "look"}],
        "volumes": [{"name": "data", "emptyDir": {}}, {"name": "model", "image": {"reference": "model:3"}}],
    },
}


def holding(known: Workload, pod: dict[str, Any] = POD) -> dict[str, Any]:
    document = copy.deepcopy(pod)
    for key in reversed(known.pod):
        document = {key: document}
    return {"apiVersion": known.group_version, "kind": known.kind, **document}


@pytest.mark.parametrize("known", WORKLOADS, ids=lambda known: known.kind)
def test_containers_of_all_sorts_and_volumes_of_images_are_found_in_every_kind(known: Workload) -> None:
    document = holding(known)
    found = list(image_fields(known, document))
    assert [(field.section, field.name, field.image) for field in found] == [
        ("initContainers", "first", "first:2"),
        ("containers", "web", "web:1"),
        ("containers", "side", "side"),
        ("ephemeralContainers", "look", "look"),
        ("volumes", "model", "model:3"),
    ]
    assert all(read(document, field.path) == field.image for field in found)
    assert pod_of(known, document)["metadata"] == POD["metadata"]
    assert workload(known.group_version, known.kind) is known


def test_a_place_is_named_as_people_and_as_patches_name_it() -> None:
    known = workload("batch/v1", "CronJob")
    assert known is not None
    field = list(image_fields(known, holding(known)))[1]
    assert field.words == "spec.jobTemplate.spec.template.spec.containers[0].image"
    assert field.pointer == "/spec/jobTemplate/spec/template/spec/containers/0/image"
    assert (known.group, WORKLOADS[0].group) == ("batch", "")


@pytest.mark.parametrize("known", WORKLOADS, ids=lambda known: known.kind)
def test_an_image_is_changed_in_its_place_alone_and_in_a_copy(known: Workload) -> None:
    document = holding(known)
    before = copy.deepcopy(document)
    for field in image_fields(known, document):
        changed = with_image(document, field.path, "other")
        assert document == before
        images = {other.path: other.image for other in image_fields(known, changed)}
        assert images == {**{other.path: other.image for other in image_fields(known, before)}, field.path: "other"}


def test_a_container_without_an_image_has_a_place_for_one() -> None:
    known = WORKLOADS[0]
    document = {"spec": {"containers": [{"name": "web"}]}}
    (field,) = image_fields(known, document)
    assert field.image == ""
    assert with_image(document, field.path, "app") == {"spec": {"containers": [{"name": "web", "image": "app"}]}}


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"spec": None},
        {"spec": {"containers": None, "volumes": {}}},
        {"spec": {"containers": ["web", None], "volumes": [{"name": "x", "image": None}]}},
    ],
)
def test_what_has_another_shape_holds_no_image(document: dict[str, Any]) -> None:
    assert [list(image_fields(known, document)) for known in WORKLOADS] == [[] for _ in WORKLOADS]


def test_kinds_that_hold_no_pods_are_not_known() -> None:
    assert workload("v1", "ConfigMap") is None
    assert workload("extensions/v1beta1", "Deployment") is None


def test_what_another_object_keeps_is_told_from_what_stands_alone() -> None:
    assert has_controller({"metadata": {"ownerReferences": [{"controller": False}, {"controller": True}]}})
    assert not has_controller({"metadata": {"ownerReferences": [{"name": "some"}]}})
    assert not has_controller({})
