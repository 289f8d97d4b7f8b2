"""Who may pull pulls and does not push, a limit refuses growth alone, every node trusts, and the backup is complete."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

Kubectl = Callable[..., str]
Crane = Callable[..., tuple[int, str]]
TEAM = "registry-molecule"
REPORTS = Path(os.environ.get("MOLECULE_EPHEMERAL_DIRECTORY", "/nonexistent")) / "reports"


def report(name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads((REPORTS / f"lab-{name}.json").read_text())
    assert found["ok"], found
    return found


def test_the_reader_pulls_and_does_not_push(kubectl: Kubectl, ask: Callable[..., tuple[int, str]]) -> None:
    token = kubectl(f"-n {TEAM} create token reader").strip()
    status, tags = ask(f"/v2/{TEAM}/kept/tags/list", user=token)
    assert (status, json.loads(tags)["tags"]) == (200, ["1"])
    account = f"system:serviceaccount:{TEAM}:reader"
    for verb, answer in (("get", "yes"), ("update", "no")):
        asked = f"-n {TEAM} auth can-i {verb} imagestreams.image.alauda.io --subresource=layers --as {account}"
        assert kubectl(f"{asked} || true", may_fail=True).splitlines()[-1] == answer


def test_a_limit_refuses_one_tag_more_and_nothing_that_is_there(kubectl: Kubectl, crane: Crane) -> None:
    limited = "limited"
    digest = crane("digest", "kept:1")[1]
    for tag in ("1", "2"):
        tagged = kubectl(f"-n {TEAM} create -f - <<'END'\n{stream_tag(f'{limited}:{tag}', digest)}\nEND")
        assert "created" in tagged
    refused = kubectl(f"-n {TEAM} create -f - <<'END'\n{stream_tag(f'{limited}:3', digest)}\nEND", may_fail=True)
    assert "2" in refused
    assert "forbidden" in refused
    assert kubectl(f"-n {TEAM} get imagestream {limited} -o jsonpath={{.status.tags[*].tag}}").split() == ["1", "2"]
    status, said = crane("validate", "--remote", "kept:1")
    assert status == 0, said


def stream_tag(name: str, digest: str) -> str:
    image = {"kind": "ImageStreamImage", "name": f"kept@{digest}"}
    return json.dumps(
        {
            "apiVersion": "image.alauda.io/v1",
            "kind": "ImageStreamTag",
            "metadata": {"name": name},
            "tag": {"from": image},
        }
    )


def test_every_node_trusts_the_registry() -> None:
    told = report("nodes")
    assert told["ready"] == told["nodes"] != 0
    assert told["untrusting"] == []


def test_the_restore_brought_the_stream_back(kubectl: Kubectl) -> None:
    told = report("restore")["backup"]
    assert isinstance(told, dict)
    assert told["copied"]["images"] >= 1
    assert told["missing"] == []
    assert "kept" in kubectl(f"-n {TEAM} get imagestreams -o name")
