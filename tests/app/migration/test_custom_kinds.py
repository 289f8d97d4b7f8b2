"""Custom resources that nobody asked to look at: named where they name the registry before, and where they could."""

from __future__ import annotations

from typing import Any

import pytest

from image_registry.kube.image_references import CustomField
from image_registry.migration.assess import assess
from image_registry.migration.case import make_case
from image_registry.migration.choices import Choices
from image_registry.migration.custom_kinds import could_name
from image_registry.migration.discovery import Question, discover
from image_registry.migration.documents import from_document, to_document
from image_registry.migration.facts import Inventory, KindFact
from image_registry.migration.findings import Finding, Severity
from image_registry_lab.legacy.variants import VARIANTS
from tests.app.migration.conftest import BUILDS, LegacyCluster, cluster_of

IMAGE = {"type": "object", "properties": {"image": {"type": "string"}}}
GROUP = "pipes.example.com"


def definition(kind: str, schema: dict[str, Any]) -> dict[str, Any]:
    plural = f"{kind.lower()}s"
    versions = [
        {"name": "v1alpha1", "served": True, "storage": False},
        {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}},
    ]
    names = {"kind": kind, "plural": plural}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {"group": GROUP, "names": names, "versions": versions},
    }


def custom(kind: str, **spec: Any) -> dict[str, Any]:
    metadata = {"name": kind.lower(), "namespace": "team-a"}
    return {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": metadata, "spec": spec}


@pytest.fixture
def cluster() -> LegacyCluster:
    return cluster_of(VARIANTS["4.2-pvc"])


def found(cluster: LegacyCluster, *fields: CustomField) -> tuple[Inventory, dict[str, Finding]]:
    inventory = discover(cluster, Question(fields=fields))
    findings = assess(make_case(inventory, None, Choices()))
    return inventory, {finding.id: finding for finding in findings if finding.rule.startswith("custom-resource")}


def test_a_kind_that_names_the_registry_is_told_with_the_choice_that_looks_at_it(cluster: LegacyCluster) -> None:
    inventory, findings = found(cluster)
    told = findings["custom-resource:builds.example.com/v1/builds"]
    assert told.severity is Severity.WARNING
    assert "1 of 1 objects name the registry before" in told.cause
    assert f"discover again with --image-field '{BUILDS}'" in told.action
    assert from_document(Inventory, to_document(inventory)) == inventory
    _, findings = found(cluster, BUILDS)
    assert findings == {}, "it is looked at"


def test_a_kind_that_could_is_named_once_it_has_objects_and_what_could_not_is_no_news(cluster: LegacyCluster) -> None:
    steps = {"type": "object", "properties": {"spec": {"properties": {"steps": {"type": "array", "items": IMAGE}}}}}
    numbers = {"type": "object", "properties": {"spec": {"properties": {"number": {"type": "integer"}}}}}
    for kind, schema in (("Pipe", steps), ("Empty", steps), ("Number", numbers)):
        cluster.put(definition(kind, schema))
    cluster.put(custom("Pipe", steps=[{"image": "quay.io/elsewhere/app:v1"}]))
    cluster.put(custom("Number", number=7))
    _, findings = found(cluster, BUILDS)
    [told] = findings.values()
    assert (told.id, told.severity) == ("custom-resources:not looked at", Severity.NOTE)
    assert told.cause.endswith(f": {GROUP}/v1/pipes")


def test_a_name_within_a_longer_text_is_left_to_a_person(cluster: LegacyCluster) -> None:
    host = found(cluster)[0].hosts[0]
    cluster.put(definition("Pipe", {"type": "object", "x-kubernetes-preserve-unknown-fields": True}))
    cluster.put(custom("Pipe", script=f"docker pull {host}/team-a/app:v1"))
    inventory, findings = found(cluster, BUILDS)
    assert inventory.further_kinds == (KindFact(f"{GROUP}/v1/pipes", 1, 1),)
    assert "by hand" in findings[f"custom-resource:{GROUP}/v1/pipes"].action


def test_who_may_not_list_definitions_is_told_so(cluster: LegacyCluster) -> None:
    cluster.denied.add("list customresourcedefinitions")
    inventory, findings = found(cluster)
    assert (inventory.further_kinds, findings) == ((), {})
    missed = inventory.could_not_read("custom resources")
    assert missed is not None
    assert "list customresourcedefinitions.apiextensions.k8s.io" in missed.right


@pytest.mark.parametrize(
    ("schema", "could"),
    [
        (None, False),
        ({}, False),
        ({"x-kubernetes-preserve-unknown-fields": True}, True),
        ({"properties": {"spec": IMAGE}}, True),
        ({"properties": {"status": IMAGE}}, False),
        ({"properties": {"spec": {"properties": {"baseImage": {}}}}}, True),
        ({"properties": {"spec": {"properties": {"pods": {"additionalProperties": IMAGE}}}}}, True),
        ({"properties": {"spec": {"properties": {"imagePullPolicy": {}}}}}, False),
    ],
)
def test_a_definition_tells_whether_there_is_a_field(schema: Any, could: bool) -> None:
    assert could_name(schema) is could
