"""What the role ``install`` makes of the variables of an inventory, by Ansible's own templates; nothing runs."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from tests.collection.conftest import ROOT

ROLE = ROOT / "collections/ansible_collections/alauda/registry/roles/install"


def said(name: str, **given: Any) -> Any:
    """One of the role's own variables, with what an inventory says."""
    found: dict[str, Any] = yaml.safe_load((ROLE / "defaults/main.yml").read_text(encoding="utf-8"))
    own: dict[str, str] = yaml.safe_load((ROLE / "vars/main.yml").read_text(encoding="utf-8"))
    templates = {key: trust_as_template(text) for key, text in own.items() if isinstance(text, str)}
    return Templar(DataLoader(), {**found, **templates, **given}).template(templates[name])


def test_a_pruner_among_the_values_of_the_chart_is_the_operators_too() -> None:
    of_the_chart = {"imagePruner": {"suspend": True, "keepTagRevisions": 5}}
    assert said("__registry_pruning", registry_chart_values=of_the_chart) == of_the_chart["imagePruner"]
    both = said("__registry_pruning", registry_chart_values=of_the_chart, registry_pruner={"keepTagRevisions": 7})
    assert both == {"suspend": True, "keepTagRevisions": 7}
    assert said("__registry_pruning") == {}


OF_THE_RELEASE = {
    "config": {"logLevel": "Debug"},
    "imagePruner": {"suspend": True},
    "image": {"tag": "1.9"},
    "nodeCA": {"enabled": False, "resources": {"limits": {"cpu": "1"}}},
}


@pytest.mark.parametrize(
    ("method", "given", "lost"),
    [
        ("operator", {}, ["image", "nodeCA"]),
        ("operator", {"registry_image": {"tag": "2.0"}}, ["nodeCA"]),
        ("operator", {"registry_chart_values": {"nodeCA": {"enabled": False}}}, ["image", "nodeCA"]),
        ("operator", {"registry_chart_values": {**OF_THE_RELEASE, "image": {"tag": "2.0"}}}, []),
        ("olm", {"registry_chart_values": OF_THE_RELEASE}, ["nodeCA"]),
    ],
)
def test_a_takeover_names_the_values_that_would_be_lost(method: str, given: dict[str, Any], lost: list[str]) -> None:
    found = {"values": OF_THE_RELEASE, "config": {}}
    assert said("__registry_unsaid", registry_found=found, registry_install_method=method, **given) == lost


LEAVE = {"operand": {"clusterRoles": {"leave": ["system:image-puller"]}}}


def test_an_operator_before_a_migration_makes_no_registry_and_its_needs_are_checked() -> None:
    given = {"registry_operator_values": LEAVE, "registry_found": {"values": {}, "config": {}}}
    unmanaged = {"managementState": "Unmanaged"}
    assert said("__registry_spec", **given, registry_config=unmanaged) == unmanaged
    rendered = said("__registry_rendered", **given, registry_config=unmanaged)
    assert rendered["clusterRoles"] == {"leave": ["system:image-puller"]}
    assert rendered["config"] == {"managementState": "Managed", "storage": {"pvc": None, "emptyDir": {}}}
    usual = said("__registry_rendered", **given, registry_chart_values={"nodeCA": {"enabled": False}})
    assert usual == {
        "clusterRoles": LEAVE["operand"]["clusterRoles"],
        "nodeCA": {"enabled": False},
        "config": {"managementState": "Managed", "storage": {"pvc": {}}},
    }


ROUTES = [{"name": "public", "hostname": "registry.example.com"}]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {}),
        ({"registry_routes": ROUTES}, {"config": {"routes": ["as made"]}}),
        (
            {"registry_routes": [], "registry_storage": {"s3": {"bucket": "b"}}},
            {"config": {"storage": {"s3": "as made"}}},
        ),
        ({"registry_routes": ROUTES, "registry_config": {"routes": ["said"]}}, {"config": {"routes": ["said"]}}),
        ({"registry_nodes": {"enabled": False}}, {"nodeCA": {"enabled": False}}),
    ],
)
def test_what_other_roles_have_made_of_the_inventory_stays(given: dict[str, Any], expected: dict[str, Any]) -> None:
    made = {
        "config": {"routes": ["as made"], "storage": {"s3": "as made"}, "logLevel": "Debug"},
        "nodeCA": {"enabled": True},
    }
    assert said("__registry_values", registry_installed={"values": made}, **given) == expected


def test_nothing_stays_of_a_registry_that_was_not_asked_for() -> None:
    assert said("__registry_values", registry_routes=ROUTES) == {}
    assert said("__registry_values", registry_routes=ROUTES, registry_installed={"values": {}}) == {}
    assert said("__registry_by_roles", registry_routes=ROUTES) == ["routes"]
