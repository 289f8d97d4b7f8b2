"""What runs in the Pods: one image, nobody's root, nothing to build with."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from tests.cluster.kubernetes import NAMESPACE, CommandFailed, Kubectl
from tests.serve.conftest import program

pytestmark = pytest.mark.lab

SERVERS = ("deployment/image-registry", "deployment/image-api-server")
TOOLS = ("pip", "pip3", "gcc", "cc", "make", "ld", "git", "curl", "wget", "buildah")


@pytest.mark.parametrize("server", SERVERS)
def test_a_server_is_not_root_and_cannot_write_to_its_image(kubectl: Kubectl, server: str) -> None:
    assert kubectl("-n", NAMESPACE, "exec", server, "--", "id", "-u").strip() == "65532"
    for place in ("/here", "/opt/image-registry/here", "/usr/bin/here"):
        with pytest.raises(CommandFailed, match="Read-only file system"):
            kubectl("-n", NAMESPACE, "exec", server, "--", "touch", place)


def test_the_image_has_no_tools_to_build_or_fetch_with(kubectl: Kubectl) -> None:
    script = (
        "for tool in "
        + " ".join(TOOLS)
        + "; do command -v $tool; done; python3 -c 'import pip' 2>/dev/null && echo pip; true"
    )
    assert kubectl("-n", NAMESPACE, "exec", SERVERS[0], "--", "sh", "-c", script).split() == []


def test_every_pod_but_the_nodes_trust_meets_the_restricted_profile(kubectl: Kubectl) -> None:
    """kube-apiserver itself judges what runs: a dry run of the label names the Pods that would violate it."""
    label = ["label", "namespace", NAMESPACE, "--overwrite", "--dry-run=server"]
    done = subprocess.run(
        [
            *(program("kubectl", "run `lab/lab build kube`"), "--kubeconfig", str(kubectl.kubeconfig)),
            *(*label, "pod-security.kubernetes.io/enforce=restricted"),
        ],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"], "HOME": str(kubectl.kubeconfig.parent)},
    )
    violating = set(re.findall(r"^Warning: ([a-z0-9-]+)", done.stderr, re.MULTILINE)) - {"existing"}
    assert violating
    assert all(pod.startswith("node-ca-") for pod in violating), done.stderr
