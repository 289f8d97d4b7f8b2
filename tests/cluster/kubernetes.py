"""kubectl and helm for the lab's cluster, and people in it: what the tests of an installation are written with."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.serve.conftest import program

NAMESPACE = "image-registry-system"
SERVICE = f"image-registry.{NAMESPACE}.svc:5000"
ROOT = Path(__file__).resolve().parents[2]
RELEASE = "image-registry"
CHART = str(ROOT / "charts/image-registry")


class CommandFailed(Exception):
    """kubectl or helm said no; the text is its own."""


@dataclass(frozen=True, slots=True)
class Kubectl:
    """One kubeconfig, named on purpose."""

    kubeconfig: Path

    def __call__(self, *arguments: str, stdin: str | None = None, timeout: float = 180) -> str:
        command = [program("kubectl", "run `lab/lab build kube`"), "--kubeconfig", str(self.kubeconfig), *arguments]
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.kubeconfig.parent)}
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=timeout, check=False, env=environment
        )
        if done.returncode:
            raise CommandFailed(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def json(self, *arguments: str) -> dict[str, Any]:
        """The answer of a ``get``."""
        found: dict[str, Any] = json.loads(self(*arguments, "-o", "json"))
        return found

    def apply(self, *objects: dict[str, Any]) -> None:
        """Create or change objects."""
        self("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))

    def names(self, *arguments: str) -> set[str]:
        """Names of what a list holds."""
        return {item["metadata"]["name"] for item in self.json("get", *arguments)["items"]}

    def await_pods(self, selector: str, seconds: int = 180) -> None:
        """Until every Pod that the selector finds is ready; there must be one."""
        self("-n", NAMESPACE, "wait", "pods", "-l", selector, "--for=condition=Ready", f"--timeout={seconds}s")


@dataclass(frozen=True, slots=True)
class Helm:
    """Releases of the registry's namespace, in the cluster of one kubeconfig, from the chart of this tree."""

    kubeconfig: Path

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        where = ["--kubeconfig", str(self.kubeconfig), "--namespace", NAMESPACE]
        done = subprocess.run(
            [program("helm", "run `lab/lab build helm`"), *where, *arguments],
            input=stdin,
            check=False,
            capture_output=True,
            text=True,
            env={"PATH": os.environ["PATH"], "HOME": str(self.kubeconfig.parent)},
            timeout=240,
        )
        if done.returncode:
            raise CommandFailed(f"helm {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def values(self) -> str:
        """What the registry was installed with, as JSON."""
        return self("get", "values", RELEASE, "-o", "json")

    def upgrade(self, *arguments: str, stdin: str = "") -> None:
        """The registry, by this chart."""
        self("upgrade", RELEASE, CHART, *arguments, stdin=stdin)


@dataclass(frozen=True, slots=True)
class Team:
    """A namespace with a ServiceAccount ``builder`` that may push to it, and ``stranger`` that may do nothing."""

    kubectl: Kubectl
    namespace: str

    @staticmethod
    def make(kubectl: Kubectl) -> Team:
        namespace = f"team-{secrets.token_hex(3)}"
        kubectl("create", "namespace", namespace)
        for account in ("builder", "stranger"):
            kubectl("-n", namespace, "create", "serviceaccount", account)
        binding = ["rolebinding", "builder-pushes", "--clusterrole=system:image-pusher"]
        kubectl("-n", namespace, "create", *binding, f"--serviceaccount={namespace}:builder")
        return Team(kubectl, namespace)

    def token(self, account: str = "builder") -> str:
        """A token of a ServiceAccount, as ``kubectl create token`` gives it."""
        return self.kubectl("-n", self.namespace, "create", "token", account).strip()

    def run(self, name: str, image: str, *, secret: str = "") -> None:
        """A Pod of one container that answers on port 8080 when it is ready."""
        self.kubectl.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "namespace": self.namespace},
                "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "imagePullSecrets": [{"name": secret}] if secret else [],
                    "containers": [
                        {
                            "name": "server",
                            "image": image,
                            "imagePullPolicy": "Always",
                            "command": ["/bin/busybox", "httpd", "-f", "-p", "8080"],
                            "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
                        }
                    ],
                },
            }
        )

    def pull_secret(self, name: str, account: str) -> None:
        """A Secret with a token of the account, by standard input so that it is in no process list."""
        auths = {SERVICE: {"username": account, "password": self.token(account)}}
        data = {".dockerconfigjson": json.dumps({"auths": auths})}
        self.kubectl.apply(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "type": "kubernetes.io/dockerconfigjson",
                "metadata": {"name": name, "namespace": self.namespace},
                "stringData": data,
            }
        )
