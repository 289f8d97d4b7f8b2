"""What a workload's annotation asks for, and which fields are to be written for it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from image_registry.kube.pod_templates import Workload
from image_registry.kube.pod_templates import read as read_path
from image_registry.operator.trigger_plan import FOLLOWING, Plan, Tag, patch, plan, read

APP, WEB = Tag("team", "app", "1"), Tag("team", "web", "1")
MEANINGS = {APP: "host/team/app@sha256:a", WEB: "host/team/web@sha256:b"}
KINDS = {known.kind: known for known in FOLLOWING}


def trigger(path: str, name: str = "app:1", **more: Any) -> dict[str, Any]:
    return {"from": {"kind": "ImageStreamTag", "name": name}, "fieldPath": path, **more}


def workload(known: Workload, **spec: Any) -> dict[str, Any]:
    document: dict[str, Any] = {
        "spec": {
            "initContainers": [{"name": "first", "image": "old"}],
            "containers": [{"name": "web", "image": "old", "args": ["x"]}, {"name": "side", "image": "old"}],
            "volumes": [{"name": "model", "image": {"reference": "old", "pullPolicy": "Always"}}],
            **spec,
        }
    }
    for key in reversed(known.pod):
        document = {key: document}
    return {**document, "metadata": {"uid": "u", "resourceVersion": "7"}}


def planned(known: Workload, *entries: dict[str, Any], document: dict[str, Any] | None = None) -> Plan:
    triggers, faults = read(json.dumps(entries), "team")
    assert faults == ()
    return plan(known, document or workload(known), triggers, MEANINGS)


def root(known: Workload) -> str:
    return ".".join((*known.pod, "spec"))


def test_the_kinds_that_can_be_changed_are_followed() -> None:
    assert set(KINDS) == {"Deployment", "StatefulSet", "DaemonSet", "CronJob"}


@pytest.mark.parametrize("known", FOLLOWING, ids=lambda known: known.kind)
@pytest.mark.parametrize(
    ("path", "section", "name"),
    [
        ('containers[?(@.name=="web")].image', "containers", "web"),
        ("containers[?(@.name=='side')].image", "containers", "side"),
        ('containers[?( @.name == "web" )].image', "containers", "web"),
        ("containers[1].image", "containers", "side"),
        ("initContainers[0].image", "initContainers", "first"),
        ('volumes[?(@.name=="model")].image.reference', "volumes", "model"),
    ],
)
def test_a_field_is_named_by_its_container_or_its_number(known: Workload, path: str, section: str, name: str) -> None:
    found = planned(known, trigger(f"{root(known)}.{path}"))
    assert found.faults == ()
    (change,) = found.changes
    assert (change.field.section, change.field.name, change.image) == (section, name, MEANINGS[APP])


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("spec.template.spec.containers.image", "does not choose a container"),
        ("spec.template.spec.containers[9].image", "there is no such container"),
        ('spec.template.spec.containers[?(@.name=="db")].image', "there is no such container"),
        ("spec.template.spec.containers[0].command", "is no image of this Deployment"),
        ("spec.template.spec.containers[0]image", "is no image of this Deployment"),
        ("spec.containers[0].image", "write spec.template.spec.containers[0].image"),
        ("spec.template.spec.volumes[0].image", "is no image of this Deployment"),
        ('spec.template.spec.containers[?(@.image=="old")].image', "does not choose a container"),
    ],
)
def test_a_field_that_is_none_is_said_and_hinders_no_other(path: str, says: str) -> None:
    found = planned(KINDS["Deployment"], trigger(path), trigger("spec.template.spec.containers[0].image"))
    assert len(found.changes) == 1
    (fault,) = found.faults
    assert says in fault
    assert "team/app:1" in fault


def test_what_names_its_image_already_is_not_written_again() -> None:
    known = KINDS["Deployment"]
    document = workload(known, containers=[{"name": "web", "image": MEANINGS[APP]}])
    assert planned(known, trigger("spec.template.spec.containers[0].image"), document=document) == Plan()


@pytest.mark.parametrize("paused", [True, "true"])
def test_a_paused_trigger_writes_nothing_but_is_checked(paused: Any) -> None:
    known = KINDS["Deployment"]
    assert planned(known, trigger("spec.template.spec.containers[0].image", paused=paused)) == Plan()
    assert planned(known, trigger("spec.nothing[0]", paused=paused)).faults


@pytest.mark.parametrize("paused", [False, "false"])
def test_a_trigger_that_is_not_paused_writes(paused: Any) -> None:
    assert planned(KINDS["Deployment"], trigger("spec.template.spec.containers[0].image", paused=paused)).changes


def test_a_tag_that_means_nothing_yet_is_waited_for_in_silence() -> None:
    found = planned(KINDS["Deployment"], trigger("spec.template.spec.containers[0].image", "app:later"))
    assert found == Plan()


def test_one_field_follows_one_tag() -> None:
    first, second = (trigger("spec.template.spec.containers[0].image", name) for name in ("app:1", "web:1"))
    found = planned(KINDS["Deployment"], first, second)
    assert [change.image for change in found.changes] == [MEANINGS[APP]]
    assert found.faults == (
        "spec.template.spec.containers[0].image follows team/app:1 already, so it cannot follow team/web:1 too",
    )
    assert planned(KINDS["Deployment"], first, first).faults == ()


@pytest.mark.parametrize("known", FOLLOWING, ids=lambda known: known.kind)
def test_the_patch_holds_the_fields_alone_and_the_state_that_was_read(known: Workload) -> None:
    document = workload(known)
    entries = [
        trigger(f"{root(known)}.containers[1].image"),
        trigger(f"{root(known)}.initContainers[0].image", "web:1"),
        trigger(f"{root(known)}.volumes[0].image.reference"),
    ]
    body = patch(known, document, planned(known, *entries, document=document).changes)
    assert body.pop("metadata") == {"uid": "u", "resourceVersion": "7"}
    assert read_path(body, (*known.pod, "spec")) == {
        "containers": [{"name": "side", "image": MEANINGS[APP]}],
        "initContainers": [{"name": "first", "image": MEANINGS[WEB]}],
        "volumes": [{"name": "model", "image": {"reference": MEANINGS[APP]}}],
    }


def test_tags_of_other_namespaces_can_be_followed() -> None:
    entry = {"from": {"kind": "ImageStreamTag", "name": "app:1", "namespace": "other"}, "fieldPath": "x"}
    triggers, faults = read(json.dumps([entry, trigger("y")]), "team")
    assert faults == ()
    assert [found.tag for found in triggers] == [Tag("other", "app", "1"), Tag("team", "app", "1")]


@pytest.mark.parametrize("text", ["", "no JSON", "{}", "null", "[" * 100_000])
def test_an_annotation_that_is_no_list_is_said(text: str) -> None:
    assert read(text, "team") == ((), ("annotation image.alauda.io/triggers is no JSON list of triggers",))


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("text", "is no object"),
        ({"fieldPath": "x"}, ".from.kind is not ImageStreamTag"),
        ({"from": {"kind": "DockerImage", "name": "a:1"}, "fieldPath": "x"}, ".from.kind is not ImageStreamTag"),
        (trigger("x", "app"), ".from.name is not <stream>:<tag>"),
        (trigger("x", "other/app:1"), ".from.name is not <stream>:<tag>"),
        (trigger(""), ".fieldPath is missing"),
        (trigger("x", paused="maybe"), ".paused is neither true nor false"),
        ({"from": {"kind": "ImageStreamTag", "name": "a:1", "namespace": 7}, "fieldPath": "x"}, ".from.namespace"),
        (trigger("x", "\ud800:1"), "is not a repository name"),
        (trigger("x", "App:1"), "is not a repository name"),
        (trigger("x", "app:\ud800"), "is not a tag"),
        (trigger("x", "app:1:2"), "is not a tag"),
        ({"from": {"kind": "ImageStreamTag", "name": "a:1", "namespace": "\ud800"}, "fieldPath": "x"}, "a namespace"),
        ({"from": {"kind": "ImageStreamTag", "name": "a:1", "namespace": "../x"}, "fieldPath": "x"}, "a namespace"),
    ],
)
def test_a_wrong_trigger_is_named_and_the_others_count(entry: Any, says: str) -> None:
    triggers, (fault,) = read(json.dumps([trigger("x"), entry]), "team")
    assert len(triggers) == 1
    assert fault.startswith("annotation image.alauda.io/triggers[1]")
    assert says in fault
    assert fault.encode(), "it can be sent"


def test_an_annotation_has_an_end() -> None:
    triggers, (fault,) = read(json.dumps([trigger("x")] * 101), "team")
    assert len(triggers) == 100
    assert "has 101 triggers" in fault
