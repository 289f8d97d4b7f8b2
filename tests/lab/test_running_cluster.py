"""What a cluster must be for the registry's tests; asked of the running lab, without changing what others use."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from typing import Any

import pytest

from tests.lab.conftest import Command

pytestmark = pytest.mark.lab

BUSYBOX = "lab.local/bb:1"


def pod(name: str, *argv: str, volume: str = "") -> str:
    container: dict[str, Any] = {"name": "main", "image": BUSYBOX, "args": list(argv)}
    specification: dict[str, Any] = {
        "terminationGracePeriodSeconds": 0,
        "restartPolicy": "Never",
        "containers": [container],
    }
    if volume:
        container["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
        specification["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": volume}}]
    metadata = {"name": name, "labels": {"app": name}}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": specification})


def web(name: str) -> str:
    return pod(name, "sh", "-c", "echo hello > /tmp/index.html && exec httpd -f -p 8080 -h /tmp")


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - an address of the lab
        return str(answer.read().decode())


def test_a_second_start_does_nothing_and_does_it_quickly(lab: Command, running: dict[str, Any]) -> None:
    begun = time.monotonic()
    said = lab("up").stderr
    assert time.monotonic() - begun < 5
    assert "started" not in said
    assert json.loads(lab("status", "-o", "json").stdout)["controlPlane"] == running["controlPlane"]


def test_every_node_says_it_is_ready(lab: Command, running: dict[str, Any]) -> None:
    assert [node for node in running["nodes"] if node["name"] == "n1" and node["ready"]]
    version = json.loads(lab("kubectl", "version", "-o", "json").stdout)["serverVersion"]
    assert version["gitVersion"] == "v1.37.1"


def test_a_claim_without_a_class_gets_a_volume_that_keeps_its_data(lab: Command, namespace: str) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    }
    kubectl = ("kubectl", "-n", namespace)
    lab(*kubectl, "apply", "-f", "-", text=json.dumps(claim))
    lab(*kubectl, "apply", "-f", "-", text=pod("writer", "sh", "-c", "echo kept > /data/file", volume="data"))
    lab(*kubectl, "wait", "pod/writer", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")
    lab(*kubectl, "delete", "pod", "writer")
    lab(*kubectl, "apply", "-f", "-", text=pod("reader", "cat", "/data/file", volume="data"))
    lab(*kubectl, "wait", "pod/reader", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")
    assert lab(*kubectl, "logs", "reader").stdout == "kept\n"


def test_a_service_answers_by_name_from_pods_and_by_address_from_the_machine(lab: Command, namespace: str) -> None:
    kubectl = ("kubectl", "-n", namespace)
    lab(*kubectl, "apply", "-f", "-", text=web("web"))
    lab(*kubectl, "expose", "pod", "web", "--port=80", "--target-port=8080")
    lab(*kubectl, "wait", "pod/web", "--for=condition=Ready", "--timeout=60s")
    address = lab(*kubectl, "get", "service", "web", "-o", "jsonpath={.spec.clusterIP}").stdout
    assert fetch(f"http://{address}/") == "hello\n"
    # through its own Service, so the bridge must send a packet back where it came from
    inside = lab(*kubectl, "exec", "web", "--", "nslookup", f"web.{namespace}.svc.cluster.local").stdout
    assert address in inside
    assert lab(*kubectl, "exec", "web", "--", "wget", "-qO-", f"http://{address}/").stdout == "hello\n"


def test_names_of_the_outside_do_not_exist_and_say_so_at_once(lab: Command, namespace: str) -> None:
    kubectl = ("kubectl", "-n", namespace)
    lab(*kubectl, "apply", "-f", "-", text=pod("asker", "sleep", "60"))
    lab(*kubectl, "wait", "pod/asker", "--for=condition=Ready", "--timeout=60s")
    begun = time.monotonic()
    said = lab(*kubectl, "exec", "asker", "--", "nslookup", "registry.example", check=False)
    assert "NXDOMAIN" in said.stdout + said.stderr
    assert time.monotonic() - begun < 3


def test_an_ingress_without_a_class_is_served_on_the_nodes_ports(
    lab: Command, namespace: str, running: dict[str, Any]
) -> None:
    kubectl = ("kubectl", "-n", namespace)
    lab(*kubectl, "apply", "-f", "-", text=web("site"))
    lab(*kubectl, "expose", "pod", "site", "--port=80", "--target-port=8080")
    lab(*kubectl, "create", "ingress", "site", f"--rule={namespace}.example/*=site:80")
    lab(*kubectl, "wait", "pod/site", "--for=condition=Ready", "--timeout=60s")
    where = lab("kubectl", "-n", "ingress", "get", "pods", "-o", "jsonpath={.items[0].status.hostIP}").stdout
    assert where in [node["address"] for node in running["nodes"]]
    request = urllib.request.Request(f"http://{where}/", headers={"Host": f"{namespace}.example"})
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - likewise
                assert answer.read() == b"hello\n"
                return
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_restricted_namespaces_refuse_privileged_pods(lab: Command, namespace: str) -> None:
    lab("kubectl", "label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    refused = lab("kubectl", "-n", namespace, "apply", "-f", "-", text=pod("bad", "sleep", "1"), check=False)
    assert "violates PodSecurity" in refused.stderr


def test_a_node_may_not_read_the_secrets_of_others(lab: Command, running: dict[str, Any]) -> None:
    assert running["running"]
    asked = ("kubectl", "auth", "can-i", "list", "secrets", "-A", "--as=system:node:n1", "--as-group=system:nodes")
    assert lab(*asked, check=False).stdout.startswith("no")


def test_the_api_server_vouches_for_users_towards_aggregated_apis(lab: Command, running: dict[str, Any]) -> None:
    assert running["running"]
    found = lab("kubectl", "-n", "kube-system", "get", "cm", "extension-apiserver-authentication", "-o", "json").stdout
    data = json.loads(found)["data"]
    assert json.loads(data["requestheader-allowed-names"]) == ["front-proxy-client"]
    assert "BEGIN CERTIFICATE" in data["requestheader-client-ca-file"]


def test_trust_of_registries_and_names_belong_to_a_node_and_not_to_the_machine(
    lab: Command, running: dict[str, Any]
) -> None:
    assert running["running"]
    line = "# written by a test"
    lab("shell", "n1", "sh", "-c", f"echo '{line}' >> /etc/hosts && mkdir /etc/containerd/certs.d/test.example:5000")
    try:
        assert line in lab("shell", "n1", "cat", "/etc/hosts").stdout
        assert "test.example" in lab("shell", "n1", "ls", "/etc/containerd/certs.d").stdout
        here = subprocess.run(["cat", "/etc/hosts"], capture_output=True, text=True, check=True).stdout
        assert line not in here
        there = subprocess.run(["ls", "/etc/containerd/certs.d"], capture_output=True, text=True, check=True).stdout
        assert "test.example" not in there
    finally:
        rest = "\n".join(
            entry for entry in lab("shell", "n1", "cat", "/etc/hosts").stdout.splitlines() if entry != line
        )
        lab("shell", "n1", "sh", "-c", f"echo '{rest}' > /etc/hosts; rmdir /etc/containerd/certs.d/test.example:5000")
