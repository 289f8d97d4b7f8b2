"""The language as CustomResourceDefinitions: structural schemas with defaults, choices and rules in CEL."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from config_language import CHARTS, Field, Schema, Source, kind_of

GROUP = "imageregistry.operator.alauda.io"
OPEN = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
LIMITS = ("enum", "pattern", "minimum", "maximum", "minLength", "maxLength", "maxItems")
CONDITION = '.status.conditions[?(@.type=="{0}")].{1}'

CHOSEN_BY_PEOPLE = {"managementState", "storage", "metadata"}
"""Members without a default in an object, though the chart has one: unset means something of its own."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One of the operator's kinds: a singleton whose ``spec`` is the chart's value ``value``."""

    name: str
    value: str
    meaning: str
    columns: tuple[tuple[str, str, str, int], ...]

    @property
    def plural(self) -> str:
        """As in a path."""
        return f"{self.name.lower()}s"

    @property
    def file(self) -> Path:
        """Where the definition is."""
        return CHARTS / f"cluster-image-registry-operator/templates/crds/{self.plural}.yaml"

    @property
    def rules(self) -> Path:
        """Where the rules in CEL are."""
        return CHARTS / ("config_rules.yaml" if self.value == "config" else "pruner_rules.yaml")


CONFIG = Kind(
    "Config",
    "config",
    "What the image registry of the cluster is to be; the operator makes it so.",
    (
        ("State", "string", ".spec.managementState", 0),
        ("Available", "string", CONDITION.format("Available", "status"), 0),
        ("Progressing", "string", CONDITION.format("Progressing", "status"), 0),
        ("Degraded", "string", CONDITION.format("Degraded", "status"), 0),
        ("Ready", "integer", ".status.readyReplicas", 0),
        ("Version", "string", ".status.version", 0),
        ("Age", "date", ".metadata.creationTimestamp", 0),
        ("Read-only", "boolean", ".spec.readOnly", 1),
        ("Reason", "string", CONDITION.format("Available", "reason"), 1),
        ("Message", "string", CONDITION.format("Available", "message"), 1),
    ),
)
PRUNER = Kind(
    "ImagePruner",
    "imagePruner",
    "When images that nothing uses go, and what stays; the operator makes the CronJob image-pruner of it.",
    (
        ("Schedule", "string", ".spec.schedule", 0),
        ("Suspend", "boolean", ".spec.suspend", 0),
        ("Available", "string", CONDITION.format("Available", "status"), 0),
        ("Failed", "string", CONDITION.format("Failed", "status"), 0),
        ("Degraded", "string", CONDITION.format("Degraded", "status"), 0),
        ("Last success", "date", ".status.lastSuccessfulTime", 0),
        ("Age", "date", ".metadata.creationTimestamp", 0),
        ("Freed bytes", "integer", ".status.lastRun.freedBytes", 1),
        ("Message", "string", ".status.lastRun.message", 1),
    ),
)
KINDS = (CONFIG, PRUNER)


def definition(kind: Kind, source: Source) -> Schema:
    """``configs.imageregistry.operator.alauda.io``, or that of the pruner."""
    rules: dict[str, list[dict[str, str]]] = {}
    for rule in source.rules:
        place = rule["at"].replace("spec", kind.value, 1)
        rules.setdefault(place, []).append({"rule": rule["rule"], "message": rule["message"]})
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{kind.plural}.{GROUP}",
            "labels": {"app.kubernetes.io/part-of": "image-registry"},
            "annotations": {"helm.sh/resource-policy": "keep"},
        },
        "spec": {
            "group": GROUP,
            "scope": "Cluster",
            "names": {
                "plural": kind.plural,
                "singular": kind.name.lower(),
                "kind": kind.name,
                "listKind": f"{kind.name}List",
            },
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        {"name": name, "type": shown, "jsonPath": path, "priority": priority}
                        for name, shown, path, priority in kind.columns
                    ],
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "description": kind.meaning,
                            "required": ["spec"],
                            "properties": {
                                "apiVersion": {"type": "string"},
                                "kind": {"type": "string"},
                                "metadata": {"type": "object"},
                                "spec": structural(source.language(), rules),
                                "status": status(kind),
                            },
                            "x-kubernetes-validations": rules[""],
                        }
                    },
                }
            ],
        },
    }


def status(kind: Kind) -> Schema:
    """What the operator writes; conditions are alike for every kind."""
    found: Schema = yaml.safe_load((CHARTS / "config_status.yaml").read_text(encoding="utf-8"))
    if kind is CONFIG:
        return found
    own: Schema = yaml.safe_load((CHARTS / "pruner_status.yaml").read_text(encoding="utf-8"))
    own["conditions"] = {**found["properties"]["conditions"], "description": own["conditions"]}
    return {**found, "properties": own}


def structural(place: Field, rules: dict[str, list[dict[str, str]]]) -> Schema:
    """The schema of one field and what is below it."""
    schema, kind = place.schema, kind_of(place.schema)
    said: Schema = {"description": place.meaning} if place.meaning else {}
    if kind == "number-or-text":
        pattern = next(choice["pattern"] for choice in schema["anyOf"] if "pattern" in choice)
        choices = [{"type": "integer"}, {"type": "string"}]
        return {**said, "anyOf": choices, "pattern": pattern, "x-kubernetes-int-or-string": True}
    if kind == "open":
        return {**said, **OPEN}
    found: Schema = {"type": {"list": "array", "map": "object"}.get(kind, kind), **said, **_below(place, rules)}
    found |= {word: schema[word] for word in LIMITS if word in schema}
    if "enum" in found:
        found["enum"] = [choice for choice in found["enum"] if isinstance(choice, str)]  # 3 and "3" are one in values
    if (default := default_of(place)) is not None:
        found["default"] = default
    if place.path in rules:
        found["x-kubernetes-validations"] = rules[place.path]
    return found


def _below(place: Field, rules: dict[str, list[dict[str, str]]]) -> Schema:
    found: Schema = {}
    if place.members:
        found["properties"] = {member.name: structural(member, rules) for member in place.members}
        if needed := [member.name for member in place.members if member.required]:
            found["required"] = needed
    elif place.values is not None:
        found["additionalProperties"] = structural(place.values, rules)
    elif place.items is not None:
        found["items"] = structural(place.items, rules)
        if "name" in place.items.schema.get("required", ()):
            found |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
    elif place.schema.get("type") == "integer":
        found["format"] = place.schema.get("format", "int32")
    return found


def default_of(place: Field) -> Any:
    """What the kube-apiserver writes where nothing is written; resources stand or fall together."""
    _, first, *deeper = [*place.path.split("."), ""]
    if place.required or place.default in (None, "", [], {}) or (first in CHOSEN_BY_PEOPLE and not deeper[:-1]):
        return None
    kind = kind_of(place.schema)
    if kind == "object":
        return place.default if place.name == "resources" else None
    if ".resources." in place.path or kind in ("map", "list", "open"):
        return None
    return place.default
