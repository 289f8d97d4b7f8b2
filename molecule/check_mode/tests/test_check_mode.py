"""A check writes nothing and names what the run then changes; after the run it names nothing."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from testinfra.host import Host

Kubectl = Callable[..., str]
ROOT = Path(__file__).resolve().parents[3]
SYSTEM = "image-registry-system"
WRITTEN = "secrets,configmaps,persistentvolumeclaims,services,ingresses,deployments,daemonsets,statefulsets,cronjobs"
TASK = re.compile(r"^TASK \[(?P<task>.+?)\] \*+$|^(?P<changed>changed): \[", re.MULTILINE)
RECAP = re.compile(r"^lab +: ok=\d+ +changed=(\d+) ", re.MULTILINE)
# molecule asks for colours, whose codes stand before the words that are looked for
SAID = "ANSIBLE_FORCE_COLOR=0 ANSIBLE_CALLBACK_RESULT_FORMAT=yaml"
ROUTE = {"name": "molecule", "hostname": "registry.molecule.test"}
CASES: dict[str, dict[str, Any]] = {
    "install": {"registry_chart_values": {"config": {"logLevel": "Debug"}}},
    "routes": {"registry_routes": [ROUTE]},
    "nodes": {"registry_nodes": {"dockerCertsDir": ""}},
    "storage": {"registry_storage_credentials": {"REGISTRY_STORAGE_S3_ACCESSKEY": "molecule"}},
    "verify": {},
}
"""Variables by the name of the playbook; each writes what the one before it has left alone."""


def changes(host: Host, playbook: str, *options: str) -> list[tuple[str, int]]:
    """The tasks that change something, by name; as many as Ansible counts itself."""
    variables = shlex.quote(json.dumps(CASES[playbook]))
    path = f"{ROOT}/playbooks/{playbook}.yml"
    command = f"ansible-playbook -i {ROOT}/inventories/lab {path} {' '.join(options)} -e {variables}"
    said = host.check_output(f"cd {ROOT} && {SAID} {command}")
    tasks: list[tuple[str, int]] = []  # with how often it says so: a loop says it for each item
    for match in TASK.finditer(said):
        if match["task"]:
            tasks.append((match["task"], 0))
        else:
            tasks[-1] = (tasks[-1][0], tasks[-1][1] + 1)
    found = [(task, items) for task, items in tasks if items]
    assert [str(len(found))] == RECAP.findall(said), f"it was not understood:\n{said}"
    return found


def written(kubectl: Kubectl) -> dict[str, Any]:
    """What was wanted of every object, by kind and name; what others say of it is left out."""
    items = json.loads(kubectl(f"-n {SYSTEM} get {WRITTEN} -o json"))["items"]
    return {f"{item['kind']}/{item['metadata']['name']}": [item.get("spec"), item.get("data")] for item in items}


@pytest.mark.parametrize("playbook", CASES)
def test_a_check_names_what_the_run_then_does(host: Host, kubectl: Kubectl, playbook: str) -> None:
    before = written(kubectl)
    foreseen = changes(host, playbook, "--check", "--diff")
    assert written(kubectl) == before, "a check has written"
    done = changes(host, playbook)
    assert foreseen == done
    assert bool(done) == bool(CASES[playbook])
    assert (written(kubectl) != before) == bool(done)
    assert changes(host, playbook, "--check") == []
