"""The operator's own numbers: Prometheus finds them where that is wanted, and alerts ask only for what there is."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from image_registry.operator.operator_metrics import OperatorMetrics
from image_registry.operator.pruner_metrics import PrunerMetrics
from image_registry.operator.pull_secret_metrics import PullSecretMetrics

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts/cluster-image-registry-operator"


def test_prometheus_finds_the_operator_if_that_is_wanted(helm, tmp_path):
    values = tmp_path / "values.yaml"
    values.write_text(
        yaml.safe_dump({"monitoring": {"podMonitor": {"enabled": True, "labels": {"prometheus": "main"}}}})
    )
    objects = {item["kind"]: item for item in yaml.safe_load_all(helm.template(values, chart=CHART)) if item}
    monitor, pod = objects["PodMonitor"], objects["Deployment"]["spec"]["template"]
    assert monitor["metadata"]["labels"]["prometheus"] == "main"
    assert monitor["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["port"] in {port["name"] for port in pod["spec"]["containers"][0]["ports"]}
    assert "PodMonitor" not in helm.template(chart=CHART)


def test_alerts_ask_for_what_the_operator_counts():
    metrics = OperatorMetrics()
    PrunerMetrics(metrics.registry)
    PullSecretMetrics(metrics.registry, *[lambda: 0.0] * 3)
    known = {family.name for family in metrics.registry.collect()}
    asked = set(
        re.findall(r"\bimage_registry_operator_\w+", (ROOT / "charts/image-registry/files/rules.yaml").read_text())
    )
    assert asked
    assert asked <= known
