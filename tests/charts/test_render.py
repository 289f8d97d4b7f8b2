"""What holds for every way of installing the chart."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
import yaml

LOWEST, HIGHEST = "1.29", "1.37"


def nulls(value: Any, path: str) -> Iterator[str]:
    if value is None:
        yield path
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from nulls(item, f"{path}.{key}")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from nulls(item, f"{path}[{number}]")


def test_two_renders_are_byte_equal(helm, chart, mode):
    values = chart / "ci" / f"{mode}-values.yaml"
    assert helm.template(values) == helm.template(values)


@pytest.mark.parametrize("version", [LOWEST, HIGHEST])
def test_every_object_fits_the_strict_schema_of_kubernetes(render, mode, version):
    for manifest in render(mode):
        kubernetes_validate.validate(manifest, version, strict=True)


def test_the_lowest_supported_kubernetes_is_the_one_the_chart_declares(chart):
    declared = yaml.safe_load((chart / "Chart.yaml").read_text())["kubeVersion"]
    assert declared == f">={LOWEST}.0-0"


def test_an_older_kubernetes_is_refused(helm):
    with pytest.raises(Exception, match="incompatible with Kubernetes"):
        helm.template(version="1.28")


def test_a_vendor_suffix_of_the_version_is_no_obstacle(helm):
    assert helm.template(version="v1.29.4-alauda.3")


def test_nothing_is_rendered_as_null(render, mode):
    found = [path for m in render(mode) for path in nulls(m, f"{m['kind']}/{m['metadata']['name']}")]
    assert not found


def test_every_object_follows_the_namespace_of_the_release(render, mode):
    elsewhere = render(mode, namespace="elsewhere")
    assert "image-registry-system" not in yaml.safe_dump_all(list(elsewhere))
    cluster_wide = {"APIService", "ClusterRole", "ClusterRoleBinding", "MutatingWebhookConfiguration"}
    for manifest in elsewhere:
        wanted = None if manifest["kind"] in cluster_wide else "elsewhere"
        if manifest["metadata"]["name"] == "elsewhere:image-api-server:authentication-reader":
            wanted = "kube-system"
        assert manifest["metadata"].get("namespace") == wanted, manifest["metadata"]["name"]


def test_no_object_appears_twice(render, mode):
    keys = [(m["kind"], m["metadata"].get("namespace"), m["metadata"]["name"]) for m in render(mode)]
    assert len(keys) == len(set(keys))


def test_every_pod_is_restricted_except_node_ca(render, mode):
    for owner, pod in render(mode).pods().items():
        spec = pod["spec"]
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, owner
        for flag in ("hostNetwork", "hostPID", "hostIPC"):
            assert flag not in spec, owner
        for container in spec.get("initContainers", []) + spec["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False, owner
            assert context["capabilities"] == {"drop": ["ALL"]}, owner
            assert context["readOnlyRootFilesystem"] is True, owner
            assert "privileged" not in context, owner
            assert "/tmp" in {mount["mountPath"] for mount in container["volumeMounts"]}, owner
        host_paths = {volume["name"] for volume in spec["volumes"] if "hostPath" in volume}
        if owner == "DaemonSet/node-ca":
            assert host_paths == {"certs", "hosts", "docker-certs", "containerd"}
            mounts = {mount["name"]: mount for mount in spec["containers"][0]["volumeMounts"]}
            written = {name for name in host_paths if not mounts[name].get("readOnly")}
            assert written == {"certs", "hosts", "docker-certs"}, "a runtime's configuration is only read"
            assert spec["securityContext"]["runAsUser"] == 0
        else:
            assert not host_paths, owner
            assert spec["securityContext"]["runAsNonRoot"] is True, owner
            assert spec["securityContext"]["runAsUser"] > 0, owner


def test_every_pod_says_whether_it_gets_a_token(render, mode):
    for owner, pod in render(mode).pods().items():
        assert pod["spec"]["automountServiceAccountToken"] is (owner != "StatefulSet/image-registry-db"), owner


def test_every_container_asks_for_resources(render, mode):
    for owner, pod in render(mode).pods().items():
        for container in pod["spec"].get("initContainers", []) + pod["spec"]["containers"]:
            assert set(container["resources"]["requests"]) == {"cpu", "memory"}, owner


def test_mounts_name_volumes_that_exist(render, mode):
    for owner, pod in render(mode).pods().items():
        volumes = [volume["name"] for volume in pod["spec"]["volumes"]]
        owner_claims = {"data"} if owner == "StatefulSet/image-registry-db" else set()
        assert len(volumes) == len(set(volumes)), owner
        for container in pod["spec"].get("initContainers", []) + pod["spec"]["containers"]:
            for mount in container["volumeMounts"]:
                assert mount["name"] in set(volumes) | owner_claims, f"{owner}: {mount['name']}"
            names = [variable["name"] for variable in container.get("env", [])]
            assert len(names) == len(set(names)), owner


def test_selectors_are_a_part_of_the_labels_of_their_pods(render, mode):
    release = render(mode)
    pods = [pod["metadata"]["labels"] for pod in release.pods().values()]
    for manifest in release:
        spec = manifest.get("spec", {})
        match manifest["kind"]:
            case "Deployment" | "StatefulSet" | "DaemonSet":
                wanted = spec["selector"]["matchLabels"]
                assert wanted.items() <= spec["template"]["metadata"]["labels"].items()
            case "Service":
                wanted = spec["selector"]
            case "PodDisruptionBudget":
                wanted = spec["selector"]["matchLabels"]
            case "NetworkPolicy":
                wanted = spec["podSelector"]["matchLabels"]
            case _:
                continue
        assert sum(wanted.items() <= labels.items() for labels in pods) == 1, manifest["metadata"]["name"]


def test_immutable_fields_are_those_of_the_golden_file(render, golden):
    release = render("default")
    found = {}
    for manifest in release:
        if manifest["kind"] in {"Deployment", "StatefulSet", "DaemonSet"}:
            fields = {"selector": manifest["spec"]["selector"]}
            for field in ("serviceName", "volumeClaimTemplates"):
                if field in manifest["spec"]:
                    fields[field] = manifest["spec"][field]
            found[f"{manifest['kind']}/{manifest['metadata']['name']}"] = fields
    assert found == golden["immutable"]


def test_labels_follow_the_kubernetes_recommendation(render, mode):
    for manifest in render(mode):
        if manifest["metadata"]["name"].startswith("extra-"):
            continue
        labels = manifest["metadata"]["labels"]
        assert labels["app.kubernetes.io/part-of"] == "image-registry"
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        assert {"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/version"} <= set(labels)
        for value in labels.values():
            assert re.fullmatch(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", value)


def test_pods_do_not_restart_for_a_new_version_of_the_chart_alone(render, mode):
    for owner, pod in render(mode).pods().items():
        if owner.startswith(("Pod/", "Job/")):
            continue
        assert not {"helm.sh/chart", "app.kubernetes.io/version"} & set(pod["metadata"]["labels"]), owner


def test_helm_lint_is_strict_and_clean(helm, chart, mode):
    values = str(chart / "ci" / f"{mode}-values.yaml")
    said = helm.run("lint", "--strict", "--kube-version", HIGHEST, "--values", values, str(chart))
    assert "1 chart(s) linted, 0 chart(s) failed" in said
    assert "[WARNING]" not in said
