"""What a misspelt or impossible value is answered with, against the chart's real schema."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from ansible_collections.alauda.registry.plugins.module_utils import _chart, _values
from ansible_collections.alauda.registry.plugins.module_utils._helm import Helm
from ansible_collections.alauda.registry.plugins.module_utils._versions import Version, satisfies

if TYPE_CHECKING:
    from tests.collection.conftest import FakeHelm

CHART = Path(__file__).resolve().parents[2] / "charts/image-registry"
SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
DEFAULTS: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))


def said(values: dict[str, Any]) -> str:
    return "\n".join(f"{found}: {cure}" for found, cure in _values.faults(SCHEMA, _chart.merge(DEFAULTS, values)))


def test_the_chart_accepts_its_own_defaults() -> None:
    assert said({}) == ""


@pytest.mark.parametrize("path", sorted((CHART / "ci").glob("*-values.yaml")), ids=lambda path: path.stem)
def test_the_modes_of_the_chart_are_accepted(path: Path) -> None:
    assert said(yaml.safe_load(path.read_text(encoding="utf-8")) or {}) == ""


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"config": {"replica": 2}}, "config.replica is not a value of the chart: did you mean config.replicas?"),
        ({"Config": {}}, "Config is not a value of the chart: did you mean config?"),
        (
            {"replicas": 2},
            "replicas is not a value of the chart: did you mean apiServer.replicas or config.replicas or ",
        ),
        ({"config": {"storage": {"pvc": {"storageClass": "x"}}}}, "did you mean config.storage.pvc.storageClassName?"),
        ({"image": {"Tag": "1"}}, "image.Tag is not a value of the chart: did you mean image.tag?"),
        ({"config": {"storage": {"xyz": 1}}}, "config.storage.xyz is not a value of the chart: known here: "),
        ({"config": {"replicas": "two"}}, "config.replicas is 'two': it must be a whole number"),
        ({"config": {"replicas": -1}}, "config.replicas is -1: it must be at least 0"),
        ({"config": {"logLevel": "debug"}}, "config.logLevel is 'debug': it must be one of 'Normal', 'Debug'"),
        ({"config": {"storage": {"pvc": {"size": "10 GB"}}}}, "config.storage.pvc.size is '10 GB': it must look like"),
        ({"config": {"routes": [{"name": "a"}]}}, "'hostname' is a required property"),
        ({"config": {"routes": [{"name": "a", "hostname": "a.b", "tls": 1}]}}, "config.routes[0].tls is not a value"),
    ],
)
def test_a_fault_is_named_with_what_was_meant(values: dict[str, Any], expected: str) -> None:
    assert expected in said(values)


def test_every_fault_is_named_at_once() -> None:
    assert len(said({"config": {"replica": 2, "logLevel": "x"}, "imag": {}}).splitlines()) == 3


def test_null_takes_a_default_away_as_in_helm() -> None:
    merged = _chart.merge(DEFAULTS, {"config": {"storage": {"pvc": None, "emptyDir": {}}}})
    assert "pvc" not in merged["config"]["storage"]
    assert merged["config"]["storage"]["emptyDir"] == {}
    assert DEFAULTS["config"]["storage"]["pvc"]


def test_an_archive_is_read_like_its_folder(tmp_path: Path, fake_helm: FakeHelm) -> None:
    with tarfile.open(tmp_path / "chart.tgz", "w:gz") as archive:
        archive.add(CHART, "image-registry")
    helm = Helm(fake_helm.binary, "none", None, "n", "r")
    packed = _chart.load(str(tmp_path / "chart.tgz"), None, helm, str(tmp_path))
    assert packed == _chart.load(str(CHART), None, helm, str(tmp_path))
    assert packed.kube_version


@pytest.mark.parametrize(
    ("version", "constraint", "met"),
    [
        ("v1.29.0", ">=1.29.0-0", True),
        ("v1.28.9", ">=1.29.0-0", False),
        ("v1.33.1-eks-595af52", ">=1.29.0-0", True),
        ("v1.31+", ">=1.29.0-0 <1.31.0", False),
        ("v1.30.4+k3s1", ">= 1.29.0, < 1.31.0", True),
        ("v1.20.0", ">=1.29.0 || =1.20.0", True),
        ("v1.20.0", "~1.29", True),  # what can not be read is helm's to judge
        ("v1.20.0", "", True),
    ],
)
def test_the_version_a_chart_is_for_is_understood(version: str, constraint: str, *, met: bool) -> None:
    found = Version.find(version)
    assert found
    assert satisfies(found, constraint) is met
