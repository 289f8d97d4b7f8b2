"""What runs in the Pods: one image, nobody's root, nothing to build with; and how Pods of others get their images."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
from pathlib import Path

import pytest

from tests.clients.curl import Curl, bearer
from tests.clients.layout import INDEX, image
from tests.clients.programs import Crane
from tests.cluster.kubernetes import NAMESPACE, SERVICE, CommandFailed, Kubectl, Team
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


def test_a_node_pulls_an_image_by_its_digest(crane: Crane, team: Team, kubectl: Kubectl, busybox: Path) -> None:
    digest = push_runnable(crane, f"{team.namespace}/server", busybox)
    assert digest_of_running(team, kubectl, f"{team.namespace}/server@{digest}") == digest


@pytest.mark.parity(10)
@pytest.mark.parametrize("by", ["tag", "digest"])
def test_a_node_finds_its_own_platform_in_an_index(
    by: str, crane: Crane, curl: Curl, team: Team, kubectl: Kubectl, busybox: Path, tmp_path: Path
) -> None:
    """What the index has for the other platform, which it names first, has nothing that could run."""
    repository = f"{team.namespace}/server"
    own = kubectl.json("get", "nodes")["items"][0]["status"]["nodeInfo"]["architecture"]
    other = "arm64" if own == "amd64" else "amd64"
    runnable = push_runnable(crane, repository, busybox)
    crane.push(image(tmp_path / "other", architecture=other), f"{repository}:other")
    index = tmp_path / "index"
    index.write_text(
        json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": INDEX,
                "manifests": [
                    entry(crane, f"{repository}:other", other),
                    entry(crane, f"{repository}@{runnable}", own),
                ],
            }
        ),
        encoding="ascii",
    )
    authorization = bearer(curl.token(f"repository:{repository}:pull,push"))
    kind = ("-X", "PUT", "-H", f"Content-Type: {INDEX}")
    pushed = curl(f"/v2/{repository}/manifests/many", *kind, config=authorization, body=index)
    assert pushed.status == 201, pushed.body
    digest = pushed.headers["docker-content-digest"]
    reference = f"{repository}:many" if by == "tag" else f"{repository}@{digest}"
    # a runtime may name the index that it was asked for, or the image that it took from there
    assert digest_of_running(team, kubectl, reference) in {digest, runnable}


def push_runnable(crane: Crane, repository: str, archive: Path) -> str:
    """The small image with a label of its own, so that no node has it; its digest."""
    crane.run("push", str(archive), crane.at(f"{repository}:base"))
    label = f"made-for={secrets.token_hex(8)}"
    crane.run("mutate", crane.at(f"{repository}:base"), "--label", label, "--tag", crane.at(f"{repository}:own"))
    return crane.run("digest", crane.at(f"{repository}:own")).strip()


def entry(crane: Crane, reference: str, architecture: str) -> dict[str, object]:
    """How an index lists a manifest."""
    manifest = crane.run("manifest", crane.at(reference))
    return {
        "mediaType": json.loads(manifest)["mediaType"],
        "digest": crane.run("digest", crane.at(reference)).strip(),
        "size": len(manifest.encode()),
        "platform": {"os": "linux", "architecture": architecture},
    }


def digest_of_running(team: Team, kubectl: Kubectl, reference: str) -> str:
    """Run a Pod of this image until it is ready; the digest that the node says it took."""
    team.pull_secret("pull", "builder")
    team.run("server", f"{SERVICE}/{reference}", secret="pull")
    kubectl("-n", team.namespace, "wait", "pod/server", "--for=condition=Ready", "--timeout=60s")
    pod = kubectl.json("-n", team.namespace, "get", "pod", "server")
    taken: str = pod["status"]["containerStatuses"][0]["imageID"]
    return taken.partition("@")[2]
