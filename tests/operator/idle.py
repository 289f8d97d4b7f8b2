"""What the operator costs when nothing happens: ``make bench-operator``.

A real kube-apiserver with an audit log, the operator as a process with the rights of its bundle, a registry that is
installed. Requests are those of the operator's account and of no other; watches count when they begin.
"""

from __future__ import annotations

import argparse
import collections
import os
import sys
import tempfile
import time
from pathlib import Path

from image_registry.kube.client import object_path
from image_registry.operator import drift
from image_registry.operator.operand import CONFIG
from image_registry.operator.release_secrets import SECRETS
from tests.operator import olm
from tests.operator.conftest import NAMESPACE, OPERATOR, OPERATOR_CHART, control_plane, started
from tests.operator.hands import Hands
from tests.operator.processes import Process, until

SETTLED = 20.0
RESOURCES = {**drift.RESOURCES, "CustomResourceDefinition": "customresourcedefinitions"}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=120.0)
    seconds: float = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plane = control_plane(folder, audited=True)
        with started(plane) as server:
            client = server.client
            client.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
            for item in olm.install(OPERATOR_CHART / "bundle", NAMESPACE):
                where = item["metadata"].get("namespace", "")
                client.create(object_path(item["apiVersion"], RESOURCES[item["kind"]], namespace=where), item)
            for secret in SECRETS:
                client.create(object_path("v1", "secrets", namespace=NAMESPACE), {"metadata": {"name": secret}})
            account = server.as_account(folder, OPERATOR, NAMESPACE)
            with Hands(client, NAMESPACE), Process(account, folder, "operator") as operator:
                spec = {"managementState": "Managed", "storage": {"pvc": {"size": "1Gi"}}}
                kind = {"apiVersion": "imageregistry.operator.alauda.io/v1", "kind": "Config"}
                client.create(CONFIG.rpartition("/")[0], {**kind, "metadata": {"name": "cluster"}, "spec": spec})

                def installed() -> bool:
                    found = (client.get(CONFIG).get("status") or {}).get("conditions") or []
                    return any(one["type"] == "Progressing" and one["reason"] == "Ready" for one in found)

                until(installed, "installed", operator)
                time.sleep(SETTLED)
                before, used = len(plane.audited()), _processor(operator.child.pid)
                time.sleep(seconds)
                asked, spent = plane.audited()[before:], _processor(operator.child.pid) - used
                sys.stdout.write(
                    f"processor: {100 * spent / seconds:.2f} % of one, memory: {_memory(operator.child.pid)} MiB" + "\n"
                )
    counts = collections.Counter(f"{one['verb']} {one['objectRef'].get('resource')}" for one in asked)
    sys.stdout.write(f"requests: {60 * len(asked) / seconds:.0f} a minute" + "\n")
    for what, count in counts.most_common():
        sys.stdout.write(f"  {60 * count / seconds:6.1f} {what}" + "\n")


def _processor(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int) -> int:
    (line,) = [one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if one.startswith("VmRSS")]
    return int(line.split()[1]) // 1024


if __name__ == "__main__":
    main()
