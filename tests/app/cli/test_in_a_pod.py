"""In a Pod ``ac`` needs no file: the token that kubelet mounts is its login, for names of the cluster alone."""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from click.testing import CliRunner, Result

from image_registry.cli import ac as command
from image_registry.cli import hosts
from image_registry.cli.connection import Place
from image_registry.cli.inside import SERVICE, is_internal
from image_registry.kube import endpoint
from image_registry.kube.client import ClusterClient
from tests.app.remote.conftest import fill
from tests.clients.certificates import make_certificates
from tests.serve.conftest import serve

INSIDE = "image-registry.image-registry-system.svc"
TOKEN = secrets.token_urlsafe(20)


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a real registry that takes the Pod's token, as the password of any user would be taken in a cluster."""
    folder = tmp_path_factory.mktemp("registry")
    fill(folder / "registry")
    users = folder / "users"
    kept = bcrypt.hashpw(TOKEN.encode(), bcrypt.gensalt(4)).decode()
    users.write_text(f"serviceaccount:{kept}\nuser:{kept}\n", encoding="utf-8")
    for served in serve(folder, "--auth", f"htpasswd:{users}"):
        yield served.host.rpartition(":")[2]


@pytest.fixture
def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where kubelet mounts what a Pod has; names of the cluster mean this machine."""
    folder = tmp_path / "serviceaccount"
    folder.mkdir()
    (folder / "token").write_text(f"{TOKEN}\n", encoding="ascii")
    (folder / "namespace").write_text("team", encoding="ascii")
    (folder / "ca.crt").write_bytes(make_certificates(tmp_path).ca.read_bytes())
    monkeypatch.setattr(endpoint, "SERVICE_ACCOUNT", folder)
    asked = socket.getaddrinfo

    def resolve(host: Any, *arguments: Any, **options: Any) -> Any:
        return asked("127.0.0.1" if str(host).endswith(".svc") else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    for name in ("KUBECONFIG", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    return folder


def ac(*arguments: str) -> Result:
    return CliRunner().invoke(command.cli, arguments, prog_name="ac")


def test_images_are_copied_with_the_token_of_the_pod(pod: Path, port: str) -> None:
    name = f"{INSIDE}:{port}/team/app"
    done = ac("image", "mirror", "--insecure", "-o", "json", f"{name}:multi", f"{name}-copy")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["totals"]["copied"] == 1
    shown = ac("image", "info", "--insecure", "-o", "json", f"{name}-copy:multi")
    assert shown.exit_code == 0, shown.output
    # kubelet renews the file
    (pod / "token").write_text("ended", encoding="ascii")
    done = ac("image", "info", "--insecure", f"{name}:multi")
    assert (done.exit_code, TOKEN in done.output) == (3, False)


@pytest.mark.usefixtures("pod")
def test_nobody_outside_of_the_cluster_is_shown_the_token(port: str) -> None:
    for name in (f"127.0.0.1:{port}", f"localhost:{port}"):
        assert ac("image", "info", "--insecure", f"{name}/team/app:v1").exit_code == 3


@pytest.mark.usefixtures("pod")
def test_the_login_of_a_pod_is_written_for_its_service(port: str, tmp_path: Path) -> None:
    file = tmp_path / "auth.json"
    named = ac("registry", "login", f"--registry={INSIDE}:{port}", "--insecure", f"--to={file}")
    assert named.exit_code == 0, named.output
    shown = ac("image", "info", "--insecure", f"--registry-config={file}", f"{INSIDE}:{port}/team/app:v1")
    assert shown.exit_code == 0, shown.output
    # nobody need say where it is: no API server answers here, and none is asked
    found = json.loads(ac("registry", "login", "--skip-check", "--to=-").stdout)
    assert list(found["auths"]) == [SERVICE]
    assert hosts.reached(Place(ClusterClient.from_pod(), "team")) == SERVICE


@pytest.mark.parametrize(
    ("host", "inside"),
    [
        (SERVICE, True), ("r.ns.svc", True), ("r.ns.svc.cluster.local:5000", True),
        ("r.ns.svc.example.com", False), ("svc", False), ("registry.example.com:5000", False),
    ],
)  # fmt: skip
def test_names_of_the_cluster_are_told_apart(host: str, inside: bool) -> None:
    assert is_internal(host) is inside
