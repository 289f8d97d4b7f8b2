"""Workloads follow tags: a push rolls out, once, and nothing is lost while nobody looks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from image_registry.operator.trigger_plan import ANNOTATION, FOLLOWING
from tests.clients.programs import Crane
from tests.cluster import extras
from tests.cluster.kubernetes import NAMESPACE, SERVICE, Kubectl, Team

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("extras_on")]

PLACEHOLDER = "placeholder.invalid/nothing:1"


def following(kind: str, namespace: str, tag: str = "app:1", path: str = "", **more: Any) -> dict[str, Any]:
    """A workload whose container ``c0`` follows a tag."""
    (known,) = (known for known in FOLLOWING if known.kind == kind)
    field = path or ".".join((*known.pod, 'spec.containers[?(@.name=="c0")].image'))
    trigger = {"from": {"kind": "ImageStreamTag", "name": tag}, "fieldPath": field, **more}
    return extras.workload(kind, namespace, PLACEHOLDER, annotations={ANNOTATION: json.dumps([trigger])})


def image(kubectl: Kubectl, kind: str, namespace: str) -> str:
    found = extras.images(kubectl.json("-n", namespace, "get", kind.lower(), f"x-{kind.lower()}"))
    assert len(found) == 1
    return found[0]


def reference(team: Team, digest: str) -> str:
    return f"{SERVICE}/{team.namespace}/app@{digest}"


def test_a_push_rolls_out(crane: Crane, team: Team, kubectl: Kubectl, busybox: Path) -> None:
    team.pull_secret("pull", "builder")
    first = extras.push(crane, f"{team.namespace}/app:1", busybox)
    extras.created(kubectl, following("Deployment", team.namespace))
    extras.until("the first image", lambda: image(kubectl, "Deployment", team.namespace) == reference(team, first))
    kubectl("-n", team.namespace, "rollout", "status", "deployment/x-deployment", "--timeout=90s")
    second = extras.push(crane, f"{team.namespace}/app:1", busybox)
    took = extras.until("the push", lambda: image(kubectl, "Deployment", team.namespace) == reference(team, second))
    assert took < 10
    kubectl("-n", team.namespace, "rollout", "status", "deployment/x-deployment", "--timeout=90s")
    deployment = kubectl.json("-n", team.namespace, "get", "deployment", "x-deployment", "--show-managed-fields")
    assert deployment["metadata"]["generation"] <= 5, "written once for each image that the tag meant"
    managers = {entry["manager"] for entry in deployment["metadata"]["managedFields"]}
    assert "image-triggers" in managers


def test_every_kind_follows_unless_it_is_paused(crane: Crane, team: Team, kubectl: Kubectl, busybox: Path) -> None:
    """The workloads are there before their tag is."""
    kinds = ("StatefulSet", "DaemonSet", "CronJob")
    for kind in kinds:
        extras.created(kubectl, following(kind, team.namespace))
    extras.created(kubectl, following("Deployment", team.namespace, paused=True))
    wanted = reference(team, extras.push(crane, f"{team.namespace}/app:1", busybox))
    for kind in kinds:
        extras.until(f"the {kind}", lambda kind=kind: image(kubectl, kind, team.namespace) == wanted)  # type: ignore[misc]
    assert image(kubectl, "Deployment", team.namespace) == PLACEHOLDER
    events = kubectl.json("-n", team.namespace, "get", "events", "--field-selector=reason=ImageTriggerInvalid")
    assert events["items"] == [], "a tag that is not there yet is no fault"


def test_what_is_wrong_is_said_at_the_workload(team: Team, kubectl: Kubectl) -> None:
    extras.created(kubectl, following("Deployment", team.namespace, path="spec.nothing[0].image"))

    def told() -> list[str]:
        chosen = ["--field-selector", "reason=ImageTriggerInvalid,involvedObject.name=x-deployment"]
        return [event["message"] for event in kubectl.json("-n", team.namespace, "get", "events", *chosen)["items"]]

    extras.until("the event", lambda: bool(told()))
    assert "spec.nothing[0].image" in told()[0]


def test_nothing_is_lost_while_replicas_come_and_go(crane: Crane, team: Team, kubectl: Kubectl, busybox: Path) -> None:
    extras.created(kubectl, following("CronJob", team.namespace))
    lease = ("-n", NAMESPACE, "get", "lease", "image-triggers", "-o", "jsonpath={.spec.holderIdentity}")
    extras.until("somebody at work", lambda: bool(kubectl(*lease)))
    holder = kubectl(*lease)
    kubectl("-n", NAMESPACE, "delete", "pod", holder.partition("_")[0], "--grace-period=0", "--force")
    digest = extras.push(crane, f"{team.namespace}/app:1", busybox)
    extras.until("the next one", lambda: image(kubectl, "CronJob", team.namespace) == reference(team, digest))
    assert kubectl(*lease) != holder
