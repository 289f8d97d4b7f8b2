"""One configuration language: what the chart, the object of the operator and the Ansible role take is the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
VALUES = yaml.safe_load((ROOT / "charts/image-registry/values.yaml").read_text())
SCHEMA = json.loads((ROOT / "charts/image-registry/values.schema.json").read_text())
ROLE = ROOT / "collections/ansible_collections/alauda/registry/roles/install/meta/argument_specs.yml"
OPTIONS = yaml.safe_load(ROLE.read_text())["argument_specs"]["main"]["options"]


class Language:
    """One object of the operator, the value of the chart and the variable of the role that say the same."""

    def __init__(self, value: str, plural: str, variable: str) -> None:
        crd = ROOT / f"charts/cluster-image-registry-operator/templates/crds/{plural}.yaml"
        self.version = yaml.safe_load(crd.read_text())["spec"]["versions"][0]
        self.parts = self.version["schema"]["openAPIV3Schema"]["properties"]
        self.spec = self.parts["spec"]
        self.chart = {"$ref": f"#/definitions/{value}"}
        self.values = VALUES[value]
        self.options = OPTIONS[variable]


CONFIG = Language("config", "configs", "registry_config")
PRUNER = Language("imagePruner", "imagepruners", "registry_pruner")
BOTH = pytest.mark.parametrize("language", [CONFIG, PRUNER], ids=["Config", "ImagePruner"])

# the three are read here without the program that makes two of them from the first


def values_of(choices):
    return frozenset(str(choice) for choice in choices if choice is not None)


def in_the_chart(part, path=""):
    if "$ref" in part:
        part = SCHEMA["definitions"][part["$ref"].rsplit("/", 1)[1]]
    for choice in part.get("anyOf", []):
        yield from in_the_chart(choice, path)
    if "enum" in part:
        yield path, values_of(part["enum"])
    for name, child in part.get("properties", {}).items():
        yield f"{path}.{name}", None
        yield from in_the_chart(child, f"{path}.{name}")
    if "items" in part:
        yield from in_the_chart(part["items"], f"{path}[]")


def in_the_object(part, path=""):
    if "enum" in part:
        yield path, values_of(part["enum"])
    for name, child in part.get("properties", {}).items():
        yield f"{path}.{name}", None
        yield from in_the_object(child, f"{path}.{name}")
    if "items" in part:
        yield from in_the_object(part["items"], f"{path}[]")


def in_the_role(part, path=""):
    if "choices" in part:
        yield path, values_of(part["choices"])
    below = f"{path}[]" if part["type"] == "list" else path
    for name, child in part.get("options", {}).items():
        yield f"{below}.{name}", None
        yield from in_the_role(child, f"{below}.{name}")


@BOTH
def test_the_three_know_the_same_names_and_choices(language):
    chart = set(in_the_chart(language.chart))
    assert len(chart) > (100 if language is CONFIG else 18)
    assert chart == set(in_the_object(language.spec))
    assert chart == set(in_the_role(language.options))


LIMITS = ("minimum", "maximum", "minLength", "maxLength", "maxItems")
KINDS = {
    "dict": "object",
    "list": "array",
    "str": "string",
    "bool": "boolean",
    "int": "integer",
    "raw": "number-or-text",
}


def shapes(part, path="", *, chart=False):
    """Type, limits and pattern of every place, however a choice or a reference writes them."""
    if "$ref" in part:
        part = SCHEMA["definitions"][part["$ref"].rsplit("/", 1)[1]]
    if chart and "anyOf" in part:
        rest = [choice for choice in part["anyOf"] if choice not in ({"type": "null"}, {"const": ""})]
        if len(rest) == 1:
            known = dict(shapes(rest[0], path, chart=True))
            if {"const": ""} in part["anyOf"]:
                kind, limits, pattern = known[path]
                known[path] = (kind, limits, f"^$|{pattern}")
            yield from known.items()
            return
    kind = "number-or-text" if "anyOf" in part else "string" if "enum" in part else part["type"]
    limits = frozenset((word, part[word]) for word in LIMITS if word in part)
    pattern = part.get("pattern") if "anyOf" not in part else None
    yield path, (kind, limits, pattern)
    for name, child in part.get("properties", {}).items():
        yield from shapes(child, f"{path}.{name}", chart=chart)
    if "items" in part and part["items"] != {"type": "object"}:
        yield from shapes(part["items"], f"{path}[]", chart=chart)


def in_the_options(part, path=""):
    yield path, KINDS[part["type"]]
    below = f"{path}[]" if part["type"] == "list" else path
    if part["type"] == "list" and part.get("elements") != "dict":
        yield below, KINDS[part["elements"]]
    for name, child in part.get("options", {}).items():
        yield from in_the_options(child, f"{below}.{name}")


@BOTH
def test_types_limits_and_patterns_of_the_object_are_those_of_the_chart(language):
    chart = dict(shapes(language.chart, chart=True))
    found = {path: shape for path, shape in shapes(language.spec) if path in chart}
    assert len(found) > (120 if language is CONFIG else 10)
    assert found == {path: shape for path, shape in chart.items() if path in found}


@BOTH
def test_types_of_the_role_are_those_of_the_chart(language):
    chart = {path: shape[0] for path, shape in shapes(language.chart, chart=True)}
    found = {path: kind for path, kind in in_the_options(language.options) if path in chart and path}
    assert len(found) > (100 if language is CONFIG else 10)
    assert found == {path: kind for path, kind in chart.items() if path in found}


def required(part, path=""):
    yield from (f"{path}.{name}" for name in part.get("required", []))
    for name, child in part.get("properties", {}).items():
        yield from required(child, f"{path}.{name}")
    if "items" in part:
        yield from required(part["items"], f"{path}[]")


def needed(part, path=""):
    below = f"{path}[]" if part["type"] == "list" else path
    for name, child in part.get("options", {}).items():
        if child.get("required"):
            yield f"{below}.{name}"
        yield from needed(child, f"{below}.{name}")


@BOTH
def test_the_object_and_the_role_require_the_same(language):
    assert set(required(language.spec)) == set(needed(language.options))
    assert (".storage.s3.bucket" in set(required(language.spec))) is (language is CONFIG)


def defaults(part, path=""):
    if "default" in part:
        yield path, part["default"]
    for name, child in part.get("properties", {}).items():
        yield from defaults(child, f"{path}.{name}")


@BOTH
def test_a_default_of_the_object_is_that_of_the_chart(language):
    found = dict(defaults(language.spec))
    if language is CONFIG:
        assert {".replicas", ".readOnly", ".storage.pvc.size", ".requests.read.maxRunning"} <= set(found)
    else:
        assert {".schedule", ".suspend", ".keepTagRevisions", ".resources"} <= set(found)
    for path, value in found.items():
        there = language.values
        for name in path.strip(".").split("."):
            there = there[name]
        assert value == there, path


def test_what_means_something_when_it_is_unset_has_no_default():
    assert not {".keepYoungerThan", ".keepYoungerThanDuration"} & set(dict(defaults(PRUNER.spec)))
    found = dict(defaults(CONFIG.spec))
    assert not {".managementState", ".storage", ".storage.pvc", ".metadata", ".metadata.postgresql.managed"} & set(
        found
    )


def undescribed(part, path="spec"):
    for name, child in part.get("properties", {}).items():
        if not child.get("description"):
            yield f"{path}.{name}"
        yield from undescribed(child, f"{path}.{name}")
    if "items" in part:
        yield from undescribed(part["items"], f"{path}[]")


@BOTH
@pytest.mark.parametrize("part", ["spec", "status"])
def test_every_field_of_the_object_says_what_it_means(language, part):
    assert list(undescribed(language.parts[part], part)) == []


def test_what_is_derived_is_up_to_date():
    done = subprocess.run(
        [sys.executable, str(ROOT / "charts/derive_schemas.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
