"""What the tests of every scenario ask with: the lab's programs, and the registry by its name and its CA."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from testinfra.host import Host

ROOT = Path(__file__).resolve().parents[1]
SYSTEM = "image-registry-system"
SERVICE = f"image-registry.{SYSTEM}.svc"
TEAM = "registry-molecule"

Kubectl = Callable[..., str]
Crane = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def lab(host: Host) -> dict[str, str]:
    """Addresses and programs of the lab."""
    said = host.check_output("%s env", str(ROOT / "lab/lab"))
    return {
        name: shlex.split(value)[0] for name, _, value in (line.partition("=") for line in said.splitlines()) if value
    }


@pytest.fixture(scope="module")
def kubectl(host: Host, lab: dict[str, str]) -> Kubectl:
    def run(arguments: str, *, may_fail: bool = False) -> str:
        command = f"{lab['KUBECTL']} --kubeconfig {lab['KUBECONFIG_FILE']} {arguments}"
        done = host.run(command)
        assert may_fail or done.rc == 0, f"{command}\n{done.stderr}"
        return str(done.stdout if done.rc == 0 else done.stderr)

    return run


@pytest.fixture(scope="module")
def address(kubectl: Kubectl) -> str:
    """The Service's address, which the lab's host reaches."""
    return kubectl(f"-n {SYSTEM} get service image-registry -o jsonpath={{.spec.clusterIP}}")


@pytest.fixture(scope="module")
def ca(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ca") / "ca.crt"
    path.write_text(kubectl(rf"-n {SYSTEM} get configmap image-registry-ca -o 'jsonpath={{.data.ca-bundle\.crt}}'"))
    return path


@pytest.fixture(scope="module")
def ask(host: Host, address: str, ca: Path) -> Callable[..., tuple[int, str]]:
    """Status and body of a request, with the name and the CA that clients in the cluster use."""

    def run(path: str, token: str = "", user: str = "") -> tuple[int, str]:
        bearer = f"-H 'Authorization: Bearer {token}'" if token else ""
        basic = f"-u 'x:{user}'" if user else ""
        said = host.check_output(
            f"curl -sS --cacert {ca} --resolve {SERVICE}:5000:{address} {bearer} {basic} "
            f"-w '\\n%{{http_code}}' 'https://{SERVICE}:5000{path}'"
        )
        body, _, status = said.rpartition("\n")
        return int(status), body

    return run


@pytest.fixture(scope="module")
def crane(
    host: Host, lab: dict[str, str], kubectl: Kubectl, address: str, ca: Path, tmp_path_factory: pytest.TempPathFactory
) -> Crane:
    """Status and words of crane as the team's account; the last word is an image of the team, as in ``kept:1``."""
    folder = tmp_path_factory.mktemp("crane")
    token = kubectl(f"-n {TEAM} create token builder").strip()
    (folder / "config.json").write_text(
        json.dumps({"auths": {f"{SERVICE}:5000": {"username": "x", "password": token}}})
    )
    (folder / "config.json").chmod(0o600)
    # the certificate is for the Service's name, which the lab's host resolves no other way
    (folder / "hosts").write_text(f"127.0.0.1 localhost\n{address} {SERVICE}\n")
    where = f"unshare --mount sh -c 'mount --bind {folder}/hosts /etc/hosts && exec \"$@\"' -- env"

    def run(*arguments: str) -> tuple[int, str]:
        *verbs, image = arguments
        program = f"{where} SSL_CERT_FILE={ca} DOCKER_CONFIG={folder} {lab['CRANE']}"
        done = host.run(f"{program} {' '.join(verbs)} {SERVICE}:5000/{TEAM}/{image}")
        return done.rc, f"{done.stdout}{done.stderr}".strip()

    return run
