"""The OLM bundle: made from the chart as it is now, and right by every rule that OLM and its validators state.

The rules are those of operator-framework/api `pkg/validation/internal` (named by file), of operator-registry
`pkg/lib/bundle/validate.go` ("registry") and of the documentation of OLM ("docs"). Rules about what this bundle does
not have (webhooks, PriorityClasses, package manifests, APIs that Kubernetes removed) hold by its absence.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import subprocess
import sys
import urllib.parse
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
CHARTS = ROOT / "charts"
BUNDLE = CHARTS / "cluster-image-registry-operator/bundle"
CHART = yaml.safe_load((CHARTS / "cluster-image-registry-operator/Chart.yaml").read_text())
MANIFESTS = {path.name: path.read_text() for path in sorted((BUNDLE / "manifests").iterdir())}
OBJECTS = [yaml.safe_load(text) for text in MANIFESTS.values()]
(VERSION,) = [item for item in OBJECTS if item["kind"] == "ClusterServiceVersion"]
DEFINITIONS = [item for item in OBJECTS if item["kind"] == "CustomResourceDefinition"]
METADATA, SPEC = VERSION["metadata"], VERSION["spec"]
NOTES = METADATA["annotations"]
STRATEGY = SPEC["install"]["spec"]
LABELS = yaml.safe_load((BUNDLE / "metadata/annotations.yaml").read_text())["annotations"]
PREFIX = "operators.operatorframework.io.bundle"
SEMVER = re.compile(r"(\d+)\.(\d+)\.(\d+)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z.-]+)?")
REFERENCE = re.compile(
    r"[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?"
)


def containers() -> list[dict[str, Any]]:
    return [one for item in STRATEGY["deployments"] for one in item["spec"]["template"]["spec"]["containers"]]


def rules() -> list[dict[str, Any]]:
    given = [one for part in ("permissions", "clusterPermissions") for one in STRATEGY.get(part, [])]
    objects = [item for item in OBJECTS if item["kind"] in ("Role", "ClusterRole")]
    return [rule for item in [*given, *objects] for rule in item["rules"] if "nonResourceURLs" not in rule]


def paths(schema: dict[str, Any], path: str = "") -> set[str]:
    found = set()
    for name, field in (schema.get("properties") or {}).items():
        place = f"{path}.{name}" if path else name
        found |= {place} | paths(field, place)
    return found


def test_the_bundle_is_what_the_chart_says_now() -> None:
    done = subprocess.run(
        [sys.executable, CHARTS / "derive_bundle.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


class TestCsvValidator:
    """operator-framework/api csv.go."""

    def test_its_name_is_a_dns_name_and_a_label_value(self) -> None:
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", METADATA["name"])
        assert len(METADATA["name"]) <= 63

    def test_so_is_what_it_replaces(self) -> None:
        replaced = SPEC.get("replaces", "none")
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", replaced)
        assert replaced != METADATA["name"]

    def test_examples_are_json_and_of_kinds_it_provides_and_each_kind_has_one(self) -> None:
        assert "olm.examples" not in NOTES, "one of the two names"
        examples = {(item["apiVersion"], item["kind"]) for item in json.loads(NOTES["alm-examples"])}
        provided = {
            (f"{item['spec']['group']}/{item['spec']['versions'][0]['name']}", item["spec"]["names"]["kind"])
            for item in DEFINITIONS
        }
        assert examples == provided

    def test_install_modes_are_said_once_each_and_one_is_supported(self) -> None:
        modes = {item["type"]: item["supported"] for item in SPEC["installModes"]}
        assert len(modes) == len(SPEC["installModes"])
        assert modes == {
            "OwnNamespace": False,
            "SingleNamespace": False,
            "MultiNamespace": False,
            "AllNamespaces": True,
        }

    def test_the_least_kubernetes_is_a_version_and_the_charts(self) -> None:
        assert SEMVER.fullmatch(SPEC["minKubeVersion"])
        assert CHART["kubeVersion"] == f">={SPEC['minKubeVersion']}-0"

    def test_it_says_its_kind_and_what_no_object_of_it_may_lack(self) -> None:
        assert (VERSION["apiVersion"], VERSION["kind"]) == ("operators.coreos.com/v1alpha1", "ClusterServiceVersion")
        assert SPEC["displayName"]
        assert SPEC["install"]["strategy"] == "deployment"
        for item in SPEC["customresourcedefinitions"]["owned"]:
            assert {"name", "version", "kind"} <= set(item)

    def test_annotations_that_have_a_spelling_have_it(self) -> None:
        spelled = {
            "olm.skipRange",
            "olm.operatorGroup",
            "olm.operatorNamespace",
            "olm.targetNamespaces",
            "olm.providedAPIs",
        }
        right = {name.lower(): name for name in spelled}
        for name in NOTES:
            assert right.get(name.lower(), name) == name
        assert "olm.properties" not in NOTES, "annotations.go: it belongs into metadata/properties.yaml"


class TestBundleValidator:
    """operator-framework/api bundle.go."""

    def test_kinds_that_it_owns_and_definitions_that_it_holds_are_the_same(self) -> None:
        owned = {(item["name"], item["version"], item["kind"]) for item in SPEC["customresourcedefinitions"]["owned"]}
        held = [
            (item["metadata"]["name"], version["name"], item["spec"]["names"]["kind"])
            for item in DEFINITIONS
            for version in item["spec"]["versions"]
        ]
        assert owned == set(held)
        assert len(held) == len(set(held))

    def test_no_service_account_is_made_twice(self) -> None:
        made = {item["metadata"]["name"] for item in OBJECTS if item["kind"] == "ServiceAccount"}
        used = {item["spec"]["template"]["spec"]["serviceAccountName"] for item in STRATEGY["deployments"]}
        assert not made & used

    def test_it_is_small_enough_for_a_config_map(self) -> None:
        size = sum(
            len(base64.b64encode(gzip.compress(path.read_bytes()))) for path in BUNDLE.rglob("*") if path.is_file()
        )
        assert size < 0.85 * 2**20

    def test_related_images_can_be_pulled_by_their_name(self) -> None:
        assert SPEC["relatedImages"]
        for item in SPEC["relatedImages"]:
            assert REFERENCE.fullmatch(item["image"]), item


class TestOperatorHubValidator:
    """operator-framework/api operatorhub.go, standardcapabilities.go, standardcategories.go."""

    def test_provider_maintainers_and_links_are_whole(self) -> None:
        assert SPEC["provider"]["name"].strip()
        for item in SPEC["maintainers"]:
            assert item["name"]
            assert re.fullmatch(r"[^@\s]+@[^@\s]+\.[a-z]+", item["email"])
        for item in SPEC["links"]:
            assert item["name"]
            assert urllib.parse.urlparse(item["url"]).scheme == "https"

    def test_the_level_is_one_that_exists(self) -> None:
        levels = {"Basic Install", "Seamless Upgrades", "Full Lifecycle", "Deep Insights", "Auto Pilot"}
        assert NOTES["capabilities"] in levels

    def test_categories_are_some_that_exist(self) -> None:
        known = {
            "AI/Machine Learning", "Application Runtime", "Big Data", "Cloud Provider", "Developer Tools", "Database",
            "Integration & Delivery", "Logging & Tracing", "Monitoring", "Modernization & Migration", "Networking",
            "OpenShift Optional", "Security", "Storage", "Streaming & Messaging", "Observability",
        }  # fmt: skip
        assert {name.strip() for name in NOTES["categories"].split(",")} <= known

    def test_the_version_is_said_and_the_charts(self) -> None:
        assert SEMVER.fullmatch(SPEC["version"])
        assert SPEC["version"] == CHART["version"]

    def test_there_is_one_icon(self) -> None:
        (icon,) = SPEC["icon"]
        assert icon["mediatype"] == "image/svg+xml"
        assert b"<svg" in base64.b64decode(icon["base64data"], validate=True)


class TestGoodPractices:
    """operator-framework/api good_practices.go."""

    def test_every_container_asks_for_processor_and_memory(self) -> None:
        for item in containers():
            assert {"cpu", "memory"} <= set(item["resources"]["requests"])

    def test_owned_kinds_are_described(self) -> None:
        assert all(item["description"] for item in SPEC["customresourcedefinitions"]["owned"])

    def test_channels_are_named_by_convention(self) -> None:
        for name in LABELS[f"{PREFIX}.channels.v1"].split(","):
            assert name.startswith(("candidate", "fast", "stable"))

    def test_it_makes_no_definitions_itself(self) -> None:
        assert not [rule for rule in rules() if "apiextensions.k8s.io" in rule["apiGroups"]]

    def test_it_is_named_by_package_and_version(self) -> None:
        assert METADATA["name"] == f"{LABELS[f'{PREFIX}.package.v1']}.v{SPEC['version']}"


class TestObjectValidator:
    """operator-framework/api object.go, crd.go, removed_apis.go, multiarch.go."""

    def test_there_is_nothing_of_which_it_has_rules(self) -> None:
        assert {item["kind"] for item in OBJECTS} <= {
            "ClusterServiceVersion",
            "CustomResourceDefinition",
            "Role",
            "RoleBinding",
        }
        assert "webhookdefinitions" not in SPEC

    def test_no_rule_is_about_security_context_constraints(self) -> None:
        assert not [rule for rule in rules() if "security.openshift.io" in rule["apiGroups"]]

    def test_no_api_is_one_that_kubernetes_removed(self) -> None:
        versions = {item["apiVersion"] for item in OBJECTS}
        assert all("beta" not in name and "alpha" not in name for name in versions - {VERSION["apiVersion"]})

    def test_platforms_are_said(self) -> None:
        assert METADATA["labels"]["operatorframework.io/os.linux"] == "supported"
        assert [name for name in METADATA["labels"] if name.startswith("operatorframework.io/arch.")]


class TestBundleFormat:
    """operator-registry validate.go and supported_resources.go; docs: packaging format."""

    def test_its_annotations_say_what_is_there(self) -> None:
        assert LABELS == {  # noqa: SIM300
            f"{PREFIX}.mediatype.v1": "registry+v1",
            f"{PREFIX}.manifests.v1": "manifests/",
            f"{PREFIX}.metadata.v1": "metadata/",
            f"{PREFIX}.package.v1": "cluster-image-registry-operator",
            f"{PREFIX}.channels.v1": "stable",
            f"{PREFIX}.channel.default.v1": "stable",
        }

    def test_the_default_channel_is_one_of_its_channels(self) -> None:
        assert LABELS[f"{PREFIX}.channel.default.v1"] in LABELS[f"{PREFIX}.channels.v1"].split(",")

    def test_its_image_says_the_same_and_holds_the_two_folders(self) -> None:
        text = (BUNDLE / "Containerfile").read_text()
        assert dict(re.findall(r"^LABEL (\S+?)=(\S+)$", text, re.MULTILINE)) == LABELS
        assert re.findall(r"^(?:FROM|COPY) .*$", text, re.MULTILINE) == [
            "FROM scratch",
            "COPY manifests /manifests/",
            "COPY metadata /metadata/",
        ]

    def test_each_file_is_one_object_and_the_first_document(self) -> None:
        for name, text in MANIFESTS.items():
            assert re.split(r"^---\s*$", text, flags=re.MULTILINE)[0] == "", name
            assert len(list(yaml.safe_load_all(text))) == 1, name

    def test_there_is_one_version_and_no_kind_that_is_not_taken(self) -> None:
        assert [item["kind"] for item in OBJECTS].count("ClusterServiceVersion") == 1

    def test_objects_have_no_namespace_of_their_own(self) -> None:
        for item in OBJECTS:
            if item is not VERSION:
                assert "namespace" not in item["metadata"], item["metadata"]["name"]

    def test_no_trace_of_helm_is_left(self) -> None:
        text = "".join(MANIFESTS.values())
        assert "helm.sh/" not in text
        assert "managed-by: Helm" not in text


class TestDocumentation:
    """docs: ClusterServiceVersion, OperatorGroups, update graph, disconnected clusters, console descriptors."""

    def test_rights_in_its_namespace_are_not_lifted_to_the_cluster(self) -> None:
        assert "permissions" not in STRATEGY, "for an operator of all namespaces they would be cluster-wide"
        for rule in rules():
            assert "*" not in rule["apiGroups"] + rule["resources"] + rule["verbs"]

    def test_its_role_is_bound_to_the_account_that_olm_makes(self) -> None:
        (binding,) = [item for item in OBJECTS if item["kind"] == "RoleBinding"]
        (role,) = [item for item in OBJECTS if item["kind"] == "Role"]
        assert binding["roleRef"]["name"] == role["metadata"]["name"]
        (subject,) = binding["subjects"]
        assert subject["name"] == STRATEGY["clusterPermissions"][0]["serviceAccountName"]
        assert subject["namespace"] == NOTES["operatorframework.io/suggested-namespace"]

    def test_any_earlier_version_of_this_one_may_come_here(self) -> None:
        low, high = NOTES["olm.skipRange"].split()
        assert low.startswith(">=")
        assert high == f"<{SPEC['version']}"

    def test_every_image_is_related_and_told_to_the_operator(self) -> None:
        related = {item["image"] for item in SPEC["relatedImages"]}
        told = {
            item["value"] for one in containers() for item in one["env"] if item["name"].startswith("RELATED_IMAGE_")
        }
        assert related == told | {one["image"] for one in containers()}
        assert NOTES["containerImage"] in related

    def test_descriptors_name_fields_that_exist(self) -> None:
        for item in SPEC["customresourcedefinitions"]["owned"]:
            (definition,) = [one for one in DEFINITIONS if one["metadata"]["name"] == item["name"]]
            schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
            for part, said in (("spec", "specDescriptors"), ("status", "statusDescriptors")):
                named = [one["path"] for one in item[said]]
                assert set(named) <= paths(schema[part])
                assert set(schema[part]["properties"]) <= set(named)
                assert len(named) == len(set(named))

    def test_the_namespace_it_suggests_lets_its_daemon_set_run(self) -> None:
        template = json.loads(NOTES["operatorframework.io/suggested-namespace-template"])
        assert template["metadata"]["name"] == NOTES["operatorframework.io/suggested-namespace"]
        assert template["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "privileged"
