"""The operator may do what the operand's chart needs, and little else."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.operator.conftest import NAMESPACE, OPERATOR, OPERATOR_CHART, ROOT, program

CHART = ROOT / "charts/image-registry"
EVERYTHING = ("everything", "removed", "shared")


def rendered(chart: Path, name: str, home: Path, *more: str) -> list[dict[str, Any]]:
    command = [program("helm"), "template", name, str(chart), "--namespace", NAMESPACE, "--kube-version", "1.37", *more]
    text = subprocess.run(command, capture_output=True, text=True, check=True, env={"HOME": str(home)}).stdout
    return [item for item in yaml.safe_load_all(text) if item]


@pytest.fixture
def rules(tmp_path: Path) -> list[dict[str, Any]]:
    """Every rule of the operator."""
    made = rendered(OPERATOR_CHART, OPERATOR, tmp_path)
    return [rule for item in made if item["kind"] in ("Role", "ClusterRole") for rule in item["rules"]]


def test_no_rule_is_a_wildcard_or_a_way_around_the_rules(rules: list[dict[str, Any]]) -> None:
    for rule in rules:
        if "nonResourceURLs" in rule:
            assert rule == {"nonResourceURLs": ["/openid/v1/jwks"], "verbs": ["get"]}, "keys that everybody may know"
            continue
        assert "*" not in rule["apiGroups"] + rule["resources"] + rule["verbs"], rule
        assert not {"escalate", "impersonate"} & set(rule["verbs"]), rule
        if "bind" in rule["verbs"]:
            assert rule["resourceNames"], rule


@pytest.mark.parametrize("mode", EVERYTHING)
@pytest.mark.parametrize(
    ("kind", "resource"), [("ClusterRole", "clusterroles"), ("ClusterRoleBinding", "clusterrolebindings")]
)
def test_cluster_wide_objects_of_the_operand_are_named(
    rules: list[dict[str, Any]], tmp_path: Path, mode: str, kind: str, resource: str
) -> None:
    named = {
        name
        for rule in rules
        if resource in rule.get("resources", ()) and "patch" in rule["verbs"]
        for name in rule["resourceNames"]
    }
    items = rendered(CHART, "image-registry", tmp_path, "--values", str(CHART / f"ci/{mode}-values.yaml"))
    assert {item["metadata"]["name"] for item in items if item["kind"] == kind} <= named


def asked(rule: dict[str, Any]) -> set[tuple[str, str, str, str]]:
    """A rule as single questions; no name stands for every name."""
    return {
        (group, resource, verb, name)
        for group in rule.get("apiGroups", ())
        for resource in rule.get("resources", ())
        for verb in rule["verbs"]
        for name in rule.get("resourceNames") or [""]
    }


@pytest.mark.parametrize(("mode", "more"), [("default", ()), ("everything", ("localNames", "imageTriggers"))])
def test_the_operator_holds_what_the_operands_roles_give(tmp_path: Path, mode: str, more: tuple[str, ...]) -> None:
    wanted = [option for name in more for option in ("--set", f"operand.{name}.enabled=true")]
    made = rendered(OPERATOR_CHART, OPERATOR, tmp_path, *wanted)
    everywhere = {
        one for item in made if item["kind"] == "ClusterRole" for rule in item["rules"] for one in asked(rule)
    }
    here = {
        one
        for item in made
        if item["kind"] == "Role" and item["metadata"]["namespace"] == NAMESPACE
        for rule in item["rules"]
        for one in asked(rule)
    }
    items = rendered(CHART, "image-registry", tmp_path, "--values", str(CHART / f"ci/{mode}-values.yaml"))
    for item in (item for item in items if item["kind"] in ("Role", "ClusterRole")):
        held = everywhere | (here if item["kind"] == "Role" else set())
        for rule in item.get("rules") or []:
            missing = {one for one in asked(rule) if one not in held and (*one[:3], "") not in held}
            assert not missing, f"{item['kind']} {item['metadata']['name']}"


def test_the_operator_runs_with_as_little_as_the_strictest_namespace_allows(tmp_path: Path) -> None:
    (deployment,) = [item for item in rendered(OPERATOR_CHART, OPERATOR, tmp_path) if item["kind"] == "Deployment"]
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_values_of_the_operand_are_passed_on_but_never_config(tmp_path: Path) -> None:
    made = rendered(
        OPERATOR_CHART, OPERATOR, tmp_path, "--set", "operand.nodeCA.enabled=false,global.imageRegistry=m.example"
    )
    (values,) = [item for item in made if item["kind"] == "ConfigMap"]
    passed = yaml.safe_load(values["data"]["operand.yaml"])
    assert passed["nodeCA"] == {"enabled": False}
    assert passed["global"]["imageRegistry"] == "m.example"
    with pytest.raises(subprocess.CalledProcessError) as caught:
        rendered(OPERATOR_CHART, OPERATOR, tmp_path, "--set", "operand.config.replicas=2")
    assert "config" in caught.value.stderr


def test_both_charts_have_one_version() -> None:
    ours, operands = (yaml.safe_load((chart / "Chart.yaml").read_text()) for chart in (OPERATOR_CHART, CHART))
    assert (ours["version"], ours["appVersion"]) == (operands["version"], operands["appVersion"])
