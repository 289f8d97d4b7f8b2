"""The platform, which removes a release when its record is gone: LAB NAME. A named fake of what this lab has not.

Workloads go first and roles last, as Helm does it; whose the roles are by then is not asked.
"""

import subprocess
import sys
import time

NAMESPACE = "cpaas-system"
PATIENCE = 1800.0


def kubectl(lab: str, *arguments: str) -> str:
    """What it said; raises where it failed."""
    done = subprocess.run([lab, "kubectl", *arguments], check=True, capture_output=True, text=True)  # noqa: S603
    return done.stdout


def main(lab: str, name: str) -> None:
    """Ends when nothing of the release is left."""
    end = time.monotonic() + PATIENCE
    record = f"clusterplugininstances.cluster.alauda.io/{name}"
    while kubectl(lab, "get", "--ignore-not-found", "-o=name", record):
        if time.monotonic() > end:
            sys.exit(f"{record} is still there")
        time.sleep(1)
    gone = ("--ignore-not-found", "--timeout=120s")
    kubectl(lab, "-n", NAMESPACE, "delete", f"deployment/{name}", f"service/{name}", f"ingress/{name}", *gone)
    kubectl(lab, "delete", "clusterrole", "--selector", f"helm.sh/release-name={name}", *gone)


if __name__ == "__main__":
    main(*sys.argv[1:])
