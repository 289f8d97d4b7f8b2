"""What is true after every scenario: the registry is ready, and the image that was pushed before is pulled."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from pathlib import Path

Kubectl = Callable[..., str]
Crane = Callable[..., tuple[int, str]]
SYSTEM, TEAM = "image-registry-system", "registry-molecule"


def test_every_pod_is_ready(kubectl: Kubectl) -> None:
    for name in ("image-registry", "image-api-server"):
        status = json.loads(kubectl(f"-n {SYSTEM} get deployment {name} -o json"))["status"]
        assert status["readyReplicas"] == status["replicas"] == status["updatedReplicas"] >= 1


def test_the_image_is_pulled_byte_by_byte_and_is_an_object(kubectl: Kubectl, crane: Crane) -> None:
    status, digest = crane("digest", "kept:1")
    assert status == 0, digest
    status, said = crane("validate", "--remote", "kept:1")
    assert status == 0, said
    assert digest in kubectl(f"-n {TEAM} get imagestreamtags kept:1 -o yaml")


def test_a_push_is_taken(crane: Crane, tmp_path: Path) -> None:
    (tmp_path / "hello").write_text("hello\n")
    with tarfile.open(tmp_path / "layer.tar", "w") as layer:
        layer.add(tmp_path / "hello", "hello")
    status, said = crane("append", f"--new_layer={tmp_path}/layer.tar", "--new_tag", "again:1")
    assert status == 0, said
    assert crane("validate", "--remote", "again:1")[0] == 0
