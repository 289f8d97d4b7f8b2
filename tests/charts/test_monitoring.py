"""Monitoring: rules that Prometheus takes, about metrics that exist, each with something to do about it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from image_registry.operator.release_secrets import AUTHORITY, BUNDLE_KEY
from image_registry.server.metrics import FAMILIES

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts/image-registry"
RULES = CHART / "files/rules.yaml"
DASHBOARD = CHART / "files/dashboard.json"
EVERYTHING = {
    "monitoring": {
        "serviceMonitor": {"enabled": True, "interval": "15s", "labels": {"prometheus": "main"}},
        "prometheusRule": {"enabled": True, "labels": {"prometheus": "main"}},
        "dashboard": {"enabled": True},
    }
}
SAMPLES = {"counter": [""], "gauge": [""], "summary": ["_sum", "_count"], "histogram": ["_bucket", "_sum", "_count"]}


@pytest.fixture(scope="module")
def promtool() -> str:
    found = shutil.which("promtool")
    assert found, "the tests of the rules need promtool: install it (Debian: apt-get install prometheus)"
    return found


def exported() -> dict[str, set[str]]:
    """Labels by the name of every sample that the processes export."""
    return {
        family.name + suffix: set(family.labels) | ({"le"} if suffix == "_bucket" else set())
        for family in FAMILIES
        for suffix in SAMPLES[family.kind]
    }


def alerts() -> list[dict]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def expressions() -> list[str]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    board = json.loads(DASHBOARD.read_text())
    return [rule["expr"] for group in groups for rule in group["rules"]] + [
        target["expr"] for panel in board["panels"] for target in panel["targets"]
    ]


def test_prometheus_takes_the_rules(promtool):
    done = subprocess.run([promtool, "check", "rules", RULES], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parity(21)
def test_alerts_fire_when_they_should_and_not_before(promtool):
    tests = Path(__file__).parent / "rules_test.yaml"
    done = subprocess.run([promtool, "test", "rules", tests], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parity(21)
def test_rules_and_dashboard_ask_only_for_what_is_exported():
    known = exported()
    for expression in expressions():
        for name, labels in re.findall(r"\b(imageregistry_\w+)(?:\{([^}]*)\})?", expression):
            assert name in known, expression
            asked = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", labels)) - {"namespace"}
            assert asked <= known[name], expression


def test_rules_and_dashboard_group_by_labels_that_exist():
    known = exported()
    for expression in expressions():
        names = re.findall(r"\bimageregistry_\w+", expression)
        for grouped in re.findall(r"\bby \(([^)]*)\)", expression):
            wanted = {label.strip() for label in grouped.split(",")} - {"namespace"}
            assert all(wanted <= known[name] for name in names), expression


def test_operations_in_rules_are_ones_that_a_request_can_have(tmp_path):
    """An operation is an endpoint of the application, or looking without reading."""
    from image_registry.auth.local import AllowAll
    from image_registry.distribution_api.app import create_app
    from image_registry.distribution_api.parts import Parts
    from image_registry.imagestreams.service import ImageStreams
    from image_registry.metadata.database import Database
    from image_registry.storage.filesystem import FilesystemStore

    database = Database(f"sqlite:///{tmp_path}/x.db")
    parts = Parts(
        store=FilesystemStore(tmp_path),
        streams=ImageStreams(database, internal_hostname="x"),
        authorizer=AllowAll(),
    )
    endpoints = {rule.endpoint for rule in create_app(parts).url_map.iter_rules()}
    known = endpoints | {endpoint.partition(".")[0] + ".head" for endpoint in endpoints}
    database.dispose()
    for expression in expressions():
        for value in re.findall(r'imageregistry_request_duration_seconds\w*\{[^}]*operation=~?"([^"]+)"', expression):
            for operation in value.split("|"):
                assert any(re.fullmatch(operation, name) for name in known), operation


@pytest.mark.parity(21)
def test_the_documented_recording_rule_has_its_four_series():
    groups = yaml.safe_load(RULES.read_text())["groups"]
    records = [rule for group in groups for rule in group["rules"] if "record" in rule]
    assert {rule["record"] for rule in records} == {"imageregistry:operations_count:sum"}
    assert {(rule["labels"]["operation"], rule["labels"]["resource_type"]) for rule in records} == {
        ("get", "blob"),
        ("create", "blob"),
        ("get", "manifest"),
        ("create", "manifest"),
    }


def test_every_alert_says_what_to_do_and_has_its_section():
    page = (ROOT / "docs/how-to/alerts.md").read_text()
    sections = dict(re.findall(r"^## (\w+)\n\n(.*?)(?=\n## |\Z)", page, re.MULTILINE | re.DOTALL))
    assert set(sections) == {rule["alert"] for rule in alerts()}
    for rule in alerts():
        assert set(rule["annotations"]) == {"summary", "description", "runbook"}
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert f"severity {rule['labels']['severity']}" in sections[rule["alert"]].lower(), rule["alert"]


def test_without_being_wanted_nothing_needs_the_prometheus_operator(render):
    kinds = {manifest["apiVersion"].split("/")[0] for manifest in render().manifests}
    assert "monitoring.coreos.com" not in kinds
    assert "image-registry-dashboard" not in render().names("ConfigMap")


def test_prometheus_finds_both_servers_by_their_services(render):
    release = render(values=EVERYTHING)
    for name, path in (("image-registry", "/extensions/v2/metrics"), ("image-api-server", "/metrics")):
        monitor, service = release.named("ServiceMonitor", name), release.named("Service", name)
        assert monitor["metadata"]["labels"]["prometheus"] == "main"
        assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
        (endpoint,) = monitor["spec"]["endpoints"]
        assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
        assert (endpoint["path"], endpoint["scheme"], endpoint["interval"]) == (path, "https", "15s")
        assert endpoint["tlsConfig"]["ca"]["configMap"] == {"name": AUTHORITY, "key": BUNDLE_KEY}
        assert endpoint["tlsConfig"]["serverName"] == f"{name}.image-registry-system.svc"


def test_rules_and_dashboard_are_in_the_release_as_they_were_tested(render):
    release = render(values=EVERYTHING)
    assert release.named("PrometheusRule", "image-registry")["spec"] == yaml.safe_load(RULES.read_text())
    shown = release.named("ConfigMap", "image-registry-dashboard")
    assert shown["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(shown["data"]["image-registry.json"]) == json.loads(DASHBOARD.read_text())


def test_who_monitors_may_read_metrics_and_nobody_else(render):
    readers = [{"namespace": "monitoring", "name": "prometheus"}]
    release = render(values={"monitoring": {"readers": readers}})
    binding = release.named("ClusterRoleBinding", "image-registry-system:metrics-readers")
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "prometheus", "namespace": "monitoring"}]
    nobody = render(values={"monitoring": {"readers": []}})
    assert "image-registry-system:metrics-readers" not in nobody.names("ClusterRoleBinding")
