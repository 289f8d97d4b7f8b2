"""The registry runs as the inventory says after the upgrade, as a later version and revision of the same release."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testinfra.host import Host

Kubectl = Callable[..., str]
SYSTEM = "image-registry-system"


def test_every_replica_runs_with_the_new_value(kubectl: Kubectl) -> None:
    pods = json.loads(kubectl(f"-n {SYSTEM} get pods -l app.kubernetes.io/name=image-registry -o json"))["items"]
    assert pods
    for pod in pods:
        (registry,) = [one for one in pod["spec"]["containers"] if one["name"] == "registry"]
        assert "debug" in json.dumps(registry).lower()


def test_it_is_a_later_revision(host: Host, lab: dict[str, str]) -> None:
    command = f"{lab['HELM']} --kubeconfig {lab['KUBECONFIG_FILE']} -n {SYSTEM} history image-registry -o json"
    history = json.loads(host.check_output(command))
    assert history[-1]["status"] == "deployed"
    assert history[-1]["revision"] > 1
    assert history[0]["chart"] == "image-registry-1.9.0"
    assert history[-1]["chart"] != history[0]["chart"]
    assert history[-1]["app_version"] != "1.9.0"
