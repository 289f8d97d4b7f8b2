"""What is off by default and is tested here: short names in Pods, and workloads that follow tags."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.clients.programs import Crane
from tests.cluster.kubernetes import NAMESPACE, ROOT, Kubectl
from tests.serve.conftest import program

VALUES = ("localNames.enabled=true", "imageTriggers.enabled=true", "imageTriggers.replicas=2")


def switch_on(kubectl: Kubectl) -> None:
    """By an upgrade of the release, whose keys are made already; they stay on, because nothing else minds."""
    command = [program("helm", "run `lab/lab build helm`"), "--kubeconfig", str(kubectl.kubeconfig)]
    upgrade = ["upgrade", "image-registry", str(ROOT / "charts/image-registry"), "--namespace", NAMESPACE]
    values = [argument for value in VALUES for argument in ("--set", value)]
    environment = {"PATH": os.environ["PATH"], "HOME": str(kubectl.kubeconfig.parent)}
    subprocess.run(
        [*command, *upgrade, "--reuse-values", "--no-hooks", "--wait", *values],
        check=True,
        capture_output=True,
        env=environment,
    )


def push(crane: Crane, reference: str, archive: Path) -> str:
    """The small image with a label of its own, so that no node has it; its digest."""
    at = crane.at(reference)
    crane.run("push", str(archive), at)
    crane.run("mutate", at, "--label", f"made-for={secrets.token_hex(8)}", "--tag", at)
    return crane.run("digest", at).strip()


def containers(*images: str) -> list[dict[str, Any]]:
    """Containers that answer when they are ready."""
    return [
        {
            "name": f"c{index}",
            "image": image,
            "command": ["/bin/busybox", "httpd", "-f", "-p", str(8080 + index)],
            "readinessProbe": {"tcpSocket": {"port": 8080 + index}, "periodSeconds": 1},
        }
        for index, image in enumerate(images)
    ]


def workload(kind: str, namespace: str, *images: str, annotations: dict[str, str] | None = None) -> dict[str, Any]:
    """An object of a kind that holds Pods; only Pods and Deployments of it are made to run."""
    labels = {"app": "x"}
    restart = {"restartPolicy": "Never"} if kind in {"Job", "CronJob"} else {}
    spec = {"containers": containers(*images), "terminationGracePeriodSeconds": 1, **restart}
    pod: dict[str, Any] = {"imagePullSecrets": [{"name": "pull"}], **spec}
    metadata = {"name": f"x-{kind.lower()}", "namespace": namespace, "annotations": annotations or {}}
    template = {"metadata": {"labels": labels}, "spec": pod}
    selector = {"matchLabels": labels}
    version, body = {
        "Pod": ("v1", pod),
        "ReplicationController": ("v1", {"selector": labels, "template": template}),
        "Deployment": ("apps/v1", {"selector": selector, "template": template}),
        "ReplicaSet": ("apps/v1", {"selector": selector, "template": template}),
        "StatefulSet": ("apps/v1", {"selector": selector, "serviceName": "x", "template": template}),
        "DaemonSet": ("apps/v1", {"selector": selector, "template": template}),
        "Job": ("batch/v1", {"template": template}),
        "CronJob": (
            "batch/v1",
            {"schedule": "0 0 1 1 *", "suspend": True, "jobTemplate": {"spec": {"template": template}}},
        ),
    }[kind]
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": body}


def images(document: dict[str, Any]) -> list[str]:
    """Of the containers of a workload."""
    spec = document["spec"]
    spec = spec["jobTemplate"]["spec"] if document["kind"] == "CronJob" else spec
    spec = spec if document["kind"] == "Pod" else spec["template"]["spec"]
    return [container["image"] for container in spec["containers"]]


def created(kubectl: Kubectl, document: dict[str, Any], *options: str) -> dict[str, Any]:
    """What the API server makes of it."""
    found: dict[str, Any] = json.loads(kubectl("create", "-f", "-", "-o", "json", *options, stdin=json.dumps(document)))
    return found


def until(what: str, true: Callable[[], bool], seconds: float = 60) -> float:
    """Wait for it; how long it took."""
    begun = time.monotonic()
    while not true():
        assert time.monotonic() < begun + seconds, f"{what}: not within {seconds:g} s"
        time.sleep(0.2)
    return time.monotonic() - begun
